"""Replay feed: a market feed from recorded exchange messages.

Paced by the receive times of the recording, at a chosen speed. At its end it starts
over by default: each symbol's book is cleared and comes back with the recording's
snapshot. Without looping the feed ends there: depth stays as it is, marks grow old, and
the engine then refuses orders for stale market data, as it would if an exchange fell silent.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from app.market.binance import BinanceDecoder
from app.market.books import MarketBooks
from app.market.messages import Trade
from app.market.playback_clock import SLEEP_SECONDS_MIN, SLICE_NS_MAX, Pace
from app.market.recording import RecordedMessage, Recording
from app.market.subscriptions import added_and_removed
from app.market.types import FeedState, MarketInstrument, MarketSink

logger = logging.getLogger(__name__)


def wall_clock_us() -> int:
    return time.time_ns() // 1_000


class ReplayFeed:
    """Replays files of `app.market.recording` for the instruments that they name.

    speed: recorded seconds per second, MAX_SPEED for as fast as it goes.
    trade_clock_us: the time that trades are given; None leaves the recorded one.
    """

    name = "replay"

    def __init__(
        self,
        paths: Sequence[Path],
        instruments: Sequence[MarketInstrument],
        *,
        speed: float = 1.0,
        loop: bool = True,
        trade_clock_us: Callable[[], int] | None = wall_clock_us,
    ) -> None:
        if not speed > 0:
            raise ValueError(f"the speed of a replay must be positive, not {speed}")
        self._paths = list(paths)
        self._speed = speed
        self._loop = loop
        self._trade_clock_us = trade_clock_us
        self._symbols: defaultdict[int, set[int]] = defaultdict(set)  # seen in each file
        self._source = 0  # of the message at hand
        self.decoder = BinanceDecoder(instruments)
        self.books = MarketBooks(instruments)
        self.passes = 0
        self._gone: list[int] = []  # not followed any more, and not reported yet

    async def run(self, sink: MarketSink) -> None:
        while True:
            self.books.reset()
            self.books.flush(sink)
            for symbol in self.books.books:
                sink.on_feed_state(symbol, FeedState.DISCONNECTED)
            decoded = self.decoder.decoded
            await self._play(sink)
            self.passes += 1
            if self.decoder.decoded == decoded:
                logger.error("market replay: nothing in %s is of use", ", ".join(map(str, self._paths)))
                return
            if not self._loop:
                logger.warning("market replay: the recording is over; the market stands still from now on")
                return
            logger.info("market replay: the recording is over and starts again")

    def follow(self, instruments: Sequence[MarketInstrument]) -> None:
        """A new instrument is played from the recordings' next pass on, if they have a snapshot of it."""
        added, removed = added_and_removed(self.books.books.keys(), instruments)
        self.decoder.add(added)
        self.books.add(added)
        self.decoder.remove(removed)
        for symbol in removed:
            self.books.remove(symbol)
            self._gone.append(symbol)
            for seen in self._symbols.values():
                seen.discard(symbol)

    def figures(self) -> Mapping[str, int]:
        return {
            "messages": self.decoder.decoded,
            "parse_errors": sum(self.decoder.faults.values()),
            "gaps": self.books.gaps,
            "passes": self.passes,
        }

    async def _play(self, sink: MarketSink) -> None:
        pace = Pace(self._speed)
        recording = Recording(self._paths)
        try:
            while (message := recording.peek() or await recording.read()) is not None:
                delay_seconds = pace.delay_seconds(message.received_ns)
                if delay_seconds > 0:
                    await asyncio.sleep(max(delay_seconds, SLEEP_SECONDS_MIN))
                    continue
                self._replay_slice(recording, pace.reached_ns)
                self.books.flush(sink)
                while self._gone:
                    sink.on_feed_state(self._gone.pop(), FeedState.DISCONNECTED)
                await asyncio.sleep(0)
        finally:
            recording.close()

    def _replay_slice(self, recording: Recording, reached_ns: float) -> None:
        end = time.perf_counter_ns() + SLICE_NS_MAX
        message = recording.peek()
        while message is not None and message.received_ns <= reached_ns:
            self._replay(message)
            recording.take(message)
            if time.perf_counter_ns() >= end:
                return
            message = recording.peek()

    def _replay(self, recorded: RecordedMessage) -> None:
        self._source = recorded.source
        message = self.decoder.decode(recorded.raw, self._snapshot_symbol)
        if message is None:
            return
        self._symbols[recorded.source].add(message.symbol)
        if self._trade_clock_us is not None and isinstance(message, Trade):
            message = message._replace(ts=self._trade_clock_us())
        self.books.apply(message)

    def _snapshot_symbol(self, last_id: int) -> int:
        """Snapshots do not name their symbol: it is one of those whose messages are in the same file."""
        return self.books.snapshot_symbol(last_id, self._symbols[self._source])
