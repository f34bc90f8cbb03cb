"""The database's schema, brought to a revision by Alembic."""

import asyncio
import threading
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

from app.store.database import DatabaseError, connect
from app.store.error_hints import with_advice

# The migrations are beside it: in a wheel in this package, in a checkout at the top.
_PLACES = (Path(__file__).parent, Path(__file__).parents[2])
# Merely installed it cannot be made: the server must have loaded it at its start.
_TIMESCALEDB = """
    SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') AS made,
           EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
           AND current_setting('shared_preload_libraries') LIKE '%timescaledb%' AS available
"""
_IS_HYPERTABLE = """
    SELECT EXISTS (SELECT FROM timescaledb_information.hypertables WHERE hypertable_name = 'fills')
"""
_alembic = threading.Lock()  # it keeps what it works on in its modules: one run at a time in a process


async def migrate(url: str, to: str = "head", *, timescaledb_required: bool = False) -> tuple[str, str]:
    """Bring the schema to a revision, up or down; the revisions before and after, "base" for none.

    Two servers that start at once do it one after the other. Either all of it happens or nothing.
    `timescaledb_required`: the tables must be hypertables.

    Raises:
        DatabaseError: the database cannot be used, or there is no such revision.
    """
    scripts = ScriptDirectory.from_config(_config(url))
    wanted = _resolve(scripts, to)
    before = await _current(url)
    if timescaledb_required and wanted != "base":
        await _require_timescaledb(url)
    if before == wanted:
        return before, wanted
    if before != "base" and before not in {script.revision for script in scripts.walk_revisions()}:
        raise DatabaseError(
            f"the database is at revision {before}, which this version does not know: a newer one has "
            f"migrated it; start that one, or with it run `bot4 migrate --to {_resolve(scripts, 'head')}`"
        )
    below = {"base"} | {script.revision for script in scripts.iterate_revisions(before, "base")}
    step = command.downgrade if wanted in below else command.upgrade

    def run() -> None:
        with _alembic:
            step(_config(url), wanted)

    try:
        # Alembic is synchronous and runs an event loop of its own inside, hence the thread.
        await asyncio.to_thread(run)
    except (OSError, asyncpg.PostgresError, DBAPIError) as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        raise DatabaseError(f"the migration to {wanted} failed: {with_advice(cause)}") from error
    return before, await _current(url)


async def _require_timescaledb(url: str) -> None:
    """Raises DatabaseError where the tables are not, or would not become, hypertables."""
    connection = await connect(url)
    try:
        row = await connection.fetchrow(_TIMESCALEDB)
        assert row is not None
        made = await connection.fetchval("SELECT to_regclass('fills') IS NOT NULL")
        chunked = row["made"] and await connection.fetchval(_IS_HYPERTABLE)
    finally:
        await connection.close()
    wish = "and BOT4_TIMESCALEDB_REQUIRED=1 asks for it"
    if not row["made"] and not row["available"]:
        raise DatabaseError(
            f"the database's server has no timescaledb, {wish}: install it and name it in "
            "shared_preload_libraries, or name another server in BOT4_DATABASE_URL"
        )
    if made and not chunked:
        raise DatabaseError(
            f"the database was made without timescaledb, {wish}: name an empty database in "
            "BOT4_DATABASE_URL, which is filled from the journal"
        )


def _config(url: str) -> Config:
    config = Config(next(path for folder in _PLACES if (path := folder / "alembic.ini").is_file()))
    config.attributes["url"] = url  # not an option of the file: it may hold a % and a password
    return config


def _resolve(scripts: ScriptDirectory, revision: str) -> str:
    if revision == "base":
        return revision
    found = [script.revision for script in scripts.walk_revisions()]
    if revision == "head":
        return found[0]
    if revision not in found:
        raise DatabaseError(
            f"there is no revision {revision!r}: there are base, {', '.join(reversed(found))}"
        )
    return revision


async def _current(url: str) -> str:
    connection = await connect(url)
    try:
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return "base"
        return await connection.fetchval("SELECT version_num FROM alembic_version") or "base"
    finally:
        await connection.close()
