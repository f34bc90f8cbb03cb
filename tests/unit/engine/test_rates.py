"""Token buckets against plain lists of times: a request passes if no window has too many with it."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.codes import Code
from app.engine.types import EventKind, Limit, Policy, Scope, TradingState
from tests.support.engine import BUY, FIRST_TS, Desk, cancel, desk, limit, place, policy, trading_state

S = 1_000_000

gaps = st.lists(st.integers(0, 2 * S) | st.sampled_from([0, 1, S // 3, S // 3 + 1, S]), max_size=25)


def may_pass(passed: Sequence[int], rate: int, now: int) -> bool:
    """Whether one more keeps every window within `rate` at once and `rate` a second after that."""
    return rate > 0 and all(
        (len(passed) - number + 1) * S <= rate * (S + now - since) for number, since in enumerate(passed)
    )


def is_accepted(made: Desk, account: int = 0) -> bool:
    event = made.one(place(account, 0, BUY, 1, 900))
    if event.kind == EventKind.ORDER_ACCEPTED:
        return True
    assert event.code == Code.ORDER_RATE
    return False


@settings(max_examples=40, deadline=None)
@given(rate=st.integers(1, 5), gaps=gaps)
def test_orders_of_an_account(rate: int, gaps: list[int]) -> None:
    made = desk()
    made.send(limit(Limit.ORDER_RATE, rate, Scope.ACCOUNT, 0))
    passed: list[int] = []
    for gap in gaps:
        made.ts += gap
        expected = may_pass(passed, rate, made.ts)
        assert is_accepted(made) == expected
        if expected:
            passed.append(made.ts)


@settings(max_examples=40, deadline=None)
@given(
    firm_rate=st.integers(1, 6),
    rate=st.integers(1, 3),
    requests=st.lists(st.tuples(st.integers(0, S), st.integers(0, 1)), max_size=25),
)
def test_one_of_the_firm_and_one_of_the_account_or_none(
    firm_rate: int, rate: int, requests: list[tuple[int, int]]
) -> None:
    made = desk()
    made.send(limit(Limit.ORDER_RATE, firm_rate), limit(Limit.ORDER_RATE, rate, Scope.ACCOUNT, 0))
    of_firm: list[int] = []
    of_account: list[int] = []
    for gap, account in requests:
        made.ts += gap
        firm_has = may_pass(of_firm, firm_rate, made.ts)
        account_has = account == 1 or may_pass(of_account, rate, made.ts)
        event = made.one(place(account, 0, BUY, 1, 900))
        if firm_has and account_has:
            assert event.kind == EventKind.ORDER_ACCEPTED
            of_firm.append(made.ts)
            of_account += [made.ts] * (account == 0)
        else:
            lacking = (Scope.ACCOUNT, rate) if firm_has else (Scope.FIRM, firm_rate)
            assert (event.scope, event.limit, event.observed) == (*lacking, lacking[1] + 1)


def test_a_refused_and_a_repeated_order_take_a_token_too() -> None:
    made = desk()
    made.send(limit(Limit.ORDER_RATE, 3, Scope.ACCOUNT, 0))
    assert made.one(place(0, 7, BUY, 1, 900)).code == Code.UNKNOWN_SYMBOL
    same = place(0, 0, BUY, 1, 900, client_order_id=b"one")
    assert [made.one(same).kind for _ in range(2)] == [EventKind.ORDER_ACCEPTED, EventKind.ORDER_REPLAYED]
    assert not is_accepted(made)


def test_a_bucket_holds_no_more_than_a_second_brings() -> None:
    made = desk()
    made.send(limit(Limit.ORDER_RATE, 2, Scope.ACCOUNT, 0))
    assert [is_accepted(made) for _ in range(3)] == [True, True, False]
    made.ts += 3_600 * S
    assert [is_accepted(made) for _ in range(3)] == [True, True, False]
    made.ts += S // 2 - 1
    assert not is_accepted(made)
    made.ts += 1
    assert [is_accepted(made) for _ in range(2)] == [True, False]


@pytest.mark.parametrize("scope", [Scope.FIRM, Scope.ACCOUNT])
def test_cancels_have_buckets_of_their_own(scope: Scope) -> None:
    made = desk()
    orders = [made.one(place(0, 0, BUY, 1, 900)).order_id for _ in range(4)]
    made.send(limit(Limit.CANCEL_RATE, 2, scope, 0 if scope == Scope.ACCOUNT else -1))
    assert [made.one(cancel(order)).kind for order in orders[:2]] == [EventKind.CANCEL_REQUESTED] * 2
    refused = made.one(cancel(orders[2]))
    assert (refused.kind, refused.code) == (EventKind.CANCEL_REJECTED, Code.CANCEL_RATE)
    assert (refused.scope, refused.limit, refused.observed) == (scope, 2, 3)
    made.ts = FIRST_TS + S // 2
    assert made.one(cancel(orders[2])).kind == EventKind.CANCEL_REQUESTED
    assert made.one(cancel(orders[3])).code == Code.CANCEL_RATE


def test_where_trading_is_stopped_cancels_are_not_throttled() -> None:
    made = desk(symbols=2)
    made.send(policy(Policy.CANCEL_INCREASING, 0))
    orders = [made.one(place(0, symbol, BUY, 1, 900)).order_id for symbol in (0, 0, 0, 1)]
    made.send(limit(Limit.CANCEL_RATE, 1, Scope.ACCOUNT, 0))
    made.one(cancel(orders[0]))
    assert made.one(cancel(orders[1])).code == Code.CANCEL_RATE
    made.send(trading_state(TradingState.HALTED, Scope.SYMBOL, symbol=0))
    assert [made.one(cancel(order)).kind for order in orders[1:3]] == [EventKind.CANCEL_REQUESTED] * 2
    assert made.one(cancel(orders[3])).code == Code.CANCEL_RATE, "of the other symbol"
