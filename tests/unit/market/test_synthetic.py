"""The synthetic market is plausible, and the same for the same seed."""

import asyncio

import numpy as np
import pytest

from app.engine.types import Side
from app.market.synthetic import LEVELS, SyntheticFeed, SyntheticMarket, start_ticks
from app.market.types import FeedState, LevelKind
from tests.support.feed import until
from tests.support.market import CountingSink, Instrument, ReplicaSink, demo_instruments


def play(market: SyntheticMarket, steps: int) -> ReplicaSink:
    sink = ReplicaSink(keep_records=True)
    for _ in range(steps):
        step = market.step()
        sink.on_levels(step.levels)
        for touch in step.touches:
            sink.on_touch(*touch)
        sink.trades += [(*trade, 0) for trade in step.trades]
    return sink


def test_the_same_seed_gives_the_same_market() -> None:
    instruments = demo_instruments()
    one, two, other = (play(SyntheticMarket(instruments, seed=seed), 50) for seed in (7, 7, 8))
    assert (one.records, one.marks, one.trades) == (two.records, two.marks, two.trades)
    assert one.marks != other.marks


def test_books_are_complete_and_never_crossed() -> None:
    """Looked at after every single record; the sink refuses those that change nothing."""
    instruments = demo_instruments()
    market = SyntheticMarket(instruments, seed=3, volatility=5)
    sink = ReplicaSink()
    for _ in range(200):
        step = market.step()
        for row in range(len(step.levels)):
            sink.on_levels(step.levels[row : row + 1])
            assert not sink.crossed(int(step.levels[row]["symbol"]))
        for symbol, bid, ask in step.touches:
            assert (bid, ask) == sink.touch(symbol)
            assert len(sink.side(symbol, Side.BUY)) == len(sink.side(symbol, Side.SELL)) == LEVELS


def test_a_step_publishes_little_more_than_what_moved() -> None:
    market = SyntheticMarket(demo_instruments(), seed=3)
    market.step()
    published = [len(market.step().levels) for _ in range(100)]
    assert np.mean(published) < 0.5 * 8 * 2 * LEVELS


def test_returns_are_correlated_and_as_volatile_as_asked_for() -> None:
    instruments = demo_instruments()
    market = SyntheticMarket(instruments, seed=11, interval_ms=1000)
    marks = np.array([[bid + ask for _, bid, ask in market.step().touches] for _ in range(4000)], np.float64)
    returns = np.diff(np.log(marks), axis=0)
    yearly = returns[:, :3].std(axis=0) * np.sqrt(365.25 * 86_400)
    assert yearly == pytest.approx([0.50, 0.65, 0.90], rel=0.1)
    correlation = np.corrcoef(returns[:, :3].T)
    assert correlation[0, 1] == pytest.approx(0.92 * 0.90, abs=0.04)
    assert correlation[0, 2] == pytest.approx(0.92 * 0.80, abs=0.05)


def test_prices_stay_in_range_however_wild() -> None:
    instruments = demo_instruments()
    start = {each.index: start_ticks(each) for each in instruments}
    sink = play(SyntheticMarket(instruments, seed=5, volatility=1000, interval_ms=1000), 500)
    for symbol, mark in sink.marks:
        assert 0.24 * start[symbol] < mark < 4.1 * start[symbol]


def test_it_starts_at_given_marks_or_the_demo_prices() -> None:
    instruments = demo_instruments()
    touches = SyntheticMarket(instruments, seed=1, start_marks={1: 300_000}).step().touches
    marks = {symbol: (bid + ask) // 2 for symbol, bid, ask in touches}
    assert marks[0] == pytest.approx(6_180_000, rel=0.001)
    assert marks[1] == pytest.approx(300_000, rel=0.001)


@pytest.mark.parametrize(("tick_e12", "expected"), [(10**10, 10_000), (3 * 10**13, 3), (10**15, 1)])
def test_an_unknown_instrument_has_a_market_too(tick_e12: int, expected: int) -> None:
    """Even one whose prices are but a few ticks, where there is no room for all levels."""
    unknown = Instrument(4, "ODD-USDT", "ODD", "USDT", tick_e12, 10**6)
    assert start_ticks(unknown) == expected
    sink = play(SyntheticMarket([unknown], seed=1), 100)
    assert not sink.crossed(4)
    assert sink.side(4, Side.BUY) and len(sink.side(4, Side.SELL)) == LEVELS


def test_no_instruments_is_an_empty_market() -> None:
    step = SyntheticMarket([], seed=1).step()
    assert len(step.levels) == len(step.touches) == len(step.trades) == 0


def test_the_feed_delivers_the_market_at_its_pace_and_restarts() -> None:
    instruments = demo_instruments()
    feed = SyntheticFeed(instruments, seed=9, interval_ms=10)

    async def run() -> ReplicaSink:
        sink = CountingSink(keep_records=True, marks_wanted=5 * len(instruments))
        await asyncio.wait_for(sink.run_until_marked(feed), 30)
        return sink

    first, second = (asyncio.run(run()) for _ in range(2))
    expected = play(feed.market(), 5)
    clears = [record for record in first.records if record[4] == LevelKind.CLEAR]
    assert [record[2] for record in clears] == [each.index for each in instruments]
    for sink in (first, second):
        assert sink.records[len(clears) : len(clears) + len(expected.records)] == expected.records
        assert sink.marks[: len(expected.marks)] == expected.marks


def test_instruments_come_and_go_and_the_others_go_on() -> None:
    first, second, third = demo_instruments()[:3]
    feed = SyntheticFeed([first, second], interval_ms=10)
    sink = ReplicaSink()

    async def run() -> None:
        task = asyncio.ensure_future(feed.run(sink))
        for followed in ((first, second), (second, third), ()):
            feed.follow(followed)
            await asyncio.sleep(0.05)  # a step that was under way
            before = dict(sink.marks).get(second.index)
            sink.marks.clear()
            wanted = {each.index for each in followed}
            await until(lambda: {symbol for symbol, _ in sink.marks} == wanted, "marks", task)  # noqa: B023  # now
            live = {symbol for symbol, state in sink.states.items() if state is FeedState.LIVE}
            assert live == wanted
            assert {symbol for (symbol, _), levels in sink.books.items() if levels} == live
            if followed and before is not None:
                assert abs(dict(sink.marks)[second.index] / before - 1) < 0.01
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(run(), 30))
