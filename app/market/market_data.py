"""Market data: the state of the outside market, between the feed and everyone who follows it.

The feed delivers here. What moves the engine goes straight on to it. The rest is kept for readers
(prices, recent trades, candles, the state of each symbol) and published to observers. Everything is
bounded by symbols, and by the maxima below for each of them.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.market.candles import INTERVALS_SECONDS, CandleSeries
from app.market.mark_rule import NoMark, any_spread, why_no_mark
from app.market.types import Candle, EngineSink, FeedState, MarketObserver, Prices

logger = logging.getLogger(__name__)

# Kept of each symbol.
TRADES_MAX = 1_000
# The interval at which changed candles are published and finished ones closed.
CANDLES_INTERVAL_SECONDS = 0.25
# No exchange's clock is further ahead of ours: a later time is damaged, and ours is taken.
AHEAD_US_MAX = 60_000_000


class MarketTrade(NamedTuple):
    """Ticks, steps, microseconds."""

    price: int
    quantity: int
    ts: int


def wall_clock_us() -> int:
    return time.time_ns() // 1_000


class _Symbol:
    __slots__ = (
        "candles",
        "heard_us",
        "no_mark",
        "prices",
        "spread_max_bps",
        "state",
        "touch",
        "trade_ts",
        "trades",
    )

    def __init__(self, symbol: int) -> None:
        self.prices = Prices(symbol, 0, 0, 0, 0)
        self.state = FeedState.DISCONNECTED
        self.touch = (0, 0)  # the newest
        self.no_mark: NoMark | None = None  # why the newest touch makes none
        self.spread_max_bps = 0  # by which it was judged
        self.trades: deque[MarketTrade] = deque(maxlen=TRADES_MAX)
        self.candles: dict[int, CandleSeries] = {}
        # The market's time is the newest trade's and moves on with our clock from when we heard of it:
        # so a candle closes in time whatever the exchange's clock says, and in recordings too.
        self.trade_ts = 0
        self.heard_us = 0


class MarketData:
    """A `MarketSink`; all methods are called on the event loop's thread.

    spread_max_bps: the bound on the spread of a book that makes a mark, by symbol; called each time, so that
    a change takes effect at once.
    """

    def __init__(
        self,
        engine: EngineSink,
        clock_us: Callable[[], int] = wall_clock_us,
        spread_max_bps: Callable[[int], int] = any_spread,
    ) -> None:
        self._engine = engine
        self._clock_us = clock_us
        self._spread_max_bps = spread_max_bps
        self._withheld: Counter[NoMark] = Counter()
        self._symbols: dict[int, _Symbol] = {}
        self._observers: list[MarketObserver] = []

    def observe(self, observer: MarketObserver) -> None:
        self._observers.append(observer)

    def ignore(self, observer: MarketObserver) -> None:
        """Notify `observer` no more."""
        self._observers.remove(observer)

    # For readers. A symbol without any data yet is as good as any other.

    def prices(self, symbol: int) -> Prices:
        known = self._symbols.get(symbol)
        return known.prices if known else Prices(symbol, 0, 0, 0, 0)

    def state(self, symbol: int) -> FeedState:
        known = self._symbols.get(symbol)
        return known.state if known else FeedState.DISCONNECTED

    def no_mark(self, symbol: int) -> NoMark | None:
        """Why the newest book makes no mark; None if it makes one, or if there is no market."""
        known = self._symbols.get(symbol)
        return known.no_mark if known else None

    def figures(self) -> dict[str, int]:
        """The number of books since the start that made no mark, by reason."""
        reasons = {f"marks_withheld_{reason.lower()}": self._withheld[reason] for reason in NoMark}
        return {"marks_withheld": self._withheld.total(), **reasons}

    def trades(self, symbol: int, limit: int) -> list[MarketTrade]:
        """The newest first."""
        known = self._symbols.get(symbol)
        return list(islice(reversed(known.trades), limit)) if known else []

    def candles(self, symbol: int, interval_s: int, limit: int) -> Iterator[Candle]:
        """Oldest first; one of INTERVALS_SECONDS. The last one may be open."""
        known = self._symbols.get(symbol)
        series = known.candles.get(interval_s) if known else None
        return series.newest(limit) if series else iter(())

    # Called by the feed (`app.market.types.MarketSink`).

    def on_levels(self, levels: NDArray[np.void]) -> None:
        self._engine.on_levels(levels)
        if self._observers:
            for symbol in sorted(set(levels["symbol"].tolist())):
                for observer in self._observers:
                    observer.on_book(symbol)

    def on_touch(self, symbol: int, bid: int, ask: int) -> None:
        known = self._symbol(symbol)
        known.touch = bid, ask
        known.spread_max_bps = self._spread_max_bps(symbol)
        reason = why_no_mark(bid, ask, known.spread_max_bps)
        if reason is None:
            self.on_mark(symbol, (bid + ask) // 2)
            return
        self._withheld[reason] += 1
        if reason is not known.no_mark:
            known.no_mark = reason
            logger.warning("market data: no mark of symbol %d: %s, bid %d, ask %d", symbol, reason, bid, ask)
            for observer in self._observers:
                observer.on_prices(known.prices)

    def on_mark(self, symbol: int, mark: int) -> None:
        self._engine.on_mark(symbol, mark)
        known = self._symbol(symbol)
        known.no_mark = None
        prices = Prices(symbol, known.prices.last, mark, mark, self._clock_us())
        known.prices = prices
        for observer in self._observers:
            observer.on_prices(prices)

    def on_trade(self, symbol: int, price: int, quantity: int, ts: int) -> None:
        known = self._symbol(symbol)
        now_us = self._clock_us()
        if ts > now_us + AHEAD_US_MAX:
            ts = now_us
        known.trades.append(MarketTrade(price, quantity, ts))
        known.prices = known.prices._replace(last=price)
        if ts >= known.trade_ts:
            known.trade_ts, known.heard_us = ts, now_us
        if not known.candles:
            known.candles = {interval_s: CandleSeries(symbol, interval_s) for interval_s in INTERVALS_SECONDS}
        for series in known.candles.values():
            series.add(price, quantity, ts)
        for observer in self._observers:
            observer.on_trade(symbol, price, quantity, ts)

    def on_feed_state(self, symbol: int, state: FeedState) -> None:
        known = self._symbol(symbol)
        if known.state is state:
            return
        known.state = state
        if state is not FeedState.LIVE:
            known.no_mark = None  # the state says why
        if state is FeedState.DISCONNECTED:
            known.trade_ts = 0
            for series in known.candles.values():
                series.interrupt()
        for observer in self._observers:
            observer.on_feed_state(symbol, state)

    # By the clock.

    async def run(self) -> None:
        """Close and publish candles, and check books again whose bound has changed, until cancelled."""
        while True:
            await asyncio.sleep(CANDLES_INTERVAL_SECONDS)
            self.publish_candles()
            self.judge_again()

    def judge_again(self) -> None:
        """An unchanged book brings no touch: one without a mark may have one by a new bound."""
        for symbol, known in self._symbols.items():
            if known.no_mark is not None and known.spread_max_bps != self._spread_max_bps(symbol):
                self.on_touch(symbol, *known.touch)

    def publish_candles(self) -> None:
        now_us = self._clock_us()
        for known in self._symbols.values():
            for series in known.candles.values():
                if known.state is FeedState.LIVE and known.trade_ts:
                    series.advance(known.trade_ts + now_us - known.heard_us)
                changed = series.take_changed()
                for observer in self._observers:
                    for candle in changed:
                        observer.on_candle(candle)

    def _symbol(self, symbol: int) -> _Symbol:
        known = self._symbols.get(symbol)
        if known is None:
            known = self._symbols[symbol] = _Symbol(symbol)
        return known
