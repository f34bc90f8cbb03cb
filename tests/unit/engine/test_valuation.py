"""What an order is worth and may cost, in Python's integers, as what the engine reserves for it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.types import EventKind, Limit, OrderType, Scope
from app.runtime.event_views import NewOrderEvent, event_as
from tests.support.engine import BUY, SELL, Desk, desk, instrument, limit, place

MARK = 1_000
PPM = 10**6
LARGEST = 10**6  # steps


def reserved(made: Desk, order_id: int) -> tuple[int, int, int]:
    order = made.order(order_id)
    return order["reserved"], order["reserved_price"], order["reserved_cost"]


def placed(made: Desk, side: int, quantity: int, price: int = 0, **more: int) -> tuple[int, int, int]:
    event = made.one(place(0, 0, side, quantity, price, **more))
    assert event.kind in (EventKind.ORDER_ACCEPTED, EventKind.ORDER_OPENED), event.code
    return reserved(made, event.order_id)


def free() -> Desk:
    """A desk without fees."""
    made = desk(cash=1 << 59)
    made.send(instrument(0, maker_fee_ppm=0, taker_fee_ppm=0))
    return made


@pytest.mark.parametrize(
    ("side", "price", "worth", "lost"),
    [
        (BUY, 900, 900, 0),
        (BUY, 1_000, 1_000, 0),
        (BUY, 1_100, 1_100, 100),
        (SELL, 1_100, 1_100, 0),  # it trades at its limit at least
        (SELL, 900, 1_000, 100),  # at the mark, or as low as its limit
        (BUY, 0, 1_000, 0),  # at will, so at the mark
        (SELL, 0, 1_000, 0),
    ],
)
def test_without_a_collar(side: int, price: int, worth: int, lost: int) -> None:
    assert placed(free(), side, 3, price) == (3, worth, 3 * lost)


@pytest.mark.parametrize(("side", "worth", "lost", "edge"), [(BUY, 1_050, 50, 1_050), (SELL, 1_000, 50, 950)])
def test_a_market_order_goes_to_the_edge_of_its_collar(side: int, worth: int, lost: int, edge: int) -> None:
    made = free()
    made.send(limit(Limit.PRICE_COLLAR_BPS, 700), limit(Limit.PRICE_COLLAR_BPS, 500, Scope.SYMBOL, symbol=0))
    event = event_as(NewOrderEvent, made.one(place(0, 0, side, 3)))
    assert event.protection_price == edge, "the tightest collar's"
    assert reserved(made, event.order_id) == (3, worth, 3 * lost)


def protection_price(made: Desk, side: int) -> int:
    return event_as(NewOrderEvent, made.one(place(0, 0, side, 1))).protection_price


def test_the_edge_stays_in_the_range_of_prices() -> None:
    made = free()
    made.send(limit(Limit.PRICE_COLLAR_BPS, 10_000))
    assert protection_price(made, SELL) == 1, "a price of 0 would be none"
    highest = int(made.engine.state.instruments[0]["max_price"])
    made.send(limit(Limit.PRICE_COLLAR_BPS, 9_999))
    made.engine.state.instruments[0]["mark"] = highest - 1
    assert protection_price(made, BUY) == highest


@pytest.mark.parametrize(
    ("side", "stop_price", "limit_price", "worth", "lost"),
    [
        (BUY, 1_200, 0, 1_200, 0),  # its stop price stands for the mark
        (BUY, 1_200, 1_250, 1_250, 50),
        (BUY, 1_200, 1_150, 1_150, 0),
        (SELL, 800, 0, 1_000, 0),  # until then the mark is higher
        (SELL, 800, 750, 1_000, 50),
        (SELL, 800, 1_300, 1_300, 0),
    ],
)
def test_a_stop_waits_for_its_own_mark(
    side: int, stop_price: int, limit_price: int, worth: int, lost: int
) -> None:
    order_type = OrderType.STOP_LIMIT if limit_price else OrderType.STOP
    assert placed(free(), side, 2, limit_price, type=order_type, stop_price=stop_price) == (
        2,
        worth,
        2 * lost,
    )


@pytest.mark.parametrize(
    ("maker", "taker", "ppm"), [(100, 500, 500), (900, 500, 900), (-100, -50, 0), (-100, 30, 30), (0, 0, 0)]
)
def test_the_higher_fee_counts_and_a_rebate_does_not(maker: int, taker: int, ppm: int) -> None:
    made = desk()
    made.send(instrument(0, maker_fee_ppm=maker, taker_fee_ppm=taker))
    assert placed(made, BUY, 7, 999) == (7, 999, -(-7 * 999 * ppm // PPM))


@settings(max_examples=150, deadline=None)
@given(
    side=st.sampled_from([BUY, SELL]),
    quantity=st.integers(1, LARGEST),
    price=st.integers(1, 10**11),
    mark=st.integers(1, 10**11),
    ppm=st.integers(0, PPM) | st.integers((1 << 16) - 2, (1 << 16) + 2),
)
def test_costs_are_exact_whatever_the_size(side: int, quantity: int, price: int, mark: int, ppm: int) -> None:
    made = desk(cash=1 << 59)
    made.send(instrument(0, maker_fee_ppm=0, taker_fee_ppm=ppm))
    made.engine.state.instruments[0]["mark"] = mark
    event = made.one(place(0, 0, side, quantity, price))
    if event.kind != EventKind.ORDER_ACCEPTED:
        return  # more than the account has
    worth = price if side == BUY else max(price, mark)
    lost = max(price - mark if side == BUY else mark - price, 0)
    fee = -(-worth * quantity * ppm // PPM)
    assert reserved(made, event.order_id) == (quantity, worth, lost * quantity + fee)
