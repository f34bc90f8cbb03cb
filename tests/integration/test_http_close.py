"""Closing positions over HTTP, against a real server."""

import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.support.api import ApiServer, limit_order, market_order


@pytest.fixture
def client(api: ApiServer) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


def _quantity(client: httpx.Client, account: str) -> str:
    items = client.get(f"/v1/accounts/{account}/positions").json()["items"]
    return next(str(item["quantity"]) for item in items if item["symbol"] == "BTC-USDT")


@pytest.mark.parametrize(("side", "closing"), [("BUY", "SELL"), ("SELL", "BUY")])
def test_the_whole_position_goes(client: httpx.Client, account: str, side: str, closing: str) -> None:
    client.post("/v1/orders", json=market_order(account, side=side, quantity="0.03"))
    closed = client.post(f"/v1/accounts/{account}/positions/BTC-USDT/close", json={})
    assert closed.status_code == 201, closed.text
    order = closed.json()
    assert (order["side"], order["type"], order["status"]) == (closing, "MARKET", "FILLED")
    assert order["reduce_only"] is True and order["filled_quantity"] == "0.03000"
    assert float(_quantity(client, account)) == 0
    again = client.post(f"/v1/accounts/{account}/positions/BTC-USDT/close", json={})
    assert (again.status_code, again.json()["code"]) == (409, "NO_POSITION")


def test_a_repeated_close_is_one_order(client: httpx.Client, account: str) -> None:
    path = f"/v1/accounts/{account}/positions/BTC-USDT/close"
    client.post("/v1/orders", json=market_order(account, quantity="0.02"))
    first = client.post(path, json={"client_order_id": "close-1"})
    client.post("/v1/orders", json=market_order(account, quantity="0.01"))
    second = client.post(path, json={"client_order_id": "close-1", "cancel_open_orders": True})
    assert (first.status_code, second.status_code) == (201, 200), second.text
    assert second.headers["idempotency-replayed"] == "true"
    assert second.json() == first.json()
    assert _quantity(client, account) == "0.01000"
    client.post("/v1/orders", json=limit_order(account, client_order_id="not-a-close"))
    taken = client.post(path, json={"client_order_id": "not-a-close"})
    assert (taken.status_code, taken.json()["code"]) == (409, "DUPLICATE_CLIENT_ORDER_ID")


def test_many_closes_at_once_are_one_order(api: ApiServer, client: httpx.Client, account: str) -> None:
    client.post("/v1/orders", json=market_order(account, quantity="0.05"))
    results: list[httpx.Response] = []

    def close() -> None:
        with api.client() as own:
            path = f"/v1/accounts/{account}/positions/BTC-USDT/close"
            results.append(own.post(path, json={"client_order_id": "all-at-once"}))

    threads = [threading.Thread(target=close) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.status_code for result in results) == [200] * 7 + [201]
    assert len({result.json()["order_id"] for result in results}) == 1
    assert float(_quantity(client, account)) == 0


def test_open_orders_that_reduce_are_not_in_the_way(client: httpx.Client, account: str) -> None:
    path = f"/v1/accounts/{account}/positions/BTC-USDT/close"
    client.post("/v1/orders", json=market_order(account, quantity="0.02"))
    exit_order = limit_order(account, side="SELL", price="51000.00", quantity="0.02")
    resting = client.post("/v1/orders", json=exit_order).json()
    closed = client.post(path, json={})
    assert closed.status_code == 201 and closed.json()["filled_quantity"] == "0.02000"
    assert closed.json()["canceled_orders"] == []
    assert client.get(f"/v1/orders/{resting['order_id']}").json()["status"] == "NEW"
    client.post("/v1/orders", json=market_order(account, quantity="0.02"))
    closed = client.post(path, json={"cancel_open_orders": True})
    assert closed.status_code == 201 and closed.json()["filled_quantity"] == "0.02000"
    assert client.get(f"/v1/orders/{resting['order_id']}").json()["status"] == "CANCELED"


def test_who_may_close(api: ApiServer, client: httpx.Client, account: str) -> None:
    path = f"/v1/accounts/{account}/positions/BTC-USDT/close"
    client.post("/v1/orders", json=market_order(account, quantity="0.01"))
    _, viewer = api.make_key("viewer")
    _, stranger = api.make_key("trader", "alpha")
    for key, status, code in ((viewer, 403, "FORBIDDEN"), (stranger, 404, "UNKNOWN_ACCOUNT")):
        with api.client(key) as other:
            refused = other.post(path, json={})
        assert (refused.status_code, refused.json()["code"]) == (status, code)
    _, risk = api.make_key("risk")
    with api.client(risk) as manager:
        assert manager.post(path, json={}).status_code == 201
    for wrong, code in (("NOPE", "UNKNOWN_SYMBOL"), ("ETH-USDT", "NO_POSITION")):
        refused = client.post(f"/v1/accounts/{account}/positions/{wrong}/close", json={})
        assert refused.json()["code"] == code
    refused = client.post(path, json={"quantity": "1"})
    assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_REQUEST")
