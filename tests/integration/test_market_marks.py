"""T16: a book that is absurdly wide, has one side or is crossed moves no mark, and says so."""

import gzip
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.api import ApiServer
from tests.support.market import depth, snapshot, touch
from tests.support.stream import watch
from tests.support.trading_desk import TradingDesk

SANE = ([("150.00", "100")], [("150.02", "100")])
NO_ASKS = ([("150.00", "100")], [("1500.00", "100")])
SECONDS_MAX = 30


@pytest.fixture
def desk(api: ApiServer, client: httpx.Client) -> TradingDesk:
    desk = TradingDesk(api, client)
    desk.quote(*SANE)
    return desk


def test_a_wide_book_trips_no_breaker_and_fires_no_stop(desk: TradingDesk) -> None:
    account, other = desk.account(DAILY_LOSS="1000"), desk.account()
    desk.take(account, "SELL", "10")
    stop = desk.take(other, "BUY", "1", type="STOP", stop_price="165.00")
    before = desk.market()
    assert before["mark"] == "150.01" and "no_mark" not in before
    desk.quote(*NO_ASKS)
    shown = desk.market()
    assert shown == before | {"no_mark": "TOO_WIDE"}, "the mark and its time stand"
    assert desk.status(stop) == ("NEW", None)
    account_shown = desk.client.get(f"/v1/accounts/{account}").json()
    assert account_shown["trading_state"] == "ACTIVE"
    desk.quote([("149.00", "100")], [("149.02", "100")])
    assert desk.market()["mark"] == "149.01" and "no_mark" not in desk.market()


def test_a_wide_book_fires_no_stop_of_a_seller(desk: TradingDesk) -> None:
    account = desk.account()
    desk.take(account, "BUY", "10")
    stop = desk.take(account, "SELL", "10", type="STOP", stop_price="140.00", reduce_only=True)
    desk.quote([("1.00", "100")], [("150.02", "100")])
    assert desk.market()["no_mark"] == "TOO_WIDE"
    assert desk.status(stop) == ("NEW", None)
    assert desk.position(account) == 10


@pytest.mark.parametrize(
    ("book", "reason"),
    [
        (([], SANE[1]), "ONE_SIDED"),
        ((SANE[0], []), "ONE_SIDED"),
        (NO_ASKS, "TOO_WIDE"),
        (([("15.00", "1")], SANE[1]), "TOO_WIDE"),
    ],
    ids=["no bids", "no asks", "asks far away", "bids far away"],
)
def test_the_last_mark_grows_old(desk: TradingDesk, book: tuple[Any, Any], reason: str) -> None:
    account = desk.account(MAX_MARK_AGE=400_000)
    desk.take(account, "BUY", "1", "140.00")
    desk.quote(*book)
    assert desk.market()["no_mark"] == reason
    assert desk.refused(desk.send(account, "BUY", "1", "140.00")) == "MARKET_DATA_STALE"
    desk.quote(*SANE)
    desk.mark("150.02")  # told again, so that it is fresh
    desk.take(account, "BUY", "1", "140.00")


def test_a_symbol_without_marks_halts(desk: TradingDesk) -> None:
    account = desk.account()
    desk.limit(f"symbols/{desk.symbol}", MARK_HALT_AGE=300_000)
    desk.quote(*NO_ASKS)
    assert desk.refused(desk.send(account, "BUY", "1", "140.00")) == "TRADING_HALTED"


def test_a_patch_of_the_bound_acts_at_once(desk: TradingDesk) -> None:
    wide = ([("150.00", "100")], [("160.00", "100")])  # 645 bps
    path = f"/v1/instruments/{desk.symbol}"
    desk.quote(*wide)
    assert desk.market()["mark"] == "155.00"
    desk.client.patch(path, json={"mark_spread_max_bps": 600}).raise_for_status()
    desk.quote([("151.00", "100")], [("161.00", "100")])
    shown = desk.market()
    assert (shown["mark"], shown["no_mark"]) == ("155.00", "TOO_WIDE")
    for bound in (650, 0):
        desk.client.patch(path, json={"mark_spread_max_bps": bound}).raise_for_status()
        _until(lambda: desk.market()["mark"] == "156.00")  # though the book stands still
        assert "no_mark" not in desk.market()
    desk.quote([("1.00", "100")], [("161.00", "100")])
    assert desk.market()["mark"] == "81.00", "a bound of 0 is none"


def test_it_is_counted_and_streamed(desk: TradingDesk) -> None:
    def counted() -> list[int]:
        feed = desk.client.get("/v1/system").json()["feed"]
        return [feed[name] for name in ("marks_withheld", "marks_withheld_too_wide")]

    before = counted()
    with watch(desk.api) as watcher:
        watcher.subscribe({"name": "marks", "symbol": desk.symbol})
        watcher.snapshot("marks", desk.symbol)
        desk.quote(*NO_ASKS)
        shown = watcher.update("marks", desk.symbol, lambda item: "no_mark" in item)
        assert (shown["mark"], shown["no_mark"]) == ("150.01", "TOO_WIDE")
        assert counted() == [count + 1 for count in before]
        line = f'bot4_no_mark{{symbol="{desk.symbol}",reason="TOO_WIDE"}} 1'
        assert line in desk.client.get("/metrics").text
        seen = len(watcher.seen)
        desk.quote(*SANE)
        watcher.wait(
            lambda message: message.get("type") == "update" and "no_mark" not in message["data"][0], seen
        )
        assert line not in desk.client.get("/metrics").text


# Over a whole feed: a recording in which the asks go, and with them its messages end.


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _recording(path: Path, by_touch: bool) -> Path:
    start_ns, ms = 1_723_161_253_000_000_000, 1_000_000
    asks = [("61801.00", "1"), ("618000.00", "1")]
    lines = [
        (0, depth(1, 1, [("61799.00", "1")], [])),
        (0, snapshot(1, [("61799.00", "1")], asks)),
        (10, touch(2, "61799.00", "61801.00")),
        (10, depth(2, 2, [("61799.00", "2")], [])),
    ]
    if by_touch:
        lines += [(3_000, touch(3, "61799.00", "618000.00"))]
    else:
        lines += [(3_000, depth(3, 3, [], [("61801.00", "0")]))]
    data = b"".join(b"%d %s\n" % (start_ns + at * ms, raw) for at, raw in lines)
    path.write_bytes(gzip.compress(data))
    return path


@pytest.fixture(params=[True, False], ids=["touch", "depth"])
def replaying(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ApiServer]:
    recording = _recording(tmp_path / "btc.gz", request.param)
    with ApiServer(tmp_path / "data", BOT4_FEED=f"replay:{recording};loop=false;speed=1") as server:
        yield server


def test_a_replayed_market_that_loses_its_asks(replaying: ApiServer) -> None:
    with replaying.client() as client:

        def market() -> dict[str, Any]:
            items = client.get("/v1/market").json()["items"]
            return next(dict(item) for item in items if item["symbol"] == "BTC-USDT")

        _until(lambda: "no_mark" in market())
        shown = market()
        assert (shown["mark"], shown["no_mark"]) == ("61800.00", "TOO_WIDE")
        assert client.get("/v1/instruments").json()["items"][0]["mark"] == "61800.00"
        path = "/v1/instruments/BTC-USDT"
        client.patch(path, json={"mark_spread_max_bps": 0}).raise_for_status()
        _until(lambda: market()["mark"] == "339899.50")
        assert "no_mark" not in market()
