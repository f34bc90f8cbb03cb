"""Trade handover: trades of the outside market for the database's writer, each at most once.

They are in no journal, so trades that the writer cannot take in time are dropped and counted.
"""

import asyncio
import struct
from collections.abc import Callable

from app.market.types import Candle, FeedState, Prices

HANDOVER_SECONDS = 0.25
_TRADE = struct.Struct("<qqqq")  # MARKET_TRADE: ts, price, quantity, symbol


class TradeHandover:
    """A `MarketObserver`; `run` until cancelled."""

    def __init__(self, hand_over: Callable[[bytes, int], None]) -> None:
        self._hand_over = hand_over
        self._waiting = bytearray()

    def on_trade(self, symbol: int, price: int, quantity: int, ts: int) -> None:
        self._waiting += _TRADE.pack(ts, price, quantity, symbol)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(HANDOVER_SECONDS)
            if self._waiting:
                self._hand_over(bytes(self._waiting), len(self._waiting) // _TRADE.size)
                self._waiting.clear()

    # All other market data are in the journal, or can be computed.

    def on_prices(self, prices: Prices) -> None: ...

    def on_candle(self, candle: Candle) -> None: ...

    def on_book(self, symbol: int) -> None: ...

    def on_feed_state(self, symbol: int, state: FeedState) -> None: ...
