"""Trading states: who sets them, what they say of what is open, and which breakers trip when."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from app.engine.codes import Code
from app.engine.limits import UNLIMITED
from app.engine.types import EventKind, Limit, OrderType, Policy, ReportKind, Scope, StateFlag, TradingState
from app.runtime.event_views import BreakerEvent, StateEvent, event_as
from app.runtime.views import EventView
from tests.support.engine import (
    BUY,
    SELL,
    Command,
    Desk,
    advance,
    bought,
    desk,
    instrument,
    limit,
    mark,
    place,
    policy,
    report,
    trading_state,
    transfer,
    working,
)

ACTIVE, REDUCING, HALTED = TradingState
S = 1_000_000

SCOPES: dict[Scope, dict[str, Any]] = {
    Scope.FIRM: {"scope": Scope.FIRM},
    Scope.ACCOUNT: {"scope": Scope.ACCOUNT, "account": 0},
    Scope.SYMBOL: {"scope": Scope.SYMBOL, "symbol": 0},
}
each_scope = pytest.mark.parametrize("scope", list(SCOPES))


def put(state: int, scope: Scope, **more: Any) -> Command:
    return replace(trading_state(state, **SCOPES[scope]), **more)


def tripped(events: list[EventView]) -> list[BreakerEvent]:
    return [event_as(BreakerEvent, event) for event in events if event.kind == EventKind.BREAKER_TRIPPED]


@each_scope
def test_a_person_sets_a_state_and_ends_it(scope: Scope) -> None:
    made = desk()
    for state, old in ((REDUCING, ACTIVE), (HALTED, REDUCING), (ACTIVE, HALTED), (ACTIVE, ACTIVE)):
        event = made.one_as(StateEvent, put(state, scope, actor=5))
        assert (event.kind, event.scope, event.actor) == (EventKind.TRADING_STATE_SET, scope, 5)
        assert (event.state, event.old_state, event.cause) == (state, old, Code.NONE)
        refusal = made.one(place(0, 0, BUY, 1, 900))
        expected = {ACTIVE: Code.NONE, REDUCING: Code.REDUCING_ONLY, HALTED: Code.TRADING_HALTED}[state]
        assert refusal.code == expected
        made.send(*[report(ReportKind.CANCELED, refusal.order_id)] * (state == ACTIVE))


@pytest.mark.parametrize(
    "command",
    [
        trading_state(3),
        trading_state(HALTED, Scope.NONE),
        trading_state(HALTED, Scope.ACCOUNT, -1),
        trading_state(HALTED, Scope.ACCOUNT, 2),
        trading_state(HALTED, Scope.SYMBOL, symbol=1),
        trading_state(HALTED, Scope.ACCOUNT_SYMBOL, 0, 0),
    ],
)
def test_a_state_or_a_scope_that_is_not_there(command: Command) -> None:
    made = desk(accounts=2, symbols=1)
    event = made.one(command)
    assert (event.kind, event.code) == (EventKind.COMMAND_REJECTED, Code.INVALID_VALUE)
    assert made.one(place(0, 0, BUY, 1, 900)).code == Code.NONE


def test_the_event_counts_what_stays_open_and_what_ends() -> None:
    made = desk()
    bought(made, 5, 1_000)
    for command in (place(0, 0, SELL, 5, 1_100), place(0, 0, BUY, 1, 900), place(1, 0, BUY, 1, 900)):
        working(made, command)
    first, *trimmed = made.send(put(REDUCING, Scope.FIRM))
    event = event_as(StateEvent, first)
    assert (event.resting, event.ending) == (1, 2) and len(trimmed) == 2
    again = event_as(StateEvent, made.send(put(HALTED, Scope.FIRM))[0])
    assert (again.resting, again.ending) == (3, 0), "those that end have not ended yet, nobody asks twice"


@each_scope
def test_with_the_flag_all_that_is_open_is_canceled(scope: Scope) -> None:
    made = desk()
    bought(made, 5, 1_000)
    reducing = working(made, place(0, 0, SELL, 5, 1_100))
    events = made.send(put(REDUCING, scope, flags=StateFlag.CANCEL_OPEN))
    assert reducing in [event.order_id for event in events if event.kind == EventKind.CANCEL_REQUESTED]


@each_scope
def test_what_was_reached_during_a_halt_fires_after_it(scope: Scope) -> None:
    made = desk()
    made.send(policy(Policy.CANCEL_INCREASING, 0))
    order_id = made.one(place(0, 0, BUY, 1, type=OrderType.STOP, stop_price=1_010)).order_id
    made.send(put(HALTED, scope))
    assert [event.kind for event in made.send(mark(0, 1_020))] == [EventKind.MARK_UPDATED]
    _, fired = made.send(put(ACTIVE, scope))
    assert (fired.kind, fired.order_id) == (EventKind.ORDER_TRIGGERED, order_id)


def loses(made: Desk) -> list[EventView]:
    return made.send(mark(0, 989))


def grows_old(made: Desk) -> list[EventView]:
    made.ts += 5 * S + 1
    return made.send(advance())


@pytest.mark.parametrize(
    ("which", "value", "scope", "happens", "state", "code", "observed"),
    [
        (Limit.DAILY_LOSS, 109, Scope.FIRM, loses, REDUCING, Code.DAILY_LOSS, 110),
        (Limit.DAILY_LOSS, 109, Scope.ACCOUNT, loses, REDUCING, Code.DAILY_LOSS, 110),
        (Limit.MAX_DRAWDOWN, 109, Scope.FIRM, loses, REDUCING, Code.MAX_DRAWDOWN, 110),
        (Limit.MAX_DRAWDOWN, 109, Scope.ACCOUNT, loses, REDUCING, Code.MAX_DRAWDOWN, 110),
        (Limit.MARK_HALT_AGE, 5 * S, Scope.SYMBOL, grows_old, HALTED, Code.MARKET_DATA_STALE, 5 * S + 1),
    ],
)
def test_breakers(
    which: Limit,
    value: int,
    scope: Scope,
    happens: Callable[[Desk], list[EventView]],
    state: TradingState,
    code: Code,
    observed: int,
) -> None:
    """Each trips one step beyond what is allowed, tells why, and stays until a person resumes."""
    made = desk()
    made.send(advance(), instrument(0, maker_fee_ppm=0, taker_fee_ppm=0))
    bought(made, 10, 1_000)
    made.send(limit(which, value + 1, **SCOPES[scope]))
    assert tripped(happens(made)) == [], "met exactly"
    made.send(mark(0, 1_000), advance())
    made.send(limit(which, value, **SCOPES[scope]))
    (event,) = tripped(happens(made))
    assert (event.scope, event.state, event.old_state, event.cause) == (scope, state, ACTIVE, code)
    assert (event.limit, event.observed) == (value, observed)
    assert tripped(made.send(mark(0, 1_000), advance())) == []
    assert made.one(place(0, 0, BUY, 1, 900)).code in (Code.REDUCING_ONLY, Code.TRADING_HALTED)
    made.send(put(ACTIVE, scope))
    assert made.one(place(0, 0, BUY, 1, 900)).code == Code.NONE


@pytest.mark.parametrize("scope", [Scope.ACCOUNT, Scope.SYMBOL])
def test_so_many_rejections_in_a_row_halt(scope: Scope) -> None:
    made = desk()
    made.send(limit(Limit.VENUE_REJECTIONS, 3, **SCOPES[scope]))

    def answered(kind: ReportKind) -> list[BreakerEvent]:
        return tripped(made.send(report(kind, made.one(place(0, 0, BUY, 1, 900)).order_id)))

    reports = [
        ReportKind.REJECTED,
        ReportKind.REJECTED,
        ReportKind.NEW,
        ReportKind.REJECTED,
        ReportKind.REJECTED,
    ]
    assert [answered(kind) for kind in reports] == [[]] * 5
    (event,) = answered(ReportKind.REJECTED)
    assert (event.scope, event.state, event.cause) == (scope, HALTED, Code.VENUE_REJECTIONS)
    assert (event.limit, event.observed) == (3, 3)
    made.send(put(ACTIVE, scope))
    assert answered(ReportKind.REJECTED) == [], "counted anew"


def test_a_breaker_trips_again_while_its_limit_is_broken() -> None:
    made = desk()
    bought(made, 10, 1_000)
    made.send(limit(Limit.DAILY_LOSS, 50, Scope.ACCOUNT, 0))
    assert tripped(loses(made))
    assert tripped(made.send(put(ACTIVE, Scope.ACCOUNT), mark(0, 990)))
    made.send(limit(Limit.DAILY_LOSS, 500, Scope.ACCOUNT, 0))
    assert tripped(made.send(put(ACTIVE, Scope.ACCOUNT), mark(0, 989))) == []


@pytest.mark.parametrize(
    ("own", "withdrawn", "price", "allowed", "observed", "code"),
    [
        (None, 9_000, 948, 0, 0, Code.NONE),  # 9,480 over 480: below 20 times, twice the account's leverage
        (None, 9_000, 947, 2_000, 2_015, Code.MAINTENANCE_LEVERAGE),
        (500, 7_000, 875, 0, 0, Code.NONE),  # 8,750 over 1,750
        (500, 7_000, 874, 500, 503, Code.MAINTENANCE_LEVERAGE),
        (None, 9_000, 900, 2_000, UNLIMITED, Code.MAINTENANCE_LEVERAGE),  # nothing is left
        (None, 9_000, 899, 0, -10, Code.NEGATIVE_EQUITY),
    ],
)
def test_who_has_too_little_for_what_is_held_may_only_reduce(
    own: int | None, withdrawn: int, price: int, allowed: int, observed: int, code: Code
) -> None:
    """10 steps bought at 1,000 with 10,000, of which the account keeps what is not withdrawn."""
    made = desk(cash=10_000)
    made.send(instrument(0, maker_fee_ppm=0, taker_fee_ppm=0))
    bought(made, 10, 1_000)
    assert made.one(transfer(0, -withdrawn)).kind == EventKind.CASH_TRANSFERRED
    if own is not None:
        made.send(limit(Limit.MAINTENANCE_LEVERAGE, own, Scope.ACCOUNT, 0))
    events = tripped(made.send(mark(0, price)))
    found = [(event.cause, event.limit, event.observed) for event in events]
    assert found == ([(code, allowed, observed)] if code else [])
    assert made.account(0)["trading_state"] == (REDUCING if code else ACTIVE)
