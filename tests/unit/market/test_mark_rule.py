"""Of which books a mark is made, and what is told of those that make none."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.market.books import MarketBooks
from app.market.mark_rule import ANY_SPREAD, NoMark, why_no_mark
from app.market.market_data import MarketData
from app.market.messages import DepthSnapshot, DepthUpdate, TouchUpdate
from app.market.types import FeedState, Prices
from tests.support.market import BTC, ReplicaSink
from tests.unit.market.test_market_data import Clock, Recorder

S = 1_000_000


@pytest.mark.parametrize(
    ("bid", "ask", "bound", "reason"),
    [
        (15_000, 15_002, 1_000, None),
        (15_000, 150_000, 1_000, NoMark.TOO_WIDE),  # the asks are gone
        (1_500, 15_002, 1_000, NoMark.TOO_WIDE),  # the bids are gone
        (15_000, 150_000, ANY_SPREAD, None),
        (0, 15_002, ANY_SPREAD, NoMark.ONE_SIDED),
        (15_000, 0, 1_000, NoMark.ONE_SIDED),
        (0, 0, 1_000, NoMark.ONE_SIDED),
        (15_002, 15_002, ANY_SPREAD, NoMark.CROSSED),
        (15_003, 15_002, 1_000, NoMark.CROSSED),
        (9_500, 10_500, 1_000, None),  # as wide as is allowed
        (9_499, 10_500, 1_000, NoMark.TOO_WIDE),
        (9_500, 10_501, 1_000, NoMark.TOO_WIDE),
        (1, 2, 6_666, NoMark.TOO_WIDE),
        (1, 2, 6_667, None),
    ],
)
def test_which_books_make_a_mark(bid: int, ask: int, bound: int, reason: NoMark | None) -> None:
    assert why_no_mark(bid, ask, bound) is reason


@given(st.integers(1, 1 << 50), st.integers(1, 1 << 50), st.integers(1, 10**6), st.integers(1, 50))
def test_the_bound_is_relative_and_monotone(bid: int, spread: int, bound: int, times: int) -> None:
    ask = bid + spread
    reason = why_no_mark(bid, ask, bound)
    assert why_no_mark(bid * times, ask * times, bound) is reason
    if reason is None:
        assert why_no_mark(bid, ask, bound + times) is None
        assert why_no_mark(bid + 1, ask + 1, bound) is None
    else:
        assert why_no_mark(bid, ask + times, bound) is reason


class Market:
    """What is known of a market whose bound can be changed."""

    def __init__(self, bound: int = 1_000) -> None:
        self.bound = bound
        self.clock = Clock()
        self.engine = ReplicaSink()
        self.recorder = Recorder()
        self.data = MarketData(self.engine, self.clock, lambda _symbol: self.bound)
        self.data.observe(self.recorder)
        self.data.on_feed_state(0, FeedState.LIVE)

    @property
    def marks(self) -> list[int]:
        return [mark for _, mark in self.engine.marks]

    def told(self) -> list[Prices]:
        return [each for each in self.recorder.told if isinstance(each, Prices)]


def test_the_last_mark_stays_and_grows_old() -> None:
    market = Market()
    market.data.on_touch(0, 15_000, 15_002)
    before = market.data.prices(0)
    market.clock.now_us += S
    market.data.on_touch(0, 15_000, 150_000)
    market.data.on_touch(0, 15_000, 150_001)
    assert market.marks == [15_001]
    assert market.data.prices(0) == before
    assert market.data.no_mark(0) is NoMark.TOO_WIDE
    assert market.told() == [before, before], "that it has no mark any more is told once"
    assert market.data.figures() == {
        "marks_withheld": 2,
        "marks_withheld_one_sided": 0,
        "marks_withheld_crossed": 0,
        "marks_withheld_too_wide": 2,
    }
    market.data.on_touch(0, 0, 15_002)
    assert market.data.no_mark(0) is NoMark.ONE_SIDED
    market.data.on_touch(0, 15_002, 15_004)
    assert market.data.no_mark(0) is None
    assert market.marks == [15_001, 15_003]
    assert market.data.prices(0).ts == before.ts + S


def test_a_changed_bound_acts_at_once() -> None:
    market = Market()
    market.data.on_touch(0, 10_000, 12_000)
    market.bound = 2_000
    assert market.marks == []
    market.data.judge_again()
    assert market.marks == [11_000] and market.data.no_mark(0) is None
    market.bound = 1_000
    market.data.judge_again()
    assert market.data.no_mark(0) is None, "a mark that is there stays until the book is told again"
    market.data.on_touch(0, 10_000, 12_000)
    assert market.marks == [11_000] and market.data.no_mark(0) is NoMark.TOO_WIDE
    withheld = market.data.figures()
    market.data.judge_again()
    assert market.data.figures() == withheld, "the same book by the same bound is not looked at again"
    market.bound = ANY_SPREAD
    market.data.judge_again()
    assert market.marks == [11_000, 11_000]


@pytest.mark.parametrize("state", [each for each in FeedState if each is not FeedState.LIVE])
def test_a_market_that_is_not_known_says_so_by_its_state(state: FeedState) -> None:
    market = Market()
    market.data.on_touch(0, 0, 15_002)
    market.data.on_feed_state(0, state)
    assert market.data.no_mark(0) is None
    market.bound = ANY_SPREAD
    market.data.judge_again()
    assert market.marks == []


def widen_by_depth(books: MarketBooks) -> None:
    books.apply(DepthUpdate(BTC.index, 11, 11, [], [(15_002, 0), (150_000, 100)]))


def widen_by_touch(books: MarketBooks) -> None:
    books.apply(TouchUpdate(BTC.index, 11, 15_000, 1, 150_000, 100))


def widen_by_bids(books: MarketBooks) -> None:
    books.apply(TouchUpdate(BTC.index, 11, 1_500, 1, 15_002, 1))


def empty_the_asks(books: MarketBooks) -> None:
    books.apply(DepthUpdate(BTC.index, 11, 11, [], [(15_002, 0)]))


@pytest.mark.parametrize("change", [widen_by_depth, widen_by_touch, widen_by_bids, empty_the_asks])
def test_books_of_a_feed(change: Callable[[MarketBooks], None]) -> None:
    market, books = Market(), MarketBooks([BTC])
    books.apply(DepthSnapshot(BTC.index, 10, [(15_000, 1)], [(15_002, 1)]))
    books.flush(market.data)
    change(books)
    books.flush(market.data)
    books.mark_again(BTC.index)
    books.flush(market.data)
    assert market.marks == [15_001]
    assert market.data.no_mark(0) is not None and market.data.figures()["marks_withheld"] == 2
    books.apply(DepthUpdate(BTC.index, 11, 12, [(15_000, 2)], [(15_002, 0), (15_004, 1)]))
    books.flush(market.data)
    assert market.marks == [15_001, 15_002] and market.data.no_mark(0) is None
