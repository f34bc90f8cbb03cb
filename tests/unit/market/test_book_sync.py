"""Continuity of depth updates, gaps, and touches that are fresher than depth."""

import pytest

from app.engine.types import Side
from app.market import book_side, book_sync
from app.market.book_sync import BookSync, Outcome
from app.market.level_batch import LevelBatch
from app.market.messages import DepthSnapshot, DepthUpdate, Levels, TouchUpdate
from tests.support.market import ReplicaSink

SNAPSHOT = DepthSnapshot(0, 10, [(100, 5), (99, 6), (98, 7)], [(102, 5), (103, 6), (104, 7)])


class Market:
    def __init__(self) -> None:
        self.batch = LevelBatch()
        self.book = BookSync(0, "BTC-USDT", self.batch)
        self.sink = ReplicaSink()

    def levels(self) -> tuple[Levels, Levels]:
        """What is displayed, and has been published, best first."""
        self.sink.on_levels(self.batch.take())
        bids, asks = self.sink.side(0, Side.BUY), self.sink.side(0, Side.SELL)
        published = sorted(bids.items(), reverse=True), sorted(asks.items())
        assert published == (self.book.bids.displayed(), self.book.asks.displayed())
        return published

    def depth(self, first: int, last: int, bids: Levels, asks: Levels | None = None) -> Outcome:
        return self.book.apply_depth(DepthUpdate(0, first, last, bids, asks or []))

    def touch(self, update_id: int, bid: int, ask: int, quantity: int = 1) -> Outcome:
        return self.book.apply_touch(TouchUpdate(0, update_id, bid, quantity, ask, quantity))


@pytest.fixture
def market() -> Market:
    market = Market()
    assert market.book.apply_snapshot(SNAPSHOT) is Outcome.APPLIED
    return market


def test_updates_wait_for_the_snapshot() -> None:
    market = Market()
    assert market.depth(5, 10, [(100, 1)]) is Outcome.BUFFERED
    assert market.depth(11, 12, [(99, 0)]) is Outcome.BUFFERED
    assert market.depth(13, 14, [(97, 3)]) is Outcome.BUFFERED
    assert market.book.touch() is None
    assert market.book.apply_snapshot(SNAPSHOT) is Outcome.APPLIED
    assert market.levels()[0] == [(100, 5), (98, 7), (97, 3)]
    assert market.book.last_id == 14


def test_the_first_update_may_begin_before_the_snapshot(market: Market) -> None:
    assert market.depth(8, 10, [(1, 1)]) is Outcome.STALE
    assert market.depth(8, 11, [(99, 1)]) is Outcome.APPLIED
    assert market.depth(12, 12, [(98, 0)]) is Outcome.APPLIED
    assert market.levels()[0] == [(100, 5), (99, 1)]


def test_a_snapshot_older_than_the_updates_is_of_no_use() -> None:
    market = Market()
    market.depth(20, 21, [(100, 1)])
    assert market.book.apply_snapshot(SNAPSHOT) is Outcome.TOO_OLD
    assert not market.book.in_sync
    assert market.book.apply_snapshot(SNAPSHOT._replace(last_id=19)) is Outcome.APPLIED
    assert market.book.last_id == 21


def test_updates_that_came_in_the_wrong_order_before_the_snapshot() -> None:
    market = Market()
    market.depth(13, 14, [(99, 2)])
    market.depth(11, 12, [(99, 1)])
    assert market.book.apply_snapshot(SNAPSHOT) is Outcome.APPLIED
    assert market.levels()[0][1] == (99, 2)


def test_a_repeated_update_changes_nothing(market: Market) -> None:
    market.depth(11, 12, [(99, 1)])
    before = market.levels()
    assert market.depth(11, 12, [(99, 1)]) is Outcome.STALE
    assert market.levels() == before


def test_a_gap_clears_the_book_until_a_snapshot(market: Market) -> None:
    assert market.depth(12, 13, [(99, 1)]) is Outcome.GAP
    assert market.book.gaps == 1
    assert not market.book.in_sync
    assert market.book.touch() is None
    assert market.levels() == ([], [])
    assert market.depth(14, 15, [(97, 1)]) is Outcome.BUFFERED
    assert market.book.apply_snapshot(SNAPSHOT._replace(last_id=11)) is Outcome.APPLIED
    assert market.levels()[0] == [(100, 5), (99, 1), (98, 7), (97, 1)]
    assert market.book.gaps == 1


def test_a_gap_among_the_updates_that_waited() -> None:
    market = Market()
    market.depth(11, 12, [(99, 1)])
    market.depth(15, 16, [(99, 2)])
    assert market.book.apply_snapshot(SNAPSHOT) is Outcome.GAP
    assert not market.book.in_sync
    assert market.book.apply_snapshot(SNAPSHOT._replace(last_id=15)) is Outcome.APPLIED
    assert market.levels()[0][1] == (99, 2)


def test_waiting_updates_are_bounded() -> None:
    market = Market()
    for first in range(11, 11 + 2 * book_sync.BUFFERED_MAX):
        market.depth(first, first, [(99, first)])
    assert market.book.apply_snapshot(SNAPSHOT) is Outcome.TOO_OLD
    assert market.book.apply_snapshot(SNAPSHOT._replace(last_id=1_500)) is Outcome.APPLIED


def test_an_old_snapshot_does_not_turn_the_book_back(market: Market) -> None:
    market.depth(11, 12, [(99, 1)])
    assert market.book.apply_snapshot(SNAPSHOT) is Outcome.STALE
    assert market.book.apply_snapshot(SNAPSHOT._replace(last_id=12)) is Outcome.APPLIED
    assert market.levels()[0][1] == (99, 6)


def test_messages_from_far_ahead_are_not_believed(market: Market) -> None:
    far = 10 + book_sync.AHEAD_MAX + 1
    before = market.levels()
    assert market.touch(far, 1, 2) is Outcome.IMPLAUSIBLE
    assert market.depth(11, far, [(1, 1)]) is Outcome.IMPLAUSIBLE
    assert market.book.apply_snapshot(SNAPSHOT._replace(last_id=far)) is Outcome.IMPLAUSIBLE
    assert market.levels() == before
    assert market.touch(11, 101, 102) is Outcome.APPLIED


def test_a_damaged_update_that_waited_does_not_block_the_snapshot() -> None:
    market = Market()
    market.depth(10**12, 10**12, [(1, 1)])
    market.depth(11, 11, [(99, 1)])
    assert market.book.apply_snapshot(SNAPSHOT) is Outcome.APPLIED
    assert market.levels()[0][1] == (99, 1)


def test_a_book_that_crosses_itself_is_lost(market: Market) -> None:
    assert market.depth(11, 11, [(102, 1)]) is Outcome.GAP
    assert market.levels() == ([], [])


def test_a_touch_removes_what_is_better_and_sets_itself(market: Market) -> None:
    assert market.touch(11, 99, 103, quantity=2) is Outcome.APPLIED
    assert market.levels() == ([(99, 2), (98, 7)], [(103, 2), (104, 7)])
    assert market.touch(12, 101, 103, quantity=2) is Outcome.APPLIED
    # 100 was gone when the touch stood at 99: it does not come back with a better touch.
    assert market.levels() == ([(101, 2), (99, 2), (98, 7)], [(103, 2), (104, 7)])


def test_a_stale_touch_is_ignored(market: Market) -> None:
    before = market.levels()
    assert market.touch(10, 50, 60) is Outcome.STALE
    market.touch(12, 100, 102, quantity=5)
    assert market.touch(11, 50, 60) is Outcome.STALE
    assert market.touch(12, 50, 60) is Outcome.STALE
    assert market.levels() == before


def test_older_depth_does_not_bring_back_what_a_touch_removed(market: Market) -> None:
    market.touch(20, 98, 104, quantity=9)
    market.depth(11, 15, [(100, 50), (99, 60), (98, 70), (97, 80)], [(101, 50), (105, 80)])
    assert market.levels() == ([(98, 9), (97, 80)], [(104, 9), (105, 80)])
    # The next one has caught up with the touch: depth is the newest again.
    market.depth(16, 20, [(100, 0), (98, 9)], [(101, 0), (102, 0)])
    assert market.levels() == ([(99, 60), (98, 9), (97, 80)], [(103, 6), (104, 7), (105, 80)])


def test_depth_overtakes_only_the_older_touches(market: Market) -> None:
    market.touch(12, 98, 104)
    market.touch(14, 99, 103)
    market.depth(11, 13, [(100, 0), (98, 8)], [(102, 0)])
    assert market.levels() == ([(99, 1), (98, 8)], [(103, 1), (104, 7)])


def test_a_touch_that_came_before_the_snapshot() -> None:
    market = Market()
    assert market.touch(9, 50, 60) is Outcome.BUFFERED
    assert market.touch(11, 101, 103) is Outcome.BUFFERED
    market.book.apply_snapshot(SNAPSHOT)
    assert market.levels() == ([(101, 1), (100, 5), (99, 6), (98, 7)], [(103, 1), (104, 7)])


def test_the_touch_is_the_newest_that_is_known(market: Market) -> None:
    assert market.book.touch() == (100, 102)
    market.touch(11, 100, 103)
    assert market.book.touch() == (100, 103)
    market.depth(11, 12, [], [(102, 0), (103, 0)])
    assert market.book.touch() == (100, 104)


def test_a_side_that_is_empty_has_no_touch(market: Market) -> None:
    market.depth(11, 11, [(100, 0), (99, 0), (98, 0)])
    assert market.book.touch() == (0, 102)
    market.depth(12, 12, [(97, 1)], [(102, 0), (103, 0), (104, 0)])
    assert market.book.touch() == (97, 0)


def test_reset_forgets_everything(market: Market) -> None:
    market.touch(11, 101, 102)
    market.book.reset()
    assert market.levels() == ([], [])
    assert market.book.apply_snapshot(SNAPSHOT._replace(last_id=3)) is Outcome.APPLIED


def test_the_worst_levels_beyond_the_maximum_are_dropped(market: Market) -> None:
    prices = range(10_000, 10_000 + book_side.LEVELS_MAX)
    market.depth(11, 11, [], [(price, 1) for price in prices])
    asks = market.levels()[1]
    assert len(asks) == book_side.LEVELS_MAX
    assert asks[0] == (102, 5)
    assert asks[-1][0] == prices[-1] - 3


def test_a_check_confirms_what_is_right(market: Market) -> None:
    market.book.begin_check()
    assert market.depth(11, 12, [(100, 0), (97, 4)], [(102, 9)]) is Outcome.APPLIED
    assert market.book.apply_snapshot(SNAPSHOT) is Outcome.CONFIRMED
    assert market.book.gaps == 0
    assert market.levels() == ([(99, 6), (98, 7), (97, 4)], [(102, 9), (103, 6), (104, 7)])


def test_a_check_waits_until_the_depth_has_caught_up(market: Market) -> None:
    market.book.begin_check()
    ahead = DepthSnapshot(0, 13, [(100, 1), (99, 6), (98, 7)], SNAPSHOT.asks)
    assert market.book.apply_snapshot(ahead) is Outcome.BUFFERED
    assert market.depth(11, 12, [(100, 3)]) is Outcome.APPLIED
    assert market.depth(13, 14, [(100, 1), (98, 2)]) is Outcome.CONFIRMED
    assert market.levels()[0] == [(100, 1), (99, 6), (98, 2)]


def test_a_check_finds_a_book_that_is_wrong_and_loads_it_anew(market: Market) -> None:
    assert market.depth(11, 12, [(100, 3)]) is Outcome.APPLIED
    market.book.begin_check()
    assert market.depth(13, 14, [(98, 2)]) is Outcome.APPLIED
    assert market.touch(16, 101, 102) is Outcome.APPLIED
    truth = DepthSnapshot(0, 12, [(100, 4), (99, 6), (98, 7)], SNAPSHOT.asks)
    assert market.book.apply_snapshot(truth) is Outcome.DIVERGED
    assert (market.book.gaps, market.book.last_id, market.book.in_sync) == (1, 14, True)
    assert market.levels()[0] == [(101, 1), (100, 4), (99, 6), (98, 2)]


def test_a_check_compares_no_deeper_than_the_snapshot_goes(market: Market) -> None:
    market.book.begin_check()
    short = DepthSnapshot(0, 10, [(100, 5), (99, 6)], [(102, 5)])
    assert market.book.apply_snapshot(short) is Outcome.CONFIRMED
    assert len(market.levels()[0]) == 3


def test_a_check_for_which_updates_are_missing_says_nothing(market: Market) -> None:
    assert market.depth(11, 12, [(100, 3)]) is Outcome.APPLIED
    market.book.begin_check()
    assert market.depth(13, 14, []) is Outcome.APPLIED
    assert market.book.apply_snapshot(SNAPSHOT) is Outcome.TOO_OLD
    assert market.book.in_sync and market.book.gaps == 0
    assert market.depth(15, 16, [(100, 7)]) is Outcome.APPLIED


def test_a_gap_ends_a_check(market: Market) -> None:
    market.book.begin_check()
    assert market.depth(11, 12, [(100, 3)]) is Outcome.APPLIED
    assert market.depth(14, 15, []) is Outcome.GAP
    assert market.book.apply_snapshot(DepthSnapshot(0, 13, [(100, 1)], [(102, 1)])) is Outcome.APPLIED
    assert market.book.in_sync and market.book.last_id == 15


def test_a_number_that_cannot_be_true_is_found_out(market: Market) -> None:
    """One damaged `u`, and all that follows seems to be old."""
    assert market.depth(11, 900_000, [(100, 3)]) is Outcome.APPLIED
    outcomes = [market.depth(at, at, [(99, at)]) for at in range(12, 12 + book_sync.STALE_RUN_MAX)]
    assert outcomes[:-1] == [Outcome.STALE] * (book_sync.STALE_RUN_MAX - 1)
    assert outcomes[-1] is Outcome.GAP
    assert market.book.gaps == 1 and market.book.touch() is None
    assert market.levels() == ([], [])


def test_a_touch_that_cannot_be_true_is_dropped(market: Market) -> None:
    assert market.touch(900_000, 101, 102) is Outcome.APPLIED
    outcomes = [market.touch(20 + at, 99, 100) for at in range(book_sync.STALE_RUN_MAX)]
    assert outcomes == [Outcome.STALE] * (book_sync.STALE_RUN_MAX - 1) + [Outcome.APPLIED]
    assert market.book.touch() == (99, 100)
    assert market.levels()[0][0] == (99, 1)


def test_updates_that_a_snapshot_has_overtaken_are_no_such_run(market: Market) -> None:
    old = [market.depth(1, 5, [(99, 1)]) for _ in range(3 * book_sync.STALE_RUN_MAX)]
    assert set(old) == {Outcome.STALE}
    assert market.book.in_sync


def test_touches_over_silent_depth_are_bounded(market: Market) -> None:
    for number in range(3 * book_sync.TOUCHES_MAX):
        assert market.touch(11 + number, 101 + number, 1_000 + number) is Outcome.APPLIED
    assert len(market.levels()[0]) <= book_sync.TOUCHES_MAX + len(SNAPSHOT.bids)
    assert market.levels()[0][0] == (100 + 3 * book_sync.TOUCHES_MAX, 1)
