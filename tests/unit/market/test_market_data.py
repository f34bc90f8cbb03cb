"""Candles, prices and trades as readers and observers get them."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.market.candles import CANDLES_MAX, CandleSeries
from app.market.level_batch import LevelBatch
from app.market.market_data import TRADES_MAX, MarketData, MarketTrade
from app.market.types import Candle, FeedState, Prices
from tests.support.market import ReplicaSink

S = 1_000_000
START = 1_700_000_000 * S


@dataclass
class Recorder:
    """An observer that keeps what it is told."""

    told: list[object] = field(default_factory=list)
    candles: dict[tuple[int, int], Candle] = field(default_factory=dict)

    def on_trade(self, symbol: int, price: int, quantity: int, ts: int) -> None:
        self.told.append((symbol, MarketTrade(price, quantity, ts)))

    def on_prices(self, prices: Prices) -> None:
        self.told.append(prices)

    def on_candle(self, candle: Candle) -> None:
        self.candles[candle.interval_s, candle.start_ts] = candle

    def on_book(self, symbol: int) -> None:
        self.told.append(("book", symbol))

    def on_feed_state(self, symbol: int, state: FeedState) -> None:
        self.told.append((symbol, state))


class Clock:
    def __init__(self) -> None:
        self.now_us = START

    def __call__(self) -> int:
        return self.now_us


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def market(clock: Clock) -> MarketData:
    return MarketData(ReplicaSink(), clock)


def candle(
    start_seconds: int, values: tuple[int, int, int, int], volume: int, trades: int, closed: bool
) -> Candle:
    return Candle(0, 1, START + start_seconds * S, *values, volume, trades, closed)


def test_a_candle_holds_the_trades_of_its_interval() -> None:
    series = CandleSeries(0, 1)
    for price, quantity, at_us in ((10, 1, 0), (12, 2, 400_000), (9, 3, 800_000), (11, 4, 999_999)):
        series.add(price, quantity, START + at_us)
    assert series.take_changed() == [candle(0, (10, 12, 9, 11), 10, 4, False)]
    assert series.take_changed() == []
    series.add(20, 5, START + S)
    closed, opened = series.take_changed()
    assert closed == candle(0, (10, 12, 9, 11), 10, 4, True)
    assert opened == candle(1, (20, 20, 20, 20), 5, 1, False)
    assert list(series.newest(10)) == [closed, opened]
    assert list(series.newest(1)) == [opened]


def test_quiet_intervals_are_flat_and_unwatched_ones_are_missing() -> None:
    series = CandleSeries(0, 1)
    series.add(10, 1, START)
    series.advance(START + S - 1)
    assert [each.closed for each in series.newest(5)] == [False]
    series.advance(START + S)
    series.advance(START + 2 * S)
    series.interrupt()
    series.add(11, 1, START + 9 * S)
    assert [(each.start_ts - START) // S for each in series.newest(9)] == [0, 1, 2, 9]
    assert [each.trades for each in series.newest(9)] == [1, 0, 0, 1]


def test_an_interrupted_interval_goes_on() -> None:
    series = CandleSeries(0, 1)
    series.add(10, 1, START)
    series.interrupt()
    series.add(12, 2, START + 500_000)
    assert list(series.newest(9)) == [candle(0, (10, 12, 10, 12), 3, 2, False)]


def test_a_late_trade_corrects_its_candle() -> None:
    series = CandleSeries(0, 1)
    series.add(10, 1, START)
    series.add(11, 1, START + 2 * S)
    series.take_changed()
    series.add(15, 2, START + 900_000)
    assert series.take_changed() == [candle(0, (10, 15, 10, 10), 3, 2, True)]
    series.add(99, 1, START - 60 * S)  # of no candle that is left
    assert series.take_changed() == []


def test_kept_candles_are_bounded() -> None:
    series = CandleSeries(0, 1)
    for second in range(CANDLES_MAX + 50):
        series.add(10, 1, START + second * S)
    kept = list(series.newest(10 * CANDLES_MAX))
    assert len(kept) == CANDLES_MAX + 1
    assert kept[0].start_ts == START + 49 * S
    assert len(series.take_changed()) == CANDLES_MAX + 1


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 9), st.integers(0, 3 * S)), max_size=60))
def test_candles_equal_a_plain_count(steps: list[tuple[int, int, int]]) -> None:
    series, ts = CandleSeries(0, 1), START
    by_second: dict[int, list[tuple[int, int]]] = {}
    for price, quantity, later_us in steps:
        ts += later_us
        series.add(price, quantity, ts)
        by_second.setdefault(ts - ts % S, []).append((price, quantity))
    expected = []
    for start_ts, trades in by_second.items():
        prices = [price for price, _ in trades]
        volume = sum(quantity for _, quantity in trades)
        expected.append((start_ts, prices[0], max(prices), min(prices), prices[-1], volume, len(trades)))
    assert [each[2:9] for each in series.newest(100)] == expected


def test_readers_see_prices_trades_and_states(market: MarketData) -> None:
    recorder = Recorder()
    market.observe(recorder)
    assert market.state(0) is FeedState.DISCONNECTED
    assert market.prices(0) == Prices(0, 0, 0, 0, 0)
    assert market.trades(0, 5) == []
    market.on_feed_state(0, FeedState.LIVE)
    market.on_feed_state(0, FeedState.LIVE)
    market.on_trade(0, 11, 2, START)
    market.on_mark(0, 10)
    assert market.prices(0) == Prices(0, 11, 10, 10, START)
    assert market.trades(0, 5) == [MarketTrade(11, 2, START)]
    expected = [(0, FeedState.LIVE), (0, MarketTrade(11, 2, START)), Prices(0, 11, 10, 10, START)]
    assert recorder.told == expected
    market.ignore(recorder)
    market.on_mark(0, 12)
    assert recorder.told == expected


def test_the_engine_gets_levels_and_marks_and_observers_hear_of_books(clock: Clock) -> None:
    engine, recorder = ReplicaSink(), Recorder()
    market = MarketData(engine, clock)
    market.observe(recorder)
    batch = LevelBatch()
    batch.append((10, 1, 3, 0, 0))
    batch.append((11, 1, 3, 1, 0))
    batch.append((10, 1, 5, 0, 0))
    market.on_levels(batch.take())
    market.on_mark(3, 10)
    assert engine.touch(3) == (10, 11)
    assert engine.marks == [(3, 10)]
    assert recorder.told[:2] == [("book", 3), ("book", 5)]


def test_trades_kept_are_bounded(market: MarketData) -> None:
    for number in range(TRADES_MAX + 10):
        market.on_trade(0, number + 1, 1, START)
    assert [trade.price for trade in market.trades(0, 10 * TRADES_MAX)] == list(
        range(TRADES_MAX + 10, 10, -1)
    )


def test_candles_close_by_the_clock_while_live(market: MarketData, clock: Clock) -> None:
    recorder = Recorder()
    market.observe(recorder)
    market.on_feed_state(0, FeedState.LIVE)
    year_us = 365 * 86_400 * S  # the market's time is that of its trades
    market.on_trade(0, 10, 1, START - year_us)
    clock.now_us += 2 * S + 100
    market.publish_candles()
    told = {key: each for key, each in recorder.candles.items() if key[0] == 1}
    assert [(each.start_ts - START + year_us) // S for each in told.values()] == [0, 2]
    assert [each.closed for each in told.values()] == [True, False]
    market.on_feed_state(0, FeedState.STALE)
    clock.now_us += 60 * S
    market.publish_candles()
    assert {key: each for key, each in recorder.candles.items() if key[0] == 1} == told
    market.on_feed_state(0, FeedState.DISCONNECTED)
    assert all(each.closed for each in market.candles(0, 1, 9))
    assert list(market.candles(0, 60, 9))[-1].closed
    assert list(market.candles(0, 7, 9)) == []


def test_a_time_far_ahead_is_not_believed(market: MarketData) -> None:
    market.on_trade(0, 10, 1, START + 3600 * S)
    assert market.trades(0, 1) == [MarketTrade(10, 1, START)]


def test_candles_of_two_symbols_are_apart(market: MarketData) -> None:
    market.on_trade(0, 10, 1, START)
    market.on_trade(1, 20, 1, START)
    closes = [[each.close for each in market.candles(symbol, 1, 5)] for symbol in (0, 1)]
    assert closes == [[10], [20]]
