"""Live feed: market data from an exchange. It reconnects for ever and reports what it has missed.

One connection carries all streams. Depth that has a gap, or no beginning, waits for a snapshot
(`app.market.depth_requests`). A lost connection clears all books at once, because nobody should
trade against depth that may be gone; the next try comes after a growing pause. Before the exchange
ends a connection for its age, a second one is opened. When both deliver the same, the first one is
closed: update and trade numbers make sure that repeated messages count once.

Instruments may come and go while it runs: the open connection subscribes and unsubscribes.

Only a symbol that is LIVE gets marks: in step with the exchange, and heard of lately. They are
repeated while it stands still, so an old mark means an unknown market.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.backoff import Backoff
from app.market.book_sync import Outcome
from app.market.books import MarketBooks
from app.market.connection import ConnectionFailed, ConnectionLimits, FeedConnection
from app.market.depth_requests import DepthRequests, RequestLimits
from app.market.exchange import Exchange
from app.market.messages import DepthSnapshot, DepthUpdate, Trade
from app.market.subscriptions import Subscriptions, added_and_removed
from app.market.trade_dedup import TradeNumbers
from app.market.types import FeedState, MarketInstrument, MarketSink

logger = logging.getLogger(__name__)

# The interval of the check of what is due.
WATCH_SECONDS = 0.1
# A snapshot is requested once the first update has come, or after this long without one.
QUIET_SECONDS = 2.0
# The interval at which marks are repeated while nothing moves.
REMARK_SECONDS = 1.0
# The most messages applied before their changes are passed on.
BATCH_MESSAGES_MAX = 256
# A new connection that has not caught up by then replaces the old one all the same.
OVERLAP_SECONDS_MAX = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLimits:
    """`stale_seconds`: a symbol that has been silent for this long gets no marks any more.

    `steady_seconds`: a connection that lived this long was a good one: the next pause is short again.
    `verify_seconds`: each book is compared with a snapshot this often; 0 for never.
    """

    stale_seconds: float = 10.0
    verify_seconds: float = 300.0
    steady_seconds: float = 30.0
    backoff_first_seconds: float = 1.0
    backoff_seconds_max: float = 60.0
    connection: ConnectionLimits = field(default_factory=ConnectionLimits)
    requests: RequestLimits = field(default_factory=RequestLimits)


class LiveFeed:
    """`seed`: of the waits, that nobody else should have; tests give one."""

    def __init__(
        self,
        exchange: Exchange,
        instruments: Sequence[MarketInstrument],
        limits: FeedLimits | None = None,
        seed: int | None = None,
    ) -> None:
        self.name = exchange.name
        self.books = MarketBooks(instruments)
        self._exchange = exchange
        self._limits = limits or FeedLimits()
        self._random = random.Random(seed)  # noqa: S311  # spreads waits, keeps no secret
        self._requests = DepthRequests(exchange, self._accept, self._limits.requests, self._random)
        self._subscriptions = Subscriptions(exchange)
        # Those that have gone keep theirs: what was counted stays counted.
        self._numbers = {symbol: TradeNumbers() for symbol in self.books.books}
        self._followed_seconds: dict[int, float] = {}  # those that came while it ran
        self._some = asyncio.Event()  # there are instruments
        self._state = FeedState.DISCONNECTED  # of a symbol of which nothing is known yet
        self._running = False
        self._sends: set[asyncio.Task[None]] = set()
        self._counts: Counter[str] = Counter()
        self._heard_seconds: dict[int, float] = {}
        self._stale: set[int] = set()
        self._readings: dict[FeedConnection, asyncio.Task[None]] = {}  # the newest last
        self._newest: FeedConnection | None = None
        self._caught_up: set[int] | None = None  # while two connections overlap: heard on the newest
        self._unflushed = 0
        self._flush_handle: asyncio.Handle | None = None
        self._lag_us = 0
        if self.books.books:
            self._some.set()

    async def run(self, sink: MarketSink) -> None:
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._running = True
        self._lose(FeedState.DISCONNECTED)
        tasks = [asyncio.ensure_future(self._watch()), asyncio.ensure_future(self._stay_connected())]
        try:
            # Neither ends by itself: an exception of one of them is a bug, and must be seen.
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, *self._sends, return_exceptions=True)
            self._lose(FeedState.DISCONNECTED)
            self._running = False

    def follow(self, instruments: Sequence[MarketInstrument]) -> None:
        added, removed = added_and_removed(self.books.books.keys(), instruments)
        if added:
            self._subscriptions.add(added)
            self.books.add(added)
        for symbol in removed:
            self._forget(symbol)
        self._subscriptions.remove(removed)
        for each in added:
            self._numbers.setdefault(each.index, TradeNumbers()).restart()
            if self._running:
                self._followed_seconds[each.index] = self._loop.time()
                self._sink.on_feed_state(each.index, self._state)
                logger.info("market data: %s is followed from now on", each.symbol)
        if self.books.books:
            self._some.set()
        else:
            self._some.clear()
            for connection in self._readings:
                connection.abort()

    def _forget(self, symbol: int) -> None:
        self._requests.forget(symbol)
        self.books.remove(symbol)
        self._stale.discard(symbol)
        self._followed_seconds.pop(symbol, None)
        if self._running:
            self._flush()
            self._sink.on_feed_state(symbol, FeedState.DISCONNECTED)
            logger.info("market data: symbol %d is not followed any more", symbol)

    def figures(self) -> Mapping[str, int]:
        """Counts since the start, and the newest `lag_us`: from the exchange's time of a trade to ours."""
        numbers = self._numbers.values()
        return {
            "connections": len(self._readings),
            "messages": self._counts["messages"],
            "connects": self._counts["connects"],
            "connect_failures": self._counts["connect_failures"],
            "disconnects": self._counts["disconnects"],
            "rollovers": self._counts["rollovers"],
            "parse_errors": self._exchange.parse_errors,
            "gaps": self.books.gaps,
            "resyncs": self._counts["resyncs"],
            "checks_confirmed": self.books.outcomes[Outcome.CONFIRMED],
            "checks_diverged": self.books.outcomes[Outcome.DIVERGED],
            "snapshot_requests": self._requests.requests,
            "snapshot_failures": self._requests.failures,
            "snapshot_refusals": self._requests.refusals,
            "trades_missing": sum(each.missing for each in numbers),
            "trades_repeated": sum(each.repeated for each in numbers),
            "lag_us": self._lag_us,
        }

    # Connections.

    async def _stay_connected(self) -> None:
        backoff = Backoff(self._limits.backoff_first_seconds, self._limits.backoff_seconds_max, self._random)
        while True:
            await self._some.wait()
            reason = ""
            self._report_all(FeedState.CONNECTING)
            connection = FeedConnection(self._exchange, self._limits.connection)
            try:
                await self._open(connection)
                self._lose(FeedState.SYNCING)
                await self._follow(connection)
            except ConnectionFailed as error:
                reason = str(error)
            self._lose(FeedState.DISCONNECTED)
            if connection.heard_seconds - connection.opened_seconds >= self._limits.steady_seconds:
                backoff.reset()
            pause_seconds = backoff.next_seconds()
            logger.warning(
                "market data: %s is lost: %s; next try in %.1f s", self.name, reason, pause_seconds
            )
            await asyncio.sleep(pause_seconds)

    async def _open(self, connection: FeedConnection) -> None:
        try:
            await connection.open()
        except ConnectionFailed:
            self._counts["connect_failures"] += 1
            raise
        self._counts["connects"] += 1
        logger.info("market data: connected to %s", self.name)

    async def _follow(self, connection: FeedConnection) -> None:
        """Read, and replace the connection before it is too old. Raises ConnectionFailed when it is lost."""
        reading = self._start_reading(connection)
        try:
            while True:
                age_max_seconds = self._exchange.connection_seconds_max * self._random.uniform(0.95, 1.0)
                await asyncio.wait({reading}, timeout=age_max_seconds)
                if reading.done():
                    break
                connection, reading = await self._replace(connection, reading)
            await reading
        finally:
            readings = list(self._readings.values())
            for each in readings:
                each.cancel()
            await asyncio.gather(*readings, return_exceptions=True)

    def _start_reading(self, connection: FeedConnection) -> asyncio.Task[None]:
        reading = asyncio.ensure_future(connection.read(lambda raw: self._receive(raw, connection)))
        self._readings[connection] = reading
        self._newest = connection
        reading.add_done_callback(lambda _done: self._note_end(connection))
        return reading

    def _note_end(self, connection: FeedConnection) -> None:
        del self._readings[connection]
        self._counts["disconnects"] += 1

    async def _replace(
        self, old: FeedConnection, reading: asyncio.Task[None]
    ) -> tuple[FeedConnection, asyncio.Task[None]]:
        """Open a second connection beside the first; which one it is from now on.

        One try: if it fails, the first goes on for a while, until the next try or its end.
        """
        new = FeedConnection(self._exchange, self._limits.connection)
        try:
            await self._open(new)
        except ConnectionFailed as error:
            logger.warning("market data: no second connection to replace the first: %s", error)
            await asyncio.wait({reading}, timeout=self._limits.backoff_seconds_max)
            return old, reading
        self._caught_up = set()
        successor = self._start_reading(new)
        deadline_seconds = self._loop.time() + OVERLAP_SECONDS_MAX
        while not (successor.done() or reading.done()) and self._loop.time() < deadline_seconds:
            in_step = {symbol for symbol, book in self.books.books.items() if book.in_sync}
            if in_step <= self._caught_up:
                break
            await asyncio.sleep(WATCH_SECONDS)
        self._caught_up = None
        if successor.done():
            await asyncio.gather(successor, return_exceptions=True)
            return old, reading
        await old.close()
        await asyncio.gather(reading, return_exceptions=True)
        self._counts["rollovers"] += 1
        logger.info("market data: the connection to %s has been replaced by a new one", self.name)
        return new, successor

    # Messages.

    def _receive(self, raw: bytes, connection: FeedConnection) -> None:
        self._counts["messages"] += 1
        message = self._exchange.decode(raw)
        if message is None:
            return
        symbol = message.symbol
        self._heard_seconds[symbol] = connection.heard_seconds
        if symbol in self._stale:
            self._refresh(symbol)
        if isinstance(message, Trade):
            if not self._numbers[symbol].admit(message.trade_id):
                return
            self._lag_us = time.time_ns() // 1_000 - message.ts
        outcome = self.books.apply(message)
        if isinstance(message, DepthUpdate):
            if not self.books.books[symbol].in_sync:
                self._requests.want(symbol)
            if outcome is Outcome.GAP:
                # Between a gap and its mending the book is empty, and everybody should know now.
                self._flush()
            if self._caught_up is not None and connection is self._newest:
                self._caught_up.add(symbol)
        self._unflushed += 1
        if self._unflushed >= BATCH_MESSAGES_MAX:
            self._flush()
        elif self._flush_handle is None:
            self._flush_handle = self._loop.call_soon(self._flush)

    def _accept(self, snapshot: DepthSnapshot) -> bool:
        book = self.books.books[snapshot.symbol]
        before = book.in_sync
        self.books.apply(snapshot)
        self._heard_seconds[snapshot.symbol] = self._loop.time()
        if book.in_sync and not before:
            self._counts["resyncs"] += 1
        self._flush()
        return book.in_sync

    def _flush(self) -> None:
        if self._flush_handle is not None:
            self._flush_handle.cancel()
            self._flush_handle = None
        self._unflushed = 0
        self.books.flush(self._sink)

    # States.

    def _lose(self, state: FeedState) -> None:
        """The connection is lost: nothing in the books is known to be true any more."""
        self._requests.cancel()
        self._stale.clear()
        for numbers in self._numbers.values():
            numbers.restart()
        self.books.reset()
        self._flush()
        self._report_all(state)

    def _report_all(self, state: FeedState) -> None:
        self._state = state
        for symbol in self.books.books:
            self._sink.on_feed_state(symbol, state)

    def _refresh(self, symbol: int) -> None:
        """A stale symbol has been heard of again."""
        self._stale.discard(symbol)
        state = FeedState.LIVE if self.books.books[symbol].in_sync else FeedState.SYNCING
        self._sink.on_feed_state(symbol, state)

    async def _watch(self) -> None:
        """Drop silent connections, find stale symbols, repeat marks, have books compared."""
        remark_seconds = 0.0
        verify_seconds = self._loop.time() + self._verify_interval_seconds()
        unverified: list[int] = []
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            now_seconds = self._loop.time()
            for connection in self._readings:
                connection.drop_if_idle(now_seconds)
            self._send_to_connections(self._subscriptions.due(now_seconds))
            self._find_stale(now_seconds)
            self._ask_for_quiet(now_seconds)
            if now_seconds >= remark_seconds:
                remark_seconds = now_seconds + REMARK_SECONDS
                self._mark_again()
            if self._limits.verify_seconds and now_seconds >= verify_seconds:
                verify_seconds = now_seconds + self._verify_interval_seconds()
                unverified = unverified or list(self.books.books)
                if unverified:
                    self._verify(unverified.pop())

    def _send_to_connections(self, requests: Sequence[str]) -> None:
        for connection in self._readings if requests else ():
            sending = asyncio.ensure_future(connection.send(requests))
            self._sends.add(sending)
            sending.add_done_callback(self._sends.discard)

    def _verify_interval_seconds(self) -> float:
        """The books take turns, so that the requests are spread."""
        return self._limits.verify_seconds / max(1, len(self.books.books))

    def _verify(self, symbol: int) -> None:
        book = self.books.books.get(symbol)
        if book is not None and book.in_sync and symbol not in self._stale:
            book.begin_check()
            self._requests.want(symbol)

    def _find_stale(self, now_seconds: float) -> None:
        oldest_seconds = now_seconds - self._limits.stale_seconds
        for symbol, book in self.books.books.items():
            if (
                book.in_sync
                and symbol not in self._stale
                and self._heard_seconds.get(symbol, 0.0) < oldest_seconds
            ):
                self._stale.add(symbol)
                self._sink.on_feed_state(symbol, FeedState.STALE)
                logger.warning(
                    "market data: nothing heard of symbol %d for %g s", symbol, self._limits.stale_seconds
                )

    def _ask_for_quiet(self, now_seconds: float) -> None:
        """Depth that does not change sends no update that would trigger a request for a snapshot."""
        if self._newest in self._readings and now_seconds - self._newest.opened_seconds > QUIET_SECONDS:
            for symbol, book in self.books.books.items():
                if not book.in_sync and now_seconds - self._followed_seconds.get(symbol, 0.0) > QUIET_SECONDS:
                    self._requests.want(symbol)

    def _mark_again(self) -> None:
        for symbol, book in self.books.books.items():
            if book.in_sync and symbol not in self._stale:
                self.books.mark_again(symbol)
        self._flush()
