"""The live feed against a real feed server: its books are the recording's, whatever happens on the way."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.market.connection import ConnectionLimits
from app.market.depth_requests import RequestLimits
from app.market.types import FeedState
from tests.support.feed import (
    CHAOS,
    INSTRUMENTS,
    CheckingSink,
    FeedServerProcess,
    References,
    following,
    generated_recordings,
    live_feed,
    no_faults,
    quick_limits,
    recorded_files,
    until,
)
from tests.support.market import BTC

SECONDS = 40
SPEED = "20"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return generated_recordings(tmp_path_factory.mktemp("recordings"), SECONDS)


@pytest.fixture(scope="module")
def references(recordings: list[Path]) -> References:
    return References(recordings, passes=2)


@pytest.fixture
def server(tmp_path: Path, recordings: list[Path]) -> Iterator[FeedServerProcess]:
    """Endless, at a pace at which a test sees what it wants to see."""
    with FeedServerProcess(tmp_path / "log", *recordings, "--speed", SPEED) as process:
        yield process


async def _compare_at_the_end(server: FeedServerProcess, sink: CheckingSink, references: References) -> None:
    feed = sink.feed
    assert feed is not None
    await server.until_played()
    books = feed.books.books
    await until(
        lambda: all(books[symbol].last_id == last_id for symbol, last_id in references.newest.items()),
        "the books at the recording's end",
    )
    for symbol in references.newest:
        sink.check(symbol)


def test_follows_a_recording_to_its_end(
    tmp_path: Path, recordings: list[Path], references: References
) -> None:
    """Two passes: the second goes on where the first has ended, without a gap."""

    async def run(server: FeedServerProcess) -> None:
        feed, sink = live_feed(server.url), CheckingSink(references, every=5)
        async with following(feed, sink):
            await _compare_at_the_end(server, sink, references)
        figures = feed.figures()
        assert sink.checked > len(INSTRUMENTS), "not only at the end"
        assert len(sink.trades) == references.trades
        assert figures["gaps"] == figures["trades_missing"] == figures["parse_errors"] == 0
        assert figures["resyncs"] == figures["snapshot_requests"] == len(INSTRUMENTS)
        assert sink.states == {each.index: FeedState.DISCONNECTED for each in INSTRUMENTS}, "after its end"
        assert not any(sink.books.values())

    with FeedServerProcess(tmp_path / "log", *recordings, "--speed", "60", "--passes", "2") as server:
        asyncio.run(run(server))


async def _survive(server: FeedServerProcess, references: References, quiet_from: float) -> None:
    impatient = ConnectionLimits(open_seconds=5.0, idle_seconds=1.0, ping_seconds=0.1, pong_seconds=0.3)
    feed = live_feed(server.url, quick_limits(connection=impatient))
    sink = CheckingSink(references, every=10)
    async with following(feed, sink) as task:
        await server.until_played(quiet_from * references.messages)
        assert not task.done()
        done = (await server.status())["faults_done"]
        await server.set_faults(**no_faults(CHAOS))
        await _compare_at_the_end(server, sink, references)
    figures = feed.figures()
    print(done, dict(figures), sink.checked)
    assert sink.checked > len(INSTRUMENTS), "not only at the end"
    assert figures["gaps"] > 0 and figures["resyncs"] > figures["gaps"] / 2
    assert figures["parse_errors"] > 0 and figures["trades_repeated"] > 0
    assert figures["snapshot_failures"] > 0
    assert {"drop", "duplicate", "reorder", "corrupt", "cut"} <= set(done)
    assert figures["disconnects"] >= done["cut"]


@pytest.mark.parametrize("seed", [1])
def test_survives_everything(tmp_path: Path, recordings: list[Path], seed: int) -> None:
    """Books are compared while faults happen, too: a LIVE one is never wrong, so no gap went unreported."""
    passes = 4
    arguments = ("--speed", "40", "--passes", str(passes), "--seed", str(seed))
    often = {"drop": 0.012, "duplicate": 0.05, "reorder": 0.03, "corrupt": 0.012, "cut": 0.003}
    often |= {"half_open": 0.0}
    with FeedServerProcess(tmp_path / "log", *recordings, *arguments, faults=CHAOS | often) as server:
        asyncio.run(_survive(server, References(recordings, passes), 0.8))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_survives_twenty_minutes_of_everything(tmp_path: Path, seed: int) -> None:
    """20 minutes of the recorded exchange, or of a generated one where that is not at hand."""
    paths = recorded_files()
    passes = 4 if paths else 2
    paths = paths or generated_recordings(tmp_path, 650)
    references = References(paths, passes)
    arguments = ("--speed", "60", "--passes", str(passes), "--seed", str(seed))
    print(f"seed {seed}")
    with FeedServerProcess(tmp_path / "log", *paths, *arguments, faults=CHAOS) as server:
        asyncio.run(_survive(server, references, 0.9))


def test_a_cut_clears_the_books_and_is_mended(server: FeedServerProcess) -> None:
    async def run() -> None:
        feed, sink = live_feed(server.url), CheckingSink()
        async with following(feed, sink) as task:
            await until(lambda: sink.all_live and sink.marks, "live", task)
            await server.set_faults(refuse=1, now="cut")
            await until(lambda: feed.figures()["connect_failures"] >= 3, "refused connections", task)
            assert not any(sink.books.values()), "nobody trades against depth that may be gone"
            assert not sink.all_live
            marks = len(sink.marks)
            await asyncio.sleep(0.05)
            assert len(sink.marks) == marks
            await server.set_faults(refuse=0)
            await until(lambda: sink.all_live, "live again", task)
        assert feed.figures()["disconnects"] == 2  # the last one by the end
        states = [state for symbol, state in sink.history if symbol == BTC.index]
        start = ["DISCONNECTED", "CONNECTING", "SYNCING", "LIVE", "DISCONNECTED", "CONNECTING"]
        assert states[: len(start)] == start

    asyncio.run(run())


def test_a_half_open_connection_is_found(server: FeedServerProcess) -> None:
    """By pings that nobody answers, or by the silence, whichever is sooner."""

    async def run(limits: ConnectionLimits) -> None:
        feed, sink = live_feed(server.url, quick_limits(connection=limits)), CheckingSink()
        async with following(feed, sink) as task:
            await until(lambda: sink.all_live, "live", task)
            await server.set_faults(now="half_open")
            await until(lambda: feed.figures()["disconnects"], "the connection given up", task)
            await until(lambda: sink.all_live, "live again", task)

    asyncio.run(run(ConnectionLimits(idle_seconds=600, ping_seconds=0.1, pong_seconds=0.2)))
    asyncio.run(run(ConnectionLimits(idle_seconds=0.5, ping_seconds=600, pong_seconds=600)))


@pytest.mark.parametrize(("fault", "count"), [("oversize", "disconnects"), ("corrupt", "parse_errors")])
def test_messages_that_are_none(server: FeedServerProcess, fault: str, count: str) -> None:
    async def run() -> None:
        feed, sink = live_feed(server.url), CheckingSink()
        async with following(feed, sink) as task:
            await until(lambda: sink.all_live, "live", task)
            await server.set_faults(**{fault: 1})
            await until(lambda: feed.figures()[count] >= 3, "reported", task)
            await server.set_faults(**{fault: 0})
            await until(lambda: sink.all_live, "live again", task)

    asyncio.run(run())


@pytest.mark.parametrize("status", [429, 418])
def test_snapshots_refused_for_their_number(server: FeedServerProcess, status: int) -> None:
    """The exchange says how long to wait: nobody asks before."""

    async def run() -> None:
        limits = quick_limits(
            requests=RequestLimits(rate_per_second=500, backoff_first_seconds=0.01, backoff_seconds_max=0.02)
        )
        feed, sink = live_feed(server.url, limits), CheckingSink()
        await server.set_faults(snapshot_fail=1, snapshot_status=status, retry_after_s=2)
        async with following(feed, sink) as task:
            await until(lambda: feed.figures()["snapshot_refusals"], "refused", task)
            assert sink.states[BTC.index] is FeedState.SYNCING
            requests = feed.figures()["snapshot_requests"]
            await asyncio.sleep(0.3)
            assert feed.figures()["snapshot_requests"] <= max(requests, len(INSTRUMENTS))
            await server.set_faults(snapshot_fail=0)
            await until(lambda: sink.all_live, "live", task)

    asyncio.run(run())


def test_connections_are_replaced_without_a_gap(
    tmp_path: Path, recordings: list[Path], references: References
) -> None:
    async def run(server: FeedServerProcess) -> None:
        feed, sink = live_feed(server.url, connection_seconds_max=0.4), CheckingSink(references)
        async with following(feed, sink):
            await _compare_at_the_end(server, sink, references)
        figures = feed.figures()
        assert figures["rollovers"] >= 2
        assert figures["gaps"] == figures["trades_missing"] == 0
        assert len(sink.trades) == references.trades
        assert figures["resyncs"] == len(INSTRUMENTS)
        states = [state for symbol, state in sink.history if symbol == BTC.index]
        assert states == ["DISCONNECTED", "CONNECTING", "SYNCING", "LIVE", "DISCONNECTED"]

    with FeedServerProcess(tmp_path / "log", *recordings, "--speed", SPEED, "--passes", "2") as server:
        asyncio.run(run(server))


def test_a_silent_symbol_is_stale_and_has_no_marks(tmp_path: Path, recordings: list[Path]) -> None:
    async def run(server: FeedServerProcess) -> None:
        feed, sink = live_feed(server.url, quick_limits(stale_seconds=0.3)), CheckingSink()
        async with following(feed, sink) as task:
            await until(lambda: sink.all_live, "live", task)
            await until(lambda: set(sink.states.values()) == {FeedState.STALE}, "stale", task)
            marks = len(sink.marks)
            await asyncio.sleep(1.2)
            assert len(sink.marks) == marks
            assert any(sink.books.values()), "the market may be quiet: what it showed last stays"

    arguments = ("--speed", "100", "--passes", "1")
    with FeedServerProcess(tmp_path / "log", *recordings, *arguments) as server:
        asyncio.run(run(server))


def test_marks_of_a_quiet_market_stay_fresh(tmp_path: Path, recordings: list[Path]) -> None:
    async def run(server: FeedServerProcess) -> None:
        feed, sink = live_feed(server.url, quick_limits(stale_seconds=600)), CheckingSink()
        async with following(feed, sink) as task:
            await server.until_played()
            await until(lambda: sink.marks[-4:-2] == sink.marks[-2:], "the same marks again", task)

    arguments = ("--speed", "100", "--passes", "1")
    with FeedServerProcess(tmp_path / "log", *recordings, *arguments) as server:
        asyncio.run(run(server))


def test_a_book_that_is_wrong_without_a_gap_is_found(
    tmp_path: Path, recordings: list[Path], references: References
) -> None:
    """Digits are changed in messages that are well-formed: only a comparison with a snapshot shows it."""

    async def run(server: FeedServerProcess) -> None:
        feed, sink = live_feed(server.url, quick_limits(verify_seconds=0.3)), CheckingSink()
        async with following(feed, sink) as task:
            await until(lambda: feed.figures()["checks_confirmed"] >= 2, "books confirmed", task)
            assert feed.figures()["checks_diverged"] == feed.figures()["gaps"] == 0
            await server.set_faults(falsify=0.3)
            await until(lambda: feed.figures()["checks_diverged"] >= 2, "wrong books found", task)
            await server.set_faults(falsify=0)
            assert feed.figures()["gaps"] >= 2
            confirmed = feed.figures()["checks_confirmed"]
            await until(lambda: feed.figures()["checks_confirmed"] >= confirmed + 6, "books right", task)

    with FeedServerProcess(tmp_path / "log", *recordings, "--speed", SPEED) as server:
        asyncio.run(run(server))


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_server_that_is_something_else(greeting: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await reader.read()
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            limits = quick_limits(connection=ConnectionLimits(open_seconds=0.1))
            feed, sink = live_feed(url, limits), CheckingSink()
            async with following(feed, sink) as task:
                await until(lambda: feed.figures()["connect_failures"] >= 3, "failures", task)
                assert FeedState.SYNCING not in sink.states.values()

    asyncio.run(run())


def test_a_bug_of_a_listener_ends_the_feed_and_is_raised(server: FeedServerProcess) -> None:
    """Whoever runs the feed logs it and begins anew; it must not go on half alive."""

    class Faulty(CheckingSink):
        def on_feed_state(self, symbol: int, state: FeedState) -> None:
            super().on_feed_state(symbol, state)
            if state is FeedState.STALE:
                raise RuntimeError("a bug")

    async def run() -> None:
        feed = live_feed(server.url, quick_limits(stale_seconds=0.0001))
        with pytest.raises(RuntimeError, match="a bug"):
            await asyncio.wait_for(feed.run(Faulty()), 30)
        assert feed.figures()["connections"] == 0

    asyncio.run(run())
