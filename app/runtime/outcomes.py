"""What became of each command: events sorted back to those who wait for them."""

import asyncio
from typing import Any

from app.engine.types import EventKind
from app.runtime.views import EventView, event_views

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
_FILLED = int(EventKind.ORDER_FILLED)
_ANOMALY = int(EventKind.EXECUTION_ANOMALY)


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
    latest: dict[int, EventView] = {}
    fills: dict[int, list[EventView]] = {}
    reference_changed = False
    queue = iter(waiters)
    waiter = next(queue, None)
    seq = 0
    for event in event_views(events):
        kind = event.kind
        if kind in _REFERENCE:
            reference_changed = True
        elif event.order_id and kind not in _ANSWERS and kind != _ANOMALY:
            latest[event.order_id] = event
            if kind == _FILLED:
                fills.setdefault(event.order_id, []).append(event)
        if waiter is None or event.seq < waiter.first_seq:
            continue
        if event.seq >= waiter.first_seq + waiter.count:
            waiter = next(queue, None)
            if waiter is None or event.seq < waiter.first_seq:
                continue
        if event.seq != seq:
            seq = event.seq
            waiter.outcomes.append(Outcome(event))
        else:
            _extend(waiter.outcomes[-1], event)
    for waiter in waiters:
        for outcome in waiter.outcomes:
            _complete(outcome, latest, fills)
    return reference_changed


def _extend(outcome: Outcome, event: EventView) -> None:
    """A further event of the same command: CANCEL_ALL has one for each order, then its own."""
    if not outcome.orders:
        outcome.orders.append(outcome.event)
    outcome.event = event
    if event.kind != EventKind.CANCEL_ALL_DONE:
        outcome.orders.append(event)


def _complete(outcome: Outcome, latest: dict[int, EventView], fills: dict[int, list[EventView]]) -> None:
    event = outcome.event
    order_id = event.order_id
    if order_id and event.kind not in _ANSWERS:
        outcome.event = latest[order_id]
        outcome.fills = fills.get(order_id, outcome.fills)
    if outcome.orders:
        outcome.orders = [latest[order.order_id] for order in outcome.orders]
