"""A server process on a recorded market: orders meet what the recording shows, and outlive kill -9."""

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.clients import Content, HttpClient, order, trade_client
from tests.e2e.recordings import ASKS, BIDS, MarketRecording
from tests.support.process import ADMIN_KEY, ServerProcess

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT.parent / "shared/data/binance"
RECORDED_FILES = (RECORDED / "btcusdt_spot_20240808.gz", RECORDED / "ethusdt_spot_20240808.gz")

# Longer than any of the tests: a recording that starts over clears its book for a moment.
QUIET_SECONDS = 1_200


@pytest.fixture
def quiet_market(tmp_path: Path) -> str:
    return f"replay:{MarketRecording().quiet(QUIET_SECONDS).write(tmp_path / 'quiet.txt')}"


@pytest.fixture
def falling_market(tmp_path: Path) -> str:
    """A second of quiet, then the asks come down to 59,940, in two steps."""
    gone = [(price, "0") for price, _ in BIDS]
    recording = MarketRecording().quiet(1)
    recording.move([*gone, ("59930.00", "1.00000")], [("59940.00", "0.40000")], (-1, 0)).quiet(1)
    recording.move([("59930.00", "1.00000")], [("59935.00", "1.00000"), ("59940.00", "0")], (0, 0))
    return f"replay:{recording.quiet(QUIET_SECONDS).write(tmp_path / 'falling.txt')}"


def _fills(found: Content) -> list[tuple[str, str, str]]:
    return [(fill["price"], fill["quantity"], fill["liquidity"]) for fill in found["fills"]]


def _ids(found: Content) -> list[str]:
    return [fill["fill_id"] for fill in found["fills"]]


def test_orders_meet_the_displayed_market(data_dir: Path, quiet_market: str) -> None:
    with (
        ServerProcess(data_dir, BOT4_FEED=quiet_market) as server,
        HttpClient(server.url) as http,
        trade_client(server.url, ADMIN_KEY) as trade,
    ):
        assert http.book() == (dict(BIDS), dict(ASKS))

        bought = http.place(order("BUY", "0.20000"))
        assert bought["status"] == "FILLED"
        assert _fills(bought) == [("60010.00", "0.20000", "TAKER")]
        assert Decimal(bought["fills"][0]["fee"]) == Decimal("60010.00") * Decimal("0.2") * Decimal("0.0005")
        sold = trade.place(order("SELL", "0.30000"))
        assert _fills(sold) == [("60000.00", "0.30000", "TAKER")]
        # Displayed depth is used up, and stays so while the exchange says nothing new of it.
        bids, asks = http.book()
        assert (bids["60000.00"], asks["60010.00"]) == ("0.70000", "0.30000")

        resting = trade.place(order("BUY", "0.10000", type="LIMIT", price="60005.00"))
        assert (resting["status"], resting["fills"]) == ("NEW", [])
        assert next(iter(http.book()[0].items())) == ("60005.00", "0.10000")

        swept = http.place(order("BUY", "3.50000"))
        assert (swept["status"], swept["code"]) == ("CANCELED", "INSUFFICIENT_LIQUIDITY")
        assert swept["filled_quantity"] == "2.80000"
        assert _fills(swept) == [
            ("60010.00", "0.30000", "TAKER"),
            ("60020.00", "1.00000", "TAKER"),
            ("60030.00", "1.50000", "TAKER"),
        ]
        assert http.book()[1] == {}
        assert http.positions()["BTC-USDT"]["quantity"] == "2.70000"
        assert http.order(resting["order_id"])["status"] == "NEW"


def test_resting_orders_outlive_the_process(data_dir: Path, quiet_market: str) -> None:
    server = ServerProcess(data_dir, BOT4_FEED=quiet_market)
    with server, HttpClient(server.url) as http:
        http.place(order("BUY", "0.30000"))
        placed = [
            http.place(order(side, "0.10000", type="LIMIT", price=price))
            for side, price in (("BUY", "60004.00"), ("BUY", "60005.00"), ("SELL", "60008.00"))
        ]
        partly = http.place(order("SELL", "0.25000", type="LIMIT", price="60005.00", account="beta"))
        assert _fills(partly) == [("60005.00", "0.10000", "TAKER")]
        ids = [each["order_id"] for each in (*placed, partly)]
        before = _held(http, ids)
        server.kill()

    with server, HttpClient(server.url) as http:
        assert _held(http, ids) == before
        assert [http.order(each)["status"] for each in ids] == ["NEW", "FILLED", "NEW", "PARTIALLY_FILLED"]
        bids, asks = http.book()
        assert list(bids.items())[:2] == [("60004.00", "0.10000"), ("60000.00", "1.00000")]
        assert list(asks.items())[:2] == [("60005.00", "0.15000"), ("60008.00", "0.10000")]

        # Each can still be filled, canceled.
        filled = http.place(order("BUY", "0.15000"))
        assert _fills(filled) == [("60005.00", "0.15000", "TAKER")]
        assert _fills(http.order(ids[3])) == [
            ("60005.00", "0.10000", "TAKER"),
            ("60005.00", "0.15000", "MAKER"),
        ]
        assert http.http.delete(f"/v1/orders/{ids[0]}").json()["status"] == "CANCELED"
        bids, asks = http.book()
        assert next(iter(bids)) == "60000.00"
        assert next(iter(asks)) == "60008.00"


def _held(http: HttpClient, order_ids: list[str]) -> Any:
    """All that a restart must leave as it was; the mark is the same throughout the quiet recording."""
    accounts = [http.get(f"/v1/accounts/{account}") for account in ("alpha", "beta")]
    money = [{name: each[name] for name in ("cash", "fees", "exposure", "open_orders")} for each in accounts]
    return [http.order(each) for each in order_ids], http.positions("alpha"), http.positions("beta"), money


def test_a_market_that_moves_through_a_resting_order_fills_it(
    data_dir: Path, quiet_market: str, falling_market: str
) -> None:
    with ServerProcess(data_dir, BOT4_FEED=quiet_market) as server, HttpClient(server.url) as http:
        resting = http.place(order("BUY", "0.70000", type="LIMIT", price="59950.00"))
        assert resting["status"] == "NEW"
        server.kill()
    # It is there before this market begins, so when which of the two moves first is certain.
    with ServerProcess(data_dir, BOT4_FEED=falling_market) as server, HttpClient(server.url) as http:
        filled = http.await_status(resting["order_id"], "FILLED")
        assert _fills(filled) == [("59950.00", "0.40000", "MAKER"), ("59950.00", "0.30000", "MAKER")]
        assert filled["average_price"] == "59950.00"
        bids, asks = http.book()
        assert "59950.00" not in bids
        assert asks["59935.00"] == "0.70000"
        assert http.positions()["BTC-USDT"]["quantity"] == "0.70000"


def _recorded_touches(path: Path) -> tuple[set[str], set[str]]:
    """All best bids and asks of a recording, as the API writes prices."""
    bids: set[str] = set()
    asks: set[str] = set()
    with gzip.open(path, "rb") as lines:
        for line in lines:
            if b"@bookTicker" in line:
                data = json.loads(line.partition(b" ")[2])["data"]
                bids.add(f"{Decimal(data['b']):.2f}")
                asks.add(f"{Decimal(data['a']):.2f}")
    return bids, asks


@pytest.mark.skipif(
    not all(path.exists() for path in RECORDED_FILES), reason=f"the recordings are not in {RECORDED}"
)
def test_orders_fill_against_the_recorded_exchange(data_dir: Path) -> None:
    server = ServerProcess(data_dir, BOT4_FEED="replay:" + ",".join(map(str, RECORDED_FILES)))
    symbols = ("BTC-USDT", "ETH-USDT")
    placed: list[Content] = []
    with server, HttpClient(server.url) as http, trade_client(server.url, ADMIN_KEY) as trade:
        for symbol, path in zip(symbols, RECORDED_FILES, strict=True):
            bids, asks = _recorded_touches(path)
            http.await_market(order("BUY", "0.01000", symbol=symbol))
            bought = http.place(order("BUY", "0.01000", symbol=symbol))
            sold = trade.place(order("SELL", "0.00500", symbol=symbol))
            assert (bought["status"], sold["status"]) == ("FILLED", "FILLED")
            assert {fill["price"] for fill in bought["fills"]} <= asks
            assert {fill["price"] for fill in sold["fills"]} <= bids
            # Below all that is ever asked in the recording: it rests for as long as the test looks.
            lowest = f"{min(map(Decimal, asks)) - 1:.2f}"
            resting = trade.place(order("BUY", "0.01000", symbol=symbol, type="LIMIT", price=lowest))
            assert resting["status"] == "NEW"
            placed += [bought, sold, resting]
        before = [http.order(each["order_id"]) for each in placed]
        positions = {symbol: http.positions()[symbol]["quantity"] for symbol in symbols}
        server.kill()

    assert [_ids(each) for each in before if each["fills"]] == [
        _ids(each) for each in placed if each["fills"]
    ]
    assert set(positions.values()) == {"0.00500", "0.0050"}
    with server, HttpClient(server.url) as http:
        assert [http.order(each["order_id"]) for each in placed] == before
        assert {symbol: http.positions()[symbol]["quantity"] for symbol in symbols} == positions
        for resting in (placed[2], placed[5]):
            http.await_market(order("BUY", "0.01000", symbol=resting["symbol"]))
            assert resting["price"] in http.book(resting["symbol"], depth=1_000)[0]
            canceled = http.http.delete(f"/v1/orders/{resting['order_id']}").json()
            assert canceled["status"] == "CANCELED"
