"""Ladder: sorted rows in a contiguous array: search, and room for one more or one less.

Works on any records with a `key`, ascending. `first` is the index of a ladder's first row.
"""

from typing import Any

from numpy.typing import NDArray

from app.engine.jit import force_inline
from app.venues.paper.memory import move_rows


@force_inline
def lower_bound(rows: NDArray[Any], first: int, count: int, key: int) -> int:
    """Index of the first row whose key is at least `key`; `first + count` if there is none."""
    low = first
    while count > 1:
        half = count >> 1
        low = low + half if rows[low + half - 1].key < key else low
        count -= half
    if count == 1 and rows[low].key < key:
        low += 1
    return low


@force_inline
def open_row(rows: NDArray[Any], first: int, count: int, index: int) -> None:
    """Make room at `index`: the rows from there on move up by one."""
    move_rows(rows, index + 1, index, first + count - index)


@force_inline
def close_row(rows: NDArray[Any], first: int, count: int, index: int) -> None:
    """Drop the row at `index`: the rows above move down by one."""
    move_rows(rows, index, index + 1, first + count - index - 1)


@force_inline
def drop_first_rows(rows: NDArray[Any], first: int, count: int, dropped: int) -> None:
    """Drop the `dropped` rows with the smallest keys."""
    move_rows(rows, first, first + dropped, count - dropped)
