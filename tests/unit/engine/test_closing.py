"""A position can always be closed by who may trade; a close that is refused changes nothing."""

from typing import Any

import pytest

from app.engine.codes import Code
from app.engine.types import (
    EventKind,
    InstrumentStatus,
    Limit,
    OrderFlag,
    OrderStatus,
    OrderType,
    ReportKind,
    Scope,
    TimeInForce,
    TradingState,
)
from tests.support.engine import (
    BUY,
    SELL,
    Command,
    Desk,
    bought,
    close_position,
    desk,
    instrument,
    limit,
    mark,
    place,
    report,
    trade,
    trading_state,
    working,
)

E = EventKind
RO = int(OrderFlag.REDUCE_ONLY)
STEP = 10**8
SIDES = [SELL, BUY]  # of the close


def holding(quantity: int, closing: int, **more: Any) -> Desk:
    made = desk(**more)
    bought(made, quantity if closing == SELL else -quantity, 1_000)
    return made


def protected(closing: int) -> tuple[Desk, int]:
    made = holding(10, closing)
    price = 900 if closing == SELL else 1_100
    return made, made.one(place(0, 0, closing, 10, type=OrderType.STOP, stop_price=price, flags=RO)).order_id


@pytest.mark.parametrize("side", SIDES)
def test_closes_all_of_it(side: int) -> None:
    made = holding(10, side)
    event = made.one(close_position(0, 0))
    assert (event.kind, event.side, event.quantity, event.flags) == (E.ORDER_ACCEPTED, side, 10, RO)
    assert (event.type, event.time_in_force) == (OrderType.MARKET, TimeInForce.IOC)
    made.one(trade(event.order_id, 1, 10, 1_000))
    assert made.position(0, 0)["quantity"] == 0


@pytest.mark.parametrize("cancel_open", [False, True])
def test_nothing_to_close(cancel_open: bool) -> None:
    made = desk()
    event = made.one(close_position(0, 0, cancel_open))
    assert (event.kind, event.code) == (E.ORDER_REJECTED, Code.REDUCE_ONLY)


EXEMPT: dict[str, list[Command]] = {
    "order quantity": [limit(Limit.MAX_ORDER_QUANTITY, 0)],
    "order notional": [limit(Limit.MAX_ORDER_NOTIONAL, 1)],
    "open orders": [limit(Limit.MAX_OPEN_ORDERS, 0, Scope.ACCOUNT, 0)],
    "rate": [limit(Limit.ORDER_RATE, 0)],
    "mark age": [limit(Limit.MAX_MARK_AGE, 0)],
    "price moves": [limit(Limit.PRICE_MOVE_BPS, 0), mark(0, 970)],
    "smallest quantity": [instrument(0, min_quantity=100)],
    "smallest notional": [instrument(0, min_notional=10**9)],
    "reducing": [trading_state(TradingState.REDUCING)],
    "day's notional": [limit(Limit.MAX_DAILY_NOTIONAL, 0)],
    "position": [limit(Limit.MAX_POSITION, 0, Scope.ACCOUNT_SYMBOL, 0, 0)],
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", EXEMPT)
def test_what_sizes_and_throttles_orders_does_not_keep_a_position_open(name: str, side: int) -> None:
    made = holding(10, side)
    made.send(*EXEMPT[name])
    made.ts += 1_000
    for command in (close_position(0, 0), place(0, 0, side, 10, flags=RO, time_in_force=TimeInForce.IOC)):
        event = made.one(command)
        assert (event.kind, event.quantity) == (E.ORDER_ACCEPTED, 10)


REFUSING: dict[str, tuple[Command, int]] = {
    "account halted": (trading_state(TradingState.HALTED, Scope.ACCOUNT, 0), Code.TRADING_HALTED),
    "firm halted": (trading_state(TradingState.HALTED), Code.TRADING_HALTED),
    "symbol halted": (trading_state(TradingState.HALTED, Scope.SYMBOL, symbol=0), Code.TRADING_HALTED),
    "cancel only": (instrument(0, status=InstrumentStatus.CANCEL_ONLY), Code.SYMBOL_NOT_TRADING),
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", REFUSING)
def test_a_refused_close_changes_nothing(name: str, side: int) -> None:
    command, code = REFUSING[name]
    made, stop = protected(side)
    made.send(command)
    before = made.order(stop)
    event = made.one(close_position(0, 0, True))
    assert (event.kind, event.code) == (E.ORDER_REJECTED, code)
    assert made.order(stop) == before


@pytest.mark.parametrize("side", SIDES)
def test_a_position_larger_than_an_order_may_be_is_closed_by_several(side: int) -> None:
    made = holding(25, side)
    made.one(instrument(0, max_quantity=10))
    events = made.send(close_position(0, 0, client_order_id=b"all"))
    assert [event.quantity for event in events] == [10, 10, 5]
    assert {event.kind for event in events} == {E.ORDER_ACCEPTED}
    assert [event.client_order_id.rstrip(b"\0") for event in events] == [b"all", b"", b""]
    for number, event in enumerate(events):
        made.send(trade(event.order_id, number + 1, event.quantity, 1_000))
    assert made.position(0, 0)["quantity"] == 0


@pytest.mark.parametrize("side", SIDES)
def test_with_cancel_open_what_could_increase_ends_and_what_protects_stays_until_flat(side: int) -> None:
    made, stop = protected(side)
    other_side = BUY if side == SELL else SELL
    rising = working(made, place(0, 0, other_side, 5, 950 if other_side == BUY else 1_050))
    profit = working(made, place(0, 0, side, 10, 1_060 if side == SELL else 940))
    closing, *others = made.send(close_position(0, 0, True))
    assert closing.kind == E.ORDER_ACCEPTED
    assert {(event.kind, event.order_id) for event in others} == {
        (E.CANCEL_REQUESTED, rising), (E.CANCEL_REQUESTED, profit),
    }  # fmt: skip
    made.send(trade(closing.order_id, 1, 4, 1_000))
    assert (made.order(stop)["status"], made.order(stop)["quantity"]) == (OrderStatus.NEW, 6)
    made.send(trade(closing.order_id, 2, 6, 1_000))
    assert made.order(stop)["status"] == OrderStatus.CANCELED


def test_only_the_symbol_and_the_account_are_cleared() -> None:
    made = desk(symbols=2)
    bought(made, 10, 1_000)
    others = [working(made, place(a, s, BUY, 1, 950)) for a, s in ((0, 1), (1, 0))]
    made.send(close_position(0, 0, True))
    assert {made.order(order_id)["status"] for order_id in others} == {OrderStatus.NEW}


@pytest.mark.parametrize("cancel_open", [False, True])
def test_the_same_request_again_is_a_replay_whatever_is_held_by_then(cancel_open: bool) -> None:
    made = holding(10, SELL, symbols=2)
    command = close_position(0, 0, cancel_open, client_order_id=b"close-1")
    first = made.one(command)
    made.send(trade(first.order_id, 1, 10, 1_000))
    bought(made, 7, 1_000)
    again = made.one(command)
    assert (again.kind, again.order_id) == (E.ORDER_REPLAYED, first.order_id)
    otherwise = made.one(close_position(0, 0, not cancel_open, client_order_id=b"close-1"))
    assert (otherwise.kind, otherwise.order_id) == (E.ORDER_REPLAYED, first.order_id), "it is done already"
    bought(made, 3, 1_000, symbol=1)
    other = made.one(close_position(0, 1, cancel_open, client_order_id=b"close-1"))
    assert other.code == Code.DUPLICATE_CLIENT_ORDER_ID


def test_a_refused_close_leaves_its_client_order_id_free() -> None:
    made = holding(10, SELL)
    made.send(trading_state(TradingState.HALTED))
    command = close_position(0, 0, client_order_id=b"close-1")
    assert made.one(command).code == Code.TRADING_HALTED
    made.send(trading_state(TradingState.ACTIVE))
    assert made.one(command).kind == E.ORDER_ACCEPTED


def test_what_the_market_does_not_take_stays_protected() -> None:
    made, stop = protected(SELL)
    closing = made.send(close_position(0, 0, True))[0]
    made.send(report(ReportKind.CANCELED, closing.order_id, code=Code.INSUFFICIENT_LIQUIDITY))
    assert made.order(stop)["status"] == OrderStatus.NEW
    assert made.one(close_position(0, 0, True)).kind == E.ORDER_ACCEPTED, "and can be tried again"
