"""Amends are orders: checked as new ones, unless they only make an order smaller."""

import pytest

from app.engine.codes import Code
from app.engine.types import (
    CommandKind,
    EventKind,
    Fault,
    Limit,
    OrderFlag,
    OrderType,
    Permission,
    Policy,
    ReportKind,
    Scope,
    TradingState,
)
from app.runtime.event_views import NewOrderEvent, event_as
from tests.support.engine import (
    BUY,
    SELL,
    Command,
    Desk,
    amend,
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
SIDES = [BUY, SELL]
STEP = 10**8


def dearer(side: int) -> int:
    return 1_000 if side == BUY else 1_001


def resting(made: Desk, side: int) -> int:
    return working(made, place(0, 0, side, 10, 960 if side == BUY else 1_040))


RESTRICTIONS = {
    "reducing account": (trading_state(TradingState.REDUCING, Scope.ACCOUNT, 0), Code.REDUCING_ONLY),
    "reducing firm": (trading_state(TradingState.REDUCING), Code.REDUCING_ONLY),
    "halted symbol": (trading_state(TradingState.HALTED, Scope.SYMBOL, symbol=0), Code.TRADING_HALTED),
    "denied": (
        Command(CommandKind.SET_PERMISSION, 0, 0, state=Permission.DENIED),
        Code.SYMBOL_RESTRICTED,
    ),
    "not trading": (instrument(0, status=2), Code.SYMBOL_NOT_TRADING),
    "collar": (limit(Limit.PRICE_COLLAR_BPS, 0), Code.PRICE_COLLAR),
    "notional": (limit(Limit.MAX_ORDER_NOTIONAL, 100), Code.MAX_ORDER_NOTIONAL),
    "position": (limit(Limit.MAX_POSITION, STEP, Scope.ACCOUNT_SYMBOL, 0, 0), Code.MAX_POSITION),
    "rate": (limit(Limit.ORDER_RATE, 0), Code.ORDER_RATE),
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", RESTRICTIONS)
def test_an_amend_gets_the_code_that_a_new_order_gets_and_less_quantity_passes(name: str, side: int) -> None:
    command, code = RESTRICTIONS[name]
    made = desk()
    made.one(policy(Policy.CANCEL_INCREASING, 0))
    order_id = resting(made, side)
    waiting = made.one(
        place(0, 0, side, 10, type=OrderType.STOP, stop_price=1_100 if side == BUY else 900)
    ).order_id
    made.send(command)
    price = 1_010 if side == BUY else 990
    for asked in (amend(order_id, price=price), amend(order_id, quantity=11), amend(waiting, quantity=11)):
        if name == "collar" and (asked.order_id == waiting):
            continue  # it has no price of its own
        refused = made.one(asked)
        assert (refused.kind, refused.code) == (E.REPLACE_REJECTED, code), asked
    new = made.one(place(0, 0, side, 10, price))
    assert new.code == code
    assert made.one(amend(waiting, quantity=9)).kind == E.ORDER_REPLACED
    assert made.one(amend(order_id, quantity=9)).kind == E.REPLACE_REQUESTED


@pytest.mark.parametrize("side", SIDES)
def test_a_stale_mark_refuses_more_and_not_less(side: int) -> None:
    made = desk()
    order_id = resting(made, side)
    made.one(limit(Limit.MAX_MARK_AGE, 10))
    made.ts += 100
    assert made.one(amend(order_id, quantity=11)).code == Code.MARKET_DATA_STALE
    assert made.one(amend(order_id, quantity=9)).kind == E.REPLACE_REQUESTED


def fired(made: Desk, side: int, price: int = 0) -> int:
    """A stop that has fired and rests at the venue."""
    kind = OrderType.STOP_LIMIT if price else OrderType.STOP
    at = 1_010 if side == BUY else 990
    order_id = made.one(place(0, 0, side, 10, price, type=kind, stop_price=at)).order_id
    made.send(mark(0, at))
    made.one(report(ReportKind.NEW, order_id))
    return order_id


@pytest.mark.parametrize("side", SIDES)
def test_a_fired_stop_is_an_order_with_a_collar_around_the_mark(side: int) -> None:
    made = desk()
    made.one(limit(Limit.PRICE_COLLAR_BPS, 500))
    order_id = fired(made, side, 1_010 if side == BUY else 990)
    made.send(mark(0, 2_000 if side == BUY else 500))
    assert made.one(amend(order_id, price=1_011 if side == BUY else 989)).code == Code.PRICE_COLLAR
    assert made.one(amend(order_id, quantity=5)).kind == E.REPLACE_REQUESTED


@pytest.mark.parametrize("side", SIDES)
def test_a_fired_stop_has_no_stop_price_to_amend(side: int) -> None:
    made = desk()
    order_id = fired(made, side, 1_010 if side == BUY else 990)
    refused = made.one(amend(order_id, stop_price=1_200 if side == BUY else 800))
    assert (refused.kind, refused.code) == (E.REPLACE_REJECTED, Code.STOP_PRICE_INVALID)
    assert made.one(amend(order_id, stop_price=1_010 if side == BUY else 990)).code == Code.NOTHING_TO_AMEND


@pytest.mark.parametrize("side", SIDES)
def test_a_fired_stop_without_a_price_can_be_made_smaller(side: int) -> None:
    made = desk()
    order_id = fired(made, side)
    assert made.one(amend(order_id, quantity=5)).kind == E.REPLACE_REQUESTED
    replaced = made.one(report(ReportKind.REPLACED, order_id, price=0, quantity=5))
    assert (replaced.kind, replaced.quantity, replaced.price) == (E.ORDER_REPLACED, 5, 0)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", [OrderType.STOP, OrderType.TAKE_PROFIT])
def test_the_stop_price_of_one_that_waits(side: int, kind: OrderType) -> None:
    made = desk()
    rises = (side == BUY) == (kind == OrderType.STOP)
    away = 1 if rises else -1
    order_id = made.one(place(0, 0, side, 10, type=kind, stop_price=1_000 + 50 * away)).order_id
    at_once = made.one(amend(order_id, stop_price=1_000))
    assert (at_once.kind, at_once.code) == (E.REPLACE_REJECTED, Code.STOP_PRICE_INVALID)
    moved = made.one(amend(order_id, stop_price=1_000 + 20 * away))
    assert (moved.kind, moved.stop_price) == (E.ORDER_REPLACED, 1_000 + 20 * away)
    events = made.send(mark(0, 1_000 + 20 * away))
    assert [event.order_id for event in events if event.kind == E.ORDER_TRIGGERED] == [order_id]


@pytest.mark.parametrize("kind", [OrderType.LIMIT, OrderType.STOP, OrderType.STOP_LIMIT])
def test_nothing_to_amend(kind: OrderType) -> None:
    made = desk()
    price = 0 if kind == OrderType.STOP else 990
    stop = 0 if kind == OrderType.LIMIT else 1_010
    order_id = made.one(place(0, 0, BUY, 10, price, type=kind, stop_price=stop)).order_id
    if kind == OrderType.LIMIT:
        made.one(report(ReportKind.NEW, order_id))
    for asked in (amend(order_id), amend(order_id, price, 10, stop_price=stop)):
        refused = made.one(asked)
        assert (refused.kind, refused.code) == (E.REPLACE_REJECTED, Code.NOTHING_TO_AMEND)


@pytest.mark.parametrize("side", SIDES)
def test_a_quantity_of_nothing_is_below_the_smallest(side: int) -> None:
    made = desk()
    order_id = resting(made, side)
    assert made.one(amend(order_id, fault=Fault.QUANTITY_ZERO)).code == Code.QUANTITY_MIN


def test_a_quantity_that_has_filled_already() -> None:
    made = desk()
    order_id = resting(made, BUY)
    made.one(trade(order_id, 1, 4, 960))
    assert made.one(amend(order_id, quantity=4)).code == Code.QUANTITY_BELOW_FILLED
    assert made.one(amend(order_id, quantity=5)).kind == E.REPLACE_REQUESTED


@pytest.mark.parametrize("limit_of", [Limit.MAX_ORDER_NOTIONAL, Limit.MAX_DAILY_NOTIONAL])
def test_a_sell_is_worth_the_mark_however_low_its_limit(limit_of: Limit) -> None:
    made = desk()
    made.one(limit(limit_of, 1_000))
    code = Code.MAX_ORDER_NOTIONAL if limit_of == Limit.MAX_ORDER_NOTIONAL else Code.MAX_DAILY_NOTIONAL
    assert made.one(place(0, 0, SELL, 2, 1)).code == code
    assert made.one(place(0, 0, SELL, 2)).code == code
    assert made.one(place(0, 0, SELL, 1, 1_001)).code == code
    order_id = working(made, place(0, 0, SELL, 1, 500))
    assert made.one(amend(order_id, quantity=2)).code == code


def test_a_market_order_is_worth_the_edge_of_its_collar() -> None:
    made = desk()
    made.send(limit(Limit.PRICE_COLLAR_BPS, 1_000), limit(Limit.MAX_ORDER_NOTIONAL, 1_099))
    assert made.one(place(0, 0, BUY, 1)).code == Code.MAX_ORDER_NOTIONAL
    made.one(limit(Limit.MAX_ORDER_NOTIONAL, 1_100))
    accepted = made.one(place(0, 0, BUY, 1))
    assert event_as(NewOrderEvent, accepted).protection_price == 1_100
    assert not accepted.flags & OrderFlag.REDUCE_ONLY
