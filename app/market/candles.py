"""Candles of one symbol and interval, made from trades as they come; the newest in bounded memory.

An interval without a trade has a flat candle as long as the market is watched; one that nobody
watched has none. A trade that comes after its candle has closed corrects it.
"""

from collections.abc import Iterator

import numpy as np

from app.market.types import Candle

INTERVALS_SECONDS = (1, 60)
# Closed ones kept of each symbol and interval: 24 minutes of seconds, a day of minutes.
CANDLES_MAX = 1_440
# How many closed candles back a late trade may fall.
LATE_CANDLES_MAX = 8

_ROW = np.dtype([(name, "i8") for name in Candle._fields[2:9]])


class CandleSeries:
    """Times are the exchange's; `take_changed` returns what is new."""

    __slots__ = (
        "_changed",
        "_closed",
        "_interval_s",
        "_interval_us",
        "_published",
        "_rows",
        "_symbol",
        "close",
        "high",
        "low",
        "open",
        "start_ts",
        "trades",
        "volume",
    )

    def __init__(self, symbol: int, interval_s: int) -> None:
        self._symbol = symbol
        self._interval_s = interval_s
        self._interval_us = interval_s * 1_000_000
        self._rows = np.zeros(CANDLES_MAX, dtype=_ROW)  # a ring
        self._closed = 0  # ever
        self._changed: list[Candle] = []  # closed or corrected, not published yet
        self._published = True
        self.start_ts = -1  # no candle is open
        self.open = self.high = self.low = self.close = self.volume = self.trades = 0

    def add(self, price: int, quantity: int, ts: int) -> None:
        if ts - self.start_ts >= self._interval_us or self.start_ts < 0:
            self._begin(ts, price)
        elif ts < self.start_ts:
            self._correct(price, quantity, ts)
            return
        if not self.trades:
            self.open = self.high = self.low = price
        elif price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        self.volume += quantity
        self.trades += 1
        self._published = False

    def advance(self, market_ts: int) -> None:
        """Close the candle whose interval is over, and go on with a flat one."""
        if 0 <= self.start_ts <= market_ts - self._interval_us:
            self._begin(market_ts, self.close)

    def interrupt(self) -> None:
        """The market is not watched any more: an open candle ends here."""
        if self.start_ts >= 0:
            self._close()
            self.start_ts = -1

    def take_changed(self) -> list[Candle]:
        """Candles that have changed since the last call, closed ones first."""
        changed, self._changed = self._changed, []
        if not self._published and self.start_ts >= 0:
            changed.append(self._candle(False))
        self._published = True
        return changed

    def newest(self, limit: int) -> Iterator[Candle]:
        """At most `limit`, oldest first; the last one may be open."""
        current = [self._candle(False)] if self.start_ts >= 0 and limit > 0 else []
        count = min(self._closed, CANDLES_MAX, max(0, limit - len(current)))
        for number in range(self._closed - count, self._closed):
            yield self._stored(number)
        yield from current

    def _begin(self, ts: int, price: int) -> None:
        if self.start_ts >= 0:
            self._close()
        self.start_ts = ts - ts % self._interval_us
        if self._closed and self._stored(self._closed - 1).start_ts == self.start_ts:
            self._reopen()
            return
        self.open = self.high = self.low = self.close = price
        self.volume = self.trades = 0
        self._published = False

    def _reopen(self) -> None:
        """The interval was interrupted, and goes on."""
        self._closed -= 1
        before = self._stored(self._closed)
        self.open, self.high, self.low, self.close = before.open, before.high, before.low, before.close
        self.volume, self.trades = before.volume, before.trades
        self._published = False

    def _close(self) -> None:
        candle = self._candle(True)
        self._rows[self._closed % CANDLES_MAX] = candle[2:9]
        self._closed += 1
        self._change(candle)

    def _correct(self, price: int, quantity: int, ts: int) -> None:
        oldest = max(0, self._closed - LATE_CANDLES_MAX)
        for number in range(self._closed - 1, oldest - 1, -1):
            candle = self._stored(number)
            if candle.start_ts <= ts < candle.start_ts + self._interval_us:
                first = candle.trades == 0
                candle = candle._replace(
                    open=price if first else candle.open,
                    high=price if first else max(candle.high, price),
                    low=price if first else min(candle.low, price),
                    close=price if first else candle.close,
                    volume=candle.volume + quantity,
                    trades=candle.trades + 1,
                )
                self._rows[number % CANDLES_MAX] = candle[2:9]
                self._change(candle)
                return

    def _change(self, candle: Candle) -> None:
        self._changed.append(candle)
        del self._changed[:-CANDLES_MAX]

    def _candle(self, closed: bool) -> Candle:
        return Candle(
            self._symbol,
            self._interval_s,
            self.start_ts,
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            self.trades,
            closed,
        )

    def _stored(self, number: int) -> Candle:
        return Candle._make(
            (self._symbol, self._interval_s, *self._rows[number % CANDLES_MAX].tolist(), True)
        )
