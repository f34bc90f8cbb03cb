"""Synthetic market: correlated random walks with plausible books.

`SyntheticMarket` generates the market step by step and knows no clock: the same instruments, start
marks and seed give the same steps, whatever the pace. `SyntheticFeed` takes a step each interval.

Each step moves every mid by a geometric random walk, whose noise is partly the whole market's (one
factor) and partly the symbol's own. Around the mid lie the touch and further levels at round
prices; those keep their quantity from step to step, apart from some that are renewed, so a step
publishes little more than what moved.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.engine.types import Side
from app.market.demo_instruments import DEMO_INSTRUMENTS
from app.market.grid import FeedGrid
from app.market.types import LEVEL_UPDATE, FeedState, LevelKind, MarketInstrument, MarketSink

logger = logging.getLogger(__name__)

LEVELS = 20  # displayed on each side
SPREAD_BPS = 0.3  # at least one tick
LEVEL_SPACING_BPS = 0.8  # at least one tick
RENEWED_SHARE = 0.15  # of the levels, each step
TRADE_PROBABILITY = 0.3  # of each symbol, each step
LEVEL_NOTIONAL = 12_000.0  # quote currency, of a typical level next to the touch
TRADE_NOTIONAL = 1_500.0
# A walk is reflected here, so that no price leaves the range that an instrument allows.
DRIFT_MAX = np.log(4.0)
YEAR_SECONDS = 365.25 * 86_400
INTERVAL_MS_MIN, INTERVAL_MS_MAX = 10, 60_000

OTHER_START_PRICE = "100"
OTHER_VOLATILITY, OTHER_CORRELATION = 0.8, 0.7

_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]


class SyntheticTrade(NamedTuple):
    symbol: int
    price: int
    quantity: int


class SyntheticStep(NamedTuple):
    levels: NDArray[np.void]  # LEVEL_UPDATE
    touches: list[tuple[int, int, int]]  # symbol, best bid, best ask
    trades: list[SyntheticTrade]


def start_ticks(instrument: MarketInstrument) -> int:
    """The start price of a symbol in ticks, if no other is known."""
    prices = {demo.symbol: demo.start_price for demo in DEMO_INSTRUMENTS}
    grid = FeedGrid(instrument.price_tick_e12, floored=True)
    return max(1, grid[prices.get(instrument.symbol, OTHER_START_PRICE)])


class SyntheticMarket:
    def __init__(
        self,
        instruments: Sequence[MarketInstrument],
        *,
        seed: int,
        interval_ms: int = 100,
        volatility: float = 1.0,
        start_marks: Mapping[int, int] | None = None,
    ) -> None:
        """start_marks: ticks by instrument index, where they are to differ from `start_ticks`.

        volatility: how many times as wild as usual.
        """
        known = {demo.symbol: demo for demo in DEMO_INSTRUMENTS}
        demos = [known.get(instrument.symbol) for instrument in instruments]
        marks = start_marks or {}
        self._symbols = np.array([each.index for each in instruments], dtype=np.int32)
        self._start = np.array(
            [marks.get(each.index) or start_ticks(each) for each in instruments], dtype=np.float64
        )
        yearly = np.array([demo.volatility if demo else OTHER_VOLATILITY for demo in demos])
        self._market_share = np.array(
            [demo.market_correlation if demo else OTHER_CORRELATION for demo in demos]
        )
        self._own_share = np.sqrt(1.0 - self._market_share**2)
        self._sigma = yearly * volatility * np.sqrt(interval_ms / 1000.0 / YEAR_SECONDS)
        money = np.array([each.price_tick_e12 * each.quantity_step_e8 / 1e20 for each in instruments])
        self._step_value = self._start * money  # of one step, in quote currency
        self._spread = np.maximum(1, np.rint(self._start * SPREAD_BPS / 1e4)).astype(np.int64)
        self._spacing = np.maximum(1, np.rint(self._start * LEVEL_SPACING_BPS / 1e4)).astype(np.int64)
        self._drift = np.zeros(len(instruments))
        shape = (len(instruments), len(Side), LEVELS)
        self._prices = np.zeros(shape, dtype=np.int64)  # 0: no level
        self._quantities = np.zeros(shape, dtype=np.int64)
        self._depth_profile = 1.0 + 0.25 * np.arange(LEVELS)
        self._random = np.random.default_rng(seed)

    def step(self) -> SyntheticStep:
        """The next step; each takes the same number of random numbers."""
        bids, asks = self._move_touch()
        prices = self._place_levels(bids, asks)
        quantities = self._fill_levels(prices)
        levels = self._changes(prices, quantities)
        self._prices, self._quantities = prices, quantities
        touches = list(zip(self._symbols.tolist(), bids.tolist(), asks.tolist(), strict=True))
        return SyntheticStep(levels, touches, self._trade(bids, asks))

    def _move_touch(self) -> tuple[_Ints, _Ints]:
        market = self._random.standard_normal()
        own = self._random.standard_normal(len(self._symbols))
        drift = self._drift + self._sigma * (self._market_share * market + self._own_share * own)
        drift = np.where(drift > DRIFT_MAX, 2 * DRIFT_MAX - drift, drift)
        drift = np.where(drift < -DRIFT_MAX, -2 * DRIFT_MAX - drift, drift)
        self._drift = np.clip(drift, -DRIFT_MAX, DRIFT_MAX)
        mids = self._start * np.exp(self._drift)
        bids = np.maximum(1, np.rint(mids - self._spread / 2).astype(np.int64))
        return bids, bids + self._spread

    def _place_levels(self, bids: _Ints, asks: _Ints) -> _Ints:
        """Prices (symbol, side, level): the touch, then the round prices beyond it."""
        spacing = self._spacing[:, None]
        outward = np.arange(LEVELS - 1)[None, :]
        prices = np.empty_like(self._prices)
        prices[:, Side.BUY, 0] = bids
        prices[:, Side.SELL, 0] = asks
        prices[:, Side.BUY, 1:] = ((bids[:, None] - 1) // spacing - outward) * spacing
        prices[:, Side.SELL, 1:] = (asks[:, None] // spacing + 1 + outward) * spacing
        return np.maximum(prices, 0)

    def _fill_levels(self, prices: _Ints) -> _Ints:
        """Quantities: those of the step before if the price stays, others are drawn."""
        shape = prices.shape
        notional = LEVEL_NOTIONAL * self._depth_profile * np.exp(0.8 * self._random.standard_normal(shape))
        drawn = np.maximum(1, np.rint(notional / self._step_value[:, None, None])).astype(np.int64)
        renewed = self._random.random(shape) < RENEWED_SHARE
        same = prices[..., :, None] == self._prices[..., None, :]
        before = np.where(same, self._quantities[..., None, :], 0).max(axis=-1)
        return np.where(prices == 0, 0, np.where(renewed | (before == 0), drawn, before))

    def _changes(self, prices: _Ints, quantities: _Ints) -> NDArray[np.void]:
        """Removed levels first, then new and changed ones: the book is never crossed."""
        same = prices[..., :, None] == self._prices[..., None, :]
        gone = (self._prices > 0) & ~same.any(axis=-2)
        before = np.where(same, self._quantities[..., None, :], 0).max(axis=-1)
        changed = (prices > 0) & (before != quantities)
        removals = self._records(gone, self._prices, np.zeros_like(quantities))
        return np.concatenate((removals, self._records(changed, prices, quantities)))

    def _records(self, chosen: NDArray[np.bool_], prices: _Ints, quantities: _Ints) -> NDArray[np.void]:
        rows, sides, _ = np.nonzero(chosen)
        records = np.zeros(len(rows), dtype=LEVEL_UPDATE)
        records["price"] = prices[chosen]
        records["quantity"] = quantities[chosen]
        records["symbol"] = self._symbols[rows]
        records["side"] = sides
        return records

    def _trade(self, bids: _Ints, asks: _Ints) -> list[SyntheticTrade]:
        count = len(self._symbols)
        happens = self._random.random(count) < TRADE_PROBABILITY
        buys = self._random.random(count) < 0.5
        notional = TRADE_NOTIONAL * np.exp(self._random.standard_normal(count))
        quantities = np.maximum(1, np.rint(notional / self._step_value)).astype(np.int64)
        prices = np.where(buys, asks, bids)
        return [
            SyntheticTrade(int(self._symbols[row]), int(prices[row]), int(quantities[row]))
            for row in np.nonzero(happens)[0]
        ]


class SyntheticFeed:
    """Delivers a synthetic market, a step each interval; each run starts it anew."""

    name = "synthetic"

    def __init__(
        self,
        instruments: Sequence[MarketInstrument],
        *,
        seed: int = 1,
        interval_ms: int = 100,
        volatility: float = 1.0,
        start_marks: Mapping[int, int] | None = None,
    ) -> None:
        if not INTERVAL_MS_MIN <= interval_ms <= INTERVAL_MS_MAX:
            raise ValueError(
                f"interval_ms must be from {INTERVAL_MS_MIN} to {INTERVAL_MS_MAX}, not {interval_ms}"
            )
        self._instruments = list(instruments)
        self._seed = seed
        self._interval_ms = interval_ms
        self._volatility = volatility
        self._start_marks = dict(start_marks or {})

    def market(self) -> SyntheticMarket:
        return SyntheticMarket(
            self._instruments,
            seed=self._seed,
            interval_ms=self._interval_ms,
            volatility=self._volatility,
            start_marks=self._start_marks,
        )

    def figures(self) -> Mapping[str, int]:
        return {}

    def follow(self, instruments: Sequence[MarketInstrument]) -> None:
        if {each.index for each in instruments} != {each.index for each in self._instruments}:
            self._instruments = list(instruments)

    def _begin(self, sink: MarketSink, before: Sequence[MarketInstrument]) -> SyntheticMarket:
        """Show empty books, and report which symbols have a market from now on."""
        now = {each.index for each in self._instruments}
        symbols = sorted(now | {each.index for each in before})
        clear = np.zeros(len(symbols), dtype=LEVEL_UPDATE)
        clear["symbol"] = symbols
        clear["kind"] = LevelKind.CLEAR
        sink.on_levels(clear)
        for symbol in symbols:
            sink.on_feed_state(symbol, FeedState.LIVE if symbol in now else FeedState.DISCONNECTED)
        return self.market()

    async def run(self, sink: MarketSink) -> None:
        market, followed = self._begin(sink, ()), self._instruments
        loop = asyncio.get_running_loop()
        due_seconds = loop.time()
        marks: dict[int, int] = {}
        while True:
            if followed is not self._instruments:  # all others go on from where they are
                self._start_marks |= marks
                market, followed = self._begin(sink, followed), self._instruments
            step = market.step()
            now_us = time.time_ns() // 1_000
            sink.on_levels(step.levels)
            for symbol, bid, ask in step.touches:
                marks[symbol] = (bid + ask) // 2
                sink.on_touch(symbol, bid, ask)
            for trade in step.trades:
                sink.on_trade(trade.symbol, trade.price, trade.quantity, now_us)
            # After a standstill it goes on from now and does not catch up.
            due_seconds = max(due_seconds + self._interval_ms / 1000, loop.time())
            await asyncio.sleep(due_seconds - loop.time())
