"""What one more order makes of a position: the worst that could come, and whether it only reduces."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.codes import Code
from app.engine.types import EventKind, Limit, OrderFlag, OrderType, Scope
from tests.support.engine import BUY, SELL, Desk, amend, bought, desk, limit, place, working

E8 = 10**8  # of a step
sides = st.sampled_from([BUY, SELL])


def holding(held: int) -> Desk:
    made = desk()
    if held:
        bought(made, held, 1_000)
    return made


def allow(made: Desk, steps: int) -> None:
    made.send(limit(Limit.MAX_POSITION, steps * E8, Scope.ACCOUNT_SYMBOL, 0, 0))


def is_reduce_only(made: Desk, order_id: int) -> bool:
    return bool(made.order(order_id)["flags"] & OrderFlag.REDUCE_ONLY)


@settings(max_examples=200, deadline=None)
@given(
    held=st.integers(-6, 6),
    others=st.lists(st.tuples(sides, st.integers(1, 5)), max_size=4),
    side=sides,
    quantity=st.integers(1, 8),
    allowed=st.integers(0, 12),
    scope=st.sampled_from([Scope.ACCOUNT_SYMBOL, Scope.SYMBOL]),
)
def test_what_may_be_held_unless_the_order_only_reduces(
    held: int, others: list[tuple[int, int]], side: int, quantity: int, allowed: int, scope: Scope
) -> None:
    """An account's position by what this side leads to; a symbol's by the worst, as either side may fill."""
    made = holding(held)
    open_of: dict[int, int] = {BUY: 0, SELL: 0}
    for other, size in others:
        made.one(place(0, 0, other, size, 1_000))
        open_of[other] += size
    made.send(limit(Limit.MAX_POSITION, allowed * E8, scope, 0 if scope == Scope.ACCOUNT_SYMBOL else -1, 0))
    ahead = held if side == BUY else -held
    opened_before = max(ahead + open_of[side], 0)
    opened = max(ahead + open_of[side] + quantity, 0)
    open_of[side] += quantity
    worst = max(abs(held + open_of[BUY]), abs(held - open_of[SELL]))
    observed = opened if scope == Scope.ACCOUNT_SYMBOL else worst
    event = made.one(place(0, 0, side, quantity, 1_000))
    if observed <= allowed or opened <= opened_before:
        assert event.kind == EventKind.ORDER_ACCEPTED
        assert is_reduce_only(made, event.order_id) == (observed > allowed)
    else:
        assert (event.code, event.limit, event.scope) == (Code.MAX_POSITION, allowed * E8, scope)
        assert event.observed == observed * E8


@pytest.mark.parametrize(("quantity", "accepted"), [(3, True), (4, False)])
def test_an_order_is_judged_with_all_that_is_open_on_its_side(quantity: int, accepted: bool) -> None:
    """Of 10 held 7 are spoken for: to flat and not through it."""
    made = holding(10)
    made.one(place(0, 0, SELL, 7, 1_000))
    allow(made, 0)
    event = made.one(place(0, 0, SELL, quantity, 1_000))
    assert (event.kind == EventKind.ORDER_ACCEPTED) == accepted


def test_orders_that_may_only_reduce_count_up_to_flat() -> None:
    """Two that protect the whole position lead to flat, and leave as much room as there was."""
    made = holding(10)
    for _ in range(2):
        made.one(place(0, 0, SELL, 10, 1_000, flags=OrderFlag.REDUCE_ONLY))
    allow(made, 10)
    assert made.one(place(0, 0, SELL, 10, 1_000)).kind == EventKind.ORDER_ACCEPTED
    event = made.one(place(0, 0, SELL, 1, 1_000))
    assert (event.code, event.observed) == (Code.MAX_POSITION, 11 * E8)


def test_an_amend_counts_the_order_once() -> None:
    made = desk()
    order_id = working(made, place(0, 0, BUY, 6, 1_000))
    allow(made, 10)
    assert made.one(amend(order_id, quantity=10)).kind == EventKind.REPLACE_REQUESTED
    other = desk()
    order_id = working(other, place(0, 0, BUY, 6, 1_000))
    allow(other, 10)
    event = other.one(amend(order_id, quantity=11))
    assert (event.kind, event.code) == (EventKind.REPLACE_REJECTED, Code.MAX_POSITION)
    assert event.observed == 11 * E8


@pytest.mark.parametrize(
    ("quantity", "flags", "throttled"),
    [(5, OrderFlag.REDUCE_ONLY, False), (4, OrderFlag.REDUCE_ONLY, True), (5, 0, True)],
)
def test_what_closes_all_at_once_is_not_throttled(quantity: int, flags: int, throttled: bool) -> None:
    made = holding(5)
    made.send(limit(Limit.ORDER_RATE, 1, Scope.ACCOUNT, 0))
    made.one(place(0, 0, BUY, 1, 900))
    event = made.one(place(0, 0, SELL, quantity, flags=flags, type=OrderType.MARKET))
    assert event.code == (Code.ORDER_RATE if throttled else Code.NONE)
