"""A server process that follows a feed server process, also when that one dies for good."""

import time
from pathlib import Path
from typing import Any

from tests.e2e.clients import HttpClient, order
from tests.support.feed import FeedServerProcess, generated_recordings
from tests.support.process import ServerProcess

MARK_AGE_US_MAX = 500_000
SECONDS_MAX = 30.0


def _await_code(http: HttpClient, request: dict[str, Any], code: str) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while True:
        response = http.http.post("/v1/orders", json=request)
        if response.status_code == 422 and response.json()["code"] == code:
            return
        assert time.monotonic() < deadline, response.text
        time.sleep(0.05)


def _states(http: HttpClient) -> dict[str, str]:
    return {each["symbol"]: each["state"] for each in http.get("/v1/market")["items"]}


def test_orders_follow_the_feed_and_outlive_it(data_dir: Path, tmp_path: Path) -> None:
    recordings = generated_recordings(tmp_path, 20)
    with FeedServerProcess(tmp_path / "feed.log", *recordings, "--speed", "2") as feed:
        spec = f"binance;ws={feed.url.replace('http:', 'ws:')};rest={feed.url};stale_s=600;idle_s=600"
        with ServerProcess(data_dir, BOT4_FEED=spec) as server, HttpClient(server.url) as http:
            buy = order("BUY", "0.00100")
            http.await_market(buy)
            assert http.place(buy)["status"] == "FILLED"
            states = _states(http)
            assert states["BTC-USDT"] == states["ETH-USDT"] == "LIVE"
            assert states["SOL-USDT"] == "SYNCING", "the feed has nothing of it"
            figures = http.get("/v1/system")["feed"]
            assert figures["name"] == "binance" and figures["messages"] > 0 and figures["gaps"] == 0
            assert 'bot4_feed_state{symbol="BTC-USDT",state="LIVE"} 1' in http.http.get("/metrics").text
            assert http.get("/v1/market/BTC-USDT/trades")["items"]

            resting = http.place(order("BUY", "0.00100", type="LIMIT", price="58000.00"))
            limited = http.http.put(
                "/v1/limits/accounts/alpha",
                json={"limits": {"MAX_MARK_AGE": MARK_AGE_US_MAX}, "reason": "a test"},
            )
            assert limited.status_code == 200, limited.text
            feed.stop()
            _await_code(http, buy, "MARKET_DATA_STALE")
            assert set(_states(http).values()) <= {"DISCONNECTED", "CONNECTING"}
            assert http.book()[1] == {}, "depth that may be gone is not shown"
            assert http.get("/health/ready")["status"] == "ready"
            canceled = http.http.delete(f"/v1/orders/{resting['order_id']}")
            assert canceled.json()["status"] == "CANCELED"
            assert http.get("/v1/system")["feed"]["disconnects"] == 1
