"""Replaying recorded files: order, pace, ends, and files that are not what they should be."""

import asyncio
import gzip
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.engine.types import Side
from app.market.playback_clock import MAX_SPEED
from app.market.recording import BLOCK_BYTES, LINE_BYTES_MAX, RecordedMessage, Recording
from app.market.replay import ReplayFeed
from tests.support.market import BTC, ETH, CountingSink, ReplicaSink, depth, snapshot, touch, trade

START_NS = 1_723_161_253_000_000_000
MS = 1_000_000
Line = tuple[int, bytes]


def write(path: Path, lines: Sequence[Line]) -> Path:
    data = b"".join(b"%d %s\n" % (START_NS + at_ms * MS, raw) for at_ms, raw in lines)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def book_lines(symbol: str, steps: int, start_ms: int = 0, every_ms: int = 2) -> list[Line]:
    """A snapshot and touches that climb a tick at each step."""
    lines = [
        (start_ms, depth(1, 1, [("1.00", "1")], [], symbol)),
        (start_ms, snapshot(1, [("1.00", "1"), ("0.50", "4")], [("90.00", "1")])),
    ]
    for step in range(1, steps + 1):
        text = touch(1 + step, f"{1 + step / 100:.2f}", "90.00", symbol)
        lines.append((start_ms + step * every_ms, text))
    return lines


def replay(feed: ReplayFeed) -> ReplicaSink:
    sink = ReplicaSink(keep_records=True)
    asyncio.run(asyncio.wait_for(feed.run(sink), 30))
    return sink


async def read_all(recording: Recording) -> list[RecordedMessage]:
    found: list[RecordedMessage] = []
    try:
        while (message := recording.peek() or await recording.read()) is not None:
            found.append(message)
            recording.take(message)
    finally:
        recording.close()
    return found


def test_files_are_merged_by_receive_time(tmp_path: Path) -> None:
    first = write(tmp_path / "a.gz", [(at, b"a%d" % at) for at in range(0, 20_000, 3)])
    second = write(tmp_path / "b", [(at, b"b%d" % at) for at in range(0, 20_000, 2)])
    found = asyncio.run(read_all(Recording([first, second])))
    assert first.stat().st_size and second.stat().st_size > 2 * BLOCK_BYTES
    assert len(found) == 6_667 + 10_000
    assert [message[:2] for message in found] == sorted(message[:2] for message in found)
    assert {raw[:1] for _, source, raw in found if source == 1} == {b"b"}


def test_lines_that_are_no_messages_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(
        b"\n12 good\nno stamp\n13\n-1 x\n" + b"9" * 30 + b" x\r\n\n\xff\xff \xff\n14 last without an end"
    )
    recording = Recording([path])
    found = asyncio.run(read_all(recording))
    assert [message[2] for message in found] == [b"good", b"last without an end"]
    assert recording.faults == 5


def test_a_line_without_end_is_not_kept_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"1 first\n2 " + b"x" * (3 * LINE_BYTES_MAX) + b"\n3 last\n"))
    recording = Recording([path])
    found = asyncio.run(read_all(recording))
    assert [message[2] for message in found] == [b"first", b"last"]
    assert recording.faults > 0


@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_file_that_breaks_off(tmp_path: Path, kept: float, caplog: pytest.LogCaptureFixture) -> None:
    whole = write(tmp_path / "a.gz", [(at, b"message %d" % (at * at)) for at in range(50_000)])
    data = whole.read_bytes()
    whole.write_bytes(data[: int(len(data) * kept)])
    found = asyncio.run(read_all(Recording([whole])))
    assert 0 < len(found) < 50_000
    assert "ends early" in caplog.text


def test_full_speed_delivers_the_same_as_paced(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "btc.gz", book_lines("BTCUSDT", 50)),
        write(tmp_path / "eth", book_lines("ETHUSDT", 50, start_ms=1)),
    ]
    sinks = [
        replay(ReplayFeed(paths, [BTC, ETH], speed=speed, loop=False)) for speed in (MAX_SPEED, 1.0, 20.0)
    ]
    for sink in sinks:
        assert sink.records == sinks[0].records
        assert sink.books == sinks[0].books
        assert sink.touch(0) == sink.touch(1) == (150, 9000)
        assert dict(sink.marks) == {0: 4575, 1: 4575}


def test_pace_follows_the_recording(tmp_path: Path) -> None:
    path = write(tmp_path / "a", book_lines("BTCUSDT", 4, every_ms=40))

    async def run() -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await ReplayFeed([path], [BTC], speed=2.0, loop=False).run(ReplicaSink())
        return loop.time() - start

    assert asyncio.run(run()) >= 0.079


def test_a_long_silence_is_cut_short(tmp_path: Path) -> None:
    lines = [*book_lines("BTCUSDT", 2), (10**9, touch(9, "2.00", "90.00"))]
    sink = replay(ReplayFeed([write(tmp_path / "a", lines)], [BTC], loop=False))
    assert sink.touch(0) == (200, 9000)


def test_it_starts_again_with_a_cleared_book(tmp_path: Path) -> None:
    feed = ReplayFeed([write(tmp_path / "a", book_lines("BTCUSDT", 5))], [BTC], speed=1000, loop=True)
    sink = CountingSink(marks_wanted=40)
    asyncio.run(asyncio.wait_for(sink.run_until_marked(feed), 30))
    assert feed.passes >= 2
    assert feed.books.gaps == 0
    assert [mark for _, mark in sink.marks].count(4550) >= 1
    # And again after it was cancelled.
    feed_again = ReplayFeed([tmp_path / "a"], [BTC], speed=MAX_SPEED, loop=False)
    assert replay(feed_again).touch(0) == (105, 9000)


def test_the_same_feed_runs_again(tmp_path: Path) -> None:
    path = write(tmp_path / "a", book_lines("BTCUSDT", 5))
    feed = ReplayFeed([path], [BTC], speed=MAX_SPEED, loop=False)
    assert replay(feed).records == replay(feed).records


def test_snapshots_of_several_symbols_in_one_file(tmp_path: Path) -> None:
    """They are told apart by their numbers."""
    lines = [
        (0, touch(5_000, "1.00", "2.00")),
        (0, touch(900_000, "7.00", "8.00", "ETHUSDT")),
        (1, snapshot(900_001, [("7.01", "1")], [("8.00", "1")])),
        (1, snapshot(5_001, [("1.01", "1")], [("2.00", "1")])),
    ]
    sink = replay(ReplayFeed([write(tmp_path / "a", lines)], [BTC, ETH], speed=MAX_SPEED, loop=False))
    assert sink.touch(0) == (101, 200)
    assert sink.touch(1) == (701, 800)


def test_trades_carry_the_clock_or_the_recorded_time(tmp_path: Path) -> None:
    path = write(tmp_path / "a", [(0, trade("5.00", "0.5", ts_ms=42))])
    for clock, ts in ((lambda: 7, 7), (None, 42_000)):
        feed = ReplayFeed([path], [BTC], speed=MAX_SPEED, loop=False, trade_clock_us=clock)
        assert replay(feed).trades == [(0, 500, 50_000, ts)]


def test_a_recording_of_nothing_ends_although_it_should_loop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a", [(0, b"{}"), (1, touch(1, "1.00", "2.00", "DOGEUSDT"))])
    replay(ReplayFeed([path], [BTC], loop=True))
    assert "is of use" in caplog.text


def test_other_tasks_run_while_it_replays_at_full_speed(tmp_path: Path) -> None:
    path = write(tmp_path / "a", book_lines("BTCUSDT", 8_000))
    turns = 0

    async def run() -> None:
        nonlocal turns
        task = asyncio.create_task(ReplayFeed([path], [BTC], speed=MAX_SPEED, loop=False).run(ReplicaSink()))
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
        await task

    asyncio.run(run())
    assert turns > 20


def test_hostile_lines_do_not_stop_it(tmp_path: Path) -> None:
    lines = book_lines("BTCUSDT", 20)
    for at, raw in ((3, b"{" * 1000), (4, b'{"stream":"btcusdt@depth","data":{"u":1}}'), (5, b"\x00")):
        lines.insert(at, (at, raw))
    feed = ReplayFeed([write(tmp_path / "a", lines)], [BTC], speed=MAX_SPEED, loop=False)
    sink = replay(feed)
    assert sink.touch(0) == (120, 9000)
    assert sum(feed.decoder.faults.values()) == 3
    assert sink.side(0, Side.BUY)[100] == 100_000


def test_instruments_come_and_go_between_two_passes(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "a", book_lines("BTCUSDT", 5)),
        write(tmp_path / "b", book_lines("ETHUSDT", 5)),
    ]
    feed = ReplayFeed(paths, [BTC], speed=MAX_SPEED, loop=False)
    assert {symbol for symbol, _ in replay(feed).marks} == {BTC.index}
    feed.follow([BTC, ETH])
    assert {symbol for symbol, _ in replay(feed).marks} == {BTC.index, ETH.index}
    feed.follow([ETH])
    assert {symbol for symbol, _ in replay(feed).marks} == {ETH.index}
    assert feed.figures()["gaps"] == 0
