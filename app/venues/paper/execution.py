"""Route events carried out: what the venue does with a new order, a cancel, a replace."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.engine.capacity import SLOT_BITS
from app.engine.codes import Code
from app.engine.jit import force_inline, kernel
from app.engine.types import EventKind, OrderFlag, OrderType, ReportKind, TimeInForce
from app.venues.paper.book import has_place, key_of, put, take_out
from app.venues.paper.level_index import expected_level, find_level, level_home
from app.venues.paper.matching import can_fill, match, refuse, would_take
from app.venues.paper.memory import prefetch
from app.venues.paper.records import ANY_KEY, NOWHERE, REPORTS_PER_STEP_MAX
from app.venues.paper.reports import has_room, write_canceled, write_report
from app.venues.paper.state import PaperState, attach

_SLOT_MASK = (1 << SLOT_BITS) - 1

# How many events ahead a batch asks for the memory that they will need. With a million resting
# orders it is in no cache; asked for early, the misses overlap instead of adding up.
_ORDER_AHEAD = 32
_LEVEL_AHEAD = 16
_TAIL_AHEAD = 8
_POST_ONLY = int(OrderFlag.POST_ONLY)


@force_inline
def _takes_market_price(order_type: int) -> bool:
    return bool(
        order_type == OrderType.MARKET or order_type == OrderType.STOP or order_type == OrderType.TAKE_PROFIT
    )


@force_inline
def _bound_of(side: int, price: int) -> int:
    """The smallest key of the other side that is not worse than `price`; 0 takes any."""
    if price == 0:
        return ANY_KEY
    return key_of(side ^ 1, price)


@force_inline
def _accept(st: PaperState, event: Any) -> None:
    """A new order, or a stop that has become one, begins to match."""
    incoming = st.incoming[0]
    side = event["side"]
    market = _takes_market_price(event["type"])
    bound = _bound_of(side, event["last_price"] if market else event["price"])
    opposite = 2 * event["symbol"] + (side ^ 1)
    incoming["order_id"] = event["order_id"]
    incoming["bound"] = bound
    incoming["price"] = event["price"]
    incoming["quantity"] = event["quantity"]
    incoming["remaining"] = event["quantity"] - event["filled_quantity"]
    incoming["account"] = event["account"]
    incoming["symbol"] = event["symbol"]
    incoming["side"] = side
    incoming["market"] = market
    fill_or_kill = event["time_in_force"] == TimeInForce.FOK
    incoming["immediate"] = market or fill_or_kill or event["time_in_force"] == TimeInForce.IOC
    incoming["self_trade_prevention"] = event["self_trade_prevention"]
    incoming["fresh"] = event["kind"] == EventKind.ORDER_ACCEPTED
    incoming["silent"] = 0
    slot = event["order_id"] & _SLOT_MASK
    if slot >= len(st.resting) or st.resting[slot]["order_id"] != 0:
        refuse(st, Code.VENUE_CAPACITY)
    elif event["flags"] & _POST_ONLY and would_take(st, opposite, bound):
        refuse(st, Code.POST_ONLY_WOULD_TAKE)
    elif fill_or_kill and not can_fill(
        st, opposite, bound, incoming["remaining"], event["account"], event["self_trade_prevention"]
    ):
        write_canceled(st, event["order_id"], event["account"], event["symbol"], Code.INSUFFICIENT_LIQUIDITY)
    else:
        st.venue[0]["matching"] = 1


@force_inline
def _resting_slot(st: PaperState, order_id: int) -> int:
    """Slot of a resting order, -1 where it does not rest."""
    slot = order_id & _SLOT_MASK
    if order_id > 0 and slot < len(st.resting) and st.resting[slot]["order_id"] == order_id:
        return int(slot)
    return -1


@force_inline
def _cancel(st: PaperState, event: Any) -> None:
    slot = _resting_slot(st, event["order_id"])
    if slot >= 0:
        take_out(st, slot)
        write_canceled(st, event["order_id"], event["account"], event["symbol"], Code.NONE)
        return
    record = write_report(
        st, ReportKind.CANCEL_REJECTED, event["order_id"], event["account"], event["symbol"]
    )
    record["code"] = Code.UNKNOWN_ORDER


@force_inline
def _replace_refusal(st: PaperState, event: Any, slot: int, book_side: int, key: int) -> int:
    """Why a resting order cannot move to `key`: a `Code`, NONE where it can."""
    if event["flags"] & _POST_ONLY and would_take(st, book_side ^ 1, -key):
        return Code.POST_ONLY_WOULD_TAKE
    level = st.levels[st.resting[slot]["level"]]
    if level["orders"] > 1 and not has_place(st, book_side, key):
        return Code.VENUE_CAPACITY
    return Code.NONE


@force_inline
def _replace_in_place(st: PaperState, slot: int, quantity: int) -> None:
    """Less of it at the same price: it keeps its place in the queue."""
    order = st.resting[slot]
    less = order["quantity"] - quantity
    order["quantity"] = quantity
    order["remaining"] -= less
    st.levels[order["level"]]["quantity"] -= less


@force_inline
def _move(st: PaperState, event: Any, slot: int, filled: int) -> None:
    """The order leaves its place and comes in again at its new price."""
    incoming = st.incoming[0]
    incoming["order_id"] = event["order_id"]
    incoming["bound"] = key_of(event["side"] ^ 1, event["last_price"])
    incoming["price"] = event["last_price"]
    incoming["quantity"] = event["last_quantity"]
    incoming["remaining"] = event["last_quantity"] - filled
    incoming["account"] = event["account"]
    incoming["symbol"] = event["symbol"]
    incoming["side"] = event["side"]
    incoming["market"] = 0
    incoming["immediate"] = 0
    incoming["self_trade_prevention"] = event["self_trade_prevention"]
    incoming["fresh"] = 0
    incoming["silent"] = 1
    take_out(st, slot)
    st.venue[0]["matching"] = 1


@force_inline
def _reject_replace(st: PaperState, event: Any, code: int) -> None:
    record = write_report(
        st, ReportKind.REPLACE_REJECTED, event["order_id"], event["account"], event["symbol"]
    )
    record["code"] = code


@force_inline
def _confirm_replace(st: PaperState, event: Any) -> None:
    record = write_report(st, ReportKind.REPLACED, event["order_id"], event["account"], event["symbol"])
    record["price"] = event["last_price"]
    record["quantity"] = event["last_quantity"]


@force_inline
def _replace(st: PaperState, event: Any) -> None:
    slot = _resting_slot(st, event["order_id"])
    if slot < 0:
        _reject_replace(st, event, Code.UNKNOWN_ORDER)
        return
    order = st.resting[slot]
    filled = order["quantity"] - order["remaining"]
    if event["last_quantity"] <= filled:
        take_out(st, slot)
        write_canceled(st, event["order_id"], event["account"], event["symbol"], Code.NONE)
        return
    book_side = 2 * event["symbol"] + event["side"]
    key = key_of(event["side"], event["last_price"])
    if st.levels[order["level"]]["key"] == key and event["last_quantity"] < order["quantity"]:
        _confirm_replace(st, event)
        _replace_in_place(st, slot, event["last_quantity"])
        return
    code = _replace_refusal(st, event, slot, book_side, key)
    if code != Code.NONE:
        _reject_replace(st, event, code)
        return
    _confirm_replace(st, event)
    _move(st, event, slot, filled)


@force_inline
def _rest_again(st: PaperState, event: Any) -> None:
    """After a restart: an order takes its place without a report and without matching."""
    slot = event["order_id"] & _SLOT_MASK
    book_side = 2 * event["symbol"] + event["side"]
    if slot >= len(st.resting) or not put(
        st,
        slot,
        event["order_id"],
        event["account"],
        book_side,
        key_of(event["side"], event["price"]),
        event["quantity"],
        event["quantity"] - event["filled_quantity"],
    ):
        write_canceled(st, event["order_id"], event["account"], event["symbol"], Code.VENUE_CAPACITY)


@force_inline
def _ask_for_order(st: PaperState, event: Any) -> None:
    prefetch(st.resting, event["order_id"] & _SLOT_MASK)
    if event["kind"] == EventKind.ORDER_ACCEPTED:
        book_side = 2 * event["symbol"] + event["side"]
        prefetch(st.level_index, level_home(st, book_side, key_of(event["side"], event["price"])))


@force_inline
def _ask_for_level(st: PaperState, event: Any) -> None:
    """Of an order that rests the level and the orders beside it."""
    slot = event["order_id"] & _SLOT_MASK
    if event["kind"] == EventKind.ORDER_ACCEPTED:
        book_side = 2 * event["symbol"] + event["side"]
        prefetch(st.levels, expected_level(st, book_side, key_of(event["side"], event["price"])))
    elif slot < len(st.resting):
        order = st.resting[slot]
        prefetch(st.levels, order["level"])
        prefetch(st.resting, order["previous"])
        prefetch(st.resting, order["next"])


@force_inline
def _ask_for_tail(st: PaperState, event: Any) -> None:
    """The order behind which a new one will rest."""
    if event["kind"] == EventKind.ORDER_ACCEPTED:
        book_side = 2 * event["symbol"] + event["side"]
        level = find_level(st, book_side, key_of(event["side"], event["price"]))
        if level != NOWHERE:
            prefetch(st.resting, st.levels[level]["tail"])


@force_inline
def _look_ahead(st: PaperState, events: NDArray[np.void], index: int) -> None:
    """What later events will look at, a step at a time: each says where the next one is."""
    if index + _ORDER_AHEAD < len(events):
        _ask_for_order(st, events[index + _ORDER_AHEAD])
    if index + _LEVEL_AHEAD < len(events):
        _ask_for_level(st, events[index + _LEVEL_AHEAD])
    if index + _TAIL_AHEAD < len(events):
        _ask_for_tail(st, events[index + _TAIL_AHEAD])


@force_inline
def carry_out(st: PaperState, events: NDArray[np.void], index: int, resuming: bool) -> bool:
    """Carry out EVENT records from `index` on; False where there is no room for more reports.

    `VENUE.cursor` is then where it stopped. `resuming`: ORDER_OPENED is an order that rests again.
    """
    venue = st.venue[0]
    while True:
        if not has_room(st, REPORTS_PER_STEP_MAX):
            venue["cursor"] = index
            return False
        if venue["matching"]:
            match(st)
            continue
        if index == len(events):
            venue["cursor"] = index
            return True
        _look_ahead(st, events, index)
        event = events[index]
        index += 1
        kind = event["kind"]
        if kind == EventKind.ORDER_ACCEPTED or kind == EventKind.ORDER_TRIGGERED:
            _accept(st, event)
        elif kind == EventKind.CANCEL_REQUESTED:
            _cancel(st, event)
        elif kind == EventKind.REPLACE_REQUESTED:
            _replace(st, event)
        elif resuming and kind == EventKind.ORDER_OPENED:
            _rest_again(st, event)


@kernel
def execute_events(
    directory: NDArray[np.int64], events: NDArray[np.void], begin: bool, resuming: bool
) -> int:
    """Carry out EVENT records from the first (`begin`) or from where the last call stopped.

    Returns how many reports stand in the buffer; as -1 - n where there is more to do.
    """
    st = attach(directory)
    venue = st.venue[0]
    venue["reports"] = 0
    index = 0 if begin else venue["cursor"]
    done = carry_out(st, events, index, resuming)
    return int(venue["reports"]) if done else -1 - int(venue["reports"])
