"""Where trading is restricted, what could increase a position ends; what clients cause is not the venue's."""

from typing import Any

import pytest

from app.engine.codes import Code
from app.engine.types import (
    CommandKind,
    EventKind,
    Limit,
    OrderFlag,
    OrderType,
    Permission,
    Policy,
    ReportKind,
    Scope,
    TradingState,
)
from app.runtime.event_views import BreakerEvent, StateEvent, event_as
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
    policy,
    report,
    trading_state,
    working,
)

E = EventKind
WHERE: dict[Scope, dict[str, Any]] = {
    Scope.FIRM: {"scope": Scope.FIRM},
    Scope.ACCOUNT: {"scope": Scope.ACCOUNT, "account": 0},
    Scope.SYMBOL: {"scope": Scope.SYMBOL, "symbol": 0},
}
OWN_DOING = (
    Code.POST_ONLY_WOULD_TAKE, Code.REDUCE_ONLY, Code.REDUCING_ONLY, Code.SYMBOL_RESTRICTED, Code.SELF_TRADE,
    Code.INSUFFICIENT_LIQUIDITY,
)  # fmt: skip


def denial(symbol: int, state: Permission = Permission.DENIED) -> Command:
    return Command(CommandKind.SET_PERMISSION, 0, symbol, state=state)


def crowded(cancel_increasing: int) -> tuple[Desk, dict[str, int]]:
    """Long 10, with orders that could increase the position and orders that reduce it."""
    made = desk(symbols=2)
    made.one(policy(Policy.CANCEL_INCREASING, cancel_increasing))
    bought(made, 10, 1_000)
    return made, {
        "buy": working(made, place(0, 0, BUY, 10, 960)),
        "larger sell": working(made, place(0, 0, SELL, 15, 1_040)),
        "buy stop": made.one(place(0, 0, BUY, 5, type=OrderType.STOP, stop_price=1_050)).order_id,
        "sell stop": made.one(place(0, 0, SELL, 10, type=OrderType.STOP, stop_price=900)).order_id,
    }


@pytest.mark.parametrize("state", [TradingState.REDUCING, TradingState.HALTED])
@pytest.mark.parametrize("scope", WHERE)
def test_a_restriction_ends_what_could_increase_and_says_how_many_rest(
    scope: Scope, state: TradingState
) -> None:
    made, orders = crowded(1)
    told, *others = made.send(trading_state(state, **WHERE[scope]))
    state_set = event_as(StateEvent, told)
    assert (state_set.resting, state_set.ending) == (2, 2)
    done = {event.order_id: (event.kind, event.code) for event in others}
    assert done == {
        orders["buy"]: (E.CANCEL_REQUESTED, Code.REDUCING_ONLY),
        orders["buy stop"]: (E.ORDER_CANCELED, Code.REDUCING_ONLY),
        orders["larger sell"]: (E.REPLACE_REQUESTED, Code.REDUCING_ONLY),
    }


@pytest.mark.parametrize("scope", WHERE)
def test_without_the_policy_everything_rests(scope: Scope) -> None:
    made, _ = crowded(0)
    told = made.one_as(StateEvent, trading_state(TradingState.REDUCING, **WHERE[scope]))
    assert (told.resting, told.ending) == (4, 0)


@pytest.mark.parametrize("scope", [Scope.FIRM, Scope.ACCOUNT])
@pytest.mark.parametrize("on", [0, 1])
def test_a_breaker_does_the_same_and_counts(scope: Scope, on: int) -> None:
    made, orders = crowded(on)
    made.one(limit(Limit.DAILY_LOSS, 100, **WHERE[scope]))
    events = made.send(mark(0, 980))
    tripped = event_as(BreakerEvent, next(event for event in events if event.kind == E.BREAKER_TRIPPED))
    assert (tripped.cause, tripped.resting, tripped.ending) == (Code.DAILY_LOSS, 4 - 2 * on, 2 * on)
    ended = {event.order_id for event in events if event.kind in (E.CANCEL_REQUESTED, E.ORDER_CANCELED)}
    assert ended == ({orders["buy"], orders["buy stop"]} if on else set())


@pytest.mark.parametrize("symbol", [0, -1])
def test_a_denied_symbol_may_only_be_left(symbol: int) -> None:
    made, orders = crowded(1)
    told, *others = made.send(denial(symbol))
    assert told.kind == E.PERMISSION_SET
    assert {event.order_id for event in others} == {
        orders[name] for name in ("buy", "buy stop", "larger sell")
    }
    assert {event.code for event in others} == {Code.SYMBOL_RESTRICTED}
    assert made.one(place(0, 0, BUY, 1, 1_000)).code == Code.SYMBOL_RESTRICTED
    sold = made.one(place(0, 0, SELL, 10, 1_000))
    assert sold.kind == E.ORDER_ACCEPTED and sold.flags & OrderFlag.REDUCE_ONLY
    made.one(denial(symbol, Permission.ALLOWED))
    assert made.one(place(0, 0, BUY, 1, 1_000)).kind == E.ORDER_ACCEPTED


def test_what_has_been_accepted_as_reducing_stays_so_after_the_restriction() -> None:
    made = desk()
    bought(made, 10, 1_000)
    made.one(trading_state(TradingState.REDUCING, Scope.ACCOUNT, 0))
    sold = working(made, place(0, 0, SELL, 10, 1_050))
    made.one(trading_state(TradingState.ACTIVE, Scope.ACCOUNT, 0))
    events = [made.one(place(0, 0, SELL, 10, 1_000))]
    events = made.send(report(ReportKind.TRADE, events[0].order_id, execution_id=9, quantity=10, price=1_000))
    assert (events[1].kind, events[1].order_id) == (E.CANCEL_REQUESTED, sold)
    assert events[1].code == Code.REDUCE_ONLY


@pytest.mark.parametrize("code", OWN_DOING)
@pytest.mark.parametrize("scope", [Scope.ACCOUNT, Scope.SYMBOL])
def test_what_the_order_itself_asked_for_is_no_rejection_by_the_venue(code: Code, scope: Scope) -> None:
    made = desk()
    made.one(limit(Limit.VENUE_REJECTIONS, 2, **WHERE[scope]))
    for _ in range(5):
        order = made.one(place(0, 0, BUY, 1, 1_000))
        event = made.one(report(ReportKind.REJECTED, order.order_id, code=code))
        assert (event.kind, event.code) == (E.ORDER_REJECTED, code)
    assert made.one(place(1, 0, BUY, 1, 1_000)).kind == E.ORDER_ACCEPTED


@pytest.mark.parametrize("scope", [Scope.ACCOUNT, Scope.SYMBOL])
def test_what_the_venue_refuses_by_itself_is_one(scope: Scope) -> None:
    made = desk()
    made.one(limit(Limit.VENUE_REJECTIONS, 2, **WHERE[scope]))
    for _ in range(2):
        order = made.one(place(0, 0, BUY, 1, 1_000))
        events = made.send(report(ReportKind.REJECTED, order.order_id, code=Code.VENUE_REJECTED))
    assert events[1].kind == E.BREAKER_TRIPPED
    other = made.one(place(1, 0, BUY, 1, 1_000))
    assert (other.code == Code.TRADING_HALTED) == (scope == Scope.SYMBOL)
