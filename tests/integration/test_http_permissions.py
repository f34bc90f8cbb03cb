"""Which symbols an account may trade: set with a reason, told to those who watch, in the history."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.api import ApiServer, limit_order, market_order
from tests.support.stream import watch

REASON = "because a test says so"


@pytest.fixture
def client(api: ApiServer) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


def _refused(response: httpx.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text


def _set(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    response = client.put(path, json={"reason": REASON, **body})
    assert response.status_code == 200, response.text
    content: dict[str, Any] = response.json()
    return content


def _effective(content: dict[str, Any]) -> dict[str, str]:
    return {item["symbol"]: item["effective"] for item in content["symbols"]}


def test_a_denied_symbol_is_refused_but_for_what_reduces(client: httpx.Client, account: str) -> None:
    path = f"/v1/permissions/accounts/{account}"
    assert client.get(path).json()["permission"] == "DEFAULT"
    assert set(_effective(client.get(path).json()).values()) == {"ALLOWED"}
    assert client.post("/v1/orders", json=market_order(account)).status_code == 201
    denied = _set(client, f"{path}/symbols/BTC-USDT", permission="DENIED")
    assert denied == {"symbol": "BTC-USDT", "permission": "DENIED", "effective": "DENIED"}
    refused = client.post("/v1/orders", json=market_order(account))
    _refused(refused, 422, "SYMBOL_RESTRICTED")
    assert client.post("/v1/orders", json=limit_order(account, symbol="ETH-USDT")).status_code == 201
    assert client.post("/v1/orders", json=market_order(account, side="SELL")).status_code == 201
    back = client.delete(f"{path}/symbols/BTC-USDT", params={"reason": REASON})
    assert back.json() == {"symbol": "BTC-USDT", "permission": "DEFAULT", "effective": "ALLOWED"}
    assert client.post("/v1/orders", json=limit_order(account)).status_code == 201


def test_a_list_of_what_is_allowed_is_set_at_once(api: ApiServer, client: httpx.Client, account: str) -> None:
    path = f"/v1/permissions/accounts/{account}"
    content = _set(client, path, permission="DENIED", symbols={"ETH-USDT": "ALLOWED"})
    assert content == client.get(path).json()
    assert content in client.get("/v1/permissions").json()["items"]
    allowed = [symbol for symbol, effective in _effective(content).items() if effective == "ALLOWED"]
    assert allowed == ["ETH-USDT"]
    _refused(client.post("/v1/orders", json=limit_order(account)), 422, "SYMBOL_RESTRICTED")
    assert client.post("/v1/orders", json=limit_order(account, symbol="ETH-USDT")).status_code == 201
    _, key = api.make_key("trader", account)
    with api.client(key) as trader:
        assert trader.get("/v1/permissions").json()["items"] == [content]
        _refused(trader.get("/v1/permissions/accounts/alpha"), 404, "UNKNOWN_ACCOUNT")
    _set(client, path, permission="DEFAULT", symbols={"ETH-USDT": "DEFAULT"})
    assert account not in {item["account"] for item in client.get("/v1/permissions").json()["items"]}


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("", {"permission": "DENIED"}, 400, "INVALID_REQUEST"),  # no reason
        ("", {"permission": "DENIED", "reason": " "}, 400, "INVALID_REQUEST"),
        ("", {"reason": REASON}, 400, "INVALID_REQUEST"),
        ("", {"permission": "MAYBE", "reason": REASON}, 400, "INVALID_REQUEST"),
        (
            "",
            {"permission": "DENIED", "symbols": {"NO-USDT": "DENIED"}, "reason": REASON},
            404,
            "UNKNOWN_SYMBOL",
        ),
        ("", {"symbols": {"BTC-USDT": 2}, "reason": REASON}, 400, "INVALID_REQUEST"),
        ("", {"permission": "DENIED", "reason": "\U0001f4a5" * 400}, 400, "INVALID_REQUEST"),
        ("/symbols/BTC-USDT", {"permission": None, "reason": REASON}, 400, "INVALID_REQUEST"),
        ("/symbols/NO-USDT", {"permission": "DENIED", "reason": REASON}, 404, "UNKNOWN_SYMBOL"),
    ],
)
def test_what_is_wrong_changes_nothing(
    client: httpx.Client, account: str, path: str, body: Any, status: int, code: str
) -> None:
    own = f"/v1/permissions/accounts/{account}"
    before = client.get(own).json()
    _refused(client.put(f"{own}{path}", json=body), status, code)
    _refused(client.delete(f"{own}/symbols/BTC-USDT"), 400, "INVALID_REQUEST")
    assert client.get(own).json() == before
    _refused(client.put("/v1/permissions/accounts/nobody", json={"permission": "DENIED", "reason": "x"}), 404,
             "UNKNOWN_ACCOUNT")  # fmt: skip


def test_who_when_and_why_stand_in_the_history_and_on_the_stream(
    api: ApiServer, client: httpx.Client, account: str
) -> None:
    number, key = api.make_key("risk")
    path = f"/v1/permissions/accounts/{account}"
    with watch(api) as watcher, api.client(key) as manager:
        watcher.subscribe({"name": "risk", "account": account})
        watcher.snapshot("risk", account)
        _set(manager, f"{path}/symbols/BTC-USDT", permission="DENIED")
        told = watcher.update("risk", account, lambda item: item["event"] == "permission")
        _set(manager, path, permission="DENIED")
    assert told.pop("ts") > 0
    assert told == {
        "event": "permission",
        "scope": f"account:{account}/symbol:BTC-USDT",
        "permission": "DENIED",
        "previous": "DEFAULT",
        "actor": number,
        "reason": REASON,
    }
    (of_pair,) = client.get(f"/v1/limits/accounts/{account}/symbols/BTC-USDT/history").json()["items"]
    of_account = client.get(f"/v1/limits/accounts/{account}/history").json()["items"][0]
    for change, scope in ((of_pair, told["scope"]), (of_account, f"account:{account}")):
        assert (change["kind"], change["scope"], change["old"], change["new"]) == (
            "PERMISSION_SET",
            scope,
            "DEFAULT",
            "DENIED",
        )
        assert (change["actor"], change["actor_name"], change["reason"]) == (number, "risk of a test", REASON)
    with watch(api) as watcher:
        watcher.subscribe({"name": "risk", "account": account})
        shown = watcher.snapshot("risk", account)["data"]
    permissions = {item["scope"]: item["permission"] for item in shown if item["event"] == "permission"}
    assert permissions == {f"account:{account}": "DENIED", told["scope"]: "DENIED"}
