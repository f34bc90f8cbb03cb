"""How an account sends: repeats stop it, messages are counted for each fill."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.codes import Code
from app.engine.reference import DAY_US
from app.engine.types import EventKind, Limit, OrderStatus, Policy, Scope, TradingState
from tests.support.engine import (
    BUY,
    SELL,
    Desk,
    advance,
    amend,
    bought,
    cancel,
    desk,
    limit,
    place,
    policy,
    trade,
    working,
)


def of_account(which: Limit, value: int) -> Desk:
    made = desk()
    made.send(advance(), policy(Policy.ORDER_TO_TRADE_FLOOR, 0))
    made.send(limit(which, value, Scope.ACCOUNT, 0))
    return made


@settings(max_examples=60, deadline=None)
@given(
    fills=st.integers(0, 5), messages=st.integers(1, 12), allowed=st.integers(1, 6), floor=st.integers(0, 12)
)
def test_messages_for_each_fill(fills: int, messages: int, allowed: int, floor: int) -> None:
    """The message that is checked counts, a day without a fill as one with one; rounded up."""
    made = desk()
    made.send(advance())
    if fills:
        order_id = made.one(place(0, 0, BUY, 100, 1_000)).order_id
        for number in range(fills):
            made.send(trade(order_id, number + 1, 1, 1_000))
    sent = made.account(0)["messages"]
    made.send(*(place(0, 0, BUY, 1, 900) for _ in range(messages)))
    sent += messages
    made.send(policy(Policy.ORDER_TO_TRADE_FLOOR, floor))
    made.send(limit(Limit.MAX_ORDER_TO_TRADE_RATIO, allowed, Scope.ACCOUNT, 0))
    event = made.one(place(0, 0, BUY, 1, 900))
    ratio = -(-(sent + 1) // max(fills, 1))
    if ratio <= allowed or sent + 1 <= floor:
        assert event.kind == EventKind.ORDER_ACCEPTED
    else:
        assert event.code == Code.MAX_ORDER_TO_TRADE_RATIO
        assert (event.limit, event.observed, event.scope) == (allowed, ratio, Scope.ACCOUNT)


def test_what_counts_as_a_message_and_for_how_long() -> None:
    made = desk()
    made.send(advance())
    order_id = working(made, place(0, 0, BUY, 1, 900))
    made.send(amend(order_id, price=901), cancel(order_id), place(0, 7, BUY, 1, 900))
    assert made.account(0)["messages"] == 4, "the refused one too"
    made.send(place(7, 0, BUY, 1, 900), cancel(77))
    assert [made.account(index)["messages"] for index in (0, 1)] == [4, 0], "of nobody"
    made.ts += DAY_US
    made.send(advance())
    assert made.account(0)["messages"] == 0


def test_what_reduces_is_no_matter_how_many_messages_there_were() -> None:
    made = of_account(Limit.MAX_ORDER_TO_TRADE_RATIO, 1)
    bought(made, 5, 1_000)
    made.send(*(place(0, 7, BUY, 1, 900) for _ in range(3)))
    assert made.one(place(0, 0, BUY, 1, 900)).code == Code.MAX_ORDER_TO_TRADE_RATIO
    assert made.one(place(0, 0, SELL, 5, 1_000)).kind == EventKind.ORDER_ACCEPTED


@pytest.mark.parametrize("allowed", [1, 3])
def test_one_repeat_too_many_stops_the_account(allowed: int) -> None:
    made = of_account(Limit.MAX_REPEATED_ORDERS, allowed)
    same = place(0, 0, BUY, 2, 900)
    for _ in range(allowed):
        assert made.one(same).kind == EventKind.ORDER_ACCEPTED
    assert made.one(place(0, 0, BUY, 2, 901)).kind == EventKind.ORDER_ACCEPTED, "another one"
    refused, *events = made.send(same)
    assert (refused.status, refused.code) == (OrderStatus.REJECTED, Code.REPEATED_ORDER)
    assert (refused.limit, refused.observed, refused.scope) == (allowed, allowed + 1, Scope.ACCOUNT)
    assert [event.kind for event in events[:2]] == [EventKind.BREAKER_TRIPPED, EventKind.TRADING_STATE_SET]
    assert made.account(0)["trading_state"] == TradingState.HALTED
    assert made.account(1)["trading_state"] == TradingState.ACTIVE


def test_without_the_limit_nothing_is_counted() -> None:
    made = desk()
    assert {event.kind for event in made.send(*[place(0, 0, BUY, 1, 900)] * 50)} == {EventKind.ORDER_ACCEPTED}
    assert made.engine.state.firm[0]["repeats"] == 0
