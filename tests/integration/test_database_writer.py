"""What the database holds is what the journal holds: each event once, whatever happened on the way."""

import asyncio
import random
from pathlib import Path

import asyncpg
import numpy as np
import pytest

from app.engine.capacity import SMALL_CAPACITY
from app.engine.engine import Engine
from app.runtime.durable_watermark import DurableReader
from app.runtime.segments import JournalError, list_segments
from app.store.database import DatabaseError, connect
from app.store.rebuild import rebuild
from app.store.writer import MARKET_TRADE, RETRIED, DatabaseWriter
from tests.support.database import compare
from tests.support.journals import TradingHistory, write_ticks

TICKS, COMMANDS = 12, 40


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Engine]:
    """Orders, fills, cancels and stops in several segments, and the engine after them."""
    folder = tmp_path_factory.mktemp("journal")
    history = TradingHistory(Engine(SMALL_CAPACITY), tick_us=25_000_000)
    ticks = [history.reference_data(), *(history.tick(COMMANDS) for _ in range(TICKS))]
    write_ticks(folder, iter(ticks), segment_bytes_max=60_000)
    assert len(list_segments(folder)) > 2
    return folder, history.engine


def test_everything_once(database_url: str, journal: tuple[Path, Engine]) -> None:
    folder, engine = journal

    async def run() -> None:
        await DatabaseWriter(folder, database_url, capacity=SMALL_CAPACITY).catch_up()
        await compare(database_url, folder, engine)
        again = DatabaseWriter(folder, database_url, capacity=SMALL_CAPACITY)
        await again.catch_up()
        assert again.rows == 0
        await compare(database_url, folder, engine)

    asyncio.run(run())


def test_however_it_is_interrupted(
    database_url: str, journal: tuple[Path, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections are killed before, within and after transactions; writers end and others go on."""
    folder, engine = journal
    monkeypatch.setattr("app.store.writer.BATCH_BYTES_MAX", 1)  # a transaction for each frame
    chance = random.Random(7)

    async def run() -> None:
        killer: asyncpg.Connection = await connect(database_url)
        end = DurableReader(folder)()
        writer = DatabaseWriter(folder, database_url, capacity=SMALL_CAPACITY)

        async def kill() -> None:
            while True:
                await asyncio.sleep(chance.uniform(0, 0.03))
                await killer.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'bot4 writer' AND datname = current_database()"
                )

        killing = asyncio.ensure_future(kill())
        interrupted = 0
        for _ in range(200):
            try:
                await writer.catch_up()
            except RETRIED:
                interrupted += 1
                if interrupted > 30:
                    killing.cancel()
            if chance.random() < 0.1:
                writer = DatabaseWriter(folder, database_url, capacity=SMALL_CAPACITY)
            if writer.progress_seq == end and interrupted:
                break
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        killer.terminate()
        assert interrupted
        assert writer.progress_seq == end
        await compare(database_url, folder, engine)

    asyncio.run(run())


def test_a_database_of_another_journal_is_refused_and_rebuilt(
    database_url: str, journal: tuple[Path, Engine], tmp_path: Path
) -> None:
    folder, engine = journal
    history = TradingHistory(Engine(SMALL_CAPACITY), seed=1)
    write_ticks(tmp_path, iter([history.reference_data(), history.tick(9)]))

    async def run() -> None:
        other = DatabaseWriter(tmp_path, database_url, capacity=SMALL_CAPACITY)
        trades = np.zeros(3, MARKET_TRADE)
        trades["ts"], trades["price"], trades["quantity"] = 1_700_000_000_000_000, 5, 2
        other.take_trades(trades.tobytes())
        await other.catch_up()
        writer = DatabaseWriter(folder, database_url, capacity=SMALL_CAPACITY)
        with pytest.raises(DatabaseError, match="history of another journal"):
            await writer.catch_up()
        await rebuild(folder, database_url, DurableReader(folder)(), SMALL_CAPACITY)
        await compare(database_url, folder, engine)
        connection: asyncpg.Connection = await connect(database_url)
        # Market trades are in no journal: a rebuild could not bring them back, so they stay.
        assert await connection.fetchval("SELECT count(*) FROM market_trades") == 3
        assert await connection.fetchval("SELECT trades FROM candles_1m") == 3
        await connection.execute("UPDATE projection_progress SET seq = 1000000")
        await connection.close()
        with pytest.raises(DatabaseError, match="the journal has lost its end"):
            await DatabaseWriter(folder, database_url, capacity=SMALL_CAPACITY).catch_up()

    asyncio.run(run())


def test_one_writer_at_a_time(database_url: str, journal: tuple[Path, Engine]) -> None:
    async def run() -> None:
        writer = DatabaseWriter(journal[0], database_url, capacity=SMALL_CAPACITY)
        running = asyncio.ensure_future(writer.run())
        while writer.progress_seq < DurableReader(journal[0])():  # noqa: ASYNC110  # it has no event
            await asyncio.sleep(0.01)  # another task's progress
        with pytest.raises(DatabaseError, match="another writer"):
            await DatabaseWriter(journal[0], database_url, capacity=SMALL_CAPACITY).catch_up()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())


def test_a_journal_without_its_beginning_cannot_rebuild(database_url: str, tmp_path: Path) -> None:
    history = TradingHistory(Engine(SMALL_CAPACITY))
    write_ticks(
        tmp_path, iter([history.reference_data(), *(history.tick(40) for _ in range(5))]), segment_bytes_max=1
    )
    list_segments(tmp_path)[0].path.unlink()
    with pytest.raises(JournalError, match=r"begins at seq .*--lose-history"):
        asyncio.run(rebuild(tmp_path, database_url, 10, SMALL_CAPACITY))
