"""Store figures: the rate from the journal to the database, beside a bare binary COPY of the same rows."""

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

from app.embedded import EmbeddedServers
from app.runtime.durable_watermark import DurableReader
from app.runtime.follower import JournalFollower, Replica
from app.runtime.journal_reader import JournalReader
from app.store.database import connect
from app.store.projection import SNAPSHOT_US, Projected, Rows, project
from app.store.schema import migrate
from app.store.writer import BATCH_BYTES_MAX, DatabaseWriter
from app.store.written_rows import copy_rows
from loadtests.figures import AT_LEAST, Figure
from loadtests.replay_figures import write_journal

ORDERS = 200_000


def measure_store(rounds: int) -> list[Figure]:
    return asyncio.run(_measure(rounds))


async def _measure(rounds: int) -> list[Figure]:
    given = os.environ.get("BOT4_BENCH_DATABASE_URL") or os.environ.get("BOT4_TEST_DATABASE_URL")
    with tempfile.TemporaryDirectory(prefix="bot4-bench-") as name:
        folder = Path(name)
        journal = folder / "journal"
        journal.mkdir()
        await asyncio.to_thread(write_journal, journal, ORDERS)
        async with EmbeddedServers(folder, given, "not needed") as servers:
            assert servers.database_url is not None
            return await _compare(journal, servers.database_url, rounds, given is not None)


async def _compare(journal: Path, server: str, rounds: int, given: bool) -> list[Figure]:
    batches = await asyncio.to_thread(_projected, journal)
    rows = sum(rows.count for batch in batches for rows in _added(batch))
    events = sum(len(events) for _, events in JournalReader(journal).batches())
    bare, copied, followed = [], [], []
    for _ in range(rounds):
        async with database_on(server) as url:
            bare.append(rows / await _copy_all(url, batches))
        async with database_on(server) as url:
            seconds = await _follow(journal, url)
            copied.append(rows / seconds)
            followed.append(events / seconds)
    extension = await _extension(server)
    place = f"{'the given server' if given else 'the embedded PostgreSQL'}, {extension}"
    load = f"{ORDERS} orders: {events} events make {rows} rows; {place}"
    details = {"load": load, "bare": bare, "rows": copied, "events": followed}
    return [
        Figure(
            part="store",
            claim="journal read, replayed, encoded and written: rows of history and of orders",
            measured=median(copied),
            unit="rows/s",
            target=100_000,
            bound=AT_LEAST,
            details=details,
        ),
        Figure(
            part="store",
            claim="the same, to a bare COPY of these rows, encoded before",
            measured=median(copied),
            unit="rows/s",
            target=0.8,
            bound=AT_LEAST,
            of_ratio=True,
            baseline=median(bare),
            baseline_name="bare binary COPY",
            details=details,
        ),
        Figure(
            part="store",
            claim="catching up with a journal, latest state and all",
            measured=median(followed),
            unit="events/s",
            target=100_000,
            bound=AT_LEAST,
            details=details,
        ),
    ]


def _projected(journal: Path) -> list[Projected]:
    reader = DurableReader(journal)
    follower = JournalFollower(journal, 1, reader, boundary_us=SNAPSHOT_US, batch_bytes_max=BATCH_BYTES_MAX)
    replica = Replica(journal, 0)
    batches = []
    while (batch := follower.read()) is not None:
        batches.append(project(batch, replica))
    follower.close()
    reader.close()
    return batches


def _added(batch: Projected) -> list[Rows]:
    return [*batch.history, *([batch.new_orders] if batch.new_orders else [])]


async def _copy_all(url: str, batches: list[Projected]) -> float:
    """The upper bound of a writer's speed: the same bytes, in the same transactions, and nothing else."""
    await migrate(url)
    connection = await connect(url)
    started = time.perf_counter()
    for batch in batches:
        async with connection.transaction():
            for rows in _added(batch):
                await copy_rows(connection, rows.table, rows)
    seconds = time.perf_counter() - started
    await connection.close()
    return seconds


async def _follow(journal: Path, url: str) -> float:
    await migrate(url)
    writer = DatabaseWriter(journal, url)
    started = time.perf_counter()
    await writer.catch_up()
    return time.perf_counter() - started


@contextlib.asynccontextmanager
async def database_on(server: str) -> AsyncIterator[str]:
    """A database of its own on a server."""
    name = f"bot4_bench_{uuid4().hex}"
    await _execute(server, f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    finally:
        await _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


async def _extension(server: str) -> str:
    async with database_on(server) as url:
        await migrate(url)
        connection = await connect(url)
        version = await connection.fetchval(
            "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
        )
        await connection.close()
    return f"TimescaleDB {version}" if version else "no TimescaleDB"


async def _execute(url: str, statement: str) -> None:
    connection = await connect(url)
    await connection.execute(statement)
    await connection.close()
