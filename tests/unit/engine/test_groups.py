"""What belongs together is looked at when it is booked: both sides of a trade, the marks of a moment."""

from dataclasses import replace

import pytest

from app.engine.codes import Code
from app.engine.types import EventKind, Limit, OrderType, Scope
from app.runtime.event_views import BreakerEvent, event_as
from tests.support.engine import (
    BUY,
    SELL,
    Command,
    Desk,
    advance,
    bought,
    desk,
    limit,
    mark,
    place,
    trade,
    working,
)

E = EventKind
LOSSES = {Limit.DAILY_LOSS: Code.DAILY_LOSS, Limit.MAX_DRAWDOWN: Code.MAX_DRAWDOWN}


def together(*commands: Command) -> list[Command]:
    """All but the last say that more follows."""
    return [replace(command, more=int(at < len(commands) - 1)) for at, command in enumerate(commands)]


def trips(made: Desk, *commands: Command) -> list[int]:
    return [
        event_as(BreakerEvent, event).cause
        for event in made.send(*commands)
        if event.kind == E.BREAKER_TRIPPED
    ]


@pytest.mark.parametrize("which", LOSSES)
@pytest.mark.parametrize("seller", [0, 1])
@pytest.mark.parametrize("batches", [1, 2])
def test_both_sides_of_a_trade(which: Limit, seller: int, batches: int) -> None:
    made = desk(price=100)
    made.one(limit(which, 400))
    sold = working(made, place(seller, 0, SELL, 100, 105))
    purchased = working(made, place(1 - seller, 0, BUY, 100, 105))
    pair = together(trade(purchased, 1, 100, 105), trade(sold, 2, 100, 105))
    peak = int(made.engine.state.firm[0]["peak_equity"])
    for number in range(batches):
        assert trips(made, *(pair if batches == 1 else pair[number : number + 1])) == []
    assert int(made.engine.state.firm[0]["peak_equity"]) == peak


def test_the_account_that_has_lost_is_found_when_both_are_booked() -> None:
    made = desk(price=100)
    made.one(limit(Limit.DAILY_LOSS, 400, Scope.ACCOUNT, 0))
    sold = working(made, place(1, 0, SELL, 100, 105))
    purchased = working(made, place(0, 0, BUY, 100, 105))
    first, second = together(trade(purchased, 1, 100, 105), trade(sold, 2, 100, 105))
    assert trips(made, first) == []
    assert trips(made, second) == [Code.DAILY_LOSS]


def hedged(which: Limit, scope: Scope) -> Desk:
    """Long one symbol, short the other."""
    made = desk(symbols=2, price=100)
    made.one(advance())  # the day begins
    bought(made, 1_000, 100, 0, 0)
    bought(made, -1_000, 100, 0, 1)
    made.one(limit(which, 1_000, scope, 0 if scope == Scope.ACCOUNT else -1))
    return made


@pytest.mark.parametrize("which", LOSSES)
@pytest.mark.parametrize("scope", [Scope.FIRM, Scope.ACCOUNT])
@pytest.mark.parametrize("move", [-2, 2])
def test_the_marks_of_one_moment(which: Limit, scope: Scope, move: int) -> None:
    made = hedged(which, scope)
    peaks = made.account(0)["peak_equity"], int(made.engine.state.firm[0]["peak_equity"])
    assert trips(made, *together(mark(0, 100 + move), mark(1, 100 + move))) == []
    assert (made.account(0)["peak_equity"], int(made.engine.state.firm[0]["peak_equity"])) == peaks
    # Of different moments they are different losses.
    made = hedged(which, scope)
    assert trips(made, mark(0, 98), mark(1, 98)) == [LOSSES[which]]


def test_marks_that_never_came_to_an_end_are_looked_at_with_the_next_command() -> None:
    made = hedged(Limit.DAILY_LOSS, Scope.ACCOUNT)
    assert trips(made, replace(mark(0, 98), more=1)) == []
    assert trips(made, advance()) == [Code.DAILY_LOSS]


def test_stops_fire_when_all_marks_are_there() -> None:
    made = desk(symbols=2)
    stop = made.one(place(0, 0, BUY, 1, type=OrderType.STOP, stop_price=1_010)).order_id
    events = made.send(*together(mark(0, 1_010), mark(1, 1_010)))
    assert [event.kind for event in events] == [E.MARK_UPDATED, E.MARK_UPDATED, E.ORDER_TRIGGERED]
    assert events[2].order_id == stop
