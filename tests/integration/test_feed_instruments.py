"""Instruments that come and go while a feed runs: the open connection follows them, and no other notices."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.market.binance import BinanceDecoder
from app.market.messages import Message
from app.market.types import FeedState
from tests.support.api import ApiServer
from tests.support.feed import (
    CheckingSink,
    FeedServerProcess,
    following,
    generated_recordings,
    live_feed,
    quick_limits,
    until,
)
from tests.support.market import BTC, ETH, Instrument

SECONDS_MAX = 30


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return generated_recordings(tmp_path_factory.mktemp("recordings"), 30)


@pytest.fixture
def server(tmp_path: Path, recordings: list[Path]) -> Iterator[FeedServerProcess]:
    with FeedServerProcess(tmp_path / "log", *recordings, "--speed", "5") as process:
        yield process


def shown(sink: CheckingSink, instrument: Instrument) -> bool:
    """Whether there is any depth."""
    return any(levels for (symbol, _side), levels in sink.books.items() if symbol == instrument.index)


def test_one_more_and_one_less_on_the_open_connection(server: FeedServerProcess) -> None:
    async def run() -> None:
        feed, sink = live_feed(server.url, instruments=(BTC,)), CheckingSink()
        live = {BTC.index: FeedState.LIVE}
        async with following(feed, sink) as task:
            await until(lambda: sink.states == live, "the first", task)
            feed.follow((BTC, ETH))
            assert sink.states[ETH.index] is FeedState.SYNCING
            await until(lambda: sink.all_live, "the second", task)
            await until(lambda: shown(sink, ETH) and sink.trades, "its market", task)
            feed.follow((ETH,))
            assert sink.states[BTC.index] is FeedState.DISCONNECTED
            assert not shown(sink, BTC), "depth that is not followed is not shown"
            marks = len([each for each in sink.marks if each[0] == BTC.index])
            messages = feed.figures()["messages"]
            await until(lambda: feed.figures()["messages"] > messages + 200, "the second goes on", task)
            assert len([each for each in sink.marks if each[0] == BTC.index]) == marks
            feed.follow((BTC, ETH))  # and it comes back
            await until(lambda: sink.all_live, "both", task)
            figures = feed.figures()
            assert figures["connects"] == 1 and figures["disconnects"] == 0
            assert figures["parse_errors"] == 0, "what is still on its way of one that has gone is no fault"

    asyncio.run(run())


def test_messages_of_one_that_is_not_followed_end(server: FeedServerProcess) -> None:
    """The exchange is told: it does not go on sending what nobody wants."""

    async def run() -> None:
        feed, sink = live_feed(server.url), CheckingSink()
        async with following(feed, sink) as task:
            await until(lambda: sink.all_live, "both", task)
            names = feed._exchange.stream_names(BTC.index)
            seen: list[bytes] = []
            decode = feed._exchange.decode

            def watch(raw: bytes) -> Message | None:
                seen.append(raw)
                return decode(raw)

            feed._exchange.decode = watch  # type: ignore[method-assign]
            feed.follow((ETH,))
            await asyncio.sleep(1.5)
            seen.clear()
            await until(lambda: len(seen) > 100, "the other one", task)
            assert not any(name.encode() in raw for name in names for raw in seen)

    asyncio.run(run())


def test_the_first_one_comes_while_it_runs_and_the_last_one_goes(server: FeedServerProcess) -> None:
    async def run() -> None:
        feed, sink = live_feed(server.url, instruments=()), CheckingSink()
        async with following(feed, sink) as task:
            await asyncio.sleep(0.3)
            assert feed.figures()["connects"] == 0, "nothing to follow, nothing to connect to"
            for _ in range(2):
                feed.follow((BTC, ETH))
                await until(lambda: sink.all_live, "both", task)
                feed.follow(())
                assert set(sink.states.values()) == {FeedState.DISCONNECTED}
                await until(lambda: feed.figures()["connections"] == 0, "no connection", task)
            assert feed.figures()["connects"] == 2

    asyncio.run(run())


def test_changes_while_there_is_no_connection_or_two(server: FeedServerProcess) -> None:
    """While it connects, between two tries, and while one connection takes over from another."""

    async def run() -> None:
        feed = live_feed(server.url, quick_limits(), connection_seconds_max=0.3, instruments=(BTC,))
        sink = CheckingSink()
        async with following(feed, sink) as task:
            for round_ in range(12):
                feed.follow((BTC, ETH) if round_ % 2 else (BTC,))
                await asyncio.sleep(0.13)
                if round_ % 3 == 0:
                    await asyncio.to_thread(server.get, "/faults", now="cut")
            feed.follow((BTC, ETH))
            await until(lambda: sink.all_live, "both", task)
            assert feed.figures()["rollovers"] + feed.figures()["disconnects"] > 2

    asyncio.run(run())


def test_what_is_left_is_no_fault_and_what_was_never_known_is() -> None:
    decoder = BinanceDecoder([BTC, ETH])
    decoder.remove([BTC.index])
    raw = b'{"stream":"%b@trade","data":{}}'
    assert decoder.decode(raw % b"btcusdt", lambda _id: -1) is None
    assert not decoder.faults
    assert decoder.decode(raw % b"dogeusdt", lambda _id: -1) is None
    decoder.add([BTC])
    assert decoder.decode(raw % b"btcusdt", lambda _id: -1) is None
    assert decoder.faults.total() == 2


NEW = {
    "symbol": "ETH-USDT",
    "base": "ETH",
    "quote": "USDT",
    "price_tick": "0.01",
    "quantity_step": "0.0001",
    "min_quantity": "0.0001",
    "max_quantity": "9000",
    "min_notional": "5",
    "maker_fee_bps": "1",
    "taker_fee_bps": "2",
}


def test_an_instrument_of_a_running_server_is_followed_at_once(
    tmp_path: Path, server: FeedServerProcess
) -> None:
    spec = f"binance;ws={server.url.replace('http:', 'ws:')};rest={server.url};stale_s=600"
    variables = {"BOT4_FEED": spec, "BOT4_DEMO": "0"}
    with ApiServer(tmp_path / "data", **variables) as api, api.client() as client:

        def market() -> Any:
            (found,) = client.get("/v1/market").json()["items"]
            return found

        def until_state(state: str) -> Any:
            deadline = time.monotonic() + SECONDS_MAX
            while True:
                found = market()
                if found["state"] == state:
                    return found
                assert time.monotonic() < deadline, found
                time.sleep(0.05)

        def set_status(status: str) -> None:
            changed = client.patch("/v1/instruments/ETH-USDT", json={"status": status})
            assert changed.status_code == 200, changed.text

        assert client.get("/v1/instruments").json()["items"] == []
        created = client.post("/v1/instruments", json=NEW)
        assert created.status_code == 201, created.text
        assert until_state("LIVE")["mark"]
        set_status("CANCEL_ONLY")  # what is held still has its price
        assert market()["state"] == "LIVE"
        set_status("HALTED")
        until_state("DISCONNECTED")
        assert client.get("/v1/market/ETH-USDT/book").json()["bids"] == []
        set_status("TRADING")
        until_state("LIVE")
