"""Trades of the market for the database's writer: each at most once, in order, as the writer reads them."""

import asyncio

import numpy as np
import pytest

from app.market.types import FeedState, MarketObserver
from app.store import trade_handover
from app.store.trade_handover import TradeHandover
from app.store.writer import MARKET_TRADE
from tests.support.feed import until

INT64_MAX = (1 << 63) - 1


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trade_handover, "HANDOVER_SECONDS", 0.001)


class Writer:
    """What was handed over: the records, and how many there were said to be."""

    def __init__(self) -> None:
        self.parts: list[list[tuple[int, ...]]] = []
        self.counts: list[int] = []

    def take(self, content: bytes, count: int) -> None:
        self.parts.append(np.frombuffer(content, MARKET_TRADE).tolist())
        self.counts.append(count)


def test_trades_are_handed_over_once_as_the_writer_reads_them() -> None:
    writer = Writer()
    handover = TradeHandover(writer.take)
    observer: MarketObserver = handover

    async def run() -> None:
        running = asyncio.create_task(handover.run())
        observer.on_trade(3, 50_000, 7, 1_700_000_000_000_000)
        observer.on_trade(0, INT64_MAX, 1, INT64_MAX)
        await until(lambda: len(writer.parts) == 1, "handed over")
        await asyncio.sleep(0.01)  # several turns more
        observer.on_trade(1, 2, 3, 4)
        await until(lambda: len(writer.parts) == 2, "handed over")
        running.cancel()

    asyncio.run(run())
    assert writer.parts == [
        [(1_700_000_000_000_000, 50_000, 7, 3), (INT64_MAX, INT64_MAX, 1, 0)],
        [(4, 2, 3, 1)],
    ]
    assert writer.counts == [2, 1]


def test_nothing_is_handed_over_where_nothing_was_traded() -> None:
    writer = Writer()
    handover = TradeHandover(writer.take)

    async def run() -> None:
        running = asyncio.create_task(handover.run())
        handover.on_book(0)
        handover.on_feed_state(0, FeedState.LIVE)
        await asyncio.sleep(0.01)
        running.cancel()

    asyncio.run(run())
    assert writer.parts == []
