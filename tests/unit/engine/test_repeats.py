"""Like orders in a sliding window: none unseen, whatever else is sent."""

from collections import deque
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.capacity import Capacity
from app.engine.codes import Code
from app.engine.types import EventKind, Limit, Policy, Scope, TradingState
from tests.models.engine_compare import numbers_in_buckets
from tests.support.engine import BUY, SELL, Command, Desk, desk, limit, pack, place, policy, trading_state

WINDOW = 1_000_000


def limited(allowed: int, accounts: int = 2, **more: Any) -> Desk:
    made = desk(accounts=accounts, **more)
    made.send(*(limit(Limit.MAX_REPEATED_ORDERS, allowed, Scope.ACCOUNT, index) for index in range(accounts)))
    return made


def refused(made: Desk, command: Command) -> int:
    """The count for which an order was refused, 0 where it was taken."""
    answers = (EventKind.ORDER_ACCEPTED, EventKind.ORDER_REJECTED)
    event = next(event for event in made.send(command) if event.kind in answers)
    if event.kind == EventKind.ORDER_ACCEPTED:
        return 0
    assert event.code == Code.REPEATED_ORDER
    made.send(trading_state(TradingState.ACTIVE, Scope.ACCOUNT, command.account))
    return event.observed


def test_any_window_counts() -> None:
    made = limited(3)
    order = place(0, 0, BUY, 1, 900)
    made.send(order)
    made.ts += WINDOW - 5
    made.send(order, order)  # a window fixed at the first order would end now
    made.ts += 6
    assert refused(made, order) == 0, "the first one is out"
    assert refused(made, order) == 4


def test_the_window_is_closed() -> None:
    made = limited(1)
    order = place(0, 0, BUY, 1, 900)
    made.send(order)
    made.ts += WINDOW
    assert refused(made, order) == 2
    made.ts += WINDOW + 1
    assert refused(made, order) == 0


def test_alternating_orders_are_all_seen() -> None:
    random = Random(4)
    for _ in range(100):
        made = limited(3, accounts=1)
        one = place(0, 0, random.choice([BUY, SELL]), random.randint(1, 99), random.randint(901, 1_099))
        other = place(0, 0, random.choice([BUY, SELL]), random.randint(100, 199), random.randint(901, 1_099))
        for _ in range(3):
            assert [refused(made, each) for each in (one, other)] == [0, 0]
        assert refused(made, one) == 4


@pytest.mark.parametrize(
    "other",
    [place(1, 0, BUY, 5, 900), place(0, 1, BUY, 5, 900), place(0, 0, SELL, 5, 900), place(0, 0, BUY, 6, 900),
     place(0, 0, BUY, 5, 901), place(0, 0, BUY, 5)],
)  # fmt: skip
def test_orders_that_differ_in_anything_are_not_alike(other: Command) -> None:
    made = limited(1, symbols=2)
    assert refused(made, place(0, 0, BUY, 5, 900)) == 0
    assert refused(made, other) == 0


def test_a_resume_counts_anew_and_for_that_account_alone() -> None:
    made = limited(2)
    mine, others = place(0, 0, BUY, 1, 900), place(1, 0, BUY, 1, 900)
    made.send(mine, others, mine, others)
    made.one(trading_state(TradingState.ACTIVE, Scope.ACCOUNT, 0))
    assert [refused(made, mine) for _ in range(2)] == [0, 0]
    assert refused(made, mine) == 3
    assert refused(made, others) == 3


def test_accounts_without_the_limit_cost_nothing() -> None:
    made = desk()
    made.send(*[place(0, 0, BUY, 1, 900)] * 5)
    assert made.engine.state.firm[0]["repeats"] == 0


def test_explaining_counts_nothing() -> None:
    made = limited(1)
    order = pack([place(0, 0, BUY, 1, 900)])
    for _ in range(3):
        assert made.engine.first_refusal(order, made.ts) == 0
    made.send(place(0, 0, BUY, 1, 900))
    assert made.engine.first_refusal(order, made.ts) == Code.REPEATED_ORDER
    assert made.engine.first_refusal(order, made.ts + WINDOW + 1) == 0


SMALL = Capacity(
    accounts=4,
    symbols=2,
    orders=1 << 12,
    open_orders=1 << 11,
    fills=1 << 4,
    commands=64,
    events=256,
    repeats=16,
)


@settings(max_examples=30, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from([1, 2, 3, 7]), st.sampled_from([1, 10, 100]))
def test_counts_are_those_of_a_list(random: Random, allowed: int, window: int) -> None:
    """With a ring so small that it goes round: what has left it is all that is not counted."""
    made = limited(allowed, capacity=SMALL)
    made.send(policy(Policy.REPEAT_WINDOW_US, window))
    seen: deque[tuple[int, tuple[int, ...]]] = deque(maxlen=SMALL.repeats)
    forgotten: dict[int, int] = {}
    number = 0
    for _ in range(120):
        made.ts += random.choice([0, 0, 0, 1, 5, window])
        key = (random.randrange(2), 0, random.randrange(2), random.choice([900, 901]), random.choice([1, 2]))
        account, symbol, side, price, quantity = key
        if len(seen) == SMALL.repeats:
            seen.popleft()
        count = 1 + sum(
            1
            for place_, (ts, other) in enumerate(seen, number - len(seen) + 1)
            if other == key and ts >= made.ts - window and place_ > forgotten.get(account, 0)
        )
        number += 1
        seen.append((made.ts, key))
        assert refused(made, place(account, symbol, side, quantity, price)) == (
            count if count > allowed else 0
        )
        if count > allowed:
            forgotten[account] = number
    newest = {key: at for at, (_, key) in enumerate(seen, number - len(seen) + 1)}
    assert sorted(numbers_in_buckets(made.engine.state)) == sorted(newest.values())
