"""Marks and the clock: stops fire in order, orders expire, days begin, valuations move."""

import pytest

from app.engine.codes import Code
from app.engine.reference import DAY_US
from app.engine.types import (
    EventKind,
    OrderStatus,
    OrderType,
    Policy,
    ReportKind,
    Scope,
    TimeInForce,
    TradingState,
)
from tests.support.engine import (
    BUY,
    FIRST_TS,
    SELL,
    Desk,
    advance,
    amend,
    bought,
    cancel,
    desk,
    mark,
    place,
    policy,
    report,
    trade,
    trading_state,
    transfer,
    working,
)

STOP, TAKE_PROFIT = OrderType.STOP, OrderType.TAKE_PROFIT


def stop(
    made: Desk, side: int, stop_price: int, order_type: int = STOP, account: int = 0, price: int = 0
) -> int:
    event = made.one(place(account, 0, side, 1, price, type=order_type, stop_price=stop_price))
    assert (event.kind, event.status) == (EventKind.ORDER_OPENED, OrderStatus.NEW)
    return event.order_id


def fired(made: Desk, price: int) -> list[int]:
    first, *rest = made.send(mark(0, price))
    assert (first.kind, first.price, first.symbol) == (EventKind.MARK_UPDATED, price, 0)
    assert all(event.kind == EventKind.ORDER_TRIGGERED for event in rest)
    return [event.order_id for event in rest]


@pytest.mark.parametrize(
    ("order_type", "side", "rises"),
    [(STOP, BUY, True), (STOP, SELL, False), (TAKE_PROFIT, BUY, False), (TAKE_PROFIT, SELL, True)],
)
@pytest.mark.parametrize("limited", [False, True])
def test_which_way_a_stop_waits(order_type: int, side: int, rises: bool, limited: bool) -> None:
    made = desk()
    wanted = order_type + 1 if limited else order_type
    step = 1 if rises else -1
    order_id = stop(made, side, 1_000 + 10 * step, wanted, price=1_000 if limited else 0)
    assert fired(made, 1_000 - 50 * step) == []
    assert fired(made, 1_000 + 9 * step) == []
    assert fired(made, 1_000 + 10 * step) == [order_id]
    assert fired(made, 1_000 + 20 * step) == []
    assert made.order(order_id)["status"] == OrderStatus.TRIGGERED


def test_those_reached_first_fire_first() -> None:
    made = desk()
    far, near, also_near = stop(made, BUY, 1_030), stop(made, BUY, 1_010), stop(made, BUY, 1_010, account=1)
    middle = stop(made, SELL, 1_020, TAKE_PROFIT)
    assert fired(made, 1_050) == [near, also_near, middle, far]
    made.send(mark(0, 1_000))
    low, high, lower = stop(made, SELL, 980), stop(made, SELL, 990), stop(made, BUY, 970, TAKE_PROFIT)
    assert fired(made, 900) == [high, low, lower]


def test_a_canceled_stop_does_not_fire() -> None:
    made = desk()
    first, second, third = (stop(made, BUY, price) for price in (1_010, 1_020, 1_030))
    event = made.one(cancel(second))
    assert (event.kind, event.status) == (EventKind.ORDER_CANCELED, OrderStatus.CANCELED)
    assert fired(made, 1_100) == [first, third]


def test_a_fired_stop_has_its_place_in_the_queue_from_then_on() -> None:
    made = desk()
    first, second = stop(made, BUY, 1_020), stop(made, BUY, 1_010)
    later = working(made, place(1, 0, BUY, 1, 900))
    assert fired(made, 1_100) == [second, first]
    places = [made.order(order_id)["priority"] for order_id in (later, second, first)]
    assert places == sorted(places)


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCING])
def test_a_stop_that_opens_ends_where_trading_is_restricted(state: TradingState) -> None:
    made = desk()
    order_id = stop(made, BUY, 1_010)
    event = made.send(trading_state(state, Scope.SYMBOL, symbol=0))[1]
    assert (event.kind, event.order_id, event.code) == (
        EventKind.ORDER_CANCELED, order_id, Code.REDUCING_ONLY,
    )  # fmt: skip
    assert made.position(0, 0)["open_buy"] == 0


def test_a_stop_does_not_get_around_the_trading_state() -> None:
    """Where nothing is canceled beforehand: it waits through a halt, and is judged when it fires."""
    made = desk()
    order_id = stop(made, BUY, 1_010)
    made.one(policy(Policy.CANCEL_INCREASING, 0))
    made.one(trading_state(TradingState.HALTED, Scope.SYMBOL, symbol=0))
    made.one(mark(0, 1_010))
    event = made.send(trading_state(TradingState.REDUCING, Scope.SYMBOL, symbol=0))[1]
    assert (event.kind, event.order_id, event.code) == (
        EventKind.ORDER_CANCELED, order_id, Code.REDUCING_ONLY,
    )  # fmt: skip
    assert made.position(0, 0)["open_buy"] == 0


def test_a_stop_that_reduces_fires_while_reducing() -> None:
    made = desk()
    bought(made, 5, 1_000)
    order_id = stop(made, SELL, 990)
    made.one(trading_state(TradingState.REDUCING))
    assert fired(made, 980) == [order_id]


def test_a_triggered_stop_refused_by_the_venue_ends_as_canceled() -> None:
    made = desk()
    order_id = stop(made, BUY, 1_010)
    fired(made, 1_010)
    event = made.one(report(ReportKind.REJECTED, order_id, code=Code.VENUE_REJECTED))
    assert (event.kind, event.status, event.code) == (
        EventKind.ORDER_CANCELED, OrderStatus.CANCELED, Code.VENUE_REJECTED,
    )  # fmt: skip


# --- Expiry.


def until(made: Desk, after_us: int, **more: int) -> int:
    order = place(0, 0, BUY, 1, 900, time_in_force=TimeInForce.GTD, expire_ts=made.ts + after_us, **more)
    return made.one(order).order_id


def test_a_working_order_is_canceled_at_the_venue_and_then_expired() -> None:
    made = desk()
    made.send(advance())
    order_id = until(made, 1_000)
    made.one(report(ReportKind.NEW, order_id))
    made.ts += 999
    assert made.one(advance()).kind == EventKind.TIME_ADVANCED
    made.ts += 1
    event = made.one(advance())
    assert (event.kind, event.order_id) == (EventKind.CANCEL_REQUESTED, order_id)
    assert made.one(advance()).kind == EventKind.TIME_ADVANCED
    event = made.one(report(ReportKind.CANCELED, order_id))
    assert (event.kind, event.status) == (EventKind.ORDER_EXPIRED, OrderStatus.EXPIRED)


def test_canceled_before_its_time_is_canceled() -> None:
    made = desk()
    order_id = until(made, 1_000)
    made.ts += 999
    assert made.one(report(ReportKind.CANCELED, order_id)).kind == EventKind.ORDER_CANCELED


def test_a_waiting_stop_expires_at_once() -> None:
    made = desk()
    made.send(advance())
    order_id = until(made, 1_000, type=OrderType.STOP_LIMIT, stop_price=1_100)
    made.ts += 1_000
    event = made.one(advance())
    assert (event.kind, event.order_id, event.status) == (
        EventKind.ORDER_EXPIRED, order_id, OrderStatus.EXPIRED,
    )  # fmt: skip
    assert fired(made, 1_200) == []


def test_orders_expire_in_the_order_of_their_time() -> None:
    made = desk()
    made.send(advance())
    late, early, also_early = until(made, 300), until(made, 100), until(made, 100)
    filled = until(made, 50)
    made.one(trade(filled, 1, 1, 900))
    made.ts += 1_000
    assert [event.order_id for event in made.send(advance())] == [early, also_early, late]


def test_a_cancel_that_the_venue_refuses_is_asked_for_again() -> None:
    made = desk()
    made.send(advance())
    order_id = until(made, 1_000)
    made.one(report(ReportKind.NEW, order_id))
    made.ts += 1_000
    made.one(advance())
    made.one(report(ReportKind.CANCEL_REJECTED, order_id))
    made.ts += 999_999
    assert made.one(advance()).kind == EventKind.TIME_ADVANCED
    made.ts += 1
    assert made.one(advance()).kind == EventKind.CANCEL_REQUESTED


def test_an_order_that_is_being_amended_expires_too() -> None:
    made = desk()
    made.send(advance())
    order_id = until(made, 1_000)
    made.one(report(ReportKind.NEW, order_id))
    made.one(amend(order_id, price=890))
    made.ts += 1_000
    assert made.one(advance()).kind == EventKind.CANCEL_REQUESTED
    made.one(report(ReportKind.REPLACED, order_id, price=890, quantity=1))
    assert made.one(report(ReportKind.CANCELED, order_id)).kind == EventKind.ORDER_EXPIRED


# --- The day.


def test_a_day_begins_at_midnight_utc_once() -> None:
    made = desk()
    made.one(advance())
    bought(made, 10, 1_000)
    made.send(mark(0, 1_100))
    made.ts = FIRST_TS - FIRST_TS % DAY_US + DAY_US - 1
    assert made.one(advance()).kind == EventKind.TIME_ADVANCED
    assert made.account(0)["day_start_equity"] == 10**12
    made.ts += 1
    assert made.one(advance()).kind == EventKind.DAY_STARTED
    assert made.account(0)["day_start_equity"] == 10**12 + 1_000
    assert made.one(advance()).kind == EventKind.TIME_ADVANCED
    made.ts += 3 * DAY_US
    assert made.one(advance()).kind == EventKind.DAY_STARTED
    assert made.engine.state.firm[0]["day_start_ts"] % DAY_US == 0


def test_a_transfer_is_no_profit() -> None:
    made = desk()
    made.one(advance())
    made.one(transfer(0, 500))
    account = made.account(0)
    assert (account["day_start_equity"], account["peak_equity"]) == (10**12 + 500, 10**12 + 500)
    made.one(transfer(0, -700))
    account = made.account(0)
    assert (account["day_start_equity"], account["peak_equity"]) == (10**12 - 200, 10**12 - 200)


def test_peak_equity_follows_marks_up_and_not_down() -> None:
    made = desk()
    bought(made, -10, 1_000)
    for price, peak in ((900, 1_000), (1_200, 1_000), (850, 1_500), (1_000, 1_500)):
        made.send(mark(0, price))
        assert made.equity(0) == 10**12 + 10 * (1_000 - price)
        assert made.account(0)["peak_equity"] == 10**12 + peak


def test_exposure_follows_the_mark() -> None:
    made = desk()
    bought(made, 10, 1_000)
    working(made, place(0, 0, SELL, 25, 1_200))
    for price in (1_000, 500, 2_000):
        made.send(mark(0, price))
        assert made.position(0, 0)["exposure"] == 15 * price
        assert made.account(0)["exposure"] == made.engine.state.firm[0]["exposure"] == 15 * price
