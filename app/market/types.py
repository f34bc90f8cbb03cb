"""Market types: what a market feed delivers, whatever its source, and what observers receive."""

from collections.abc import Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class LevelKind(IntEnum):
    SET = 0  # the displayed quantity at this price is now `quantity`; 0 removes the level
    CLEAR = 1  # clear both sides of this symbol: a snapshot follows


# One change of displayed depth. Prices in ticks, quantities in steps, as in `app.engine.records`.
LEVEL_UPDATE = np.dtype(
    [("price", "i8"), ("quantity", "i8"), ("symbol", "i4"), ("side", "u1"), ("kind", "u1")],
    align=True,
)


class MarketInstrument(Protocol):
    """An instrument as a feed needs it."""

    @property
    def index(self) -> int: ...

    @property
    def symbol(self) -> str: ...

    @property
    def base(self) -> str: ...

    @property
    def quote(self) -> str: ...

    @property
    def price_tick_e12(self) -> int: ...

    @property
    def quantity_step_e8(self) -> int: ...


class FeedState(StrEnum):
    """How far a symbol's market can be trusted; only a LIVE one gets marks."""

    DISCONNECTED = "DISCONNECTED"  # no connection; the next try is scheduled
    CONNECTING = "CONNECTING"
    SYNCING = "SYNCING"  # connected; the book waits for a snapshot that fits
    LIVE = "LIVE"
    STALE = "STALE"  # connected and in sync, but nothing has been heard for too long


class EngineSink(Protocol):
    """Market data that the engine needs. All calls are made on the event loop's thread and return at once."""

    def on_levels(self, levels: NDArray[np.void]) -> None:
        """Displayed depth has changed; `LEVEL_UPDATE` records, of any symbols, in order."""

    def on_mark(self, symbol: int, mark: int) -> None:
        """The mark of a symbol (ticks) is confirmed; called even if it did not move."""


class MarketSink(EngineSink, Protocol):
    """The receiver of a feed. It gets touches; marks are made from them (`app.market.mark_rule`)."""

    def on_touch(self, symbol: int, bid: int, ask: int) -> None:
        """The best bid and ask of a symbol (ticks, 0 if a side is empty) are confirmed."""

    def on_trade(self, symbol: int, price: int, quantity: int, ts: int) -> None:
        """A trade of the outside market: ticks, steps, microseconds."""

    def on_feed_state(self, symbol: int, state: FeedState) -> None:
        """A symbol's state has changed; symbols begin as DISCONNECTED."""


class Prices(NamedTuple):
    """Prices of a symbol in ticks; 0 if unknown.

    `last` is the newest trade's price, `mid` the middle of the best bid and ask, rounded down. The mark is
    the mid: trades jump between bid and ask, which a risk measure would take for movement. A book that makes
    no mark leaves both as they are.
    """

    symbol: int
    last: int
    mid: int
    mark: int
    ts: int  # microseconds, when it was published


class Candle(NamedTuple):
    """The trades of a symbol in one interval: prices in ticks, volume in steps, times in microseconds."""

    symbol: int
    interval_s: int
    start_ts: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    trades: int
    closed: bool  # False: the interval is not over, more may come


class MarketObserver(Protocol):
    """A follower of the market, see `app.market.market_data`. Calls return at once and raise nothing.

    Prices, candles and books are published once for each batch of the feed: an observer that passes them on
    to somebody slower keeps the newest.
    """

    def on_trade(self, symbol: int, price: int, quantity: int, ts: int) -> None:
        """A trade of the outside market: ticks, steps, microseconds."""

    def on_prices(self, prices: Prices) -> None:
        """The mark of a symbol is confirmed, or whether its book makes one has changed."""

    def on_candle(self, candle: Candle) -> None:
        """A candle has changed or is closed."""

    def on_book(self, symbol: int) -> None:
        """Displayed depth has changed; the venue's `depth` shows it from the engine's next tick on."""

    def on_feed_state(self, symbol: int, state: FeedState) -> None:
        """A symbol's state has changed."""


class Feed(Protocol):
    name: str

    async def run(self, sink: MarketSink) -> None:
        """Deliver until cancelled, or until the source ends."""

    def follow(self, instruments: Sequence[MarketInstrument]) -> None:
        """Follow these instruments from now on, and no others."""

    def figures(self) -> Mapping[str, int]:
        """Counters for operators."""
