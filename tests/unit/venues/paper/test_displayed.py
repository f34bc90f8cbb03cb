"""Displayed depth: how it is kept, consumed, and fills resting orders."""

import numpy as np
import pytest

from app.engine.types import Liquidity
from app.market.types import LEVEL_UPDATE, LevelKind
from app.venues.paper.state import PaperLimits
from tests.models.paper_desk import BUY, MAKER_PPM, MULTIPLIER, SELL, Desk, brief, order_id, small_capacity
from tests.models.paper_records import Report, fee_of


def test_what_was_taken_stays_taken_while_it_is_displayed() -> None:
    desk = Desk()
    desk.show(SELL, (100, 10))
    desk.market(0, BUY, 4)
    assert desk.depth()[1] == [(100, 6)]
    desk.show(SELL, (100, 10))
    assert desk.depth()[1] == [(100, 6)]
    desk.show(SELL, (100, 12))  # two more were displayed
    assert desk.depth()[1] == [(100, 8)]
    desk.show(SELL, (100, 3))
    assert desk.depth()[1] == []
    desk.show(SELL, (100, 5))
    assert desk.depth()[1] == [(100, 2)]


def test_a_removed_level_forgets() -> None:
    desk = Desk()
    desk.show(SELL, (100, 10))
    desk.market(0, BUY, 10)
    desk.show(SELL, (100, 0))
    desk.show(SELL, (100, 10))
    assert desk.depth()[1] == [(100, 10)]


def test_clear_forgets_both_sides_of_one_symbol() -> None:
    desk = Desk()
    for symbol in (0, 1):
        desk.show(BUY, (99, 1), symbol=symbol)
        desk.show(SELL, (100, 1), symbol=symbol)
    assert desk.update((0, 0, 0, 0, LevelKind.CLEAR)) == []
    assert desk.depth(0) == ([], [])
    assert desk.depth(1) == ([(99, 1)], [(100, 1)])


def test_a_resting_order_fills_as_maker_at_its_own_price() -> None:
    desk = Desk()
    desk.place(0, BUY, 100, 5, account=3)
    reports = desk.show(SELL, (98, 2))
    fee = fee_of(100, 2, MULTIPLIER, MAKER_PPM)
    assert reports == [Report(2, order_id(0), 3, 0, 100, 2, 1, fee, 0, Liquidity.MAKER)]
    assert desk.depth() == ([(100, 3)], [])
    assert desk.show(SELL, (98, 2)) == []
    assert brief(desk.show(SELL, (98, 6))) == [("TRADE", 0, 100, 3)]
    assert desk.depth() == ([], [(98, 1)])


def test_resting_orders_fill_by_price_then_time() -> None:
    desk = Desk()
    for number, price in enumerate([101, 100, 101, 99]):
        desk.place(number, SELL, price, 2)
    assert brief(desk.show(BUY, (102, 3), (100, 4))) == [
        ("TRADE", 3, 99, 2),
        ("TRADE", 1, 100, 1),
        ("TRADE", 1, 100, 1),
    ]


def test_a_batch_is_one_picture() -> None:
    desk = Desk()
    desk.place(0, BUY, 100, 1)
    assert desk.show(SELL, (100, 5), (100, 0), (101, 5)) == []


def test_the_outside_market_does_not_cross_itself() -> None:
    desk = Desk()
    desk.show(SELL, (100, 1), (101, 1), (102, 1))
    desk.show(BUY, (101, 5))
    assert desk.depth() == ([(101, 5)], [(102, 1)])
    desk.show(SELL, (100, 3))
    assert desk.depth() == ([], [(100, 3), (102, 1)])


def test_a_full_side_drops_its_worst_levels() -> None:
    desk = Desk(limits=PaperLimits(depth_levels=3))
    desk.show(SELL, (103, 1), (101, 1), (102, 1))
    desk.show(SELL, (104, 1))
    assert desk.depth()[1] == [(101, 1), (102, 1), (103, 1)]
    desk.show(SELL, (100, 1))
    assert desk.depth()[1] == [(100, 1), (101, 1), (102, 1)]


def test_updates_that_make_no_sense_change_nothing() -> None:
    desk = Desk()
    assert desk.update((100, 1, -1, 0, 0), (100, 1, 99, 0, 0), (100, 1, 0, 2, 0), (0, 1, 0, 0, 0)) == []
    assert desk.depth() == ([], [])


def test_many_fills_through_a_small_buffer() -> None:
    desk = Desk(capacity=small_capacity(commands=2))
    for number in range(20):
        desk.place(number, BUY, 100 + number % 3, 1, symbol=number % 2)
    reports = desk.update((99, 50, 0, SELL, 0), (99, 50, 1, SELL, 0))
    assert [report.execution_id for report in reports] == list(range(1, 21))
    assert [report.symbol for report in reports] == [0] * 10 + [1] * 10


def test_depth_adds_users_to_what_is_displayed() -> None:
    desk = Desk()
    desk.show(BUY, (99, 5), (97, 5))
    desk.place(0, BUY, 99, 2)
    desk.place(1, BUY, 98, 1)
    desk.market(2, SELL, 3)
    assert desk.depth() == ([(99, 4), (98, 1), (97, 5)], [])
    bids, _ = desk.venue.depth(0, 2)
    assert bids["price"].tolist() == [99, 98]
    with pytest.raises(IndexError):
        desk.venue.depth(2, 1)


def test_read_only_updates_are_taken() -> None:
    desk = Desk()
    updates = np.frombuffer(np.array([(99, 5, 0, BUY, 0)], LEVEL_UPDATE).tobytes(), LEVEL_UPDATE)
    assert list(desk.venue.apply_levels(updates)) == []
    assert desk.depth() == ([(99, 5)], [])
