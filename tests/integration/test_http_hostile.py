"""Bad input over HTTP: each with its own answer, and none with an effect."""

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.support.api import ADMIN_KEY, ApiServer, limit_order, market_order


@pytest.fixture
def client(api: ApiServer) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


def _text(account: str, member: str, value: str) -> bytes:
    """The JSON of an order in which one member is written as `value`."""
    order = limit_order(account)
    order[member] = "@"
    return json.dumps(order, ensure_ascii=False).replace('"@"', value).encode()


MALFORMED = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"order"',
    b"12",
    b"\xff\xfe",
    b'{"account": "\xc3"}',
    b"[" * 100_000,
    b'{"a":' * 10_000,
    b"{}",
    b'{"orders": []}',
]


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
@pytest.mark.parametrize("path", ["/v1/orders", "/v1/orders/batch", "/v1/risk/check", "/v1/accounts"])
def test_malformed_bodies(client: httpx.Client, path: str, body: bytes) -> None:
    response = client.post(path, content=body, headers={"content-type": "application/json"})
    if len(body) > 1 << 14 and path == "/v1/orders":
        assert (response.status_code, response.json()["code"]) == (413, "BODY_TOO_LARGE")
        return
    assert (response.status_code, response.json()["code"]) == (400, "INVALID_REQUEST")
    assert response.headers["content-type"] == "application/problem+json"
    assert all(set(error) == {"path", "message"} for error in response.json()["errors"])


WRONG_VALUES = {
    "quantity": [
        "null",
        "true",
        "{}",
        "[]",
        "[1]",
        '""',
        "-1",
        '"-1"',
        '"+1"',
        '" 1"',
        '"1 "',
        '"1\\n"',
        '"1_000"',
        '"1,5"',
        '"1e5"',
        "1e5",
        "1E400",
        "-0.5",
        "NaN",
        '"NaN"',
        "Infinity",
        '"Infinity"',
        '"0x10"',
        '".5"',
        '"5."',
        '"1.2.3"',
        '"\u0661"',
        '"\uff11"',
        '"' + "1" * 200 + '"',
        "1" * 200,
        "0." + "1" * 200,
        '"0.' + "1" * 200 + '"',
        "1" * 5_000,
    ],
    "price": ["true", "-1", '"1e5"', "1e5", "NaN", '"' + "9" * 200 + '"', '"\\u0000"'],
    "stop_price": ["true", '"-1"', "1e1"],
    "side": ['"buy"', '"HOLD"', "1", "null", '""'],
    "type": ['"limit"', '"ICEBERG"', "0", "null"],
    "time_in_force": ['"DAY"', "1", "null"],
    "expire_at": ["0", "-1", "1.5", '"1"', "true", "9007199254740993", "1e3"],
    "post_only": ['"true"', "1", "null"],
    "reduce_only": ["0", '"no"'],
    "client_order_id": ['""', '"' + "x" * 37 + '"', '"a b"', '"ä"', '"a\\u0000"', "7", '"a\\n"'],
    "self_trade_prevention": ['"none"', "0"],
    "account": ['""', "1", "null", '"' + "x" * 37 + '"'],
    "symbol": ['""', "1", "null", '"' + "X" * 25 + '"'],
    "unknown_field": ["1", "null"],
}


@pytest.mark.parametrize(
    ("member", "value"), [(member, value) for member, values in WRONG_VALUES.items() for value in values]
)
def test_wrong_values(client: httpx.Client, account: str, member: str, value: str) -> None:
    before = client.get("/v1/system").json()["counts"]
    response = client.post("/v1/orders", content=_text(account, member, value))
    assert (response.status_code, response.json()["code"]) == (400, "INVALID_REQUEST"), response.text
    assert [error["path"] for error in response.json()["errors"]] in ([member], [""])
    assert len(response.text) < 2_000
    after = client.get("/v1/system").json()["counts"]
    assert (before["orders_used"], before["fills"]) == (after["orders_used"], after["fills"])


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("PRICE_TICK", {"price": "49000.001"}),
    ("PRICE_TICK", {"price": 49000.001}),
    ("PRICE_TICK", {"price": "0.1234567890123456789012345678"}),
    ("PRICE_INVALID", {"price": "0"}),
    ("PRICE_INVALID", {"price": 0}),
    ("PRICE_INVALID", {"price": "9" * 30}),
    ("PRICE_INVALID", {"type": "MARKET"}),
    ("PRICE_REQUIRED", {"price": None}),
    ("STOP_PRICE_INVALID", {"stop_price": "1"}),
    ("STOP_PRICE_INVALID", {"type": "STOP", "price": None, "stop_price": "50001.001"}),
    ("STOP_PRICE_INVALID", {"type": "STOP", "price": None, "stop_price": "0"}),
    ("STOP_PRICE_INVALID", {"type": "STOP", "price": None}),
    ("QUANTITY_STEP", {"quantity": "0.000001"}),
    ("QUANTITY_STEP", {"quantity": 0.000125}),
    ("QUANTITY_MIN", {"quantity": "0"}),
    ("QUANTITY_MIN", {"quantity": 0}),
    ("QUANTITY_MIN", {"quantity": "0.00000"}),
    ("QUANTITY_MAX", {"quantity": "9" * 30}),
    ("QUANTITY_MAX", {"quantity": 10**29}),
    ("NOTIONAL_MIN", {"quantity": "0.00001"}),
    ("EXPIRE_TIME_INVALID", {"time_in_force": "GTD"}),
    ("EXPIRE_TIME_INVALID", {"time_in_force": "GTD", "expire_at": 1}),
    ("EXPIRE_TIME_INVALID", {"expire_at": 1 << 52}),
    ("POST_ONLY_WOULD_TAKE", {"post_only": True, "time_in_force": "IOC"}),
    ("REDUCE_ONLY", {"reduce_only": True}),
    ("UNKNOWN_SYMBOL", {"symbol": "NOPE-USDT"}),
    ("UNKNOWN_SYMBOL", {"symbol": "btc-usdt"}),
    ("UNKNOWN_ACCOUNT", {"account": "nobody"}),
]


@pytest.mark.parametrize(("code", "changes"), REFUSED)
def test_refused_orders_change_nothing(
    client: httpx.Client, account: str, code: str, changes: dict[str, Any]
) -> None:
    response = client.post("/v1/orders", json=limit_order(account) | changes)
    assert (response.status_code, response.json()["code"]) == (422, code), response.text
    problem = response.json()
    assert {"type", "title", "status", "detail", "order_id", "limit", "observed", "scope"} <= set(problem)
    assert "{" not in problem["detail"]
    stored = client.get(f"/v1/orders/{problem['order_id']}").json()
    assert (stored["status"], stored["code"], stored["filled_quantity"][0]) == ("REJECTED", code, "0")
    state = client.get(f"/v1/accounts/{account}").json()
    assert (state["cash"], state["open_orders"], state["exposure"]) == ("1000000", 0, "0")


def test_a_refusal_names_the_grid(client: httpx.Client, account: str) -> None:
    tick = client.post("/v1/orders", json=limit_order(account, price="49000.001")).json()
    assert (tick["limit"], tick["observed"]) == ("0.01", "49000.001")
    assert "49000.001" in tick["detail"] and "0.01" in tick["detail"]
    step = client.post("/v1/orders", json=limit_order(account, quantity="0.000001")).json()
    assert (step["limit"], step["observed"]) == ("0.00001", "0.000001")


def test_exact_numbers_are_accepted(client: httpx.Client, account: str) -> None:
    body = _text(account, "price", "49000.10").replace(b'"0.01"', b"0.01000")
    order = client.post("/v1/orders", content=body).json()
    assert (order["price"], order["quantity"]) == ("49000.10", "0.01000")
    whole = client.post("/v1/orders", content=_text(account, "price", "49000")).json()
    assert whole["price"] == "49000.00"


def test_the_last_of_two_equal_names_counts(client: httpx.Client, account: str) -> None:
    body = _text(account, "price", '"1.00", "price": "48000.00"')
    assert client.post("/v1/orders", content=body).json()["price"] == "48000.00"


@pytest.mark.parametrize(
    ("path", "size"),
    [("/v1/orders", 1 << 15), ("/v1/orders/batch", 1 << 21), ("/v1/accounts", 1 << 21)],
)
def test_bodies_that_are_too_large(client: httpx.Client, path: str, size: int) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(size // 1_024):
            yield b" " * 1_024

    for content in (b" " * size, chunks()):
        response = client.post(path, content=content)
        assert (response.status_code, response.json()["code"]) == (413, "BODY_TOO_LARGE")


def test_a_length_that_is_only_announced(api: ApiServer) -> None:
    """The answer does not wait for the terabyte."""
    address = urlsplit(api.url)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        head = (
            f"POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_KEY}\r\n"
            f"Content-Length: {1 << 40}\r\n\r\n{{"
        )
        connection.sendall(head.encode())
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_goes_away(api: ApiServer, client: httpx.Client) -> None:
    address = urlsplit(api.url)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        head = f"POST /v1/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_KEY}\r\n"
        connection.sendall((head + "Content-Length: 100\r\n\r\n{").encode())
    assert client.get("/health/ready").status_code == 200


def test_unknown_routes_and_methods(client: httpx.Client) -> None:
    for method, path, status, code in (
        ("GET", "/", 404, "NOT_FOUND"),
        ("GET", "/v1/orders/1/2", 404, "NOT_FOUND"),
        ("PUT", "/v1/orders", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/v1/system", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/accounts/nobody", 404, "UNKNOWN_ACCOUNT"),
        ("GET", "/v1/orders?account=nobody", 404, "UNKNOWN_ACCOUNT"),
        ("GET", "/v1/orders?symbol=NOPE", 404, "UNKNOWN_SYMBOL"),
        ("DELETE", "/v1/orders?account=nobody", 404, "UNKNOWN_ACCOUNT"),
        ("DELETE", "/v1/orders?scope=firm&symbol=NOPE", 404, "UNKNOWN_SYMBOL"),
        ("DELETE", "/v1/orders?symbol=BTC-USDT", 400, "INVALID_REQUEST"),
        ("GET", "/v1/market/NOPE/book", 404, "UNKNOWN_SYMBOL"),
        ("GET", "/v1/market/BTC-USDT/book?depth=0", 400, "INVALID_REQUEST"),
        ("DELETE", "/v1/keys/x", 400, "INVALID_REQUEST"),
        ("DELETE", "/v1/keys/999", 404, "UNKNOWN_KEY"),
    ):
        response = client.request(method, path)
        assert (response.status_code, response.json()["code"]) == (status, code), (method, path)
        assert response.headers["content-type"] == "application/problem+json"


def test_a_market_order_in_a_market_without_a_mark(client: httpx.Client, account: str) -> None:
    response = client.post("/v1/orders", json=market_order(account, symbol="SOL-USDT", quantity="1"))
    assert (response.status_code, response.json()["code"]) == (422, "MARKET_DATA_STALE")
