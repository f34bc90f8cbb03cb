"""Reduce-only orders: each up to the position, trimmed with it, ended with it; never through flat."""

from typing import Any

import pytest

from app.engine.codes import Code
from app.engine.types import (
    EventKind,
    Limit,
    OrderFlag,
    OrderStatus,
    OrderType,
    Policy,
    ReportKind,
    Scope,
    TradingState,
)
from app.runtime.event_views import ReplaceEvent, event_as
from tests.support.engine import (
    BUY,
    SELL,
    Desk,
    amend,
    bought,
    desk,
    instrument,
    limit,
    mark,
    place,
    policy,
    report,
    trade,
    trading_state,
    working,
)

E = EventKind
RO = int(OrderFlag.REDUCE_ONLY)
STEP = 10**8
SIDES = [SELL, BUY]


def holding(quantity: int, closing: int, **more: Any) -> Desk:
    """An account whose position orders of side `closing` reduce."""
    made = desk(**more)
    bought(made, quantity if closing == SELL else -quantity, 1_000)
    return made


def away(side: int, ticks: int) -> int:
    """A price so far on the passive side."""
    return 1_000 + ticks if side == SELL else 1_000 - ticks


def stop(made: Desk, side: int, quantity: int, ticks: int = 50, flags: int = RO, **more: int) -> int:
    order = place(
        0, 0, side, quantity, type=OrderType.STOP, stop_price=away(side, -ticks), flags=flags, **more
    )
    event = made.one(order)
    assert event.kind == E.ORDER_OPENED, event
    return event.order_id


@pytest.mark.parametrize("side", SIDES)
def test_several_may_protect_the_whole_position(side: int) -> None:
    made = holding(10, side)
    working(made, place(0, 0, side, 10, away(side, 60), flags=RO))
    stop(made, side, 10)
    stop(made, side, 10, 70)
    refused = made.one(place(0, 0, side, 11, away(side, 60), flags=RO))
    assert (refused.code, refused.limit, refused.observed) == (Code.REDUCE_ONLY, 10, 11)


@pytest.mark.parametrize("side", SIDES)
def test_a_fill_trims_the_others_and_the_last_ends_them(side: int) -> None:
    made = holding(10, side)
    profit = working(made, place(0, 0, side, 10, away(side, 60), flags=RO))
    waiting = stop(made, side, 10)
    filled, trimmed = made.send(trade(profit, 1, 3, away(side, 60)))
    assert (trimmed.kind, trimmed.order_id, trimmed.quantity) == (E.ORDER_REPLACED, waiting, 7)
    assert (trimmed.code, trimmed.status) == (Code.REDUCE_ONLY, OrderStatus.NEW)
    filled, ended = made.send(trade(profit, 2, 7, away(side, 60)))
    assert (filled.status, ended.kind, ended.order_id) == (OrderStatus.FILLED, E.ORDER_CANCELED, waiting)
    assert ended.code == Code.REDUCE_ONLY
    assert made.position(0, 0)["quantity"] == 0 and made.account(0)["open_orders"] == 0


@pytest.mark.parametrize("side", SIDES)
def test_a_partial_close_leaves_the_stop_with_the_rest(side: int) -> None:
    made = holding(10, side)
    protecting = stop(made, side, 10)
    order = made.one(place(0, 0, side, 1))
    made.send(trade(order.order_id, 1, 1, 1_000))
    after = made.order(protecting)
    assert (after["status"], after["quantity"]) == (OrderStatus.NEW, 9)


@pytest.mark.parametrize("side", SIDES)
def test_a_position_that_turns_ends_what_reduced_it(side: int) -> None:
    made = holding(10, side)
    protecting = stop(made, side, 10)
    plain = working(made, place(0, 0, side, 15, 1_000))
    _, ended = made.send(trade(plain, 1, 15, 1_000))
    assert (ended.order_id, ended.kind, ended.code) == (protecting, E.ORDER_CANCELED, Code.REDUCE_ONLY)


@pytest.mark.parametrize("side", SIDES)
def test_resting_orders_are_asked_for_with_the_code(side: int) -> None:
    made = holding(10, side)
    first = working(made, place(0, 0, side, 10, away(side, 60), flags=RO))
    second = working(made, place(0, 0, side, 10, away(side, 70), flags=RO))
    _, asked = made.send(trade(first, 1, 4, away(side, 60)))
    replacing = event_as(ReplaceEvent, asked)
    assert (replacing.order_id, replacing.replace_quantity) == (second, 6)
    assert replacing.code == Code.REDUCE_ONLY
    made.one(report(ReportKind.REPLACED, second, price=away(side, 70), quantity=6))
    _, asked = made.send(trade(first, 2, 6, away(side, 60)))
    assert (asked.kind, asked.order_id, asked.code) == (E.CANCEL_REQUESTED, second, Code.REDUCE_ONLY)


@pytest.mark.parametrize("answer", [ReportKind.REPLACED, ReportKind.REPLACE_REJECTED])
def test_one_with_a_request_on_its_way_is_looked_at_when_that_is_answered(answer: ReportKind) -> None:
    made = holding(10, SELL)
    first = working(made, place(0, 0, SELL, 10, 1_060, flags=RO))
    second = working(made, place(0, 0, SELL, 10, 1_070, flags=RO))
    made.one(amend(second, price=1_080))
    made.one(trade(first, 1, 4, 1_060))
    replaced = {"price": 1_080, "quantity": 10} if answer == ReportKind.REPLACED else {}
    _, asked = made.send(report(answer, second, **replaced))
    replacing = event_as(ReplaceEvent, asked)
    assert (replacing.replace_quantity, replacing.code) == (6, Code.REDUCE_ONLY)


def test_a_new_order_not_yet_acknowledged_is_trimmed_when_the_venue_has_it() -> None:
    made = holding(10, SELL)
    first = working(made, place(0, 0, SELL, 10, 1_060, flags=RO))
    second = made.one(place(0, 0, SELL, 10, 1_070, flags=RO)).order_id
    made.one(trade(first, 1, 4, 1_060))
    _, asked = made.send(report(ReportKind.NEW, second))
    assert event_as(ReplaceEvent, asked).replace_quantity == 6


def test_other_accounts_and_symbols_are_left_alone() -> None:
    made = desk(symbols=2)
    for account, symbol in ((0, 0), (0, 1), (1, 0)):
        bought(made, 10, 1_000, account, symbol)
    other = [
        working(made, place(account, symbol, SELL, 10, 1_060, flags=RO))
        for account, symbol in ((0, 1), (1, 0))
    ]
    plain = working(made, place(0, 0, SELL, 10, 1_000))
    assert [event.kind for event in made.send(trade(plain, 1, 10, 1_000))] == [E.ORDER_FILLED]
    assert all(made.order(order_id)["quantity"] == 10 for order_id in other)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("how", ["state", "breaker"])
def test_a_protecting_stop_fires_beside_a_take_profit_while_reducing(side: int, how: str) -> None:
    made = holding(100, side)
    protecting = stop(made, side, 100, flags=RO if how == "breaker" else 0)
    working(made, place(0, 0, side, 100, away(side, 100)))
    if how == "state":
        made.send(trading_state(TradingState.REDUCING, Scope.ACCOUNT, 0))
    else:
        made.one(limit(Limit.DAILY_LOSS, 5_000, Scope.ACCOUNT, 0))
    events = made.send(mark(0, away(side, -51)))
    fired = [event.order_id for event in events if event.kind == E.ORDER_TRIGGERED]
    assert fired == [protecting]
    assert (E.BREAKER_TRIPPED in {event.kind for event in events}) == (how == "breaker")


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("cause", [Limit.MAX_POSITION, Limit.MAX_GROSS_EXPOSURE])
def test_exempt_from_limits_down_to_flat_and_not_beyond(side: int, cause: Limit) -> None:
    made = holding(100, side)
    code = Code.MAX_POSITION if cause == Limit.MAX_POSITION else Code.MAX_GROSS_EXPOSURE
    where = (Scope.ACCOUNT_SYMBOL, 0, 0) if cause == Limit.MAX_POSITION else (Scope.ACCOUNT, 0)
    made.one(limit(cause, 50 * STEP if cause == Limit.MAX_POSITION else 50_000, *where))
    assert made.one(place(0, 0, side, 199, 1_000)).code == code
    assert made.one(place(0, 0, side, 100, 1_000)).kind == E.ORDER_ACCEPTED


def test_an_account_without_margin_does_not_turn_its_position() -> None:
    made = desk(cash=10_100)
    bought(made, 100, 1_000)
    made.send(policy(Policy.CANCEL_INCREASING, 0), mark(0, 890))
    made.one(trading_state(TradingState.ACTIVE, Scope.ACCOUNT, 0)) if made.account(0)[
        "trading_state"
    ] else None
    refused = made.send(place(0, 0, SELL, 200, 890))[0]
    assert refused.kind == E.ORDER_REJECTED
    assert refused.code in (Code.INSUFFICIENT_MARGIN, Code.REDUCING_ONLY)
    assert made.send(place(0, 0, SELL, 100, 890))[0].kind == E.ORDER_ACCEPTED


@pytest.mark.parametrize("side", SIDES)
def test_the_rest_of_a_position_may_be_smaller_than_an_order_may_be(side: int) -> None:
    made = holding(4, side)
    made.one(instrument(0, min_quantity=10))
    assert made.one(place(0, 0, side, 3, away(side, 60), flags=RO)).code == Code.QUANTITY_MIN
    assert made.one(place(0, 0, side, 4, away(side, 60), flags=RO)).kind == E.ORDER_ACCEPTED
    assert made.one(place(0, 0, side, 4, away(side, 60))).code == Code.QUANTITY_MIN
    stop(made, side, 4)


@pytest.mark.parametrize("side", SIDES)
def test_an_amend_stays_within_the_position(side: int) -> None:
    made = holding(10, side)
    resting = working(made, place(0, 0, side, 6, away(side, 60), flags=RO))
    waiting = stop(made, side, 6)
    for order_id in (resting, waiting):
        refused = made.one(amend(order_id, quantity=11))
        assert (refused.kind, refused.code) == (E.REPLACE_REJECTED, Code.REDUCE_ONLY)
        assert made.one(amend(order_id, quantity=10)).kind in (E.REPLACE_REQUESTED, E.ORDER_REPLACED)
