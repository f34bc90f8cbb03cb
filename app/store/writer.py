"""Database writer: durable commands and events, each exactly once, at its own pace, whatever fails.

Its progress is in the database and moves in the transaction that writes the rows. A transaction
whose outcome is unknown is resolved by reading it: either it happened, or the same rows are written
again.
"""

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import numpy as np

from app.backoff import Backoff
from app.engine.capacity import DEFAULT_CAPACITY, Capacity
from app.runtime.durable_watermark import DurableReader, journal_identity
from app.runtime.follower import JournalFollower, Replica
from app.runtime.projections import STARTING, STATUS_SECONDS, ProjectionStatus, read_status, write_status
from app.store.candles import roll_up
from app.store.copy_format import Kind, Values, encode_rows
from app.store.database import DatabaseError, connect
from app.store.error_hints import first_line, with_advice
from app.store.projection import SNAPSHOT_US, Projected, Rows, project
from app.store.seed_from_snapshot import RECORD_GAP, first_seq, is_out_of_reach, oldest_replica, state_of
from app.store.set_aside import REFUSED, SetAside, execute_apart, write_apart
from app.store.statements import (
    BEGIN_PROGRESS,
    MOVE_PROGRESS,
    READ_PROGRESS,
    UPSERT_KEY,
)
from app.store.written_rows import STATEMENT_SECONDS_MAX, copy_rows, key_row, parts_of, statements_of

logger = logging.getLogger(__name__)

PROJECTION = "database"
# Bytes of journal in one transaction: more of them when further behind, within bounded memory.
BATCH_BYTES_MIN, BATCH_BYTES_MAX = 1 << 20, 16 << 20
IDLE_SECONDS = 0.1  # between two reads of a journal without anything new
LOCK_TRIES = 20  # IDLE_SECONDS apart
LOCK_SECONDS_MAX = 10
PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX = 0.2, 10.0
TRADES_MAX = 100_000  # market trades that wait for the database; older ones are dropped
ADVISORY_LOCK = 0x_B074_0002  # held by the one writer of a database

MARKET_TRADE = np.dtype([("ts", "<i8"), ("price", "<i8"), ("quantity", "<i8"), ("symbol", "<i8")])

_SESSION = f"""
    SET statement_timeout = '{STATEMENT_SECONDS_MAX}s';
    SET lock_timeout = '{LOCK_SECONDS_MAX}s';
    SET idle_in_transaction_session_timeout = '{STATEMENT_SECONDS_MAX}s';
    SET application_name = 'bot4 writer';
    CREATE TEMP TABLE IF NOT EXISTS changed_orders (LIKE orders) ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE IF NOT EXISTS changed_positions (LIKE positions) ON COMMIT DELETE ROWS;
    CREATE TEMP TABLE IF NOT EXISTS new_trades (LIKE market_trades) ON COMMIT DELETE ROWS;
"""
# asyncpg has an "internal" error for a connection that the server has ended while it was idle.
RETRIED = (
    DatabaseError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


async def _be_the_only_writer(connection: asyncpg.Connection) -> None:
    """Raises DatabaseError if there is another writer; the server may still be ending the previous one."""
    for _ in range(LOCK_TRIES):
        if await connection.fetchval("SELECT pg_try_advisory_lock($1)", ADVISORY_LOCK):
            return
        await asyncio.sleep(IDLE_SECONDS)
    raise DatabaseError("another writer is at work on the database: is a second server using it?")


class DatabaseWriter:
    """One writer: `run` follows the journal for ever, `catch_up` ends where the journal does."""

    def __init__(
        self,
        folder: Path,
        url: str,
        durable_seq: Callable[[], int] | None = None,
        capacity: Capacity = DEFAULT_CAPACITY,
        *,
        timescaledb_required: bool = False,
    ) -> None:
        """`folder`: of the journal. Raises JournalError, OSError."""
        self.rows = 0
        self.progress_seq = 0
        self.trades: deque[bytes] = deque()  # MARKET_TRADE records, as they came
        self.dropped_trades = 0
        self._folder = folder
        self._url = url
        self._capacity = capacity
        self._timescaledb_required = timescaledb_required
        self._durable_seq = durable_seq or DurableReader(folder)
        self._journal = journal_identity(folder)
        self._replica: Replica | None = None
        self._follower: JournalFollower | None = None
        self._pending: Projected | None = None  # to be written next, or being written
        self._preparing: asyncio.Future[Projected | None] | None = None  # what follows it
        self._migrated = False
        self._keys_read = 0.0
        self._error: str | None = STARTING
        self._reported = (time.monotonic(), 0)
        self._kept_seq = read_status(folder, PROJECTION).seq
        self._aside = SetAside(folder, PROJECTION)
        self._last_ts = 0

    # For ever.

    async def run(self) -> None:
        """Runs until cancelled. Raises errors that waiting does not cure: JournalError, RecoveryError."""
        backoff = Backoff(PAUSE_SECONDS_MIN, PAUSE_SECONDS_MAX)
        reporting = asyncio.ensure_future(self._report())
        try:
            while True:
                begun = self.progress_seq
                try:
                    await self._session(until_end=False)
                except RETRIED as error:
                    known = isinstance(error, DatabaseError)
                    self._error = str(error) if known else f"the database failed: {with_advice(error)}"
                if self.progress_seq > begun:
                    backoff.reset()
                await asyncio.sleep(backoff.next_seconds())
        finally:
            reporting.cancel()

    async def catch_up(self) -> int:
        """Write all that is durable now; returns the number of the last command.

        Raises RETRIED, JournalError, RecoveryError.
        """
        await self._session(until_end=True)
        return self.progress_seq

    def take_trades(self, records: bytes) -> None:
        """MARKET_TRADE records: kept for the next transaction, the oldest dropped beyond TRADES_MAX."""
        self.trades.append(records)
        size = MARKET_TRADE.itemsize
        while sum(map(len, self.trades)) > TRADES_MAX * size:
            self.dropped_trades += len(self.trades.popleft()) // size

    # One connection.

    async def _session(self, *, until_end: bool) -> None:
        # Whether it answers is asked once each time: the pauses in between are ours, and the report is early.
        connection: asyncpg.Connection = await connect(self._url, wait_seconds=0)
        try:
            if not self._migrated:
                # Alembic takes long to import, and the server, which imports this module, never migrates.
                from app.store.schema import migrate

                await migrate(self._url, timescaledb_required=self._timescaledb_required)
                self._migrated = True
            await _be_the_only_writer(connection)
            await connection.execute(_SESSION)
            await self._resume(connection)
            self._error = None
            while True:
                moved = await self._step(connection)
                if not moved and until_end:
                    return
                await asyncio.sleep(0 if moved else IDLE_SECONDS)
        finally:
            connection.terminate()

    async def _resume(self, connection: asyncpg.Connection) -> None:
        """Find the database's progress and continue there."""
        await connection.execute(BEGIN_PROGRESS, PROJECTION, self._journal)
        row = await connection.fetchrow(READ_PROGRESS, PROJECTION)
        assert row is not None
        seq, journal = int(row["seq"]), str(row["journal"])
        self._kept_seq = seq
        if journal != self._journal:
            raise DatabaseError(
                "the database holds the history of another journal "
                f"({journal or 'none'}, not {self._journal}): name another database in "
                "BOT4_DATABASE_URL, or run `bot4 db rebuild`"
            )
        if seq > self._durable_seq():
            raise DatabaseError(
                f"the database is at seq {seq}, but the journal ends at seq {self._durable_seq()}: "
                "the journal has lost its end; run `bot4 db rebuild`"
            )
        if await asyncio.to_thread(is_out_of_reach, self._folder, seq):
            seq = await self._begin_later(connection, seq)
        self.progress_seq = seq
        if self._pending is not None and self._pending.last_seq == seq:  # it was written after all
            self._pending = None
        pending = await self._take()
        if pending is not None and seq == pending.first_seq - 1:
            return
        if self._preparing is not None:
            await asyncio.wait([self._preparing])
        self._pending = self._preparing = None
        if self._replica is None or self._replica.seq != seq:
            if self._follower is not None:
                self._follower.close()
            self._follower = None
            self._replica = None  # its memory is free before another one takes as much
            self._replica = await asyncio.to_thread(Replica, self._folder, seq, self._capacity)
            self._last_ts = self._replica.ts
        if self._follower is None:
            self._follower = JournalFollower(
                self._folder,
                seq + 1,
                self._durable_seq,
                boundary_us=SNAPSHOT_US,
                batch_bytes_max=min(BATCH_BYTES_MIN, BATCH_BYTES_MAX),
            )

    async def _begin_later(self, connection: asyncpg.Connection, seq: int) -> int:
        """Fill a new database from the oldest snapshot; returns the number of its last command."""
        begin = first_seq(self._folder)
        if seq:
            raise DatabaseError(
                f"the database is at seq {seq}, but the journal begins at seq {begin}: what is between is in "
                "neither of them; name a new database in BOT4_DATABASE_URL and keep this one, or stop the "
                "server and run `bot4 db rebuild --lose-history`"
            )
        self._replica = self._follower = None
        replica = await asyncio.to_thread(oldest_replica, self._folder, self._capacity)
        reason = f"the database was new when the journal began at seq {begin}"
        async with connection.transaction():
            for part in state_of(replica):
                self.rows += await self._write_apart(connection, part)
            last = datetime.fromtimestamp(replica.ts / 1e6, UTC)
            await connection.execute(RECORD_GAP, replica.seq, last, reason)
            await self._move_progress(connection, 0, replica.seq)
        logger.warning(
            "the journal begins at seq %d: orders, positions and accounts are those of seq %d, and history "
            "begins behind it (see the table history_gaps)",
            begin,
            replica.seq,
        )
        self._replica, self._last_ts = replica, replica.ts
        return replica.seq

    def _prepare(self) -> Projected | None:
        assert self._replica is not None
        assert self._follower is not None
        batch = self._follower.read()
        self._follower.batch_bytes_max = min(2 * self._follower.batch_bytes_max, BATCH_BYTES_MAX)
        return None if batch is None else project(batch, self._replica)

    def _prepare_ahead(self) -> None:
        """Have a thread prepare the next batch, if one is durable."""
        follower = self._follower
        if self._preparing is None and follower is not None and follower.next_seq <= self._durable_seq():
            self._preparing = asyncio.ensure_future(asyncio.to_thread(self._prepare))

    async def _take(self) -> Projected | None:
        """The next batch: the one that failed to be written, or else the following one."""
        if self._pending is None:
            self._prepare_ahead()
            if self._preparing is not None:
                try:
                    self._pending = await asyncio.shield(self._preparing)
                finally:
                    if self._preparing.done():
                        self._preparing = None
        return self._pending

    async def _step(self, connection: asyncpg.Connection) -> bool:
        """Write one batch while the next is prepared; False if there was nothing to write."""
        projected = await self._take()
        if projected is not None:
            self._prepare_ahead()
            await self._write(connection, projected)
            self._pending = None
            self.progress_seq = projected.last_seq
            self._last_ts = projected.last_ts
        elif self._follower is not None:
            self._follower.batch_bytes_max = min(BATCH_BYTES_MIN, BATCH_BYTES_MAX)
        trades = await self._write_trades(connection)
        await self._write_keys(connection)
        return projected is not None or trades

    async def _write(self, connection: asyncpg.Connection, projected: Projected) -> None:
        try:
            async with connection.transaction():
                await self._write_rows(connection, projected)
                await self._move_progress(connection, projected.first_seq - 1, projected.last_seq)
        except REFUSED as error:
            logger.warning("a batch is written piece by piece, for it was refused: %s", first_line(error))
        else:
            self.rows += projected.rows
            return
        async with connection.transaction():
            written = await self._write_apart(connection, projected)
            await self._move_progress(connection, projected.first_seq - 1, projected.last_seq)
        self.rows += written

    async def _write_rows(self, connection: asyncpg.Connection, projected: Projected) -> None:
        for rows, write in parts_of(connection, projected):
            await write(rows)
        for statement, values, _ in statements_of(projected):
            await connection.executemany(statement, values)

    async def _write_apart(self, connection: asyncpg.Connection, projected: Projected) -> int:
        """As `_write_rows`, but for what is set aside; how many rows were written."""
        written = 0
        for rows, write in parts_of(connection, projected):
            written += await write_apart(connection, rows, write, self._aside)
        for statement, values, table in statements_of(projected):
            written += await execute_apart(connection, statement, values, table, self._aside)
        return written

    async def _move_progress(self, connection: asyncpg.Connection, before: int, after: int) -> None:
        moved = await connection.execute(MOVE_PROGRESS, after, PROJECTION, before, self._journal)
        if moved != "UPDATE 1":
            raise DatabaseError(
                "somebody else has moved the database's progress: is a second server using it?"
            )

    async def _write_trades(self, connection: asyncpg.Connection) -> bool:
        """Trades from the feed: at most once, because they are in no journal."""
        if not self.trades:
            return False
        records = np.frombuffer(b"".join(self.trades), MARKET_TRADE)
        self.trades.clear()
        columns = [
            Values("ts", Kind.TIMESTAMP, records["ts"]),
            Values("symbol_index", Kind.INTEGER, records["symbol"]),
            *(Values(name, Kind.BIGINT, records[name]) for name in ("price", "quantity")),
        ]
        names = tuple(column.name for column in columns)
        try:
            async with connection.transaction():
                await copy_rows(
                    connection, "new_trades", Rows("new_trades", names, encode_rows(columns), len(records))
                )
                await connection.execute("INSERT INTO market_trades SELECT * FROM new_trades")
                await connection.execute(roll_up("new_trades"))
        except RETRIED:
            self.dropped_trades += len(records)
            raise
        self.rows += len(records)
        return True

    async def _write_keys(self, connection: asyncpg.Connection) -> None:
        """The holders of keys, from the key file, whenever it has changed; never the keys themselves."""
        path = self._folder.parent / "keys.json"
        try:
            changed = path.stat().st_mtime
            if changed == self._keys_read:
                return
            entries = json.loads(path.read_text())
        except (OSError, ValueError):  # no key file here, or one that is being edited by hand
            return
        keys = entries.get("keys") if isinstance(entries, dict) else entries
        rows = [key_row(key) for key in keys] if isinstance(keys, list) else []
        async with connection.transaction():
            await execute_apart(
                connection, UPSERT_KEY, [row for row in rows if row is not None], "api_keys", self._aside
            )
        self._keys_read = changed

    # Reports.

    def status(self) -> ProjectionStatus:
        now, rows = time.monotonic(), self.rows
        then, rows_then = self._reported
        self._reported = (now, rows)
        # Until the database is read, its last known progress holds: the journal is kept by it.
        seq = self.progress_seq or self._kept_seq
        lag = max(self._durable_seq() - seq, 0)
        return ProjectionStatus(
            seq=seq,
            lag_seq=lag,
            lag_seconds=max(time.time() - self._last_ts / 1e6, 0.0) if lag and self._last_ts else 0.0,
            rows=rows,
            rows_per_second=(rows - rows_then) / max(now - then, 1e-3),
            dropped=self.dropped_trades,
            set_aside=self._aside.count,
            error=self._error,
            reported=time.time(),
        )

    async def _report(self) -> None:
        while True:
            write_status(self._folder, PROJECTION, self.status())
            await asyncio.sleep(STATUS_SECONDS)
