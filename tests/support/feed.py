"""A feed server as a process of its own, recordings for it, and what its books must be."""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import httpx
import orjson

from app.engine.types import Side
from app.feed_server.generated import write_recordings
from app.feed_server.recorded_market import load
from app.market.binance import BinanceSpot
from app.market.connection import ConnectionLimits
from app.market.depth_requests import RequestLimits
from app.market.live_feed import FeedLimits, LiveFeed
from app.market.types import FeedState, MarketSink
from tests.support.market import BTC, ETH, Instrument, ReplicaSink

RECORDINGS = Path(__file__).parents[3] / "shared" / "data" / "binance"
INSTRUMENTS = (BTC, ETH)
SECONDS_MAX = 60.0

# Faults of every kind that a client can find by itself at once.
CHAOS = {
    "drop": 0.004,
    "duplicate": 0.01,
    "reorder": 0.01,
    "corrupt": 0.004,
    "oversize": 0.0002,
    "delay": 0.001,
    "delay_ms": 30,
    "cut": 0.0004,
    "half_open": 0.00003,
    "refuse": 0.2,
    "snapshot_fail": 0.2,
    "snapshot_status": 503,
}


def recorded_files() -> list[Path]:
    """One market's: the recordings of futures beside them have the same symbols."""
    return sorted(RECORDINGS.glob("*_spot_*.gz"))


def generated_recordings(folder: Path, seconds: int, seed: int = 5) -> list[Path]:
    """A file for each of INSTRUMENTS."""
    return write_recordings(folder, INSTRUMENTS, seconds, seed)


class Book:
    """A book in ticks and steps by plain means, and a digest that follows its changes."""

    def __init__(self, instrument: Instrument) -> None:
        self.levels: dict[tuple[Side, int], int] = {}
        self.digest = 0
        self._tick = Decimal(instrument.price_tick_e12).scaleb(-12)
        self._step = Decimal(instrument.quantity_step_e8).scaleb(-8)

    def set(self, side: Side, price: str, quantity: str) -> None:
        key = side, int(Decimal(price) / self._tick)
        before, after = self.levels.pop(key, 0), int(Decimal(quantity) // self._step)
        self.digest ^= hash((*key, before)) if before else 0
        if after:
            self.levels[key] = after
            self.digest ^= hash((*key, after))


def digest_of(feed: LiveFeed, symbol: int) -> int:
    book, digest = feed.books.books[symbol], 0
    for side, levels in ((Side.BUY, book.bids.depth()), (Side.SELL, book.asks.depth())):
        for price, quantity in levels:
            digest ^= hash((side, price, quantity))
    return digest


class References:
    """What the books are after every depth update of a recording played so often."""

    def __init__(self, paths: Sequence[Path], passes: int) -> None:
        self.digests: dict[tuple[int, int], int] = {}  # by symbol and update id
        self.newest: dict[int, int] = {}  # update id by symbol
        self.messages = 0
        self.trades = 0
        market = asyncio.run(load(paths, times_now=False))
        books = {each.index: Book(each) for each in INSTRUMENTS}
        symbols = {each.base + each.quote: each.index for each in INSTRUMENTS}
        for name, index in symbols.items():
            for side, levels in zip(Side, (market.books[name].bids, market.books[name].asks), strict=True):
                for price, quantity in levels.items():
                    books[index].set(side, price, quantity)
            self._note(index, market.books[name].last_id, books[index])
        for message in market.play(passes):
            self.messages += 1
            data = orjson.loads(message.raw)["data"]
            self.trades += message.stream.endswith("@trade")
            if "@depth" in message.stream:
                index = symbols[data["s"]]
                for side, changes in zip(Side, (data["b"], data["a"]), strict=True):
                    for price, quantity in changes:
                        books[index].set(side, price, quantity)
                self._note(index, data["u"], books[index])

    def _note(self, index: int, last_id: int, book: Book) -> None:
        self.digests[index, last_id] = book.digest
        self.newest[index] = last_id


class CheckingSink(ReplicaSink):
    """Every so often the depth of a book that is LIVE must be a book of the recording: no gap goes unseen."""

    def __init__(self, references: References | None = None, every: int = 20) -> None:
        super().__init__()
        self.history: list[tuple[int, FeedState]] = []
        self.checked = 0
        self.feed: LiveFeed | None = None
        self._references = references
        self._every = every
        self._calls = 0

    def on_feed_state(self, symbol: int, state: FeedState) -> None:
        if self.states.get(symbol) is not state:
            self.history.append((symbol, state))
        super().on_feed_state(symbol, state)

    def on_mark(self, symbol: int, mark: int) -> None:
        assert self.states[symbol] is FeedState.LIVE
        assert not self.crossed(symbol)
        super().on_mark(symbol, mark)
        self._calls += 1
        if self._references is not None and self.feed is not None and self._calls % self._every == 0:
            self.check(symbol)

    def check(self, symbol: int) -> None:
        assert self.feed is not None and self._references is not None
        last_id = self.feed.books.books[symbol].last_id
        assert digest_of(self.feed, symbol) == self._references.digests[symbol, last_id], last_id
        self.checked += 1

    @property
    def all_live(self) -> bool:
        return [self.states.get(each.index) for each in INSTRUMENTS] == [FeedState.LIVE] * len(INSTRUMENTS)


def quick_limits(**changes: Any) -> FeedLimits:
    """Patience of milliseconds rather than seconds."""
    values: dict[str, Any] = {
        "verify_seconds": 0.0,
        "backoff_first_seconds": 0.02,
        "backoff_seconds_max": 0.05,
        "connection": ConnectionLimits(
            open_seconds=10.0, idle_seconds=10.0, ping_seconds=1.0, pong_seconds=10.0
        ),
        "requests": RequestLimits(
            rate_per_second=500.0, burst=50, backoff_first_seconds=0.02, backoff_seconds_max=0.2
        ),
    }
    return FeedLimits(**values | changes)


def live_feed(
    url: str,
    limits: FeedLimits | None = None,
    connection_seconds_max: float | None = None,
    instruments: Sequence[Instrument] = INSTRUMENTS,
) -> LiveFeed:
    """A feed from a feed server at this URL."""
    exchange = BinanceSpot(
        instruments, stream_url=url.replace("http://", "ws://"), rest_url=url, levels=5_000
    )
    if connection_seconds_max is not None:
        exchange.connection_seconds_max = connection_seconds_max
    return LiveFeed(exchange, instruments, limits or quick_limits(), seed=1)


@contextlib.asynccontextmanager
async def following(feed: LiveFeed, sink: MarketSink) -> AsyncIterator[asyncio.Task[None]]:
    if isinstance(sink, CheckingSink):
        sink.feed = feed
    task = asyncio.ensure_future(feed.run(sink))
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], object], what: str, task: asyncio.Task[None] | None = None) -> None:
    deadline_seconds = time.monotonic() + SECONDS_MAX
    while not condition():
        if task is not None and task.done():
            task.result()
        assert time.monotonic() < deadline_seconds, f"not within {SECONDS_MAX:g} s: {what}"
        await asyncio.sleep(0.01)


class FeedServerProcess:
    """`bot4 feed-server` on a free port."""

    def __init__(self, log: Path, *arguments: str | Path, faults: Mapping[str, float] | None = None) -> None:
        self._log = log
        self._arguments = [str(argument) for argument in arguments]
        for name, number in (faults or {}).items():
            self._arguments += ["--fault", f"{name}={number}"]

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "feed-server", *self._arguments, "--port", "0"],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={name: value for name, value in os.environ.items() if not name.startswith("BOT4_")},
            )
        self.url = self._await_url()
        self._http = httpx.Client(base_url=self.url, trust_env=False, timeout=30)
        return self

    def _await_url(self) -> str:
        deadline_seconds = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline_seconds:
            found = re.search(r"^feed server is ready: (\S+)$", self.output(), re.MULTILINE)
            if found:
                return found[1]
            if self._process.poll() is not None:
                break
            time.sleep(0.02)
        self._process.kill()
        self._process.wait()
        raise RuntimeError(f"the feed server did not become ready:\n{self.output()}")

    def __exit__(self, *_exception: object) -> None:
        self._http.close()
        self.stop()

    def stop(self) -> int:
        """Its exit status; what it said must be no trace of an error."""
        self._process.terminate()
        try:
            status = self._process.wait(timeout=20)
        finally:
            self._process.kill()
            self._process.wait()
        assert "Traceback" not in self.output(), self.output()
        return status

    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def get(self, path: str, **query: float | str) -> Any:
        response = self._http.get(path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    async def status(self) -> Any:
        return await asyncio.to_thread(self.get, "/status")

    async def until_played(self, messages: float = float("inf")) -> None:
        """So many messages, or all of the recording."""
        while True:
            status = await self.status()
            if status["ended"] or status["messages"] >= messages:
                return
            await asyncio.sleep(0.05)

    async def set_faults(self, **query: float | str) -> None:
        await asyncio.to_thread(lambda: self.get("/faults", **query))


def no_faults(faults: Mapping[str, float]) -> dict[str, float]:
    settings = ("delay_ms", "snapshot_status", "retry_after_s")
    return dict.fromkeys((name for name in faults if name not in settings), 0.0)
