"""How the paper venue trades, rule by rule."""

import pytest

from app.engine.codes import Code
from app.engine.types import (
    EventKind,
    Liquidity,
    OrderFlag,
    OrderType,
    SelfTradePrevention,
    TimeInForce,
)
from app.venues.paper.state import PaperLimits
from tests.models.paper_desk import (
    BUY,
    MAKER_PPM,
    MULTIPLIER,
    SELL,
    TAKER_PPM,
    Desk,
    brief,
    new_order,
    order_id,
    small_capacity,
)
from tests.models.paper_records import Report, fee_of


def test_an_order_rests_and_says_so() -> None:
    desk = Desk()
    assert desk.place(0, BUY, 100, 5, account=2, symbol=1) == [Report(1, order_id(0), 2, 1)]
    assert desk.depth(1) == ([(100, 5)], [])


def test_a_trade_reports_both_sides_with_own_ids_and_fees() -> None:
    desk = Desk(last_execution_id=40)
    desk.place(0, SELL, 100, 5, account=1)
    taker, maker = desk.place(1, BUY, 103, 3, account=2)
    paid, rebate = (fee_of(100, 3, MULTIPLIER, ppm) for ppm in (TAKER_PPM, MAKER_PPM))
    assert taker == Report(2, order_id(1), 2, 0, 100, 3, 41, paid, 0, Liquidity.TAKER, more=1)
    assert maker == Report(2, order_id(0), 1, 0, 100, 3, 42, rebate, 0, Liquidity.MAKER)
    assert rebate < 0 < paid


@pytest.mark.parametrize("ppm", [0, 1, 999_999, 1_000_000, -1, -250])
@pytest.mark.parametrize("price", [1, (1 << 59) - 1])
def test_fees_are_exact_up_to_the_largest_notional(price: int, ppm: int) -> None:
    desk = Desk()
    instruments = desk.venue.state.instruments
    instruments["multiplier"] = 1
    instruments["taker_fee_ppm"] = ppm
    desk.place(0, SELL, price, 1, account=1)
    assert desk.market(1, BUY, 1)[0].fee == fee_of(price, 1, 1, ppm)


def test_better_prices_first_then_who_came_first() -> None:
    desk = Desk()
    for number, price in enumerate([101, 100, 101, 100]):
        desk.place(number, SELL, price, 2, account=1)
    trades = desk.place(9, BUY, 101, 7)
    assert [row[1:] for row in brief(trades)[1::2]] == [(1, 100, 2), (3, 100, 2), (0, 101, 2), (2, 101, 1)]
    assert desk.depth() == ([], [(101, 1)])


def test_what_remains_of_a_limit_order_rests_without_another_report() -> None:
    desk = Desk()
    desk.place(0, SELL, 100, 2, account=1)
    assert brief(desk.place(1, BUY, 100, 5)) == [("TRADE", 1, 100, 2), ("TRADE", 0, 100, 2)]
    assert desk.depth() == ([(100, 3)], [])


def test_displayed_depth_trades_before_users_at_the_same_price() -> None:
    desk = Desk()
    desk.place(0, SELL, 100, 2, account=1)
    desk.show(SELL, (100, 3), (99, 1))
    assert brief(desk.place(1, BUY, 100, 5)) == [
        ("TRADE", 1, 99, 1),
        ("TRADE", 1, 100, 3),
        ("TRADE", 1, 100, 1),
        ("TRADE", 0, 100, 1),
    ]


def test_a_market_order_takes_what_there_is() -> None:
    desk = Desk()
    desk.show(SELL, (100, 3), (105, 3))
    assert brief(desk.market(0, BUY, 10)) == [
        ("TRADE", 0, 100, 3),
        ("TRADE", 0, 105, 3),
        ("CANCELED", 0, Code.INSUFFICIENT_LIQUIDITY),
    ]


def test_a_market_order_keeps_to_its_worst_price() -> None:
    desk = Desk()
    desk.show(SELL, (100, 3), (105, 3))
    desk.show(BUY, (90, 3), (85, 3))
    canceled = ("CANCELED", 0, Code.INSUFFICIENT_LIQUIDITY)
    assert brief(desk.market(0, BUY, 10, worst=104)) == [("TRADE", 0, 100, 3), canceled]
    assert brief(desk.market(0, SELL, 10, worst=86)) == [("TRADE", 0, 90, 3), canceled]


@pytest.mark.parametrize("kind", [OrderType.STOP, OrderType.TAKE_PROFIT])
def test_a_triggered_stop_is_a_market_order(kind: OrderType) -> None:
    desk = Desk()
    desk.show(BUY, (90, 3))
    reports = desk.place(0, SELL, 0, 3, type=kind, kind=EventKind.ORDER_TRIGGERED)
    assert brief(reports) == [("TRADE", 0, 90, 3)]


@pytest.mark.parametrize("kind", [OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT])
def test_a_triggered_stop_limit_is_a_limit_order(kind: OrderType) -> None:
    desk = Desk()
    desk.show(BUY, (90, 3))
    assert brief(desk.place(0, SELL, 91, 3, type=kind, kind=EventKind.ORDER_TRIGGERED)) == [("NEW", 0)]


def test_a_triggered_order_that_is_refused_was_acknowledged_before() -> None:
    desk = Desk()
    desk.show(BUY, (90, 3))
    reports = desk.place(0, SELL, 90, 1, flags=OrderFlag.POST_ONLY, kind=EventKind.ORDER_TRIGGERED)
    assert brief(reports) == [("CANCELED", 0, Code.POST_ONLY_WOULD_TAKE)]


def test_immediate_or_cancel() -> None:
    desk = Desk()
    desk.show(SELL, (100, 3))
    trades = desk.place(0, BUY, 100, 5, time_in_force=TimeInForce.IOC)
    assert brief(trades) == [("TRADE", 0, 100, 3), ("CANCELED", 0)]
    assert desk.depth() == ([], [])


def test_fill_or_kill() -> None:
    desk = Desk()
    desk.show(SELL, (100, 3), (102, 9))
    desk.place(0, SELL, 101, 2, account=1)
    killed = [("CANCELED", 1, Code.INSUFFICIENT_LIQUIDITY)]
    assert brief(desk.place(1, BUY, 101, 6, time_in_force=TimeInForce.FOK)) == killed
    assert desk.depth()[1] == [(100, 3), (101, 2), (102, 9)]
    assert len(desk.place(1, BUY, 101, 5, time_in_force=TimeInForce.FOK)) == 3


@pytest.mark.parametrize(
    ("mode", "filled"),
    [
        (SelfTradePrevention.NONE, 6),
        (SelfTradePrevention.CANCEL_OLDEST, 4),
        (SelfTradePrevention.CANCEL_NEWEST, 3),
        (SelfTradePrevention.CANCEL_BOTH, 3),
    ],
)
def test_fill_or_kill_counts_what_self_trade_prevention_leaves(mode: int, filled: int) -> None:
    for quantity in (filled, filled + 1):
        desk = Desk()
        desk.show(SELL, (100, 3))
        desk.place(0, SELL, 101, 2, account=7)
        desk.place(1, SELL, 102, 1, account=8)
        reports = desk.place(
            2, BUY, 102, quantity, account=7, time_in_force=TimeInForce.FOK, self_trade_prevention=mode
        )
        killed = brief(reports) == [("CANCELED", 2, Code.INSUFFICIENT_LIQUIDITY)]
        assert killed == (quantity > filled)


def test_post_only() -> None:
    desk = Desk()
    desk.show(SELL, (100, 3))
    refused = [("REJECTED", 0, Code.POST_ONLY_WOULD_TAKE)]
    assert brief(desk.place(0, BUY, 100, 1, flags=OrderFlag.POST_ONLY)) == refused
    assert brief(desk.place(0, BUY, 99, 1, flags=OrderFlag.POST_ONLY)) == [("NEW", 0)]
    desk.market(1, BUY, 3)  # all that is displayed at 100 is taken
    assert brief(desk.place(2, BUY, 100, 1, flags=OrderFlag.POST_ONLY)) == [("NEW", 2)]


@pytest.mark.parametrize(
    ("mode", "expected", "left"),
    [
        (SelfTradePrevention.CANCEL_NEWEST, [("CANCELED", 2, Code.SELF_TRADE)], ([], [(100, 5)])),
        (
            SelfTradePrevention.CANCEL_OLDEST,
            [("CANCELED", 0, Code.SELF_TRADE), ("TRADE", 2, 100, 3), ("TRADE", 1, 100, 3)],
            ([(100, 1)], []),
        ),
        (
            SelfTradePrevention.CANCEL_BOTH,
            [("CANCELED", 0, Code.SELF_TRADE), ("CANCELED", 2, Code.SELF_TRADE)],
            ([], [(100, 3)]),
        ),
        (
            SelfTradePrevention.NONE,
            [("TRADE", 2, 100, 2), ("TRADE", 0, 100, 2), ("TRADE", 2, 100, 2), ("TRADE", 1, 100, 2)],
            ([], [(100, 1)]),
        ),
    ],
)
def test_self_trade_prevention(mode: int, expected: list[object], left: object) -> None:
    desk = Desk()
    desk.place(0, SELL, 100, 2, account=3)
    desk.place(1, SELL, 100, 3, account=1)
    reports = desk.place(2, BUY, 100, 4, account=3, self_trade_prevention=mode)
    assert brief(reports) == expected
    assert desk.depth() == left


def test_self_trade_prevention_after_a_fill_cancels_what_remains() -> None:
    desk = Desk()
    desk.place(0, SELL, 100, 2, account=1)
    desk.place(1, SELL, 100, 3, account=3)
    reports = desk.place(2, BUY, 100, 4, account=3)
    assert brief(reports)[2:] == [("CANCELED", 2, Code.SELF_TRADE)]


def test_a_full_ladder_refuses_new_prices_only() -> None:
    desk = Desk(limits=PaperLimits(ladder_levels=2))
    desk.place(0, BUY, 100, 1)
    desk.place(1, BUY, 101, 1)
    assert brief(desk.place(2, BUY, 102, 1)) == [("REJECTED", 2, Code.VENUE_CAPACITY)]
    assert brief(desk.place(2, BUY, 101, 1)) == [("NEW", 2)]
    desk.show(SELL, (103, 1))
    reports = desk.place(3, BUY, 103, 2)
    assert brief(reports) == [("TRADE", 3, 103, 1), ("CANCELED", 3, Code.VENUE_CAPACITY)]


def test_a_slot_that_is_taken_is_refused() -> None:
    desk = Desk()
    desk.place(0, BUY, 100, 1)
    assert brief(desk.place(0, BUY, 100, 1)) == [("REJECTED", 0, Code.VENUE_CAPACITY)]


def test_a_sweep_of_many_orders_through_a_small_buffer() -> None:
    count = 1 << 14
    desk = Desk(capacity=small_capacity(commands=100, orders=2 * count))
    desk.send(*(new_order(number, SELL, 100 + number % 50, 1, account=1) for number in range(count)))
    trades = desk.market(count, BUY, count)
    assert len(trades) == 2 * count
    assert [report.execution_id for report in trades] == list(range(1, 2 * count + 1))
    makers = [(report.price, report.order_id) for report in trades[1::2]]
    assert makers == sorted(makers)
    assert desk.depth() == ([], [])


def test_events_that_are_not_for_a_venue_are_passed_over() -> None:
    desk = Desk()
    kinds = set(EventKind) - {
        EventKind.ORDER_ACCEPTED,
        EventKind.ORDER_TRIGGERED,
        EventKind.CANCEL_REQUESTED,
        EventKind.REPLACE_REQUESTED,
    }
    assert desk.send(*(new_order(0, BUY, 100, 1, kind=kind) for kind in sorted(kinds))) == []


def test_capacity_must_hold_the_reports_of_one_step() -> None:
    with pytest.raises(ValueError, match="too few commands"):
        Desk(capacity=small_capacity(commands=1))
