"""The life of orders over HTTP, against a real server."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.api import ApiServer, limit_order, market_order


@pytest.fixture
def client(api: ApiServer) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


def test_a_market_order_fills_and_shows_it(client: httpx.Client, account: str) -> None:
    response = client.post("/v1/orders", json=market_order(account, client_order_id="first/1"))
    assert response.status_code == 201
    order = response.json()
    assert order["status"] == "FILLED"
    assert order["account"] == account and order["symbol"] == "BTC-USDT"
    assert order["quantity"] == order["filled_quantity"] == "0.01000"
    assert order["average_price"] == "50000.10" == order["fills"][0]["price"]
    assert order["price"] is None and order["stop_price"] is None and order["code"] is None
    assert order["fills"][0]["liquidity"] == "TAKER"
    assert order["client_order_id"] == "first/1"
    assert int(order["order_id"]) > 0 and order["created_ts"] <= order["updated_ts"]
    for path in (f"/v1/orders/{order['order_id']}", f"/v1/orders/by-client-id/{account}/first/1"):
        assert client.get(path).json() == order
    positions = client.get(f"/v1/accounts/{account}/positions").json()["items"]
    assert [(p["symbol"], p["quantity"], p["entry_price"]) for p in positions] == [
        ("BTC-USDT", "0.01000", "50000.1")
    ]
    equity = client.get(f"/v1/accounts/{account}").json()
    assert float(equity["cash"]) == pytest.approx(1_000_000 - 500.001 - float(equity["fees"]))


def test_average_price_of_two_levels(client: httpx.Client, api: ApiServer, account: str) -> None:
    ask = client.post("/v1/orders", json=limit_order(account, side="SELL", quantity="0.02", price="50000.05"))
    assert ask.json()["status"] == "NEW"
    other = api.open_account(f"{account}-b")
    order = client.post("/v1/orders", json=market_order(other, quantity="0.03")).json()
    assert [fill["price"] for fill in order["fills"]] == ["50000.05", "50000.10"]
    assert order["average_price"] == "50000.066667"
    made = client.get(f"/v1/orders/{ask.json()['order_id']}").json()
    assert made["status"] == "FILLED" and made["fills"][0]["liquidity"] == "MAKER"


def test_the_same_client_order_id_again(client: httpx.Client, account: str) -> None:
    request = market_order(account, client_order_id="again")
    first = client.post("/v1/orders", json=request)
    second = client.post("/v1/orders", json=request)
    assert second.status_code == 200
    assert second.headers["idempotency-replayed"] == "true"
    assert second.json() == first.json()
    other = client.post("/v1/orders", json=request | {"quantity": "0.02"})
    assert other.status_code == 409
    assert other.json()["code"] == "DUPLICATE_CLIENT_ORDER_ID"
    assert len(client.get(f"/v1/orders?account={account}&status=all").json()["items"]) == 2


def test_a_refusal_is_replayed_too(client: httpx.Client, account: str) -> None:
    request = limit_order(account, quantity="900", client_order_id="too-much")
    first = client.post("/v1/orders", json=request)
    assert first.status_code == 422 and "idempotency-replayed" not in first.headers
    second = client.post("/v1/orders", json=request)
    assert second.status_code == 422 and second.headers["idempotency-replayed"] == "true"
    assert second.json() == first.json()
    assert first.json()["code"] == "MAX_GROSS_EXPOSURE"
    assert first.json()["limit"] == "9000000" and first.json()["observed"] == "45000000"
    assert first.json()["scope"] == f"account:{account}"
    order = client.get(f"/v1/orders/{first.json()['order_id']}").json()
    assert order["status"] == "REJECTED" and order["code"] == "MAX_GROSS_EXPOSURE"


def test_cancel(client: httpx.Client, account: str) -> None:
    order = client.post("/v1/orders", json=limit_order(account)).json()
    assert order["status"] == "NEW" and order["fills"] == []
    canceled = client.delete(f"/v1/orders/{order['order_id']}")
    assert canceled.status_code == 200 and canceled.json()["status"] == "CANCELED"
    again = client.delete(f"/v1/orders/{order['order_id']}")
    assert again.status_code == 409 and again.json()["code"] == "ORDER_CLOSED"


@pytest.mark.parametrize("order_id", ["1", "0", "-1", "x", "1.5", "9" * 19, "9" * 40, "\u0661"])
def test_unknown_orders(client: httpx.Client, order_id: str) -> None:
    for response in (
        client.get(f"/v1/orders/{order_id}"),
        client.delete(f"/v1/orders/{order_id}"),
        client.patch(f"/v1/orders/{order_id}", json={"quantity": "1"}),
    ):
        assert response.status_code == 404
        assert response.json()["code"] == "UNKNOWN_ORDER"


def test_amend(client: httpx.Client, account: str) -> None:
    order = client.post("/v1/orders", json=limit_order(account)).json()
    path = f"/v1/orders/{order['order_id']}"
    amended = client.patch(path, json={"price": "48000.5", "quantity": 0.02})
    assert amended.status_code == 200
    assert (amended.json()["price"], amended.json()["quantity"]) == ("48000.50", "0.02000")
    assert amended.json()["order_id"] == order["order_id"]
    for body, status, code in (
        ({}, 422, "NOTHING_TO_AMEND"),
        ({"price": "48000.50"}, 422, "NOTHING_TO_AMEND"),
        ({"price": "48000.505"}, 422, "PRICE_TICK"),
        ({"price": "0"}, 422, "PRICE_INVALID"),
        ({"quantity": "0"}, 422, "QUANTITY_MIN"),
        ({"quantity": -1}, 400, "INVALID_REQUEST"),
        ({"side": "SELL"}, 400, "INVALID_REQUEST"),
    ):
        refused = client.patch(path, json=body)
        assert (refused.status_code, refused.json()["code"]) == (status, code), body
    now = client.get(path).json()
    assert (now["price"], now["quantity"], now["status"]) == ("48000.50", "0.02000", "NEW")


def test_batch(client: httpx.Client, account: str) -> None:
    orders = [
        limit_order(account),
        limit_order(account, price="49000.001"),
        market_order(account),
        limit_order("nobody"),
    ]
    response = client.post("/v1/orders/batch", json={"orders": orders})
    assert response.status_code == 200
    results = response.json()["results"]
    assert [result["status"] for result in results] == [201, 422, 201, 422]
    assert results[0]["order"]["status"] == "NEW"
    assert results[1]["error"]["code"] == "PRICE_TICK"
    assert results[2]["order"]["fills"]
    assert results[3]["error"]["code"] == "UNKNOWN_ACCOUNT"


def test_a_batch_of_a_thousand_and_one_more(client: httpx.Client, account: str) -> None:
    order = limit_order(account, quantity="0.001")
    full = client.post("/v1/orders/batch", json={"orders": [order] * 1_000})
    assert full.status_code == 200
    assert {result["status"] for result in full.json()["results"]} == {201}
    response = client.post("/v1/orders/batch", json={"orders": [order] * 1_001})
    assert response.status_code == 400 and response.json()["code"] == "INVALID_REQUEST"
    assert response.json()["errors"][0]["path"] == "orders"
    assert client.get(f"/v1/accounts/{account}").json()["open_orders"] == 1_000
    result = client.delete(f"/v1/orders?account={account}&symbol=BTC-USDT")
    assert result.status_code == 200
    counts = {name: result.json()[name] for name in ("canceled", "pending", "failed")}
    assert counts == {"canceled": 1_000, "pending": 0, "failed": 0}
    assert {item["order"]["status"] for item in result.json()["items"]} == {"CANCELED"}
    assert client.get(f"/v1/accounts/{account}").json()["open_orders"] == 0


def test_one_bad_order_refuses_the_whole_batch(client: httpx.Client, account: str) -> None:
    orders = [limit_order(account), limit_order(account, quantity="NaN")]
    response = client.post("/v1/orders/batch", json={"orders": orders})
    assert response.status_code == 400
    assert response.json()["errors"][0]["path"] == "orders.1.quantity"
    assert client.get(f"/v1/orders?account={account}&status=all").json()["items"] == []


def test_pages(client: httpx.Client, account: str) -> None:
    placed = [client.post("/v1/orders", json=limit_order(account)).json()["order_id"] for _ in range(5)]
    client.delete(f"/v1/orders/{placed[1]}")
    client.post("/v1/orders", json=limit_order(account, symbol="ETH-USDT"))
    found: list[str] = []
    cursor: str | None = None
    while True:
        query = {"account": account, "symbol": "BTC-USDT", "limit": "2"} | (
            {"cursor": cursor} if cursor else {}
        )
        page = client.get("/v1/orders", params=query).json()
        assert len(page["items"]) <= 2
        found += [order["order_id"] for order in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == [order_id for order_id in reversed(placed) if order_id != placed[1]]
    everything = client.get(f"/v1/orders?account={account}&status=all").json()
    assert len(everything["items"]) == 6 and everything["next_cursor"] is None


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=x", "status=closed", "cursor=abc", "cursor=-1", f"cursor={'9' * 30}"],
)
def test_wrong_queries(client: httpx.Client, query: str) -> None:
    response = client.get(f"/v1/orders?{query}")
    assert response.status_code == 400 and response.json()["code"] == "INVALID_REQUEST"
    assert response.json()["errors"][0]["path"] == query.partition("=")[0]


def test_orders_that_do_not_rest(client: httpx.Client, account: str) -> None:
    ioc = client.post("/v1/orders", json=limit_order(account, time_in_force="IOC")).json()
    assert ioc["status"] in ("CANCELED", "EXPIRED") and ioc["filled_quantity"] == "0.00000"
    crossing = limit_order(account, price="50000.10", post_only=True)
    post_only = client.post("/v1/orders", json=crossing)
    assert post_only.status_code == 422 and post_only.json()["code"] == "POST_ONLY_WOULD_TAKE"
    order = client.get(f"/v1/orders/{post_only.json()['order_id']}").json()
    assert order["status"] == "REJECTED" and order["post_only"] is True


def test_a_stop_waits(client: httpx.Client, account: str) -> None:
    stop = client.post("/v1/orders", json=market_order(account, type="STOP", stop_price="51000"))
    assert stop.status_code == 201
    assert (stop.json()["status"], stop.json()["stop_price"]) == ("NEW", "51000.00")
    assert client.delete(f"/v1/orders/{stop.json()['order_id']}").json()["status"] == "CANCELED"


def test_a_check_without_an_order(client: httpx.Client, account: str) -> None:
    passed = client.post("/v1/risk/check", json=limit_order(account)).json()
    assert passed["passed"] is True and passed["code"] is None
    names = [check["code"] for check in passed["checks"]]
    assert {"MAX_GROSS_EXPOSURE", "PRICE_TICK", "INSUFFICIENT_MARGIN"} <= set(names)
    refused = client.post("/v1/risk/check", json=limit_order(account, quantity="900", client_order_id="x"))
    assert refused.json()["passed"] is False and refused.json()["code"] == "MAX_GROSS_EXPOSURE"
    failed = [check for check in refused.json()["checks"] if not check["passed"]]
    assert failed[0]["limit"] == "9000000" and failed[0]["observed"] == "45000000"
    assert client.get(f"/v1/orders?account={account}&status=all").json()["items"] == []
    assert client.get(f"/v1/orders/by-client-id/{account}/x").status_code == 404


# By client order id.


def _named(account: str, client_order_id: str) -> str:
    return f"/v1/orders/by-client-id/{account}/{client_order_id}"


@pytest.mark.parametrize("name", ["plain", "desk/7/a", "a:b.c_d-e"])
def test_an_order_is_amended_and_canceled_by_its_client_order_id(
    client: httpx.Client, account: str, name: str
) -> None:
    placed = client.post("/v1/orders", json=limit_order(account, client_order_id=name)).json()
    where = _named(account, name)
    amended = client.patch(where, json={"quantity": "0.005"})
    assert amended.status_code == 200, amended.text
    assert (amended.json()["order_id"], amended.json()["quantity"]) == (placed["order_id"], "0.00500")
    canceled = client.delete(where)
    assert (canceled.status_code, canceled.json()["status"]) == (200, "CANCELED")
    shown = client.get(f"/v1/orders/{placed['order_id']}").json()
    del shown["fills"]
    assert canceled.json() == shown
    for again in (client.delete(where), client.patch(where, json={"quantity": "0.004"})):
        assert (again.status_code, again.json()["code"]) == (409, "ORDER_CLOSED")


def test_a_client_order_id_that_is_nobodys(api: ApiServer, client: httpx.Client, account: str) -> None:
    other = api.open_account(f"{account}-b")
    client.post("/v1/orders", json=limit_order(other, client_order_id="x")).raise_for_status()
    trader = api.client(api.make_key("trader", account)[1])
    viewer = api.client(api.make_key("viewer")[1])
    for method, body in (("GET", None), ("DELETE", None), ("PATCH", {"quantity": "0.005"})):
        for where, code in (
            (_named(account, "x"), "UNKNOWN_ORDER"),
            (_named(account, "y" * 37), "UNKNOWN_ORDER"),
            (_named(account, "é"), "UNKNOWN_ORDER"),
            (_named("nobody-at-all", "x"), "UNKNOWN_ACCOUNT"),
        ):
            refused = client.request(method, where, json=body)
            assert (refused.status_code, refused.json()["code"]) == (404, code), (method, where)
        with_key = trader.request(method, _named(other, "x"), json=body)
        assert (with_key.status_code, with_key.json()["code"]) == (404, "UNKNOWN_ACCOUNT")
        assert viewer.request(method, _named(other, "x"), json=body).status_code == (
            200 if method == "GET" else 403
        )
    assert client.get(_named(other, "x")).json()["status"] == "NEW"
    trader.close()
    viewer.close()


def test_malformed_amendments_by_client_order_id(client: httpx.Client, account: str) -> None:
    client.post("/v1/orders", json=limit_order(account, client_order_id="m")).raise_for_status()
    for body in ({"prize": "1"}, {"price": "x"}, {"quantity": -1}):
        refused = client.patch(_named(account, "m"), json=body)
        assert (refused.status_code, refused.json()["code"]) == (400, "INVALID_REQUEST")
    refused = client.patch(_named(account, "m"), json={"price": "0.001"})
    assert (refused.status_code, refused.json()["code"]) == (422, "PRICE_TICK")
