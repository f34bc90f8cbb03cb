"""Rows set aside because the database refuses them, so that one of them does not stop all that follow.

The journal has the data that they were made of. A file beside the journal lists them for
inspection; when it is removed, the count starts again.
"""

import json
import logging
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import asyncpg

from app.runtime.plain_text import log_text
from app.store.copy_format import halves_of
from app.store.error_hints import first_line
from app.store.projection import Rows

logger = logging.getLogger(__name__)

# Faults of a row and not of the database: its values, conflicts, its size.
REFUSED = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)
KEPT_MAX = 1_000  # rows in the file; more are counted only
_SHOWN_BYTES_MAX = 4_096


class SetAside:
    """`count`: rows since the file was last removed."""

    def __init__(self, folder: Path, name: str) -> None:
        """`name` of the projection. Raises OSError."""
        self._path = folder / f"projection-{name}.set-aside.jsonl"
        self._known: set[bytes] = set()  # a row repeated after a lost connection counts once
        self._count = self._lines()

    @property
    def count(self) -> int:
        if self._count and not self._path.exists():
            self._count = 0
            self._known.clear()
        return self._count

    def put(self, table: str, row: Any, error: Exception) -> None:
        """Keep a row: `row` is its bytes in COPY format, or its values. Raises OSError."""
        shown = row.hex() if isinstance(row, bytes) else repr(row)
        digest = blake2b(f"{table} {shown}".encode(errors="replace"), digest_size=16).digest()
        if digest in self._known:
            return
        if len(self._known) < KEPT_MAX:
            self._known.add(digest)
        reason = log_text(first_line(error))
        if self.count < KEPT_MAX:
            line = {"table": table, "reason": reason, "row": shown[:_SHOWN_BYTES_MAX]}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        self._count += 1
        logger.warning("a row of the table %s cannot be stored and is set aside: %s", table, reason)

    def _lines(self) -> int:
        if not self._path.exists():
            return 0
        with self._path.open("rb") as file:
            return sum(1 for _ in file)


async def write_apart(
    connection: asyncpg.Connection, rows: Rows, write: Callable[[Rows], Awaitable[None]], aside: SetAside
) -> int:
    """Write rows within a transaction; if refused, halves of them, down to the one row to set aside.

    Returns how many were written. Raises errors that are not a row's fault.
    """
    try:
        async with connection.transaction():
            await write(rows)
    except REFUSED as error:
        if rows.count == 1:
            aside.put(rows.table, rows.content, error)
            return 0
        first, second = halves_of(rows.content, rows.count)
        count = rows.count // 2
        written = await write_apart(connection, Rows(rows.table, rows.columns, first, count), write, aside)
        rest = Rows(rows.table, rows.columns, second, rows.count - count)
        return written + await write_apart(connection, rest, write, aside)
    return rows.count


async def execute_apart(
    connection: asyncpg.Connection, statement: str, values: list[tuple[Any, ...]], table: str, aside: SetAside
) -> int:
    """As `write_apart`, with one statement for each row."""
    written = 0
    for row in values:
        try:
            async with connection.transaction():
                await connection.execute(statement, *row)
        except REFUSED as error:
            aside.put(table, row, error)
        else:
            written += 1
    return written
