"""The schema is brought to a revision that there is, or refused with what to do instead."""

import asyncio

import pytest

from app.store.database import DatabaseError, connect
from app.store.schema import migrate


async def _execute(url: str, statement: str) -> object:
    connection = await connect(url)
    try:
        result: object = await connection.fetchval(statement)
        return result
    finally:
        await connection.close()


def migrated(url: str, to: str, timescaledb_required: bool = False) -> tuple[str, str]:
    return asyncio.run(migrate(url, to, timescaledb_required=timescaledb_required))


def test_an_empty_database_is_at_base_and_may_stay_there(database_url: str) -> None:
    assert migrated(database_url, "base") == ("base", "base")
    assert asyncio.run(_execute(database_url, "SELECT to_regclass('fills')::text")) is None


def test_a_revision_that_is_not_there(database_url: str) -> None:
    with pytest.raises(DatabaseError, match=r"no revision '9999': there are base, 0001, 0002, .*000\d$"):
        migrated(database_url, "9999")
    with pytest.raises(DatabaseError, match="no revision"):
        migrated(database_url, "")


def test_a_database_of_a_newer_version_is_left_alone(database_url: str) -> None:
    assert migrated(database_url, "0001") == ("base", "0001")
    asyncio.run(_execute(database_url, "UPDATE alembic_version SET version_num = '9998'"))
    for to in ("head", "base"):
        with pytest.raises(DatabaseError, match=r"at revision 9998, .*`bot4 migrate --to 000\d`"):
            migrated(database_url, to)
    assert asyncio.run(_execute(database_url, "SELECT version_num FROM alembic_version")) == "9998"


def test_a_migration_that_fails_says_what_to_do_and_leaves_nothing(database_url: str) -> None:
    asyncio.run(_execute(database_url, "CREATE TABLE accounts (mine text)"))
    with pytest.raises(DatabaseError, match=r"the migration to 0001 failed: .*use an empty database"):
        migrated(database_url, "0001")
    assert asyncio.run(_execute(database_url, "SELECT to_regclass('instruments')::text")) is None


def test_hypertables_that_cannot_be_are_refused(database_url: str) -> None:
    preloaded = asyncio.run(_execute(database_url, "SHOW shared_preload_libraries"))
    if "timescaledb" in str(preloaded):
        pytest.skip("this server has timescaledb")
    with pytest.raises(DatabaseError, match="no timescaledb, and BOT4_TIMESCALEDB_REQUIRED=1 asks for it"):
        migrated(database_url, "head", timescaledb_required=True)
    assert migrated(database_url, "base", timescaledb_required=True) == ("base", "base"), "no tables, no wish"
