"""Instruments, a sink and raw messages for the tests of the market."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from app.engine.types import Side
from app.market.demo_instruments import DEMO_INSTRUMENTS
from app.market.types import Feed, FeedState, LevelKind

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Instrument:
    index: int
    symbol: str
    base: str
    quote: str
    price_tick_e12: int
    quantity_step_e8: int


def demo_instruments() -> list[Instrument]:
    return [
        Instrument(
            index,
            demo.symbol,
            demo.base,
            demo.quote,
            int(Decimal(demo.price_tick) * 10**12),
            int(Decimal(demo.quantity_step) * 10**8),
        )
        for index, demo in enumerate(DEMO_INSTRUMENTS)
    ]


BTC, ETH = demo_instruments()[:2]


@dataclass
class ReplicaSink:
    """Rebuilds the displayed books from what a feed publishes, checking each record."""

    books: dict[tuple[int, Side], dict[int, int]] = field(default_factory=dict)
    marks: list[tuple[int, int]] = field(default_factory=list)
    trades: list[tuple[int, int, int, int]] = field(default_factory=list)
    records: list[tuple[int, ...]] = field(default_factory=list)
    keep_records: bool = False
    states: dict[int, FeedState] = field(default_factory=dict)

    def on_levels(self, levels: NDArray[np.void]) -> None:
        for price, quantity, symbol, side, kind in levels.tolist():
            if kind == LevelKind.CLEAR:
                for each in Side:
                    self.side(symbol, each).clear()
            else:
                assert kind == LevelKind.SET
                assert price > 0 and quantity >= 0
                book = self.side(symbol, Side(side))
                assert book.get(price, 0) != quantity, "published without a change"
                if quantity:
                    book[price] = quantity
                else:
                    del book[price]
        if self.keep_records:
            self.records += levels.tolist()

    def on_touch(self, symbol: int, bid: int, ask: int) -> None:
        if bid and ask:
            self.on_mark(symbol, (bid + ask) // 2)

    def on_mark(self, symbol: int, mark: int) -> None:
        self.marks.append((symbol, mark))

    def on_trade(self, symbol: int, price: int, quantity: int, ts: int) -> None:
        self.trades.append((symbol, price, quantity, ts))

    def on_feed_state(self, symbol: int, state: FeedState) -> None:
        self.states[symbol] = state

    def side(self, symbol: int, side: Side) -> dict[int, int]:
        return self.books.setdefault((symbol, side), {})

    def touch(self, symbol: int) -> tuple[int, int]:
        return max(self.side(symbol, Side.BUY)), min(self.side(symbol, Side.SELL))

    def crossed(self, symbol: int) -> bool:
        bids, asks = self.side(symbol, Side.BUY), self.side(symbol, Side.SELL)
        return bool(bids and asks and max(bids) >= min(asks))


@dataclass
class CountingSink(ReplicaSink):
    """Lets a feed run until it has delivered so many marks, then cancels it."""

    marks_wanted: int = 0
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    def on_mark(self, symbol: int, mark: int) -> None:
        super().on_mark(symbol, mark)
        if len(self.marks) >= self.marks_wanted:
            self.enough.set()

    async def run_until_marked(self, feed: Feed) -> None:
        task = asyncio.create_task(feed.run(self))
        await self.enough.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()


def stream(name: str, data: dict[str, Any]) -> bytes:
    return orjson.dumps({"stream": name, "data": data})


def touch(
    update_id: int, bid: str, ask: str, symbol: str = "BTCUSDT", quantities: tuple[str, str] = ("1.0", "2.0")
) -> bytes:
    data = {"u": update_id, "s": symbol, "b": bid, "B": quantities[0], "a": ask, "A": quantities[1]}
    return stream(f"{symbol.lower()}@bookTicker", data)


def depth(first: int, last: int, bids: Pairs, asks: Pairs, symbol: str = "BTCUSDT") -> bytes:
    data = {"e": "depthUpdate", "E": 1, "s": symbol, "U": first, "u": last, "b": bids, "a": asks}
    return stream(f"{symbol.lower()}@depth@100ms", data)


def snapshot(last: int, bids: Pairs, asks: Pairs) -> bytes:
    return orjson.dumps({"lastUpdateId": last, "bids": bids, "asks": asks})


def trade(price: str, quantity: str, ts_ms: int = 1_700_000_000_000, symbol: str = "BTCUSDT") -> bytes:
    data = {"e": "trade", "E": ts_ms, "s": symbol, "t": 1, "p": price, "q": quantity, "T": ts_ms, "m": True}
    return stream(f"{symbol.lower()}@trade", data)
