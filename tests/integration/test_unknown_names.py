"""A request that says what its route does not know does nothing, and is told what is known (case T1)."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from app.api.routes.access import ExactRoute
from app.api.routes.order_entry import OrderRoute
from app.main import ROUTERS
from tests.support.api import ADMIN_KEY, ApiServer, limit_order
from tests.support.stream import Watcher, stream_url

Operation = dict[str, Any]

ROUTES = [route for module in ROUTERS for route in module.router.routes if isinstance(route, APIRoute)]
NAMES = sorted(
    ["GET /openapi.json", *(f"{method} {route.path}" for route in ROUTES for method in route.methods or ())]
)


@pytest.fixture(scope="module")
def operations(api: ApiServer) -> dict[str, Operation]:
    """By method and path, references resolved one level deep where a body is one."""
    with api.client() as client:
        document = client.get("/openapi.json").json()
    found = {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    for operation in found.values():
        operation["schemas"] = document["components"]["schemas"]
    return found


def _path(name: str) -> tuple[str, str]:
    """Of things that there are, as far as names are known to all servers."""
    method, path = name.split()
    return method, path.format_map(_Places(account="alpha", symbol="BTC-USDT"))


class _Places(dict[str, str]):
    def __missing__(self, _name: str) -> str:
        return "1"


def _refused(response: httpx.Response, *names: str) -> list[str]:
    """What is said of each name, in this order."""
    assert response.status_code == 400, response.text
    problem = response.json()
    assert problem["code"] == "INVALID_REQUEST"
    assert [error["path"] for error in problem["errors"]] == list(names)
    assert names[0] in problem["detail"]
    return [error["message"] for error in problem["errors"]]


def _parameters(operation: Operation) -> list[str]:
    return [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]


def _body_schema(operation: Operation) -> dict[str, Any]:
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    found: dict[str, Any] = operation["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return found


def test_the_document_has_every_route(operations: dict[str, Operation]) -> None:
    assert sorted(operations) == sorted(name.replace(":path}", "}") for name in NAMES)
    assert all(type(route) in (ExactRoute, OrderRoute) for route in ROUTES)


def test_an_unknown_parameter_is_refused_on_every_route(
    operations: dict[str, Operation], client: httpx.Client
) -> None:
    for name, operation in operations.items():
        method, path = _path(name)
        [message] = _refused(client.request(method, path, params={"acount": "a"}, json=None), "acount")
        assert "unknown parameter" in message
        for known in _parameters(operation):
            assert known in message, name
        csv = client.request(method, path, params={"acount": "a"}, headers={"accept": "text/csv"})
        _refused(csv, "acount")


def test_a_parameter_is_given_once_and_with_a_value(
    operations: dict[str, Operation], client: httpx.Client
) -> None:
    tried = 0
    for name, operation in operations.items():
        method, path = _path(name)
        for parameter in operation.get("parameters", ()):
            if parameter["in"] != "query":
                continue
            assert parameter["schema"].get("type") != "array", "no parameter has several values"
            tried += 1
            known = parameter["name"]
            [once] = _refused(client.request(method, path, params=[(known, "1"), (known, "1")]), known)
            assert once == "is given more than once"
            [empty] = _refused(client.request(method, path, params={known: ""}), known)
            assert "is empty" in empty
            _refused(client.request(method, f"{path}?{known}"), known)
    assert tried > 30


def test_an_unknown_member_is_refused_on_every_route_that_takes_a_body(
    operations: dict[str, Operation], client: httpx.Client
) -> None:
    tried = 0
    for name, operation in operations.items():
        if "requestBody" not in operation:
            continue
        tried += 1
        method, path = _path(name)
        response = client.request(method, path, json={"acount": "a"})
        assert response.status_code == 400, (name, response.text)
        messages = {error["path"]: error["message"] for error in response.json()["errors"]}
        known = ", ".join(_body_schema(operation)["properties"])
        assert messages["acount"] == f"unknown field; known are {known}", name
    assert tried > 15


def test_a_body_is_refused_on_every_route_that_takes_none(
    operations: dict[str, Operation], client: httpx.Client
) -> None:
    for name, operation in operations.items():
        if "requestBody" in operation:
            continue
        method, path = _path(name)
        _refused(client.request(method, path, json={"account": "alpha"}), "body")
        _refused(client.request(method, path, content=iter([b"{}"])), "body")


def test_who_is_not_known_is_told_nothing_else(operations: dict[str, Operation], api: ApiServer) -> None:
    with api.client(None) as nobody:
        for name in operations:
            method, path = _path(name)
            response = nobody.request(method, path, params={"acount": "a"})
            assert response.status_code == (400 if path.startswith("/health/") else 401), name


def test_members_of_members_are_told_too(client: httpx.Client, account: str) -> None:
    body = {"limits": {"MAX_POSITON": "1"}, "reason": "a test"}
    [message] = _refused(client.put(f"/v1/limits/accounts/{account}", json=body), "limits.MAX_POSITON")
    assert "MAX_POSITION" in message
    orders = {"orders": [limit_order(account), limit_order(account, prize="1")]}
    [message] = _refused(client.post("/v1/orders/batch", json=orders), "orders.1.prize")
    assert "price, stop_price" in message
    # A JSON number with a fraction takes another way through the decoder.
    order = limit_order(account, price=49000.5, prize=1.5)
    assert "stop_price" in _refused(client.post("/v1/orders", json=order), "prize")[0]


def test_rows_without_a_symbol_are_not_asked_for_by_one(client: httpx.Client) -> None:
    _refused(client.get("/v1/history/equity?symbol=BTC-USDT"), "symbol")


# Canceling for everyone.


@pytest.fixture
def resting(api: ApiServer, client: httpx.Client, account: str) -> Iterator[tuple[str, str]]:
    """Accounts with an order each."""
    other = api.open_account(f"{account}-b")
    for name in (account, other):
        client.post("/v1/orders", json=limit_order(name)).raise_for_status()
    yield account, other
    for name in (account, other):
        client.delete("/v1/orders", params={"account": name}).raise_for_status()


def _open(client: httpx.Client, *accounts: str) -> list[int]:
    return [len(client.get("/v1/orders", params={"account": each}).json()["items"]) for each in accounts]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("", "account"),
        ("symbol=BTC-USDT", "account"),
        ("acount=a", "acount"),
        ("account=", "account"),
        ("scope=", "scope"),
        ("scope=everything", "scope"),
        ("scope=firm&scope=firm", "scope"),
        ("account=alpha&scope=firm", "scope"),
    ],
)
def test_nobodys_orders_are_canceled_for_want_of_a_word(
    client: httpx.Client, resting: tuple[str, str], query: str, name: str
) -> None:
    _refused(client.delete(f"/v1/orders?{query}"), name)
    assert _open(client, *resting) == [1, 1]


def test_the_refusal_says_what_is_needed(client: httpx.Client, resting: tuple[str, str]) -> None:
    assert "scope=firm" in client.delete("/v1/orders").json()["detail"]
    _refused(client.request("DELETE", "/v1/orders?scope=firm", json={"account": resting[0]}), "body")
    assert _open(client, *resting) == [1, 1]


def test_everybodys_orders_are_canceled_with_the_word(client: httpx.Client, resting: tuple[str, str]) -> None:
    assert client.delete("/v1/orders?scope=firm&symbol=ETH-USDT").status_code == 200
    assert _open(client, *resting) == [1, 1]
    assert client.delete("/v1/orders?scope=firm&symbol=BTC-USDT").json()["canceled"] >= 2
    assert _open(client, *resting) == [0, 0]


def test_the_word_means_a_traders_own_accounts(
    api: ApiServer, client: httpx.Client, resting: tuple[str, str]
) -> None:
    account, other = resting
    with api.client(api.make_key("trader", account)[1]) as trader:
        _refused(trader.delete("/v1/orders"), "account")
        assert trader.delete("/v1/orders?scope=firm").json()["canceled"] == 1
    assert _open(client, account, other) == [0, 1]


# The same over WebSockets.


def _ask(api: ApiServer, url: str, message: dict[str, Any]) -> Any:
    with connect(url, additional_headers={"authorization": f"Bearer {ADMIN_KEY}"}, proxy=None) as socket:
        socket.send(json.dumps(message))
        return json.loads(socket.recv(5))


def _trade_url(api: ApiServer) -> str:
    return stream_url(api.url).replace("/stream", "/trade")


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({}, "account"),
        (None, "account"),
        ({"account": None}, "account"),
        ({"symbol": "BTC-USDT"}, "account"),
        ({"scope": "all"}, "params.scope"),
        ({"acount": "a"}, "params.acount"),
        ({"account": "alpha", "scope": "firm"}, "scope"),
    ],
)
def test_cancel_all_needs_the_word_over_the_socket(
    api: ApiServer, client: httpx.Client, resting: tuple[str, str], params: Any, name: str
) -> None:
    message: dict[str, Any] = {"id": 1, "op": "order.cancel_all"}
    found = _ask(api, _trade_url(api), message if params is None else message | {"params": params})
    assert (found["status"], found["error"]["code"]) == (400, "INVALID_REQUEST")
    assert [error["path"] for error in found["error"]["errors"]] == [name]
    assert _open(client, *resting) == [1, 1]


_OPS = {
    "order.place": limit_order("alpha"),
    "order.place_batch": {"orders": [limit_order("alpha")]},
    "order.cancel": {"order_id": "1"},
    "order.amend": {"order_id": "1", "price": "1"},
    "order.cancel_all": {"account": "alpha"},
    "session.cancel_on_disconnect": {"enabled": False},
    "session.cancel_all_after": {"timeout_ms": 0},
    "ping": {},
}


@pytest.mark.parametrize("op", _OPS)
def test_unknown_members_of_trade_messages(api: ApiServer, op: str) -> None:
    url = _trade_url(api)
    outside = _ask(api, url, {"id": 1, "op": op, "params": _OPS[op], "prams": {}})
    inside = _ask(api, url, {"id": 1, "op": op, "params": _OPS[op] | {"acount": "a"}})
    for found, path, known in ((outside, "prams", "op, params"), (inside, "params.acount", "")):
        assert (found["id"], found["status"], found["error"]["code"]) == (1, 400, "INVALID_REQUEST")
        assert found["error"]["errors"][0]["path"] == path
        assert "unknown field" in found["error"]["detail"] and known in found["error"]["detail"]
    for name in _OPS[op]:
        assert name in inside["error"]["detail"]


@pytest.mark.parametrize(
    ("message", "path", "known"),
    [
        ({"op": "ping", "acount": "a"}, "acount", "op, id"),
        ({"op": "subscribe", "channels": [{"name": "marks"}], "from": 1}, "from", "from_seq"),
        ({"op": "unsubscribe", "channels": [{"name": "marks"}], "batch": True}, "batch", "channels"),
        ({"op": "subscribe", "channels": [{"name": "orders", "acount": "a"}]}, "acount", "account, from_seq"),
        ({"op": "subscribe", "channels": [{"name": "book", "symbol": "S", "depth": 1}]}, "depth", "symbol"),
        ({"op": "subscribe", "channels": [{"name": "system", "symbol": "S"}]}, "symbol", "known are name"),
    ],
)
def test_unknown_members_of_stream_messages(
    api: ApiServer, message: dict[str, Any], path: str, known: str
) -> None:
    found = _ask(api, stream_url(api.url), {"id": 1, **message})
    assert (found["id"], found["status"], found["error"]["code"]) == (1, 400, "INVALID_REQUEST")
    [error] = found["error"]["errors"]
    assert error["path"].endswith(path) and known in error["message"]


def test_unknown_members_of_the_first_message(api: ApiServer) -> None:
    for url in (stream_url(api.url), _trade_url(api)):
        with connect(url, proxy=None) as socket:
            socket.send(json.dumps({"op": "auth", "key": ADMIN_KEY, "acount": "a"}))
            error = json.loads(socket.recv(5))["error"]
            assert (error["code"], error["errors"][0]["path"]) == ("INVALID_REQUEST", "acount")
            assert ADMIN_KEY not in str(error)
            assert Watcher(socket).close_code() == 4001


@pytest.mark.parametrize("query", ["account=a", "from_seq=1", "batch", "acount="])
def test_handshakes_take_no_parameters(api: ApiServer, query: str) -> None:
    for url in (stream_url(api.url), _trade_url(api)):
        for headers in ({}, {"authorization": f"Bearer {ADMIN_KEY}"}):
            with pytest.raises(InvalidStatus) as refused:
                connect(f"{url}?{query}", additional_headers=headers, proxy=None)
            response = refused.value.response
            assert response.status_code == 400 and response.body is not None
            assert json.loads(response.body)["errors"][0]["path"] == query.partition("=")[0]
