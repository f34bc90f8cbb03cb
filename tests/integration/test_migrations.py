"""Migrations on a real database: up, down, up again, at once, and refused."""

import asyncio
import os
import subprocess
import sys

import asyncpg
import pytest

from app.store import timescale
from app.store.database import DatabaseError, connect, create_pool
from app.store.schema import migrate

FIRST = {"accounts", "instruments", "projection_progress"}
HYPERTABLES = {
    *("order_events", "fills", "risk_events", "limit_changes", "audit_log", "marks", "market_trades"),
    "account_snapshots",
}
SECOND = FIRST | HYPERTABLES | {"orders", "positions", "api_keys"}
TABLES = SECOND | {"candles", "history_gaps"}


async def _tables(url: str) -> set[str]:
    connection = await connect(url)
    rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    await connection.close()
    return {row["tablename"] for row in rows}


async def _value(url: str, statement: str) -> object:
    connection = await connect(url)
    value: object = await connection.fetchval(statement)
    await connection.close()
    return value


def test_up_down_and_up_again(database_url: str) -> None:
    async def run() -> None:
        before, after = await migrate(database_url)
        assert before == "base"
        assert await _tables(database_url) == {"alembic_version", *TABLES}
        assert await migrate(database_url) == (after, after)
        assert await migrate(database_url, "base") == (after, "base")
        assert not TABLES & await _tables(database_url)
        assert await migrate(database_url, "0001") == ("base", "0001")
        assert await _tables(database_url) == {"alembic_version", *FIRST}
        assert await migrate(database_url, "0002") == ("0001", "0002")
        assert await _tables(database_url) == {"alembic_version", *SECOND}
        assert await migrate(database_url, "0003") == ("0002", "0003")
        assert await migrate(database_url, "0004") == ("0003", "0004")
        assert await migrate(database_url) == ("0004", after)
        assert await _tables(database_url) == {"alembic_version", *TABLES}
        assert await migrate(database_url, "0004") == (after, "0004")
        assert await migrate(database_url, "0003") == ("0004", "0003")
        assert await _tables(database_url) == {"alembic_version", *TABLES}
        assert await migrate(database_url, "0002") == ("0003", "0002")
        assert await _tables(database_url) == {"alembic_version", *SECOND}
        assert await migrate(database_url, "0001") == ("0002", "0001")
        assert await _tables(database_url) == {"alembic_version", *FIRST}

    asyncio.run(run())


def test_servers_that_start_at_once_migrate_one_after_the_other(database_url: str) -> None:
    command = [sys.executable, "-m", "app.cli", "migrate"]
    environment = os.environ | {"BOT4_DATABASE_URL": database_url}
    servers = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    outputs = [server.communicate(timeout=120)[0] for server in servers]
    assert [server.returncode for server in servers] == [0, 0, 0]
    assert all(output.startswith("schema: ") for output in outputs)
    assert asyncio.run(_tables(database_url)) >= TABLES


def test_two_migrations_in_one_process(database_url: str) -> None:
    async def run() -> None:
        await asyncio.gather(migrate(database_url), migrate(database_url))
        assert await _tables(database_url) >= TABLES

    asyncio.run(run())


def test_timescaledb_is_used_where_it_can_be(database_url: str) -> None:
    async def run() -> None:
        preloaded = await _value(database_url, "SHOW shared_preload_libraries")
        await migrate(database_url)
        made = await _value(database_url, "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'")
        assert made == int("timescaledb" in str(preloaded))
        if made:
            connection = await connect(database_url)
            rows = await connection.fetch("SELECT hypertable_name FROM timescaledb_information.hypertables")
            await connection.close()
            assert {row["hypertable_name"] for row in rows} == HYPERTABLES

    asyncio.run(run())


def test_an_extension_that_is_there_already_is_no_obstacle(database_url: str) -> None:
    async def run() -> None:
        await migrate(database_url)
        await migrate(database_url, "base")
        await migrate(database_url)
        assert await _tables(database_url) >= TABLES

    asyncio.run(run())


def test_an_unknown_revision_is_refused(database_url: str) -> None:
    with pytest.raises(DatabaseError, match="no revision 'no-such'"):
        asyncio.run(migrate(database_url, "no-such"))


def test_the_schema_of_a_newer_version_is_refused(database_url: str) -> None:
    async def run() -> None:
        await migrate(database_url)
        connection = await connect(database_url)
        await connection.execute("UPDATE alembic_version SET version_num = 'from_the_future'")
        await connection.close()
        with pytest.raises(DatabaseError, match="from_the_future"):
            await migrate(database_url)

    asyncio.run(run())


def test_what_fails_in_between_changes_nothing(database_url: str) -> None:
    async def run() -> None:
        connection = await connect(database_url)
        await connection.execute("CREATE TABLE accounts (unrelated integer)")
        await connection.close()
        with pytest.raises(DatabaseError, match="already exists"):
            await migrate(database_url)
        assert await _tables(database_url) & TABLES == {"accounts"}

    asyncio.run(run())


def test_a_refused_login_is_one_line_without_the_password(database_url: str) -> None:
    wrong = database_url.replace("/test_", "/none_")
    with pytest.raises(DatabaseError) as caught:
        asyncio.run(migrate(wrong))
    assert "\n" not in str(caught.value)
    assert "does not exist" in str(caught.value)


def test_the_pool_serves_several_at_once(database_url: str) -> None:
    async def run() -> None:
        pool: asyncpg.Pool = await create_pool(database_url)
        values = await asyncio.gather(*(pool.fetchval("SELECT $1::int", number) for number in range(50)))
        assert values == list(range(50))
        await pool.close()

    asyncio.run(run())


AGGREGATES = {*(f"candles_{name}" for name in ("1s", "1m", "5m", "1h", "1d")), "equity_1h", "equity_1d"}


async def _views(url: str) -> set[str]:
    connection = await connect(url)
    rows = await connection.fetch("SELECT viewname FROM pg_views WHERE schemaname = 'public'")
    await connection.close()
    return {row["viewname"] for row in rows}


def test_what_the_licence_promises_and_the_server_cannot_do_is_done_without(
    database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each licensed step is tried for real here, on a server that has none of them."""
    monkeypatch.setattr(timescale, "is_licensed", lambda _bind: True)

    async def run() -> None:
        _, after = await migrate(database_url)
        assert await _tables(database_url) == {"alembic_version", *TABLES}
        assert await _views(database_url) == AGGREGATES
        for name in AGGREGATES:
            assert await _value(database_url, f"SELECT count(*) FROM {name}") == 0
        assert await migrate(database_url, "base") == (after, "base")
        assert not AGGREGATES & await _views(database_url)

    asyncio.run(run())
    done_without = [record.getMessage() for record in caplog.records if "done without" in record.getMessage()]
    for name in AGGREGATES:
        assert any(
            line.startswith(f"the continuous aggregate {name} is not available") for line in done_without
        )
    for what in ("compression of fills", "retention of marks"):
        assert any(line.startswith(what) for line in done_without)
    assert all("\n" not in line for line in done_without)


def test_without_the_licence_nothing_is_tried(database_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        await migrate(database_url)
        licence = await _value(database_url, "SELECT current_setting('timescaledb.license', true)")
        if licence == "timescale":
            pytest.skip("this server has the licence")
        assert await _views(database_url) == AGGREGATES

    asyncio.run(run())
    assert "done without" not in caplog.text


def test_equity_by_hours_and_days(database_url: str) -> None:
    async def run() -> list[tuple[object, ...]]:
        await migrate(database_url)
        connection = await connect(database_url)
        await connection.execute(
            "INSERT INTO account_snapshots SELECT '2026-03-01 00:00+00'::timestamptz + i * INTERVAL '1 min', "
            "i, a, 1, 1000 + (i * 7) % 11, 1, 1, 1, 1, 1, 1 "
            "FROM generate_series(1, 2999) i, generate_series(0, 1) a"
        )
        rows = await connection.fetch(
            "SELECT start::text, equity, lowest, highest FROM equity_1d WHERE account_index = 1 "
            "ORDER BY start"
        )
        hours = await connection.fetchval("SELECT count(*) FROM equity_1h")
        assert hours == 2 * 50
        await connection.close()
        return [tuple(row) for row in rows]

    last = [1000 + (minute * 7) % 11 for minute in (1439, 2879, 2999)]
    assert [row[1:] for row in asyncio.run(run())] == [(equity, 1000, 1010) for equity in last]
