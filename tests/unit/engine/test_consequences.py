"""What follows from a command comes in one order, and the same for a buffer of any size."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.capacity import EVENTS_PER_COMMAND_MAX, SMALL_CAPACITY
from app.engine.state import state_hash
from app.engine.types import EventKind, Limit, OrderType, Scope, TradingState
from tests.support.engine import (
    BUY,
    SELL,
    Command,
    Desk,
    bought,
    desk,
    limit,
    mark,
    place,
    trading_state,
    working,
)

E = EventKind
TIGHT = replace(SMALL_CAPACITY, events=4 * EVENTS_PER_COMMAND_MAX)


def stop(account: int, side: int, price: int, quantity: int = 1) -> Command:
    return place(account, 0, side, quantity, type=OrderType.STOP, stop_price=price)


def crowded(events: int = SMALL_CAPACITY.events) -> Desk:
    """Both accounts are long, and near what they may lose; stops and orders stand everywhere."""
    made = desk(capacity=replace(SMALL_CAPACITY, events=events))
    for account in (0, 1):
        bought(made, 100, 1_000, account)
        for number in range(8):
            working(made, place(account, 0, BUY, 1, 900 + number))
            made.one(stop(account, SELL, 990 - number))
            made.one(stop(account, BUY, 1_010 + number))
        made.send(limit(Limit.DAILY_LOSS, 500 + 500 * account, Scope.ACCOUNT, account))
    return made


def test_marks_move_equity_that_trips_breakers_that_trim_before_stops_fire() -> None:
    made = crowded()
    events = made.send(mark(0, 985))
    assert [(event.kind, event.account) for event in events] == [
        (E.MARK_UPDATED, -1),
        (E.BREAKER_TRIPPED, 0),
        (E.TRADING_STATE_SET, 0),
        *[(E.ORDER_CANCELED, 0), (E.CANCEL_REQUESTED, 0)] * 8,  # the newest first
        (E.BREAKER_TRIPPED, 1),
        (E.TRADING_STATE_SET, 1),
        *[(E.ORDER_CANCELED, 1), (E.CANCEL_REQUESTED, 1)] * 8,
        *[(E.ORDER_TRIGGERED, account) for _ in range(6) for account in (0, 1)],
    ]


def test_who_is_stopped_already_does_not_trip() -> None:
    made = crowded()
    made.send(trading_state(TradingState.REDUCING, Scope.ACCOUNT, 0))
    assert [event.account for event in made.send(mark(0, 985)) if event.kind == E.BREAKER_TRIPPED] == [1]


@settings(max_examples=25, deadline=None)
@given(
    marks=st.lists(st.integers(970, 1_030), min_size=1, max_size=6),
    events=st.integers(TIGHT.events, 3 * TIGHT.events),
)
def test_a_buffer_of_any_size_gives_the_same(marks: list[int], events: int) -> None:
    wide, narrow = crowded(), crowded(events)
    for price in marks:
        assert narrow.send(mark(0, price)) == wide.send(mark(0, price))
    assert state_hash(narrow.engine.state) == state_hash(wide.engine.state)


@pytest.mark.parametrize("price", [1_010, 990])
def test_peaks_follow_before_anything_trips(price: int) -> None:
    """A day's best moment is the measure of a drawdown, also where the next mark ends it."""
    made = desk()
    bought(made, 100, 1_000)
    made.send(limit(Limit.MAX_DRAWDOWN, 1_500, Scope.ACCOUNT, 0))
    made.send(mark(0, price))
    assert made.account(0)["peak_equity"] == max(made.equity(0), 10**12)
    tripped = [event.kind for event in made.send(mark(0, 985))]
    assert (E.BREAKER_TRIPPED in tripped) == (price == 1_010)
