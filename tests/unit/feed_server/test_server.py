"""The feed server's parts: an endless market from a recording, and faults that repeat themselves."""

import asyncio
from pathlib import Path

import orjson
import pytest
from websockets.frames import Opcode

from app.cli import main
from app.feed_server.faults import FaultError, Faults, Injector
from app.feed_server.recorded_market import RecordedMarket, RecordingError, load
from app.market.binance import BinanceSpot
from app.market.book_sync import Outcome
from app.market.books import MarketBooks
from tests.support.feed import INSTRUMENTS, generated_recordings
from tests.support.market import BTC, ETH, ReplicaSink, depth, snapshot, touch, trade


def read(paths: list[Path]) -> RecordedMarket:
    return asyncio.run(load(paths, times_now=False))


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    return generated_recordings(tmp_path, 5)


def write(path: Path, *messages: bytes) -> list[Path]:
    path.write_bytes(b"".join(b"%d %b\n" % (number * 10**8, raw) for number, raw in enumerate(messages, 1)))
    return [path]


def test_a_snapshot_fits_at_any_moment_of_any_pass(recordings: list[Path]) -> None:
    """A client that takes a snapshot anywhere and goes on from there ends with the server's book."""
    market = read(recordings)
    following: list[MarketBooks] = []
    exchange = BinanceSpot(INSTRUMENTS)
    for number, message in enumerate(market.play(3)):
        decoded = exchange.decode(message.raw)
        assert decoded is not None
        for books in following:
            assert books.apply(decoded) is not Outcome.GAP
        if number % 97 == 0:
            books = MarketBooks(INSTRUMENTS)
            for each in INSTRUMENTS:
                book = market.books[each.base + each.quote]
                loaded = exchange.decode_snapshot(each.index, book.snapshot(5_000))
                assert loaded is not None
                books.apply(loaded)
            following.append(books)
    assert market.passes == 3 and len(following) > 3
    for each in INSTRUMENTS:
        book = market.books[each.base + each.quote]
        last = exchange.decode_snapshot(each.index, book.snapshot(5_000))
        assert last is not None
        for books in following:
            client = books.books[each.index]
            assert (client.last_id, client.bids.depth(), client.asks.depth()) == last[1:]


def test_passes_go_on_in_time_and_numbers(recordings: list[Path]) -> None:
    messages = list(read(recordings).play(3))
    assert [each.at_ns for each in messages] == sorted(each.at_ns for each in messages)
    ids = [orjson.loads(each.raw)["data"]["t"] for each in messages if each.stream == "btcusdt@trade"]
    assert ids == list(range(ids[0], ids[0] + len(ids)))
    assert messages == list(read(recordings).play(3)), "the same each time"


def test_what_comes_before_the_snapshot_is_in_the_book(tmp_path: Path) -> None:
    nothing = b"not a message"
    paths = write(
        tmp_path / "recording",
        nothing,
        depth(1, 5, [("1.00", "1.0")], []),
        depth(6, 9, [("1.10", "2.0")], []),
        touch(9, "1.10", "2.00"),
        snapshot(7, [("1.00", "3.0")], [("2.00", "1.0")]),
        touch(7, "1.00", "2.00"),
        depth(10, 12, [("1.00", "0.00000000")], []),
        trade("2.00", "1.0"),
    )
    market = read(paths)
    assert market.books["BTCUSDT"].last_id == 9
    assert market.books["BTCUSDT"].bids == {"1.00": "3.0", "1.10": "2.0"}
    assert [each.stream for each in market.play(1)] == ["btcusdt@depth@100ms", "btcusdt@trade"]
    assert market.books["BTCUSDT"].bids == {"1.10": "2.0"}


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "nothing can be served"),
        ([b"{}", b"[]", b"null"], "nothing can be served"),
        ([touch(1, "1.00", "2.00")], "nothing can be served"),
        (
            [depth(1, 2, [], []), snapshot(2, [], []), depth(5, 6, [], [])],
            "depth updates 3 to 4 are missing in the recording",
        ),
    ],
)
def test_recordings_that_cannot_be_served(tmp_path: Path, messages: list[bytes], message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        read(write(tmp_path / "recording", *messages))


def test_symbols_do_not_mix(recordings: list[Path]) -> None:
    market = read(recordings)
    sink = ReplicaSink()
    books = MarketBooks([ETH])
    exchange = BinanceSpot([ETH])
    for message in market.play(1):
        if (decoded := exchange.decode(message.raw)) is not None:
            books.apply(decoded)
    books.flush(sink)
    assert exchange.parse_errors == sum(each.stream.startswith("btc") for each in read(recordings).play(1))
    assert BTC.index not in sink.states


RAW = depth(1, 2, [("61730.17000000", "0.61700000"), ("61730.16000000", "0.00000000")], [])


@pytest.mark.parametrize("name", ["drop", "duplicate", "corrupt", "falsify", "oversize"])
def test_each_fault_does_what_it_says(name: str) -> None:
    exchange = BinanceSpot([BTC])
    good = exchange.decode(RAW)
    injector, faults = Injector("1"), Faults().changed({name: "1"})
    for _ in range(50):
        payloads, event = injector.apply(faults, RAW)
        assert event == ""
        decoded = [exchange.decode(payload.data) for payload in payloads]
        expected = {"drop": [], "duplicate": [good, good], "corrupt": [None], "oversize": [None]}
        if name == "falsify":
            assert len(decoded) == 1 and decoded[0] is not None
            assert decoded[0] != good and decoded[0][:3] == good[:3]  # type: ignore[index]  # it is one
        else:
            assert decoded == expected[name]
    assert injector.done == {name: 50}


def test_a_message_that_is_held_back_comes_behind_the_next() -> None:
    injector, faults = Injector("1"), Faults(reorder=1.0)
    assert injector.apply(faults, b"1") == ([], "")
    payloads, _ = injector.apply(faults, b"2")
    assert [payload.data for payload in payloads] == [b"2", b"1"]
    assert injector.apply(faults, b"3") == ([], "")
    assert [payload.data for payload in injector.release()] == [b"3"]
    assert injector.release() == []


@pytest.mark.parametrize("name", ["cut", "half_open", "delay"])
def test_what_happens_to_a_connection(name: str) -> None:
    payloads, event = Injector("1").apply(Faults().changed({name: "1"}), b"1")
    assert event == name and [payload.opcode for payload in payloads] == [Opcode.TEXT]


def test_the_same_seed_gives_the_same_faults() -> None:
    faults = Faults(drop=0.1, duplicate=0.1, corrupt=0.2, falsify=0.1, cut=0.1)

    def play(seed: str) -> list[object]:
        injector = Injector(seed)
        return [injector.apply(faults, RAW) for _ in range(200)]

    assert play("1") == play("1") != play("2")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"dorp": "1"}, "fault 'dorp' is unknown; allowed: drop, duplicate"),
        ({"drop": "1.5"}, "drop must be from 0 to 1, not '1.5'"),
        ({"drop": "often"}, "not 'often'"),
        ({"drop": "nan"}, "not 'nan'"),
        ({"snapshot_status": "200"}, "snapshot_status must be from 400 to 599"),
        ({"delay_ms": "-1"}, "delay_ms must be from 0"),
    ],
)
def test_faults_that_are_none(values: dict[str, str], message: str) -> None:
    with pytest.raises(FaultError, match=message):
        Faults().changed(values)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["/nowhere/at-all.gz"], "there is no file /nowhere/at-all.gz"),
        (["--speed", "0"], "--speed must be a number above 0"),
        (["--speed", "fast"], "not 'fast'"),
        (["--passes", "-1"], "--passes must be 0 or more"),
        (["--port", "70000"], "--port must be from 0 to 65535"),
        (["--fault", "drop=2"], "--fault: drop must be from 0 to 1"),
        (["--fault", "drop"], "--fault: drop must be from 0 to 1, not ''"),
    ],
)
def test_the_command_says_what_is_wrong(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["feed-server", *arguments]) == 2
    assert message in capsys.readouterr().err
