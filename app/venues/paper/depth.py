"""Displayed depth of the outside market, and how much of it our users have taken.

Taken quantity stays taken for as long as it is displayed; quantity that a later update adds can be
taken; a level that is removed is forgotten.
"""

from app.engine.jit import force_inline
from app.engine.types import Side
from app.venues.paper.ladder import close_row, drop_first_rows, lower_bound, open_row
from app.venues.paper.records import NO_KEY
from app.venues.paper.state import PaperState

# A full ladder drops this part of its levels at once, so that it is not moved for each new one.
DROPPED_PART = 16


@force_inline
def depth_levels(st: PaperState) -> int:
    return len(st.depth) // len(st.sides)


@force_inline
def available(st: PaperState, index: int) -> int:
    row = st.depth[index]
    return row.displayed - row.consumed


@force_inline
def best_depth(st: PaperState, book_side: int) -> int:
    """Index of the best displayed level with something left; one before the first if there is none."""
    first = book_side * depth_levels(st)
    top = st.sides[book_side].depth_top
    while top > 0 and available(st, first + top - 1) == 0:
        top -= 1
    st.sides[book_side].depth_top = top
    return first + top - 1


@force_inline
def best_depth_key(st: PaperState, book_side: int) -> int:
    """Key of the best displayed level with something left, `NO_KEY` if there is none."""
    index = best_depth(st, book_side)
    return st.depth[index].key if index >= book_side * depth_levels(st) else NO_KEY


@force_inline
def consume(st: PaperState, index: int, quantity: int) -> None:
    st.depth[index].consumed += quantity


@force_inline
def _remove(st: PaperState, book_side: int, index: int) -> None:
    side = st.sides[book_side]
    first = book_side * depth_levels(st)
    close_row(st.depth, first, side.depth, index)
    side.depth -= 1
    if index - first < side.depth_top:
        side.depth_top -= 1


@force_inline
def _insert(st: PaperState, book_side: int, index: int, key: int, quantity: int) -> None:
    side = st.sides[book_side]
    first = book_side * depth_levels(st)
    if side.depth == depth_levels(st):
        dropped = max(1, depth_levels(st) // DROPPED_PART)
        if index - first < dropped:
            return  # it would be among the dropped ones
        drop_first_rows(st.depth, first, side.depth, dropped)
        side.depth -= dropped
        side.depth_top = max(0, side.depth_top - dropped)
        index -= dropped
    open_row(st.depth, first, side.depth, index)
    side.depth += 1
    row = st.depth[index]
    row.key = key
    row.displayed = quantity
    row.consumed = 0
    side.depth_top = max(side.depth_top + 1, index - first + 1)


@force_inline
def _uncross(st: PaperState, book_side: int, bound: int) -> None:
    """Levels that the other side has passed are stale: the outside market never crosses itself."""
    side = st.sides[book_side]
    first = book_side * depth_levels(st)
    while side.depth > 0 and st.depth[first + side.depth - 1].key >= bound:
        side.depth -= 1
    side.depth_top = min(side.depth_top, side.depth)


@force_inline
def display(st: PaperState, book_side: int, key: int, quantity: int) -> None:
    """The displayed quantity at this price is now `quantity`; 0 removes the level."""
    if quantity > 0:
        _uncross(st, book_side ^ 1, -key)
    side = st.sides[book_side]
    first = book_side * depth_levels(st)
    index = lower_bound(st.depth, first, side.depth, key)
    if index < first + side.depth and st.depth[index].key == key:
        if quantity <= 0:
            _remove(st, book_side, index)
            return
        row = st.depth[index]
        row.displayed = quantity
        row.consumed = min(row.consumed, quantity)
        if row.consumed < quantity:
            side.depth_top = max(side.depth_top, index - first + 1)
    elif quantity > 0:
        _insert(st, book_side, index, key, quantity)


@force_inline
def forget_beyond(st: PaperState, symbol: int, price: int) -> None:
    """Levels above `price` are gone."""
    asks = st.sides[2 * symbol + Side.SELL]
    first = (2 * symbol + Side.SELL) * depth_levels(st)
    dropped = lower_bound(st.depth, first, asks.depth, -price) - first
    drop_first_rows(st.depth, first, asks.depth, dropped)
    asks.depth -= dropped
    asks.depth_top = max(0, asks.depth_top - dropped)
    _uncross(st, 2 * symbol + Side.BUY, price + 1)


@force_inline
def forget(st: PaperState, book_side: int) -> None:
    st.sides[book_side].depth = 0
    st.sides[book_side].depth_top = 0
