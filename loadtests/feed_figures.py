"""Feed figures: messages into books, from a frame to its mark, and back in step after a cut."""

import asyncio
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import orjson
import uvloop
from numpy.typing import NDArray
from websockets.asyncio.client import connect

from app.feed_server.generated import DemoMarketInstrument, write_recordings
from app.feed_server.recorded_market import RecordedMarket, load
from app.market.binance import BinanceSpot
from app.market.books import MarketBooks
from app.market.http_get import get
from app.market.live_feed import FeedLimits, LiveFeed
from app.market.market_data import MarketData
from app.market.types import FeedState, MarketSink
from loadtests.engine_figures import without_garbage_collection
from loadtests.feed_pacer import BID_TICKS
from loadtests.figures import AT_LEAST, Figure, median_of_rounds, percentiles
from loadtests.machine import ROOT, cores, started_on

RECORDINGS = ROOT.parent / "shared" / "data" / "binance"
MADE_UP_SECONDS = 600
BATCH = 16  # messages between two flushes, as a busy connection brings them
PACED_RATE = 10_000
PACED_SECONDS = 3
CUTS = 5
WAIT_SECONDS_MAX = 30.0
INSTRUMENTS = [DemoMarketInstrument(0), DemoMarketInstrument(1)]


class _NoEngine:
    """The end of levels and marks; counts the marks."""

    marks = 0

    def on_levels(self, levels: NDArray[np.void]) -> None:
        """Nothing trades here."""

    def on_mark(self, symbol: int, mark: int) -> None:
        self.marks += 1


def measure_feed(rounds: int) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="bot4-bench-") as name:
        paths = sorted(RECORDINGS.glob("*_spot_*.gz"))
        source = "recorded from Binance" if paths else f"{MADE_UP_SECONDS} s made up, no recording is at hand"
        paths = paths or write_recordings(Path(name), INSTRUMENTS, MADE_UP_SECONDS, seed=1)
        return [
            _parsing(rounds, asyncio.run(load(paths, times_now=False)), source),
            _frame_to_mark(min(rounds, 3)),
            _resync(paths),
        ]


# Messages into books.


def _parsing(rounds: int, market: RecordedMarket, source: str) -> Figure:
    snapshots = {name: book.snapshot(5_000) for name, book in market.books.items()}
    raws = [message.raw for message in market.play(1)]
    rates, baselines = [], []
    for _ in range(rounds):
        started = time.perf_counter()
        for raw in raws:
            orjson.loads(raw)
        baselines.append(len(raws) / (time.perf_counter() - started))
        rates.append(_parse(raws, snapshots))
    load_text = f"{len(raws)} messages, {source}: decoded, books kept, marks, candles; a flush each {BATCH}"
    return Figure(
        part="feed",
        claim="feed messages parsed into books and marks",
        measured=median(rates),
        unit="messages/s",
        target=50_000,
        bound=AT_LEAST,
        baseline=median(baselines),
        baseline_name="orjson.loads alone",
        details={"load": load_text, "rounds": rates},
    )


def _parse(raws: Sequence[bytes], snapshots: dict[str, bytes]) -> float:
    exchange, books = BinanceSpot(INSTRUMENTS), MarketBooks(INSTRUMENTS)
    engine = _NoEngine()
    sink = MarketData(engine)
    for instrument in INSTRUMENTS:
        snapshot = exchange.decode_snapshot(instrument.index, snapshots[instrument.base + instrument.quote])
        assert snapshot is not None
        books.apply(snapshot)
    started = time.perf_counter()
    for number, raw in enumerate(raws):
        message = exchange.decode(raw)
        if message is not None:
            books.apply(message)
        if number % BATCH == 0:
            books.flush(sink)
    books.flush(sink)
    seconds = time.perf_counter() - started
    if books.gaps or exchange.parse_errors or not engine.marks:
        errors = exchange.parse_errors
        raise RuntimeError(f"the recording was not understood: {books.gaps} gaps, {errors} errors")
    return len(raws) / seconds


# From a frame to its mark.


class _MarkTimes(MarketData):
    """Notes when the mark of each touch is published; one mark covers earlier touches of the same batch."""

    def __init__(self, count: int) -> None:
        super().__init__(_NoEngine())
        self.marked_ns = np.zeros(count, dtype=np.int64)
        self.next = 0

    def on_mark(self, symbol: int, mark: int) -> None:
        super().on_mark(symbol, mark)
        number = (mark - 1 - BID_TICKS) // 2
        if self.next <= number < len(self.marked_ns):
            self.marked_ns[self.next : number + 1] = time.monotonic_ns()
            self.next = number + 1


@contextlib.contextmanager
def _process(*arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Of ours, on the core of servers; ended afterwards."""
    pinned = cores()
    with started_on(pinned[0] if pinned else None):
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        raise RuntimeError("a process for the measurement of the feed did not start")
    return line


def _frame_to_mark(rounds: int) -> Figure:
    found, bare = [], []
    for _ in range(rounds):
        found.append(_paced(_follow_pacer))
        bare.append(_paced(_receive_only))
    values = median_of_rounds(found)
    return Figure(
        part="feed",
        claim=f"from a frame to its mark at {PACED_RATE:,} messages/s, p99",
        measured=values["p99"],
        unit="ms",
        target=1.0,
        baseline=median_of_rounds(bare)["p99"],
        baseline_name="received and dropped",
        details={
            "load": "touches sent one by one by another process, from the moment each was due; open loop",
            "milliseconds": values,
            "rounds": found,
            "baseline_rounds": bare,
        },
    )


def _paced(follow: Callable[[str, int], Coroutine[None, None, NDArray[np.int64]]]) -> dict[str, float]:
    """Milliseconds from when each touch was due."""
    count = PACED_RATE * PACED_SECONDS
    pinned = cores()
    with _process("loadtests.feed_pacer", str(PACED_RATE), str(count)) as pacer, without_garbage_collection():
        url = f"http://127.0.0.1:{_line(pacer)}"
        with started_on(pinned[1] if pinned else None):
            marked_ns = uvloop.run(follow(url, count))
        start_ns = int(_line(pacer))
    due_ns = start_ns + np.arange(count, dtype=np.int64) * (1_000_000_000 // PACED_RATE)
    return percentiles((marked_ns - due_ns) / 1e6)


async def _receive_only(url: str, count: int) -> NDArray[np.int64]:
    marked_ns = np.zeros(count, dtype=np.int64)
    async with connect(f"{url.replace('http:', 'ws:')}/stream", compression=None, proxy=None) as socket:
        await socket.send("{}")
        number = 0
        while number < count:
            if b"@bookTicker" in await socket.recv(decode=False):
                marked_ns[number] = time.monotonic_ns()
                number += 1
    return marked_ns


async def _follow_pacer(url: str, count: int) -> NDArray[np.int64]:
    sink = _MarkTimes(count)
    async with _following(url, sink):
        await _until(lambda: sink.next >= count)
    return sink.marked_ns


# After a cut.


def _resync(paths: Sequence[Path]) -> Figure:
    arguments = ("app.cli", "feed-server", *map(str, paths), "--port", "0", "--speed", "5")
    with _process(*arguments) as server:
        _line(server)  # how to follow it
        url = _line(server).rpartition(" ")[2]
        seconds = uvloop.run(_cut(url))
    return Figure(
        part="feed",
        claim="connected and in step again after a cut, the wait before the next try aside",
        measured=max(seconds),
        unit="s",
        target=2.0,
        details={"load": f"{CUTS} cuts, all books in step again; the slowest is shown", "rounds": seconds},
    )


async def _cut(url: str) -> list[float]:
    sink = _StateTimes()
    seconds = []
    async with _following(url, sink):
        for _ in range(CUTS):
            await _until(lambda: sink.all_live)
            await asyncio.sleep(0.2)
            sink.forget()
            await get(f"{url}/faults?now=cut", timeout_seconds=10, bytes_max=1 << 16)
            await _until(lambda: sink.connecting_seconds > 0 and sink.all_live)
            seconds.append(sink.live_seconds - sink.connecting_seconds)
    return seconds


class _StateTimes(MarketData):
    def __init__(self) -> None:
        super().__init__(_NoEngine())
        self.forget()

    def forget(self) -> None:
        self.connecting_seconds = self.live_seconds = 0.0

    @property
    def all_live(self) -> bool:
        return all(self.state(each.index) is FeedState.LIVE for each in INSTRUMENTS)

    def on_feed_state(self, symbol: int, state: FeedState) -> None:
        super().on_feed_state(symbol, state)
        if state is FeedState.CONNECTING:
            self.connecting_seconds = time.perf_counter()
        elif state is FeedState.LIVE:
            self.live_seconds = time.perf_counter()


@contextlib.asynccontextmanager
async def _following(url: str, sink: MarketSink) -> AsyncIterator[None]:
    exchange = BinanceSpot(INSTRUMENTS, stream_url=url.replace("http:", "ws:"), rest_url=url)
    feed = LiveFeed(exchange, INSTRUMENTS, FeedLimits(backoff_first_seconds=0.01, backoff_seconds_max=0.1))
    task = asyncio.ensure_future(feed.run(sink))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _until(condition: Callable[[], bool]) -> None:
    deadline_seconds = time.perf_counter() + WAIT_SECONDS_MAX
    while not condition():
        if time.perf_counter() > deadline_seconds:
            raise RuntimeError("the feed did not get there in time")
        await asyncio.sleep(0.005)
