"""The database's schema, brought to a revision by Alembic: see `app.store.database.migrate`."""

import asyncio
import threading
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

from app.store.database import DatabaseError, connect, first_line

_ROOT = Path(__file__).resolve().parents[2]
_alembic = threading.Lock()  # it keeps what it works on in its modules: one run at a time in a process


async def migrate(url: str, to: str = "head") -> tuple[str, str]:
    """Bring the schema to a revision, up or down; the revisions before and after, "base" for none.

    Two servers that start at once do it one after the other. Either all of it happens or nothing.

    Raises:
        DatabaseError: the database cannot be used, or there is no such revision.
    """
    scripts = ScriptDirectory.from_config(_config(url))
    wanted = _resolve(scripts, to)
    before = await _current(url)
    if before == wanted:
        return before, wanted
    if before != "base" and before not in {script.revision for script in scripts.walk_revisions()}:
        raise DatabaseError(f"the database is at revision {before}, which this version does not know: newer?")
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
        raise DatabaseError(f"the migration to {wanted} failed: {first_line(cause)}") from error
    return before, await _current(url)


def _config(url: str) -> Config:
    config = Config(_ROOT / "alembic.ini")
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
