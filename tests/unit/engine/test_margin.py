"""Margin: what a fill may cost beyond the mark, and its fee, are part of it; breakers for too little."""

import pytest

from app.engine.codes import Code
from app.engine.types import EventKind, Limit, OrderType, ReportKind, Scope, TimeInForce, TradingState
from app.runtime.event_views import BreakerEvent, event_as
from app.runtime.views import EventView
from tests.support.engine import (
    BUY,
    SELL,
    Desk,
    account,
    amend,
    bought,
    cancel,
    desk,
    instrument,
    limit,
    mark,
    place,
    report,
    trade,
    transfer,
    working,
)

E = EventKind


def tripped_by(events: list[EventView]) -> BreakerEvent:
    """The first breaker that has tripped."""
    return event_as(BreakerEvent, next(event for event in events if event.kind == E.BREAKER_TRIPPED))


def poor(equity: int, fee_ppm: int = 0, price: int = 100) -> Desk:
    """An account of leverage 1."""
    made = desk(1, price=price, cash=equity)
    made.send(account(0, leverage=1), instrument(0, taker_fee_ppm=fee_ppm, maker_fee_ppm=0))
    return made


@pytest.mark.parametrize(
    ("side", "price", "margin"), [(BUY, 200, 2_000), (SELL, 50, 1_500), (BUY, 101, 1_010)]
)
@pytest.mark.parametrize("tif", [TimeInForce.GTC, TimeInForce.IOC])
def test_what_the_price_loses_against_the_mark(side: int, price: int, margin: int, tif: TimeInForce) -> None:
    for equity, code in ((margin - 1, Code.INSUFFICIENT_MARGIN), (margin, Code.NONE)):
        event = poor(equity).one(place(0, 0, side, 10, price, time_in_force=tif))
        assert event.code == code
        if code:
            assert (event.limit, event.observed) == (equity, margin)


@pytest.mark.parametrize(("side", "price"), [(BUY, 100), (SELL, 100), (BUY, 0), (SELL, 0)])
def test_the_fee(side: int, price: int) -> None:
    assert poor(1_000, 1_000).one(place(0, 0, side, 10, price)).code == Code.INSUFFICIENT_MARGIN
    assert poor(1_001, 1_000).one(place(0, 0, side, 10, price)).kind == E.ORDER_ACCEPTED


@pytest.mark.parametrize("kind", [OrderType.LIMIT, OrderType.STOP])
def test_a_higher_fee_is_reserved_for_what_is_open(kind: OrderType) -> None:
    """Else a fill could leave less than the margin that was checked, and the next order pass."""
    made = poor(2_000, 1_000)
    prices = {"price": 100} if kind == OrderType.LIMIT else {"stop_price": 100}
    made.send(mark(0, 90))
    made.one(place(0, 0, BUY, 10, type=kind, **prices))
    cost = int(made.account(0)["open_cost"])
    made.send(instrument(0, taker_fee_ppm=0, maker_fee_ppm=50_000))
    assert made.account(0)["open_cost"] == cost - 1 + 50
    made.send(instrument(0, taker_fee_ppm=0, maker_fee_ppm=0))
    assert made.account(0)["open_cost"] == cost - 1 + 50, "what is reserved stays until it is open no more"


def test_the_edge_of_the_collar_of_a_market_order() -> None:
    for equity, kind in ((1_099, E.ORDER_REJECTED), (1_100, E.ORDER_ACCEPTED)):
        made = poor(equity)
        made.one(limit(Limit.PRICE_COLLAR_BPS, 1_000))
        assert made.one(place(0, 0, BUY, 10)).kind == kind


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_stop_counts_from_where_it_fires(side: int) -> None:
    made = poor(1_000)
    stop = 120 if side == BUY else 80
    order = place(0, 0, side, 10, type=OrderType.STOP, stop_price=stop)
    assert made.one(order).kind == E.ORDER_OPENED


@pytest.mark.parametrize("how", ["cancel", "reject", "expire", "fill"])
def test_costs_are_reserved_and_freed(how: str) -> None:
    made = poor(10**6, 1_000)
    order_id = working(made, place(0, 0, BUY, 10, 200)) if how != "reject" else 0
    order_id = order_id or made.one(place(0, 0, BUY, 10, 200)).order_id
    assert made.account(0)["open_cost"] == 1_000 + 2
    if how == "cancel":
        made.send(cancel(order_id), report(ReportKind.CANCELED, order_id))
    elif how == "reject":
        made.send(report(ReportKind.REJECTED, order_id))
    elif how == "expire":
        made.send(report(ReportKind.EXPIRED, order_id))
    else:
        made.send(trade(order_id, 1, 4, 200))
        assert made.account(0)["open_cost"] == 602  # its part, rounded up
        made.send(trade(order_id, 2, 6, 200))
    assert made.account(0)["open_cost"] == 0


def test_an_amend_reserves_the_larger_cost_until_it_is_answered() -> None:
    made = poor(10**6)
    order_id = working(made, place(0, 0, BUY, 10, 150))
    made.one(amend(order_id, price=120))
    assert made.account(0)["open_cost"] == 500
    made.one(report(ReportKind.REPLACED, order_id, price=120, quantity=10))
    assert made.account(0)["open_cost"] == 200
    made.one(amend(order_id, price=150))
    assert made.account(0)["open_cost"] == 500
    made.one(report(ReportKind.REPLACE_REJECTED, order_id))
    assert made.account(0)["open_cost"] == 200


def test_open_orders_share_one_margin() -> None:
    made = poor(2_000)
    working(made, place(0, 0, BUY, 5, 200))
    refused = made.one(place(0, 0, BUY, 6, 200))
    assert (refused.code, refused.observed) == (Code.INSUFFICIENT_MARGIN, 2_200)
    assert made.one(place(0, 0, BUY, 5, 200)).kind == E.ORDER_ACCEPTED


@pytest.mark.parametrize("side", [BUY, SELL])
def test_equity_below_zero_is_an_alarm(side: int) -> None:
    made = desk(1, cash=1_010)
    bought(made, 10 if side == BUY else -10, 1_000)
    events = made.send(mark(0, 1_000 + (-200 if side == BUY else 200)))
    tripped = tripped_by(events)
    assert (tripped.cause, tripped.state) == (Code.NEGATIVE_EQUITY, TradingState.REDUCING)
    assert (tripped.limit, tripped.observed) == (0, made.equity(0))
    reducing = made.one(place(0, 0, SELL if side == BUY else BUY, 10))
    assert reducing.kind == E.ORDER_ACCEPTED


@pytest.mark.parametrize("side", [BUY, SELL])
def test_leverage_beyond_what_maintenance_allows(side: int) -> None:
    made = desk(1, cash=10_000)
    made.one(limit(Limit.MAINTENANCE_LEVERAGE, 500, Scope.ACCOUNT, 0))
    bought(made, 40 if side == BUY else -40, 1_000)
    direction = 1 if side == BUY else -1
    assert [event.kind for event in made.send(mark(0, 1_000 - 20 * direction))] == [E.MARK_UPDATED]
    events = made.send(mark(0, 1_000 - 80 * direction))
    tripped = tripped_by(events)
    assert (tripped.cause, tripped.limit) == (Code.MAINTENANCE_LEVERAGE, 500)
    assert tripped.observed > 500


def test_without_a_limit_half_the_margin_is_the_line() -> None:
    made = desk(1, cash=10_100)  # leverage 10: twice that is the line
    bought(made, 100, 1_000)
    assert E.BREAKER_TRIPPED not in {event.kind for event in made.send(mark(0, 950))}
    events = made.send(mark(0, 940))
    tripped = tripped_by(events)
    assert (tripped.cause, tripped.limit) == (Code.MAINTENANCE_LEVERAGE, 2_000)


def test_other_accounts_are_not_concerned() -> None:
    made = desk(2, cash=1_010)
    bought(made, 10, 1_000)
    made.send(transfer(1, 1_000), mark(0, 800))
    assert made.account(0)["trading_state"] == TradingState.REDUCING
    assert made.account(1)["trading_state"] == TradingState.ACTIVE
