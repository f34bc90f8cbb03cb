"""Execution of route events: new orders, cancels, replaces."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.engine.capacity import SLOT_BITS
from app.engine.codes import Code
from app.engine.jit import force_inline, kernel
from app.engine.types import EventKind, OrderFlag, OrderType, ReportKind, Side, TimeInForce
from app.venues.paper.book import has_place, key_of, put, take_out
from app.venues.paper.displayed import fill_reached
from app.venues.paper.fill_or_kill import can_fill
from app.venues.paper.look_ahead import look_ahead
from app.venues.paper.matching import match, refuse, would_take
from app.venues.paper.mirror import note_restrictions, take_note, why_reducing
from app.venues.paper.records import ANY_KEY, REPORTS_PER_STEP_MAX
from app.venues.paper.reports import has_room, write_canceled, write_report
from app.venues.paper.state import PaperState, attach
from app.venues.paper.typed_events import as_new_order, as_replace

_SLOT_MASK = (1 << SLOT_BITS) - 1
_POST_ONLY = int(OrderFlag.POST_ONLY)


@force_inline
def _takes_market_price(order_type: int) -> bool:
    return (
        order_type == OrderType.MARKET or order_type == OrderType.STOP or order_type == OrderType.TAKE_PROFIT
    )


@force_inline
def _bound_of(side: int, price: int) -> int:
    """The smallest key of the other side that is not worse than `price`; 0 takes any."""
    if price == 0:
        return ANY_KEY
    return key_of(side ^ 1, price)


@force_inline
def _worst_price(st: PaperState, event: Any) -> int:
    """The worst price of a market order; 0 takes any. No order may trade beyond the instrument's range."""
    worst = event.protection_price
    max_price = st.listings[event.symbol].max_price
    if event.side == Side.BUY and max_price > 0 and (worst == 0 or worst > max_price):
        return max_price
    return worst


@force_inline
def _come_in(st: PaperState, event: Any, price: int, bound: int, quantity: int, filled: int) -> None:
    """Make an order the incoming one."""
    incoming = st.incoming[0]
    incoming.order_id = event.order_id
    incoming.bound = bound
    incoming.price = price
    incoming.quantity = quantity
    incoming.remaining = quantity - filled
    incoming.account = event.account
    incoming.symbol = event.symbol
    incoming.must_reduce = why_reducing(st, event.account, event.symbol, event.flags)
    incoming.side = event.side
    incoming.flags = event.flags
    incoming.self_trade_prevention = event.self_trade_prevention


@force_inline
def _accept(st: PaperState, event: Any) -> None:
    """A new order, or a stop that has become one, begins to match."""
    incoming = st.incoming[0]
    side = event.side
    market = _takes_market_price(event.type)
    bound = _bound_of(side, _worst_price(st, event) if market else event.price)
    opposite = 2 * event.symbol + (side ^ 1)
    _come_in(st, event, event.price, bound, event.quantity, event.filled_quantity)
    incoming.market = market
    fill_or_kill = event.time_in_force == TimeInForce.FOK
    incoming.immediate = market or fill_or_kill or event.time_in_force == TimeInForce.IOC
    incoming.fresh = event.kind == EventKind.ORDER_ACCEPTED
    incoming.silent = 0
    slot = event.order_id & _SLOT_MASK
    if slot >= len(st.resting) or st.resting[slot].order_id > 0:
        refuse(st, Code.VENUE_CAPACITY)
        return
    st.resting[slot].order_id = -event.order_id  # until it rests
    if st.listings[event.symbol].closed:
        refuse(st, Code.SYMBOL_NOT_TRADING)
    elif event.flags & _POST_ONLY and would_take(st, opposite, bound):
        refuse(st, Code.POST_ONLY_WOULD_TAKE)
    elif fill_or_kill and not can_fill(st, opposite, bound):
        write_canceled(st, event.order_id, event.account, event.symbol, Code.INSUFFICIENT_LIQUIDITY)
    else:
        st.venue[0].matching = 1


@force_inline
def _resting_slot(st: PaperState, order_id: int) -> int:
    """Slot of a resting order, -1 if it does not rest."""
    slot = order_id & _SLOT_MASK
    if order_id > 0 and slot < len(st.resting) and st.resting[slot].order_id == order_id:
        return slot
    return -1


@force_inline
def _has_ended(st: PaperState, event: Any) -> bool:
    """Whether the engine's own request is for an order whose end was already reported.

    A fill that leaves less than orders may reduce makes the engine trim them; those that met the book in the
    same step were canceled here. Nobody waits for an answer.
    """
    slot = event.order_id & _SLOT_MASK
    own = event.code != Code.NONE and slot < len(st.resting)
    return own and st.resting[slot].order_id == -event.order_id


@force_inline
def _cancel(st: PaperState, event: Any) -> None:
    slot = _resting_slot(st, event.order_id)
    if slot >= 0:
        take_out(st, slot)
        write_canceled(st, event.order_id, event.account, event.symbol, event.code)
        return
    if _has_ended(st, event):
        return
    record = write_report(st, ReportKind.CANCEL_REJECTED, event.order_id, event.account, event.symbol)
    record.code = Code.UNKNOWN_ORDER


@force_inline
def _replace_refusal(st: PaperState, event: Any, slot: int, book_side: int, key: int) -> int:
    """Why a resting order cannot move to `key`: a `Code`, NONE if it can."""
    if st.listings[event.symbol].closed:
        return Code.SYMBOL_NOT_TRADING
    if event.flags & _POST_ONLY and would_take(st, book_side ^ 1, -key):
        return Code.POST_ONLY_WOULD_TAKE
    level = st.levels[st.resting[slot].level]
    if level.orders > 1 and not has_place(st, book_side, key):
        return Code.VENUE_CAPACITY
    return Code.NONE


@force_inline
def _replace_in_place(st: PaperState, slot: int, quantity: int, flags: int) -> None:
    """A smaller quantity at the same price: the order keeps its place in the queue."""
    order = st.resting[slot]
    order.flags = flags
    less = order.quantity - quantity
    order.quantity = quantity
    order.remaining -= less
    st.levels[order.level].quantity -= less


@force_inline
def _move(st: PaperState, event: Any, slot: int, filled: int) -> None:
    """The order leaves its place and comes in again at its new price."""
    incoming = st.incoming[0]
    bound = key_of(event.side ^ 1, event.replace_price)
    _come_in(st, event, event.replace_price, bound, event.replace_quantity, filled)
    incoming.market = 0
    incoming.immediate = 0
    incoming.fresh = 0
    incoming.silent = 1
    take_out(st, slot)
    st.venue[0].matching = 1


@force_inline
def _reject_replace(st: PaperState, event: Any, code: int) -> None:
    record = write_report(st, ReportKind.REPLACE_REJECTED, event.order_id, event.account, event.symbol)
    record.code = code


@force_inline
def _confirm_replace(st: PaperState, event: Any) -> None:
    record = write_report(st, ReportKind.REPLACED, event.order_id, event.account, event.symbol)
    record.price = event.replace_price
    record.quantity = event.replace_quantity
    record.code = event.code


@force_inline
def _replace(st: PaperState, event: Any) -> None:
    slot = _resting_slot(st, event.order_id)
    if slot < 0:
        if not _has_ended(st, event):
            _reject_replace(st, event, Code.UNKNOWN_ORDER)
        return
    order = st.resting[slot]
    filled = order.quantity - order.remaining
    if event.replace_quantity <= filled:
        take_out(st, slot)
        write_canceled(st, event.order_id, event.account, event.symbol, event.code)
        return
    book_side = 2 * event.symbol + event.side
    key = key_of(event.side, event.replace_price)
    if st.levels[order.level].key == key and event.replace_quantity < order.quantity:
        _confirm_replace(st, event)
        _replace_in_place(st, slot, event.replace_quantity, event.flags)
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
    slot = event.order_id & _SLOT_MASK
    book_side = 2 * event.symbol + event.side
    if slot >= len(st.resting) or not put(
        st,
        slot,
        event.order_id,
        event.account,
        book_side,
        key_of(event.side, event.price),
        event.quantity,
        event.quantity - event.filled_quantity,
        event.flags,
    ):
        write_canceled(st, event.order_id, event.account, event.symbol, Code.VENUE_CAPACITY)


@force_inline
def carry_out(st: PaperState, events: NDArray[np.void], index: int, resuming: bool, ahead: bool) -> bool:
    """Carry out EVENT records from `index` on; False if reports are to be applied before it goes on.

    That is after each event or trade that has left some: the engine's reaction may restrict what comes next.
    `VENUE.cursor` is then where it stopped. `resuming`: ORDER_OPENED is an order that rests again. `ahead`:
    prefetch for the events that follow.
    """
    venue = st.venue[0]
    there = venue.reports
    while True:
        if venue.reports > there or not has_room(st, REPORTS_PER_STEP_MAX):
            venue.cursor = index
            return False
        if venue.matching:
            match(st)
            continue
        if venue.reopened:
            if fill_reached(st, venue.reopened - 1):
                venue.reopened = 0
            continue
        if index == len(events):
            venue.cursor = index
            return True
        if ahead:
            look_ahead(st, events, index)
        event = events[index]
        index += 1
        kind = event.kind
        if kind == EventKind.ORDER_ACCEPTED or kind == EventKind.ORDER_TRIGGERED:
            _accept(st, as_new_order(event))
        elif kind == EventKind.CANCEL_REQUESTED:
            _cancel(st, event)
        elif kind == EventKind.REPLACE_REQUESTED:
            _replace(st, as_replace(event))
        elif kind == EventKind.ORDER_OPENED:
            if resuming:
                _rest_again(st, event)
        else:
            take_note(st, event)


@kernel
def execute_events(
    directory: NDArray[np.int64], events: NDArray[np.void], begin: bool, resuming: bool
) -> int:
    """Carry out EVENT records from the first (`begin`) or from where the last call stopped.

    Returns the number of reports in the buffer; as -1 - n if there is more to do.
    """
    st = attach(directory)
    venue = st.venue[0]
    venue.reports = 0
    index = 0 if begin else venue.cursor
    if begin:
        note_restrictions(st, events, 0, len(events))
    done = carry_out(st, events, index, resuming, ahead=True)
    return venue.reports if done else -1 - venue.reports


@kernel
def note_events(directory: NDArray[np.int64], events: NDArray[np.void]) -> None:
    """Let restrictions among these EVENT records hold from now on, also for an order that is matching."""
    note_restrictions(attach(directory), events, 0, len(events))
