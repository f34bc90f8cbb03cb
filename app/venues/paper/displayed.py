"""Changes of displayed depth, and their effect on resting orders."""

import numpy as np
from numpy.typing import NDArray

from app.engine.jit import force_inline, kernel
from app.engine.types import Liquidity, Side
from app.market.types import LevelKind
from app.venues.paper.book import best_level, best_resting_key, key_of, ladder_levels, reduce
from app.venues.paper.depth import available, best_depth, consume, depth_levels, display, forget
from app.venues.paper.matching import allowed_of, end_resting
from app.venues.paper.mirror import displays, why_reducing
from app.venues.paper.records import NO_KEY
from app.venues.paper.reports import write_trade
from app.venues.paper.state import PaperState, attach


@force_inline
def _touch(st: PaperState, symbol: int) -> None:
    if st.sides[2 * symbol].touched == 0:
        st.sides[2 * symbol].touched = 1
        st.touched[st.venue[0].touched] = symbol
        st.venue[0].touched += 1


@force_inline
def _take_updates(st: PaperState, updates: NDArray[np.void]) -> None:
    """Apply all updates first: a feed's batch is one picture, its intermediate states never existed."""
    for index in range(len(updates)):
        update = updates[index]
        symbol = update.symbol
        side = update.side
        if symbol < 0 or 2 * symbol >= len(st.sides) or side > Side.SELL:
            continue
        if update.kind == LevelKind.CLEAR:
            forget(st, 2 * symbol)
            forget(st, 2 * symbol + 1)
        elif displays(st, symbol, update.price):
            display(st, 2 * symbol + side, key_of(side, update.price), update.quantity)
            _touch(st, symbol)


@force_inline
def _fill(st: PaperState, book_side: int, slot: int, price: int, index: int) -> None:
    """Displayed depth meets the first resting order."""
    symbol = book_side >> 1
    side = book_side & 1
    order = st.resting[slot]
    account = order.account
    code = why_reducing(st, account, symbol, order.flags)
    quantity = min(allowed_of(st, slot, symbol, side, code), available(st, index))
    if quantity == 0:
        end_resting(st, slot, symbol, code)
        return
    consume(st, index, quantity)
    write_trade(st, order.order_id, account, symbol, side, price, quantity, Liquidity.MAKER)
    reduce(st, slot, quantity)


@force_inline
def _fill_resting(st: PaperState, book_side: int) -> bool:
    """Fill one resting order of a side that displayed depth reaches; returns whether there was none.

    One at a time: the engine books it first, and a breaker that it trips holds the others.
    """
    first = (book_side ^ 1) * depth_levels(st)
    key = best_resting_key(st, book_side)
    index = best_depth(st, book_side ^ 1)
    # A bid's key is its price and an ask's the negative: they meet where the sum is not negative.
    if key == NO_KEY or index < first or key + st.depth[index].key < 0:
        return True
    _fill(st, book_side, st.levels[best_level(st, book_side)].head, abs(key), index)
    return False


@force_inline
def fill_reached(st: PaperState, symbol: int) -> bool:
    """Fill a resting order of a symbol that displayed depth reaches, if it trades; whether none was left.

    There must be room for reports.
    """
    if st.listings[symbol].closed:
        return True
    return _fill_resting(st, 2 * symbol) and _fill_resting(st, 2 * symbol + 1)


@kernel
def apply_updates(directory: NDArray[np.int64], updates: NDArray[np.void], begin: bool) -> int:
    """Apply LEVEL_UPDATE records, then fill the orders that they reach; returns like `execute_events`."""
    st = attach(directory)
    venue = st.venue[0]
    venue.reports = 0
    if begin:
        venue.cursor = 0
        venue.touched = 0
        _take_updates(st, updates)
    while venue.cursor < venue.touched:
        symbol = st.touched[venue.cursor]
        if not fill_reached(st, symbol):
            return -1 - venue.reports
        st.sides[2 * symbol].touched = 0
        venue.cursor += 1
    return venue.reports


@kernel
def merge_depth(directory: NDArray[np.int64], symbol: int, side: int, levels: NDArray[np.void]) -> int:
    """Fill PRICE_LEVEL records, best first: displayed less consumed, plus resting. Returns how many."""
    st = attach(directory)
    book_side = 2 * symbol + side
    first = book_side * depth_levels(st)
    first_rung = book_side * ladder_levels(st)
    rung = first_rung + st.sides[book_side].rungs - 1
    index = best_depth(st, book_side)
    count = 0
    while count < len(levels):
        while index >= first and available(st, index) == 0:
            index -= 1
        depth_key = st.depth[index].key if index >= first else NO_KEY
        resting_key = st.rungs[rung].key if rung >= first_rung else NO_KEY
        key = max(depth_key, resting_key)
        if key == NO_KEY:
            break
        levels[count].price = abs(key)
        levels[count].quantity = 0
        if depth_key == key:
            levels[count].quantity += available(st, index)
            index -= 1
        if resting_key == key:
            levels[count].quantity += st.levels[st.rungs[rung].level].quantity
            rung -= 1
        count += 1
    return count
