"""Market streams: trades, candles, prices and books of the outside market, for all watchers."""

import asyncio
from collections.abc import Hashable

from app.market.types import Candle, FeedState, Prices
from app.streams.hub import Hub
from app.streams.topics import Channel

INTERVAL_SECONDS = 0.02
# Of one symbol in an interval; where more come, the oldest are left out.
TRADES_AT_ONCE = 1_000

_INTERVALS = {1: "1s", 60: "1m"}


class MarketStreams:
    """A `MarketObserver`. Data that nobody watches is not read."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._streams = hub.states.streams
        self._waiting: dict[tuple[Channel, Hashable], dict[Hashable, bytes]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._trades = 0

    def on_trade(self, symbol: int, price: int, quantity: int, ts: int) -> None:
        if symbol in self._streams[Channel.TRADES]:
            self._trades += 1
            waiting = self._wait(Channel.TRADES, symbol)
            waiting[self._trades] = self._hub.items.trade(symbol, price, quantity, ts)
            if len(waiting) > TRADES_AT_ONCE:
                del waiting[next(iter(waiting))]

    def on_candle(self, candle: Candle) -> None:
        place = (candle.symbol, _INTERVALS[candle.interval_s])
        if place in self._streams[Channel.CANDLES]:
            self._wait(Channel.CANDLES, place)[candle.start_ts] = self._hub.items.candle(candle)

    def on_prices(self, prices: Prices) -> None:
        self._hub.note_symbol(Channel.MARKS, prices.symbol)

    def on_book(self, symbol: int) -> None:
        self._hub.note_symbol(Channel.BOOK, symbol)

    def on_feed_state(self, symbol: int, state: FeedState) -> None:  # as the observer is called
        self._hub.note_symbol(Channel.MARKS, symbol)

    def _wait(self, channel: Channel, place: Hashable) -> dict[Hashable, bytes]:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL_SECONDS, self._send)
        return self._waiting.setdefault((channel, place), {})

    def _send(self) -> None:
        self._timer = None
        waiting, self._waiting = self._waiting, {}
        ts = self._hub.clock.now()
        for (channel, place), items in waiting.items():
            stream = self._streams[channel].get(place)
            if stream is not None:
                chunk = stream.publish(stream.seq + 1, ts, items)
                if chunk is not None:
                    self._hub.send(stream, chunk)
