"""Rebuild: a database filled anew from the journal of a stopped server, behind `bot4 db rebuild`."""

import asyncio
from pathlib import Path

from app.engine.capacity import DEFAULT_CAPACITY, Capacity
from app.runtime.segments import JournalError
from app.store.database import DatabaseError, connect
from app.store.schema import migrate
from app.store.seed_from_snapshot import first_seq
from app.store.writer import ADVISORY_LOCK, PROJECTION, DatabaseWriter

_JOURNALED_TABLES = (
    "order_events",
    "fills",
    "risk_events",
    "limit_changes",
    "audit_log",
    "marks",
    "account_snapshots",
    "orders",
    "positions",
    "accounts",
    "instruments",
    "api_keys",
    "history_gaps",
)


async def rebuild(
    folder: Path,
    url: str,
    durable_seq: int,
    capacity: Capacity = DEFAULT_CAPACITY,
    *,
    lose_history: bool = False,
) -> DatabaseWriter:
    """Delete what came from a journal and fill it from this one up to `durable_seq`; market trades stay.

    `lose_history`: also if the journal does not begin at its first command, so that history begins later.
    Raises RETRIED, JournalError, RecoveryError.
    """
    begin = await asyncio.to_thread(first_seq, folder)
    if begin > 1 and not lose_history:
        raise JournalError(
            f"{folder}: the journal begins at seq {begin}: what the database has from before could not be "
            "written again; name a new database in BOT4_DATABASE_URL and keep the old one, or accept "
            "the loss with --lose-history"
        )
    await migrate(url)
    connection = await connect(url)
    try:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", ADVISORY_LOCK):
            raise DatabaseError("the database has a writer at work: stop the server first")
        async with connection.transaction():
            await connection.execute(f"TRUNCATE {', '.join(_JOURNALED_TABLES)}")
            await connection.execute("DELETE FROM projection_progress WHERE projection = $1", PROJECTION)
    finally:
        await connection.close()
    writer = DatabaseWriter(folder, url, lambda: durable_seq, capacity)
    await writer.catch_up()
    return writer
