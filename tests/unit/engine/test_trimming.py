"""Orders that may only reduce are held to the position, the newest first."""

from dataclasses import replace

import pytest

from app.engine.capacity import EVENTS_PER_COMMAND_MAX, SMALL_CAPACITY
from app.engine.codes import Code
from app.engine.types import (
    EventKind,
    OrderFlag,
    OrderStatus,
    OrderType,
    ReportKind,
    Scope,
    TradingState,
)
from app.runtime.event_views import ReplaceEvent, event_as
from app.runtime.views import EventView
from tests.support.engine import (
    BUY,
    SELL,
    Command,
    Desk,
    amend,
    bought,
    desk,
    place,
    report,
    trade,
    trading_state,
    working,
)

REDUCE_ONLY = OrderFlag.REDUCE_ONLY
TIGHT = replace(SMALL_CAPACITY, events=4 * EVENTS_PER_COMMAND_MAX)


def protecting(quantity: int, waits: bool = False) -> Command:
    if waits:
        return place(0, 0, SELL, quantity, type=OrderType.STOP, stop_price=900, flags=REDUCE_ONLY)
    return place(0, 0, SELL, quantity, 1_100, flags=REDUCE_ONLY)


def sold(made: Desk, quantity: int) -> list[EventView]:
    """What follows from a sale beside the others, but the fill itself."""
    order_id = made.one(place(0, 0, SELL, quantity, 1_000)).order_id
    fill, *others = made.send(trade(order_id, made.seq, quantity, 1_000))
    assert fill.kind == EventKind.ORDER_FILLED
    return others


def brief(events: list[EventView]) -> list[tuple[int, EventKind, Code]]:
    return [(event.order_id, EventKind(event.kind), Code(event.code)) for event in events]


def asked(event: EventView) -> int:
    """The quantity that a REPLACE_REQUESTED asks for."""
    return event_as(ReplaceEvent, event).replace_quantity


def test_what_is_larger_than_the_position_becomes_as_large() -> None:
    made = desk()
    bought(made, 10, 1_000)
    resting = working(made, protecting(8))
    waiting = made.one(protecting(10, waits=True)).order_id
    small = working(made, protecting(4))
    events = sold(made, 5)
    assert brief(events) == [
        (waiting, EventKind.ORDER_REPLACED, Code.REDUCE_ONLY),
        (resting, EventKind.REPLACE_REQUESTED, Code.REDUCE_ONLY),
    ]
    assert made.order(waiting)["quantity"] == 5
    assert asked(events[1]) == made.order(resting)["replace_quantity"] == 5
    assert made.order(small)["quantity"] == 4, "it fits"


def test_what_has_nothing_left_to_reduce_ends() -> None:
    made = desk()
    bought(made, 10, 1_000)
    resting = working(made, protecting(8))
    waiting = made.one(protecting(10, waits=True)).order_id
    plain = working(made, place(0, 0, SELL, 3, 1_100))
    assert brief(sold(made, 10)) == [
        (waiting, EventKind.ORDER_CANCELED, Code.REDUCE_ONLY),
        (resting, EventKind.CANCEL_REQUESTED, Code.REDUCE_ONLY),
    ]
    assert made.order(plain)["status"] == OrderStatus.NEW


def test_what_it_has_filled_is_kept() -> None:
    made = desk()
    bought(made, 10, 1_000)
    resting = working(made, protecting(8))
    made.send(trade(resting, 7_777, 2, 1_100))
    (event,) = sold(made, 5)
    assert asked(event) == 5, "2 and the 3 that are held"


def test_one_with_a_request_on_its_way_is_looked_at_when_that_is_answered() -> None:
    made = desk()
    bought(made, 10, 1_000)
    resting = working(made, protecting(8))
    made.one(amend(resting, price=1_200))
    assert sold(made, 7) == []
    refused, trimmed = made.send(report(ReportKind.REPLACE_REJECTED, resting))
    assert refused.kind == EventKind.REPLACE_REJECTED
    assert asked(trimmed) == 3


def test_two_that_protect_the_same_position_may_both_be_as_large() -> None:
    made = desk()
    bought(made, 10, 1_000)
    first, second = (working(made, protecting(10)) for _ in range(2))
    fill, trimmed = made.send(trade(first, 7_777, 4, 1_100))
    assert brief([trimmed]) == [(second, EventKind.REPLACE_REQUESTED, Code.REDUCE_ONLY)]
    assert (asked(trimmed), fill.order_id) == (6, first)


@pytest.mark.parametrize("events", [TIGHT.events, SMALL_CAPACITY.events])
def test_a_restriction_ends_what_could_increase_account_by_account(events: int) -> None:
    """The newest first, whatever room there is for the events."""
    made = desk(capacity=replace(SMALL_CAPACITY, events=events))
    orders = [
        (account, working(made, place(account, 0, BUY, 1, 900))) for account in (0, 1) for _ in range(20)
    ]
    first, *trimmed = made.send(trading_state(TradingState.REDUCING, Scope.FIRM))
    assert first.kind == EventKind.TRADING_STATE_SET
    newest_first = sorted(orders, key=lambda row: (row[0], -row[1]))
    assert brief(trimmed) == [
        (order_id, EventKind.CANCEL_REQUESTED, Code.REDUCING_ONLY) for _, order_id in newest_first
    ]


def test_a_restriction_of_a_symbol_leaves_the_others() -> None:
    made = desk(symbols=2)
    here, there = (working(made, place(0, symbol, BUY, 1, 900)) for symbol in (0, 1))
    _, trimmed = made.send(trading_state(TradingState.HALTED, Scope.SYMBOL, symbol=0))
    assert trimmed.order_id == here
    assert made.order(there)["status"] == OrderStatus.NEW
