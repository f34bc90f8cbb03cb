"""What became of each command: events sorted back to those who wait for them."""

import asyncio
from typing import Any

from app.engine.types import EventKind
from app.runtime.views import EVENT_LAYOUT, EventView

# Answers to a request that changed nothing: they stand for themselves, whatever
# else happens to the order in the same tick.
_ANSWERS = frozenset(
    (
        EventKind.ORDER_REPLAYED,
        EventKind.CANCEL_REJECTED,
        EventKind.REPLACE_REJECTED,
        EventKind.COMMAND_REJECTED,
    )
)
_REFERENCE = frozenset((EventKind.INSTRUMENT_SET, EventKind.ACCOUNT_SET))
_NO_NEWS = _ANSWERS | {EventKind.EXECUTION_ANOMALY}
_FILLED = int(EventKind.ORDER_FILLED)

# An event as its layout unpacks it; as an EventView it costs twice as much.
_Raw = tuple[Any, ...]
_SEQ = EventView._fields.index("seq")
_KIND = EventView._fields.index("kind")
_ORDER_ID = EventView._fields.index("order_id")


class Outcome:
    """What one command has led to within its tick.

    `event`: the newest event of its order, or the command's own where it has none or was
    refused. `fills`: the executions of its order. `orders`: for CANCEL_ALL the newest event of
    each order.
    """

    __slots__ = ("event", "fills", "orders")

    def __init__(self, event: EventView) -> None:
        self.event = event
        self.fills: list[EventView] = []
        self.orders: list[EventView] = []


class Waiter:
    """Who waits for the outcomes of commands `first_seq` to `first_seq + count - 1`."""

    __slots__ = ("count", "first_seq", "future", "outcomes", "single")

    def __init__(self, first_seq: int, count: int, future: asyncio.Future[Any], *, single: bool) -> None:
        self.first_seq = first_seq
        self.count = count
        self.future = future
        self.single = single
        self.outcomes: list[Outcome] = []

    def answer(self) -> None:
        if not self.future.done():  # the caller may have gone away
            self.future.set_result(self.outcomes[0] if self.single else self.outcomes)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


def settle(events: bytes, waiters: list[Waiter]) -> bool:
    """Give each waiter its outcomes; whether reference data has changed.

    Waiters are in the order of their commands, and so are the events of client commands, so
    one pass over both does. Each command has at least one event.
    """
    latest: dict[int, _Raw] = {}
    fills: dict[int, list[_Raw]] = {}
    reference_changed = False
    found: list[list[_Raw]] = []  # the events of each awaited command
    queue = iter(waiters)
    waiter = next(queue, None)
    first, behind = (waiter.first_seq, waiter.first_seq + waiter.count) if waiter else (0, 0)
    last_seq = 0
    for event in EVENT_LAYOUT.iter_unpack(events):
        kind = event[_KIND]
        order_id = event[_ORDER_ID]
        if order_id:
            if kind not in _NO_NEWS:
                latest[order_id] = event
                if kind == _FILLED:
                    fills.setdefault(order_id, []).append(event)
        elif kind in _REFERENCE:
            reference_changed = True
        seq = event[_SEQ]
        if waiter is not None and seq >= behind:
            waiter = next(queue, None)
            if waiter is not None:
                first, behind = waiter.first_seq, waiter.first_seq + waiter.count
        if waiter is None or seq < first:
            continue
        if seq != last_seq:
            last_seq = seq
            found.append([event])
        else:
            found[-1].append(event)
    each = iter(found)
    for waiter in waiters:
        waiter.outcomes = [_outcome(next(each), latest, fills) for _ in range(waiter.count)]
    return reference_changed


def _outcome(own: list[_Raw], latest: dict[int, _Raw], fills: dict[int, list[_Raw]]) -> Outcome:
    """From the events of one command: one, but CANCEL_ALL has one for each order before its own."""
    event = own[-1]
    order_id = event[_ORDER_ID]
    if not order_id or event[_KIND] in _ANSWERS:
        outcome = Outcome(EventView._make(event))
        outcome.orders = [EventView._make(latest[order[_ORDER_ID]]) for order in own[:-1]]
        return outcome
    outcome = Outcome(EventView._make(latest[order_id]))
    if order_id in fills:
        outcome.fills = [EventView._make(fill) for fill in fills[order_id]]
    return outcome
