"""Orders that may only reduce a position are held to it at the match; instruments that do not trade."""

import pytest

from app.engine.codes import Code
from app.engine.types import (
    EventKind,
    InstrumentStatus,
    OrderFlag,
    OrderType,
    Permission,
    Scope,
    TimeInForce,
    TradingState,
)
from tests.models.paper_desk import BUY, SELL, Desk, brief, order_id
from tests.models.paper_records import Event

_RO = OrderFlag.REDUCE_ONLY
_LONG = 1  # an account


def long_desk(quantity: int = 10) -> Desk:
    """Account 1 is long."""
    desk = Desk()
    desk.show(SELL, (100, quantity))
    desk.market(60, BUY, quantity, account=_LONG)
    return desk


def state_set(state: int, scope: int = Scope.ACCOUNT) -> Event:
    return Event(EventKind.TRADING_STATE_SET, 0, account=_LONG, scope=scope, state=state)


def instrument_set(status: int, max_price: int = 0) -> Event:
    return Event(EventKind.INSTRUMENT_SET, 0, status=status, max_price=max_price)


def test_two_orders_that_protect_one_position_close_it_once() -> None:
    desk = long_desk()
    for number, price in enumerate((101, 102)):
        desk.place(number, SELL, price, 10, account=_LONG, flags=_RO)
    assert brief(desk.show(BUY, (103, 50))) == [("TRADE", 0, 101, 10), ("CANCELED", 1, Code.REDUCE_ONLY)]
    assert desk.depth() == ([(103, 40)], [])


def test_a_taker_fills_what_there_is_and_goes_on_to_the_next() -> None:
    desk = long_desk(1)
    desk.place(0, SELL, 101, 5, account=_LONG, flags=_RO)
    desk.place(1, SELL, 101, 5, account=2)
    assert brief(desk.place(2, BUY, 101, 4, account=3)) == [
        ("TRADE", 2, 101, 1),
        ("TRADE", 0, 101, 1),
        ("CANCELED", 0, Code.REDUCE_ONLY),
        ("TRADE", 2, 101, 3),
        ("TRADE", 1, 101, 3),
    ]
    assert desk.depth() == ([], [(101, 2)])


def test_what_comes_in_is_held_to_the_position_too() -> None:
    desk = long_desk(3)
    desk.show(BUY, (99, 2), (98, 9))
    assert brief(desk.market(0, SELL, 10, account=_LONG, flags=_RO)) == [
        ("TRADE", 0, 99, 2),
        ("TRADE", 0, 98, 1),
        ("CANCELED", 0, Code.REDUCE_ONLY),
    ]


def test_an_order_with_nothing_to_reduce_does_not_rest() -> None:
    assert brief(Desk().place(0, SELL, 105, 1, account=_LONG, flags=_RO)) == [
        ("CANCELED", 0, Code.REDUCE_ONLY)
    ]


@pytest.mark.parametrize("scope", [Scope.FIRM, Scope.ACCOUNT, Scope.SYMBOL])
@pytest.mark.parametrize("state", [TradingState.REDUCING, TradingState.HALTED])
def test_who_may_only_reduce_is_held_to_the_position(scope: int, state: int) -> None:
    desk = long_desk(3)
    desk.place(0, SELL, 101, 10, account=_LONG)
    desk.send(state_set(state, scope))
    assert brief(desk.show(BUY, (101, 10))) == [("TRADE", 0, 101, 3), ("CANCELED", 0, Code.REDUCING_ONLY)]


@pytest.mark.parametrize("scope", [Scope.ACCOUNT, Scope.ACCOUNT_SYMBOL])
def test_a_symbol_that_is_denied_can_be_left_only(scope: int) -> None:
    desk = long_desk(3)
    desk.place(0, SELL, 101, 10, account=_LONG)
    desk.send(Event(EventKind.PERMISSION_SET, 0, account=_LONG, scope=scope, permission=Permission.DENIED))
    assert brief(desk.show(BUY, (101, 10)))[1:] == [("CANCELED", 0, Code.SYMBOL_RESTRICTED)]


def test_resumed_it_may_open_again() -> None:
    desk = long_desk(3)
    desk.place(0, SELL, 101, 10, account=_LONG)
    desk.send(state_set(TradingState.REDUCING), state_set(TradingState.ACTIVE))
    assert brief(desk.show(BUY, (101, 10))) == [("TRADE", 0, 101, 10)]


def test_a_settled_position_is_none() -> None:
    desk = long_desk(3)
    desk.place(0, SELL, 101, 3, account=_LONG, flags=_RO)
    desk.send(Event(EventKind.POSITION_SETTLED, 0, account=_LONG))
    assert brief(desk.show(BUY, (101, 10))) == [("CANCELED", 0, Code.REDUCE_ONLY)]


@pytest.mark.parametrize("quantity", [3, 4])
def test_fill_or_kill_counts_what_may_be_traded(quantity: int) -> None:
    desk = long_desk(3)
    desk.place(0, SELL, 101, 2, account=_LONG, flags=_RO)
    desk.place(1, SELL, 102, 2, account=_LONG, flags=_RO)
    reports = desk.place(2, BUY, 102, quantity, account=3, time_in_force=TimeInForce.FOK)
    killed = brief(reports) == [("CANCELED", 2, Code.INSUFFICIENT_LIQUIDITY)]
    assert killed == (quantity > 3)


def test_flags_and_code_of_a_replace_are_taken() -> None:
    desk = long_desk(3)
    desk.place(0, SELL, 101, 10, account=_LONG)
    trimmed = {"account": _LONG, "flags": _RO, "code": Code.REDUCE_ONLY}
    assert brief(desk.replace(0, SELL, 101, 5, **trimmed)) == [("REPLACED", 0, 101, 5, Code.REDUCE_ONLY)]
    assert brief(desk.show(BUY, (101, 10)))[:1] == [("TRADE", 0, 101, 3)]


def test_a_trim_that_the_venue_was_faster_than_is_not_answered() -> None:
    desk = long_desk(1)
    desk.place(0, SELL, 101, 2, account=_LONG, flags=_RO)
    desk.show(BUY, (101, 10))
    trim = Event(EventKind.CANCEL_REQUESTED, order_id(0), account=_LONG, code=Code.REDUCE_ONLY)
    assert desk.send(trim) == []
    assert brief(desk.cancel(0)) == [("CANCEL_REJECTED", 0, Code.UNKNOWN_ORDER)]


def test_both_reports_of_one_trade_belong_together() -> None:
    desk = Desk()
    desk.show(SELL, (100, 1))
    desk.place(0, SELL, 100, 1, account=2)
    assert [report.more for report in desk.place(1, BUY, 100, 2, account=3)] == [0, 1, 0]


@pytest.mark.parametrize("status", [InstrumentStatus.CANCEL_ONLY, InstrumentStatus.HALTED])
def test_nothing_matches_where_the_instrument_does_not_trade(status: int) -> None:
    desk = Desk()
    desk.place(0, BUY, 99, 2)
    desk.place(1, BUY, 98, 2)
    desk.send(instrument_set(status))
    assert desk.show(SELL, (97, 3)) == []
    assert desk.depth() == ([(99, 2), (98, 2)], [(97, 3)])
    assert brief(desk.place(2, SELL, 90, 1)) == [("REJECTED", 2, Code.SYMBOL_NOT_TRADING)]
    assert brief(desk.replace(1, BUY, 97, 2)) == [("REPLACE_REJECTED", 1, Code.SYMBOL_NOT_TRADING)]
    assert brief(desk.replace(1, BUY, 98, 1)) == [("REPLACED", 1, 98, 1)]
    assert brief(desk.cancel(1)) == [("CANCELED", 1)]
    assert brief(desk.send(instrument_set(InstrumentStatus.TRADING))) == [("TRADE", 0, 99, 2)]


def test_depth_beyond_the_range_of_the_instrument_is_none() -> None:
    desk = Desk()
    desk.show(BUY, (100, 1), (140, 2))
    desk.show(SELL, (150, 1), (200, 5))
    desk.send(instrument_set(InstrumentStatus.TRADING, 150))
    assert desk.depth() == ([(140, 2), (100, 1)], [(150, 1)])
    desk.show(SELL, (151, 5))
    canceled = ("CANCELED", 0, Code.INSUFFICIENT_LIQUIDITY)
    assert brief(desk.market(0, BUY, 3)) == [("TRADE", 0, 150, 1), canceled]
    desk.send(instrument_set(InstrumentStatus.TRADING, 120))
    assert desk.depth() == ([(100, 1)], [])
    desk.show(BUY, (121, 1))
    assert brief(desk.market(1, SELL, 2, type=OrderType.MARKET))[:1] == [("TRADE", 1, 100, 1)]
