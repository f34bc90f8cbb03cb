"""Written rows: the rows of one transaction on their way into their tables."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import asyncpg

from app.runtime.plain_text import storable_text
from app.store.copy_format import HEADER, TRAILER
from app.store.projection import Projected, Rows
from app.store.statements import UPDATE_ORDERS, UPSERT_ACCOUNT, UPSERT_INSTRUMENT, UPSERT_POSITIONS

CHUNK_BYTES = 1 << 18
STATEMENT_SECONDS_MAX = 60

Write = Callable[[Rows], Awaitable[None]]


def parts_of(connection: asyncpg.Connection, projected: Projected) -> Iterator[tuple[Rows, Write]]:
    """All rows in COPY format, with how each part is written."""

    async def add(rows: Rows) -> None:
        await copy_rows(connection, rows.table, rows)

    async def change_orders(rows: Rows) -> None:
        await copy_rows(connection, "changed_orders", rows)
        await connection.execute(UPDATE_ORDERS)

    async def change_positions(rows: Rows) -> None:
        await copy_rows(connection, "changed_positions", rows)
        await connection.execute(UPSERT_POSITIONS)

    for rows in projected.history:
        yield rows, add
    latest = (
        (projected.new_orders, add),
        (projected.changed_orders, change_orders),
        (projected.positions, change_positions),
    )
    for changed, write in latest:
        if changed is not None:
            yield changed, write


def statements_of(projected: Projected) -> Iterator[tuple[str, list[tuple[object, ...]], str]]:
    """Rows written one by one: statement, values, table."""
    if projected.accounts:
        yield UPSERT_ACCOUNT, projected.accounts, "accounts"
    if projected.instruments:
        yield UPSERT_INSTRUMENT, projected.instruments, "instruments"


def key_row(key: Any) -> tuple[object, ...] | None:
    """A key as the database shows it; None if the entry is not a key."""
    try:
        accounts = [storable_text(account) for account in key["accounts"]]
        times = int(key["created_ts"]), int(key["revoked_ts"])
        return int(key["number"]), storable_text(key["name"]), storable_text(key["role"]), accounts, *times
    except (KeyError, TypeError, ValueError):
        return None


async def copy_rows(connection: asyncpg.Connection, table: str, rows: Rows) -> None:
    """COPY rows into a table. Raises as the connection does."""
    await connection.copy_to_table(
        table,
        source=_chunks(rows.content),
        columns=rows.columns,
        format="binary",
        timeout=STATEMENT_SECONDS_MAX,
    )


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    yield HEADER
    with memoryview(content) as view:
        for start in range(0, len(view), CHUNK_BYTES):
            yield bytes(view[start : start + CHUNK_BYTES])
    yield TRAILER
