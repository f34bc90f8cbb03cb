"""Accounts, instruments, limits, the kill switch and the server's own figures over HTTP."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.api import ApiServer, limit_order, market_order


@pytest.fixture
def client(api: ApiServer) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


def _refused(response: httpx.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text


def test_a_new_account_trades_only_with_limits(client: httpx.Client) -> None:
    created = client.post("/v1/accounts", json={"account": "careful", "deposit": 1000.5, "leverage": 3})
    assert created.status_code == 201
    assert (created.json()["cash"], created.json()["leverage"]) == ("1000.5", 3)
    assert client.get("/v1/accounts/careful").json() | {"limit_change_id": None} == created.json()
    _refused(client.post("/v1/accounts", json={"account": "careful"}), 409, "ACCOUNT_EXISTS")
    order = market_order("careful", quantity="0.001")
    _refused(client.post("/v1/orders", json=order), 422, "LIMITS_NOT_SET")
    path = "/v1/limits/accounts/careful"
    body: dict[str, Any] = {"limits": {"MAX_OPEN_ORDERS": 5}, "reason": "may begin"}
    limits = client.put(path, json=body)
    assert limits.status_code == 200 and limits.json()["limits"]["MAX_OPEN_ORDERS"]["value"] == 5
    assert client.post("/v1/orders", json=order).status_code == 201
    position = {"limits": {"MAX_POSITION": "0.0015"}, "reason": "not too much"}
    refused = client.put(f"{path}/symbols/BTC-USDT", json=position)
    assert refused.json()["scope"] == "account:careful/symbol:BTC-USDT"
    response = client.post("/v1/orders", json=order)
    _refused(response, 422, "MAX_POSITION")
    problem = response.json()
    assert (problem["limit"], problem["observed"]) == ("0.0015", "0.002")
    assert problem["scope"] == "account:careful/symbol:BTC-USDT"
    body["limits"]["MAX_OPEN_ORDERS"] = None
    cleared = client.put(path, json=body).json()
    assert cleared["limits"]["MAX_OPEN_ORDERS"]["value"] is None and cleared["version"] == 2
    _refused(client.post("/v1/orders", json=order), 422, "LIMITS_NOT_SET")


@pytest.mark.parametrize(
    "body",
    [
        {"account": "a b"},
        {"account": "x" * 37},
        {"account": "x", "deposit": "-1"},
        {"account": "x", "deposit": "0.123456789"},
        {"account": "x", "deposit": "9" * 25},
        {"account": "x", "leverage": 0},
        {"account": "x", "leverage": 1.5},
        {"account": "x", "limits": {"NO_SUCH_LIMIT": 1}},
        {"account": "x", "limits": {"ORDER_RATE": "1"}},
        {"account": "x", "limits": {"MAX_POSITION": "-1"}},
        {},
    ],
)
def test_wrong_accounts(client: httpx.Client, body: dict[str, Any]) -> None:
    _refused(client.post("/v1/accounts", json=body), 400, "INVALID_REQUEST")
    assert client.get("/v1/accounts/x").status_code == 404


def test_a_body_is_json_whatever_it_is_called(client: httpx.Client) -> None:
    for kind in ("application/x-www-form-urlencoded", "text/plain", ""):
        body = b'{"account": "alpha", "symbol": "BTC-USDT", "side": "BUY", "type": "MARKET", "quantity": 0.1}'
        checked = client.post("/v1/risk/check", content=body, headers={"content-type": kind})
        assert checked.status_code == 200, (kind, checked.text)


def test_limits(client: httpx.Client, account: str) -> None:
    path = f"/v1/limits/accounts/{account}"
    values = {"MAX_ORDER_NOTIONAL": "100.5", "ORDER_RATE": 7, "PRICE_COLLAR_BPS": 50, "MAX_MARK_AGE": 10**9}
    body = {"limits": values, "reason": "a test"}
    changed = client.put(path, json=body)
    assert changed.status_code == 200
    shown = {name: limit["value"] for name, limit in changed.json()["limits"].items()}
    assert values.items() <= shown.items()
    assert client.get(path).json() == changed.json()
    assert changed.json() in client.get("/v1/limits").json()["items"]
    _refused(client.put("/v1/limits/accounts/nobody", json=body), 404, "UNKNOWN_ACCOUNT")
    _refused(client.get("/v1/limits/symbols/NOPE"), 404, "UNKNOWN_SYMBOL")
    assert client.get("/v1/limits/firm").json()["scope"] == "firm"
    response = client.post("/v1/orders", json=limit_order(account))
    _refused(response, 422, "PRICE_COLLAR")
    assert (response.json()["limit"], response.json()["observed"]) == ("250.00", "1000.00")


NEW_INSTRUMENT = {
    "symbol": "NEW-USDT",
    "base": "NEW",
    "quote": "USDT",
    "price_tick": "0.5",
    "quantity_step": "0.001",
    "min_quantity": "0.001",
    "max_quantity": 1000,
    "min_notional": "1",
    "maker_fee_bps": "-1.5",
    "taker_fee_bps": "2.25",
}


def test_instruments(client: httpx.Client) -> None:
    created = client.post("/v1/instruments", json=NEW_INSTRUMENT)
    assert created.status_code == 201, created.text
    shown = created.json()
    assert (
        shown
        | {
            **NEW_INSTRUMENT,
            "max_quantity": "1000.000",
            "status": "TRADING",
            "mark": None,
        }
        == shown
    )
    _refused(client.post("/v1/instruments", json=NEW_INSTRUMENT), 409, "INSTRUMENT_EXISTS")
    changed = client.patch("/v1/instruments/NEW-USDT", json={"status": "HALTED", "taker_fee_bps": "3"})
    assert changed.json() == shown | {"status": "HALTED", "taker_fee_bps": "3"}
    assert changed.json() in client.get("/v1/instruments").json()["items"]
    _refused(client.patch("/v1/instruments/NEW-USDT", json={}), 400, "INVALID_REQUEST")
    _refused(client.patch("/v1/instruments/NEW-USDT", json={"price_tick": "1"}), 400, "INVALID_REQUEST")
    _refused(client.patch("/v1/instruments/NOPE", json={"status": "HALTED"}), 404, "UNKNOWN_SYMBOL")
    _refused(client.patch("/v1/instruments/NEW-USDT", json={"max_quantity": "0"}), 422, "INVALID_VALUE")
    assert client.get("/v1/instruments/NEW-USDT").json() == changed.json()


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"symbol": "new"}, 400, "INVALID_REQUEST"),
        ({"price_tick": "0"}, 400, "INVALID_REQUEST"),
        ({"price_tick": "0.0000000000001"}, 400, "INVALID_REQUEST"),
        ({"quantity_step": "1e-3"}, 400, "INVALID_REQUEST"),
        ({"min_quantity": "0.0005"}, 400, "INVALID_REQUEST"),
        ({"maker_fee_bps": "x"}, 400, "INVALID_REQUEST"),
        ({"price_tick": "0.000001", "symbol": "TINY-USDT"}, 422, "INVALID_VALUE"),
        ({"min_quantity": "2000", "symbol": "LESS-USDT"}, 422, "INVALID_VALUE"),
    ],
)
def test_wrong_instruments(client: httpx.Client, changes: dict[str, Any], status: int, code: str) -> None:
    body = NEW_INSTRUMENT | {"symbol": "WRONG-USDT"} | changes
    _refused(client.post("/v1/instruments", json=body), status, code)
    assert client.get(f"/v1/instruments/{body['symbol']}").status_code == 404


def test_the_kill_switch(client: httpx.Client, account: str) -> None:
    order = client.post("/v1/orders", json=limit_order(account)).json()
    body = {
        "scope": f"account:{account}",
        "action": "halt",
        "cancel_open_orders": True,
        "reason": "a test",
    }
    result = client.post("/v1/kill-switch", json=body)
    orders = result.json().pop("orders")
    assert result.json() | {"orders": None} == {
        "scope": f"account:{account}",
        "state": "HALTED",
        "previous": "ACTIVE",
        "canceled": 1,
        "pending": 0,
        "failed": 0,
        "resting": 0,
        "orders": None,
    }
    assert [(item["status"], item["order"]["order_id"]) for item in orders] == [(200, order["order_id"])]
    assert client.get(f"/v1/orders/{order['order_id']}").json()["status"] == "CANCELED"
    shown = {item["scope"]: item for item in client.get("/v1/kill-switch").json()["items"]}
    halted = shown[f"account:{account}"]
    assert 0 < halted.pop("since_ts") <= client.get("/v1/system").json()["now_ts"]
    assert halted == {
        "scope": f"account:{account}",
        "state": "HALTED",
        "actor": 1,
        "actor_name": "BOT4_ADMIN_KEY",
        "cause": None,
        "reason": "a test",
    }
    assert next(iter(shown)) == "firm"
    refused = client.post("/v1/orders", json=limit_order(account))
    _refused(refused, 422, "TRADING_HALTED")
    assert refused.json()["scope"] == f"account:{account}"
    resume = {"scope": f"account:{account}", "action": "resume", "reason": "the test goes on"}
    assert client.post("/v1/kill-switch", json=resume).json()["state"] == "ACTIVE"
    assert client.post("/v1/orders", json=limit_order(account)).status_code == 201
    _refused(client.post("/v1/kill-switch", json=body | {"reason": ""}), 400, "INVALID_REQUEST")
    _refused(client.post("/v1/kill-switch", json=body | {"scope": "all"}), 400, "INVALID_REQUEST")
    _refused(client.post("/v1/kill-switch", json=body | {"scope": "account:no"}), 404, "UNKNOWN_ACCOUNT")


def test_the_book(client: httpx.Client, account: str) -> None:
    client.post("/v1/orders", json=limit_order(account, symbol="ETH-USDT", price="49999", quantity="0.5"))
    book = client.get("/v1/market/ETH-USDT/book?depth=5").json()
    assert [price for price, _ in book["bids"]] == sorted(
        (price for price, _ in book["bids"]), key=float, reverse=True
    )
    assert any(float(price) == 49_999 and float(size) == 0.5 for price, size in book["bids"])
    assert float(book["asks"][0][0]) > 50_000


def test_the_market(api: ApiServer, client: httpx.Client) -> None:
    api.show_market()  # other tests of this server trade elsewhere
    markets = {each["symbol"]: each for each in client.get("/v1/market").json()["items"]}
    shown = markets["ETH-USDT"]
    assert (shown["state"], shown["mid"], shown["mark"]) == ("LIVE", "50000.00", "50000.00")
    assert shown["last"] == "50000.10" and shown["ts"] > 0
    unknown = {"state": "DISCONNECTED", "last": None, "mid": None, "mark": None, "ts": None}
    assert markets["SOL-USDT"] == {"symbol": "SOL-USDT", **unknown}
    trades = client.get("/v1/market/ETH-USDT/trades?limit=1").json()
    assert trades["symbol"] == "ETH-USDT"
    assert [(trade["price"], float(trade["quantity"])) for trade in trades["items"]] == [("50000.10", 10)]
    assert client.get("/v1/market/SOL-USDT/trades").json()["items"] == []
    _refused(client.get("/v1/market/NO-USDT/trades"), 404, "UNKNOWN_SYMBOL")
    _refused(client.get("/v1/market/ETH-USDT/trades?limit=0"), 400, "INVALID_REQUEST")


def test_figures(client: httpx.Client, account: str) -> None:
    client.post("/v1/orders", json=limit_order(account))
    system = client.get("/v1/system").json()
    assert system["ready"] is True and system["halted"] is False
    assert 0 < system["seq"] and system["counts"]["open_orders"] > 0
    assert {"queue", "engine", "journal", "reply"} <= set(system["latency_us"])
    metrics = client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = [line.rsplit(" ", 1) for line in metrics.text.splitlines() if not line.startswith("#")]
    assert {name: float(value) for name, value in samples}["bot4_ready"] == 1


def test_every_route_is_documented(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    operations = {
        f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods
    }
    assert {
        "POST /v1/orders",
        "POST /v1/orders/batch",
        "PATCH /v1/orders/{order_id}",
        "DELETE /v1/orders/{order_id}",
        "DELETE /v1/orders",
        "GET /v1/orders/by-client-id/{account}/{client_order_id}",
        "PUT /v1/limits/accounts/{account}/symbols/{symbol}",
        "GET /health/ready",
    } <= operations
    place = document["paths"]["/v1/orders"]["post"]
    schema = place["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
    fields = document["components"]["schemas"][schema]["properties"]
    assert {"account", "symbol", "quantity", "client_order_id", "self_trade_prevention"} <= set(fields)
    assert {"201", "200", "400", "401", "409", "422", "503"} <= set(place["responses"])
