"""Breakers that trip: who is stopped, since when and why is shown, told and logged; a person resumes."""

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.support.api import ApiServer, limit_order
from tests.support.stream import watch

REASON = "because a test says so"
_LOG_SECONDS_MAX = 10


@pytest.fixture
def client(api: ApiServer) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


def test_repeated_orders_trip_and_a_person_resumes(
    api: ApiServer, client: httpx.Client, account: str, caplog: pytest.LogCaptureFixture
) -> None:
    scope = f"account:{account}"
    limits = {"limits": {"MAX_REPEATED_ORDERS": 2}, "reason": REASON}
    client.put(f"/v1/limits/accounts/{account}", json=limits).raise_for_status()
    with watch(api) as watcher:
        watcher.subscribe({"name": "risk", "account": account})
        watcher.snapshot("risk", account)
        orders = {"orders": [limit_order(account)] * 3}
        results = client.post("/v1/orders/batch", json=orders).json()["results"]
        told = watcher.update("risk", account, lambda item: item["event"] == "trading_state")
    assert [result["status"] for result in results] == [201, 201, 422]
    assert (told["state"], told["cause"], told["actor"]) == ("HALTED", "REPEATED_ORDER", 0)
    deadline = time.monotonic() + _LOG_SECONDS_MAX
    while f"{scope} HALTED by REPEATED_ORDER, observed 3, limit 2" not in caplog.text:
        assert time.monotonic() < deadline, caplog.text
        time.sleep(0.01)
    (line,) = [record for record in caplog.records if scope in record.getMessage()]
    assert line.levelname == "WARNING"

    shown = {item["scope"]: item for item in client.get("/v1/kill-switch").json()["items"]}[scope]
    assert shown == {
        "scope": scope,
        "state": "HALTED",
        "since_ts": told["ts"],
        "actor": 0,
        "actor_name": "breaker",
        "cause": "REPEATED_ORDER",
        "reason": None,
    }
    resume = {"scope": scope, "action": "resume", "reason": "looked at it"}
    client.post("/v1/kill-switch", json=resume).raise_for_status()
    everything = client.get("/v1/kill-switch?state=all").json()["items"]
    again = next(item for item in everything if item["scope"] == scope)
    assert (again["state"], again["actor_name"], again["cause"]) == ("ACTIVE", "BOT4_ADMIN_KEY", None)
    assert again["reason"] == "looked at it" and again["since_ts"] > shown["since_ts"]
    assert {"firm", "symbol:BTC-USDT"} <= {item["scope"] for item in everything}
    assert scope not in {item["scope"] for item in client.get("/v1/kill-switch").json()["items"]}

    changes = client.get(f"/v1/limits/accounts/{account}/history").json()["items"]
    states = [item for item in changes if item["kind"] in ("TRADING_STATE_SET", "BREAKER_TRIPPED")]
    assert [(item["kind"], item["old"], item["new"], item["actor_name"]) for item in states] == [
        ("TRADING_STATE_SET", "HALTED", "ACTIVE", "BOT4_ADMIN_KEY"),
        ("TRADING_STATE_SET", "ACTIVE", "HALTED", "breaker"),
        ("BREAKER_TRIPPED", "ACTIVE", "HALTED", "breaker"),
    ]
