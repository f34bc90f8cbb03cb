"""How the database finds history: by indexes and in few chunks, never by reading it all."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from app.store.database import connect
from app.store.history import FILLS, Selection, page_query
from app.store.schema import migrate
from loadtests.history_data import Volume, fill
from loadtests.history_figures import explain_all, make_asker
from loadtests.history_queries import PAGE, Asker

DAYS = 90
DAY_US = 86_400_000_000
VOLUME = Volume(
    days=DAYS,
    orders=30_000,
    order_events=60_000,
    fills=60_000,
    risk_events=20_000,
    limit_changes=3_000,
    audit_log=3_000,
    marks=1_000,
    market_trades=40_000,
    snapshot_minutes=15,
)
END = datetime(2026, 3, 1, tzinfo=UTC)
# Where a chunk is small the database may read some rows that it then leaves out, but never most of a table.
PAGE_ROWS_MAX = VOLUME.fills // 30
MADE_OF_ROWS_MAX = 12_000  # candles and days are made of more


@pytest.fixture(scope="session")
def filled(filled_database_url: str) -> tuple[str, Asker]:
    async def run() -> Asker:
        await migrate(filled_database_url)
        connection: asyncpg.Connection = await connect(filled_database_url)
        rows = await fill(connection, VOLUME, END)
        assert rows["account_snapshots"] > 40_000
        asker = await make_asker(connection, DAYS, END)
        await connection.close()
        return asker

    return filled_database_url, asyncio.run(run())


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes(part)


async def explain(connection: asyncpg.Connection, sql: str, arguments: list[Any]) -> list[dict[str, Any]]:
    text = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", *arguments)
    return list(nodes(json.loads(text)[0]["Plan"]))


def rows_read(plan: list[dict[str, Any]]) -> float:
    """What was taken out of tables, also what was then thrown away."""
    scans = [node for node in plan if _is_scan(node)]
    return sum(
        float(node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)))
        for node in scans
    )


def scanned(plan: list[dict[str, Any]]) -> set[str]:
    """The chunks that were looked into."""
    return {node["Relation Name"] for node in plan if _is_scan(node) and node["Actual Loops"]}


def _is_scan(node: dict[str, Any]) -> bool:
    return "Relation Name" in node and node["Node Type"] != "Custom Scan"  # which only appends chunks


def test_every_kind_of_query_reads_little(filled: tuple[str, Asker]) -> None:
    url, asker = filled

    async def run() -> None:
        async with _connected(url) as connection:
            await check(connection)

    async def check(connection: asyncpg.Connection) -> None:
        for name, make in asker.kinds().items():
            for _ in range(5):
                query = make()
                plan = await explain(connection, query.sql, query.arguments)
                made = name.startswith(("candles", "daily"))
                limit = MADE_OF_ROWS_MAX if made else PAGE_ROWS_MAX
                assert rows_read(plan) <= limit, (name, query.sql, query.arguments)
                sorted_rows = [node["Actual Rows"] for node in plan if node["Node Type"] == "Sort"]
                assert max(sorted_rows, default=0) <= limit, name
                whole = [node for node in plan if node["Node Type"] == "Seq Scan" and node["Actual Loops"]]
                assert not [node for node in whole if node["Actual Rows"] > PAGE], (name, whole)

    asyncio.run(run())


def test_a_range_and_a_cursor_leave_chunks_out(filled: tuple[str, Asker]) -> None:
    url, asker = filled

    async def run() -> None:
        async with _connected(url) as connection:
            await check(connection)

    async def check(connection: asyncpg.Connection) -> None:
        if not await connection.fetchval("SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'"):
            pytest.skip("ordinary tables have no chunks")
        everything = set(await _chunks(connection, "fills"))
        assert len(everything) >= DAYS // 7
        middle = asker.begin + DAYS // 2 * DAY_US
        span = Selection(accounts=[1], start=middle, end=middle + 2 * DAY_US, limit=PAGE)
        plan = await explain(connection, *page_query(FILLS, span))
        assert 1 <= len(scanned(plan)) <= 2
        later = Selection(after=(middle, 1 << 60, 0), limit=PAGE)
        plan = await explain(connection, *page_query(FILLS, later))
        assert 1 <= len(scanned(plan)) <= 2, "the newer half is left out, the page is full before the older"

    asyncio.run(run())


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection: asyncpg.Connection = await connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _chunks(connection: asyncpg.Connection, table: str) -> list[str]:
    rows = await connection.fetch(
        "SELECT chunk_name FROM timescaledb_information.chunks WHERE hypertable_name = $1", table
    )
    return [row["chunk_name"] for row in rows]


def test_the_plans_can_be_written_down(filled: tuple[str, Asker]) -> None:
    url, asker = filled
    text = asyncio.run(explain_all(url, asker))
    for name in asker.kinds():
        assert f"== {name}\n" in text
    assert "Buffers:" in text
