"""A new database beside a journal whose beginning is gone: all of the latest state, history from there on."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.engine.capacity import SMALL_CAPACITY
from app.engine.engine import Engine
from app.runtime.durable_watermark import DurableReader
from app.runtime.projections import write_status
from app.runtime.retention import prune
from app.runtime.segments import JournalError, list_segments
from app.runtime.snapshots import list_snapshots, save_snapshot
from app.store.database import DatabaseError, connect
from app.store.rebuild import rebuild
from app.store.writer import DatabaseWriter
from tests.support.database import compare
from tests.support.journals import TradingHistory, write_ticks

TICKS = 10


@pytest.fixture
def pruned(tmp_path: Path) -> tuple[Path, Engine]:
    """A journal without its oldest segments, as housekeeping leaves it, and the engine after all of it."""
    history = TradingHistory(Engine(SMALL_CAPACITY), tick_us=25_000_000)
    next_seq = 1
    for number in range(TICKS):
        tick = history.reference_data() if number == 0 else history.tick(40)
        next_seq = write_ticks(tmp_path, iter([tick]), next_seq, segment_bytes_max=1) + 1
        if number in (4, 7):
            save_snapshot(history.engine, tmp_path)
    assert prune(tmp_path, 1 << 60).segments > 0
    assert list_segments(tmp_path)[0].first_seq > 1
    return tmp_path, history.engine


async def _one(url: str, statement: str, *arguments: Any) -> Any:
    connection: asyncpg.Connection = await connect(url)
    try:
        return await connection.fetchrow(statement, *arguments)
    finally:
        await connection.close()


async def _gap(url: str) -> tuple[int, int, str]:
    row = await _one(url, "SELECT first_seq, last_seq, reason, last_ts FROM history_gaps")
    assert row["last_ts"] is not None
    return row["first_seq"], row["last_seq"], row["reason"]


def test_state_from_the_oldest_snapshot_and_history_behind_it(
    database_url: str, pruned: tuple[Path, Engine], caplog: pytest.LogCaptureFixture
) -> None:
    folder, engine = pruned
    begin = list_snapshots(folder)[-1][0]

    async def run() -> None:
        await DatabaseWriter(folder, database_url, capacity=SMALL_CAPACITY).catch_up()
        await compare(database_url, folder, engine, begins_behind=begin)
        first, last, reason = await _gap(database_url)
        assert (first, last) == (1, begin)
        assert (
            reason
            == f"the database was new when the journal began at seq {list_segments(folder)[0].first_seq}"
        )
        again = DatabaseWriter(folder, database_url, capacity=SMALL_CAPACITY)
        await again.catch_up()
        assert again.rows == 0

    asyncio.run(run())
    assert "orders, positions and accounts are those of seq" in caplog.text


def test_a_damaged_snapshot_is_passed_over_and_without_any_it_is_said(
    database_url: str, pruned: tuple[Path, Engine]
) -> None:
    folder, engine = pruned
    (newest, _), (_, oldest) = list_snapshots(folder)
    oldest.write_bytes(b"damaged")

    async def run() -> None:
        await DatabaseWriter(folder, database_url, capacity=SMALL_CAPACITY).catch_up()
        await compare(database_url, folder, engine, begins_behind=newest)
        for _, path in list_snapshots(folder):
            path.unlink()
        await rebuild(folder, database_url, DurableReader(folder)(), SMALL_CAPACITY, lose_history=True)

    with pytest.raises(JournalError, match="no usable snapshot says what was before"):
        asyncio.run(run())


def test_a_database_that_the_journal_no_longer_reaches(
    database_url: str, pruned: tuple[Path, Engine]
) -> None:
    """It was restored from an old backup, say: what is missing in between must not go unnoticed."""
    folder, engine = pruned
    seq = DurableReader(folder)()

    async def run() -> None:
        await DatabaseWriter(folder, database_url, capacity=SMALL_CAPACITY).catch_up()
        await _one(database_url, "UPDATE projection_progress SET seq = 3")
        with pytest.raises(DatabaseError, match="is at seq 3, but the journal begins at seq") as caught:
            await DatabaseWriter(folder, database_url, capacity=SMALL_CAPACITY).catch_up()
        assert "--lose-history" in str(caught.value)
        with pytest.raises(JournalError, match=r"could not be\s+written again.*--lose-history"):
            await rebuild(folder, database_url, seq, SMALL_CAPACITY)
        await rebuild(folder, database_url, seq, SMALL_CAPACITY, lose_history=True)
        await compare(database_url, folder, engine, begins_behind=list_snapshots(folder)[-1][0])

    asyncio.run(run())


def test_an_emptied_database_keeps_the_journal_until_it_is_filled(
    database_url: str, pruned: tuple[Path, Engine]
) -> None:
    """What the database before it had passed must not be taken for what this one has."""
    folder, _ = pruned
    full = DatabaseWriter(folder, database_url, capacity=SMALL_CAPACITY)

    async def run() -> None:
        await full.catch_up()
        write_status(folder, "database", full.status())
        for table in ("projection_progress", "orders", "positions", "history_gaps"):
            await _one(database_url, f"DELETE FROM {table}")
        writer = DatabaseWriter(folder, database_url, capacity=SMALL_CAPACITY)
        assert writer.status().seq == DurableReader(folder)()
        await writer.catch_up()
        assert (await _gap(database_url))[1] == list_snapshots(folder)[-1][0]

    asyncio.run(run())
