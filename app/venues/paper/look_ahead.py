"""Prefetch of the paper book's memory.

With a million resting orders they and their levels are in no cache. Requested early, the misses
overlap instead of adding up. Each step finds the address of the next: the order and the place of
its level in the index, then the level and the neighbouring orders, then the last in the queue.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.engine.capacity import SLOT_BITS
from app.engine.jit import force_inline
from app.engine.types import CommandKind, EventKind
from app.venues.paper.book import key_of
from app.venues.paper.level_index import expected_level, find_level, level_home
from app.venues.paper.memory import prefetch
from app.venues.paper.mirror import holding_index
from app.venues.paper.records import NOWHERE
from app.venues.paper.state import PaperState

_SLOT_MASK = (1 << SLOT_BITS) - 1

# The distance in events, and in commands of an inbox, which take longer each.
_ORDER_AHEAD, _LEVEL_AHEAD, _TAIL_AHEAD = 32, 16, 8
ORDERS_AHEAD, _LEVELS_AHEAD, _TAILS_AHEAD = 12, 8, 4


@force_inline
def _ask_for_place(st: PaperState, request: Any) -> None:
    """Prefetch the index entry of a new order's level, and the account's position."""
    book_side = 2 * request.symbol + request.side
    prefetch(st.level_index, level_home(st, book_side, key_of(request.side, request.price)))
    prefetch(st.holdings, holding_index(st, request.account, request.symbol))


@force_inline
def _ask_for_level(st: PaperState, request: Any) -> None:
    """Prefetch its level."""
    book_side = 2 * request.symbol + request.side
    prefetch(st.levels, expected_level(st, book_side, key_of(request.side, request.price)))


@force_inline
def _ask_for_neighbours(st: PaperState, order_id: int) -> None:
    """Prefetch the level of a resting order and the orders beside it."""
    slot = order_id & _SLOT_MASK
    if slot < len(st.resting):
        order = st.resting[slot]
        prefetch(st.levels, order.level)
        prefetch(st.resting, order.previous)
        prefetch(st.resting, order.next)


@force_inline
def _ask_for_tail(st: PaperState, request: Any) -> None:
    """Prefetch the order behind which a new one will rest."""
    book_side = 2 * request.symbol + request.side
    level = find_level(st, book_side, key_of(request.side, request.price))
    if level != NOWHERE:
        prefetch(st.resting, st.levels[level].tail)


@force_inline
def look_ahead(st: PaperState, events: NDArray[np.void], index: int) -> None:
    """Prefetch for the events after `index`."""
    if index + _ORDER_AHEAD < len(events):
        event = events[index + _ORDER_AHEAD]
        prefetch(st.resting, event.order_id & _SLOT_MASK)
        if event.kind == EventKind.ORDER_ACCEPTED:
            _ask_for_place(st, event)
    if index + _LEVEL_AHEAD < len(events):
        event = events[index + _LEVEL_AHEAD]
        if event.kind == EventKind.ORDER_ACCEPTED:
            _ask_for_level(st, event)
        else:
            _ask_for_neighbours(st, event.order_id)
    if index + _TAIL_AHEAD < len(events) and events[index + _TAIL_AHEAD].kind == EventKind.ORDER_ACCEPTED:
        _ask_for_tail(st, events[index + _TAIL_AHEAD])


@force_inline
def look_at_inbox(st: PaperState, index: int, count: int, new_slot: int) -> None:
    """Prefetch for the commands after `index`; `new_slot`: of a new order ORDERS_AHEAD of them."""
    if index + ORDERS_AHEAD < count:
        command = st.inbox[index + ORDERS_AHEAD]
        if command.kind == CommandKind.PLACE_ORDER:
            prefetch(st.resting, new_slot)
            _ask_for_place(st, command)
        else:
            prefetch(st.resting, command.order_id & _SLOT_MASK)
    if index + _LEVELS_AHEAD < count:
        command = st.inbox[index + _LEVELS_AHEAD]
        if command.kind == CommandKind.PLACE_ORDER:
            _ask_for_level(st, command)
        else:
            _ask_for_neighbours(st, command.order_id)
    if index + _TAILS_AHEAD < count and st.inbox[index + _TAILS_AHEAD].kind == CommandKind.PLACE_ORDER:
        _ask_for_tail(st, st.inbox[index + _TAILS_AHEAD])
