"""What is due because time has passed, as the state of a real engine says."""

import pytest

from app.engine.reference import DAY_US
from app.engine.types import Limit, OrderType, Scope, TimeInForce, TradingState
from app.runtime.timers import NEVER, TimeWatch, overdue_after, sample_is_due
from tests.support.engine import (
    BUY,
    FIRST_TS,
    Desk,
    advance,
    cancel,
    desk,
    instrument,
    limit,
    mark,
    override,
    place,
    risk_model,
    sample_marks,
    trading_state,
)

S = 1_000_000
NEXT_DAY = FIRST_TS - FIRST_TS % DAY_US + DAY_US


def opened(symbols: int = 1) -> Desk:
    """A desk whose day has begun."""
    made = desk(symbols=symbols)
    made.send(advance())
    return made


def halts_after(made: Desk, symbol: int, age: int) -> None:
    made.send(limit(Limit.MARK_HALT_AGE, age, Scope.SYMBOL, symbol=symbol))


def test_nothing_is_due_before_the_day_is_over() -> None:
    made = opened()
    watch = TimeWatch(made.engine.state)
    assert not watch.look(FIRST_TS)
    assert not watch.is_due(NEXT_DAY - 1)
    assert watch.is_due(NEXT_DAY)
    made.ts = NEXT_DAY
    made.send(advance())
    assert not watch.is_due(NEXT_DAY), "the engine has begun it"


def test_the_order_that_expires_first_is_due() -> None:
    made = opened()
    watch = TimeWatch(made.engine.state)
    for seconds in (30, 10, 20):
        made.one(place(0, 0, BUY, 1, 900, time_in_force=TimeInForce.GTD, expire_ts=FIRST_TS + seconds * S))
    assert not watch.is_due(FIRST_TS + 10 * S - 1)
    assert watch.is_due(FIRST_TS + 10 * S)
    made.ts += 10 * S
    made.send(advance())
    assert not watch.is_due(FIRST_TS + 20 * S - 1)
    assert watch.is_due(FIRST_TS + 20 * S)


def test_a_canceled_order_does_not_expire() -> None:
    made = opened()
    watch = TimeWatch(made.engine.state)
    ends = FIRST_TS + 10 * S
    more = {"type": OrderType.STOP, "stop_price": 1_100, "time_in_force": TimeInForce.GTD, "expire_ts": ends}
    order_id = made.one(place(0, 0, BUY, 1, **more)).order_id
    assert watch.is_due(ends)
    made.send(cancel(order_id))
    assert not watch.is_due(ends)


def test_an_override_that_ends_is_due() -> None:
    made = opened()
    watch = TimeWatch(made.engine.state)
    made.send(limit(Limit.MAX_ORDER_QUANTITY, 10**9, Scope.ACCOUNT, 0))
    made.send(override(Limit.MAX_ORDER_QUANTITY, 10**10, FIRST_TS + 5 * S, Scope.ACCOUNT, 0))
    assert not watch.is_due(FIRST_TS + 5 * S - 1)
    assert watch.is_due(FIRST_TS + 5 * S)
    made.ts += 5 * S
    made.send(advance())
    assert not watch.is_due(made.ts)


def test_a_mark_is_overdue_when_it_is_older_than_its_limit() -> None:
    made = opened(symbols=3)
    state = made.engine.state
    assert overdue_after(state) == NEVER
    halts_after(made, 1, 5 * S)
    assert overdue_after(state) == FIRST_TS + 5 * S
    halts_after(made, 0, 3 * S)
    assert overdue_after(state) == FIRST_TS + 3 * S
    made.ts += 3 * S
    made.send(mark(0, 1_001))
    assert overdue_after(state) == FIRST_TS + 5 * S, "the other one's"


def test_who_is_halted_or_has_no_mark_is_never_overdue() -> None:
    made = opened(symbols=1)
    made.send(instrument(1))
    halts_after(made, 0, 5 * S)
    halts_after(made, 1, 1 * S)
    assert overdue_after(made.engine.state) == FIRST_TS + 5 * S
    made.send(trading_state(TradingState.REDUCING, Scope.SYMBOL, symbol=0))
    assert overdue_after(made.engine.state) == FIRST_TS + 5 * S
    made.send(trading_state(TradingState.HALTED, Scope.SYMBOL, symbol=0))
    assert overdue_after(made.engine.state) == NEVER


def test_an_overdue_mark_is_due_once_it_was_looked_for() -> None:
    made = opened()
    watch = TimeWatch(made.engine.state)
    halts_after(made, 0, 5 * S)
    assert not watch.look(FIRST_TS + 5 * S), "not older yet"
    assert watch.is_due(FIRST_TS + 5 * S + 1)
    made.ts += 4 * S
    made.send(mark(0, 1_001))
    assert not watch.is_due(FIRST_TS + 5 * S + 1), "it was looked up again"
    assert not watch.is_due(FIRST_TS + 9 * S)
    assert watch.is_due(FIRST_TS + 9 * S + 1)


def test_a_lower_limit_is_seen_by_the_next_look() -> None:
    made = opened()
    watch = TimeWatch(made.engine.state)
    halts_after(made, 0, 5 * S)
    watch.look(FIRST_TS)
    halts_after(made, 0, 1 * S)
    assert watch.look(FIRST_TS + 1 * S + 1)


@pytest.mark.parametrize("interval_us", [S, 60 * S])
def test_samples_are_due_once_in_each_interval(interval_us: int) -> None:
    made = opened()
    made.send(risk_model(interval_us=interval_us))
    state = made.engine.state
    begins = FIRST_TS - FIRST_TS % interval_us
    for number in range(1, 4):
        made.ts = begins + number * interval_us
        assert sample_is_due(state, made.ts)
        made.send(mark(0, 1_000 + number), sample_marks())
        assert not sample_is_due(state, made.ts)
        assert not sample_is_due(state, made.ts + interval_us - 1)
        made.ts += interval_us // 2  # a late one is no reason to sample the next later
    assert sample_is_due(state, begins + 4 * interval_us)
