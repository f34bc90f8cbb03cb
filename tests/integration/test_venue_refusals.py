"""T10: what the venue refuses in the same tick is told to who asked, with its code, on every transport."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tests.integration.test_order_protocol import RawClient, request
from tests.integration.test_trade_socket import ask, open_socket
from tests.support.api import ApiServer
from tests.support.stream import watch
from tests.support.trading_desk import TradingDesk

Refusal = tuple[int, dict[str, Any]]
Amend = Callable[[dict[str, Any], dict[str, Any]], Refusal]  # an order, and the changes


@pytest.fixture
def desk(api: ApiServer, client: httpx.Client) -> TradingDesk:
    desk = TradingDesk(api, client)
    desk.book([("150.00", "10")], [("151.00", "10")])
    return desk


@contextmanager
def over_http(desk: TradingDesk) -> Iterator[Amend]:
    def amend(order: dict[str, Any], changes: dict[str, Any]) -> Refusal:
        told = desk.client.patch(f"/v1/orders/{order['order_id']}", json=changes)
        return told.status_code, told.json()

    yield amend


@contextmanager
def by_name(desk: TradingDesk) -> Iterator[Amend]:
    def amend(order: dict[str, Any], changes: dict[str, Any]) -> Refusal:
        path = f"/v1/orders/by-client-id/{order['account']}/{order['client_order_id']}"
        told = desk.client.patch(path, json=changes)
        return told.status_code, told.json()

    yield amend


@contextmanager
def over_a_raw_connection(desk: TradingDesk) -> Iterator[Amend]:
    with RawClient(desk.api) as raw:

        def amend(order: dict[str, Any], changes: dict[str, Any]) -> Refusal:
            raw.send(request("PATCH", f"/v1/orders/{order['order_id']}", changes))
            told = raw.read()
            return told.status, told.content

        yield amend


@contextmanager
def over_a_socket(desk: TradingDesk) -> Iterator[Amend]:
    with open_socket(desk.api) as socket:

        def amend(order: dict[str, Any], changes: dict[str, Any]) -> Refusal:
            told = ask(socket, "order.amend", {"order_id": order["order_id"], **changes})
            return told["status"], dict(told.get("error") or told["result"])

        yield amend


WAYS = {each.__name__: each for each in (over_http, by_name, over_a_raw_connection, over_a_socket)}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(
    ("side", "price", "crossing"), [("SELL", "150.80", "149.00"), ("BUY", "150.20", "152.00")]
)
def test_a_refused_replace_is_told_and_changes_nothing(
    desk: TradingDesk, way: Callable[[TradingDesk], Any], side: str, price: str, crossing: str
) -> None:
    account = desk.account()
    placed = desk.send(account, side, "3", price, post_only=True, client_order_id=f"t-{account}").json()
    order_id = placed["order_id"]
    before = desk.order(order_id)
    with watch(desk.api) as watcher, way(desk) as amend:
        watcher.subscribe({"name": "orders", "account": account})
        watcher.snapshot("orders", account)
        status, refused = amend(placed, {"price": crossing})
        assert (status, refused["code"]) == (422, "POST_ONLY_WOULD_TAKE"), refused
        shown = watcher.update("orders", account, lambda item: item["status"] == "NEW")
        told = [item for message in watcher.of("orders", account)[1:] for item in message["data"]]
    assert [(item["status"], item["price"], item["code"]) for item in told] == [
        ("PENDING_REPLACE", price, None),
        ("NEW", price, None),
    ]
    after = desk.order(order_id)
    changing = {"updated_ts": None, "seq": None, "ts": None}
    assert after | changing == before | changing
    assert {name: shown[name] for name in ("price", "quantity", "filled_quantity")} == {
        name: before[name] for name in ("price", "quantity", "filled_quantity")
    }
    listed = desk.client.get(f"/v1/orders?account={account}").json()["items"]
    assert [(item["order_id"], item["status"], item["price"]) for item in listed] == [
        (order_id, "NEW", price)
    ]
    assert desk.amend(order_id, quantity="2").status_code == 200, "it can still be amended"
    assert desk.client.delete(f"/v1/orders/{order_id}").json()["status"] == "CANCELED"


@pytest.mark.parametrize(("side", "price"), [("SELL", "149.00"), ("BUY", "152.00")])
def test_a_refused_order_is_told_everywhere(desk: TradingDesk, side: str, price: str) -> None:
    account = desk.account()
    body = {
        "account": account,
        "symbol": desk.symbol,
        "side": side,
        "type": "LIMIT",
        "quantity": "1",
        "price": price,
        "post_only": True,
    }
    refused = desk.client.post("/v1/orders", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "POST_ONLY_WOULD_TAKE")
    with RawClient(desk.api) as raw:
        raw.send(request("POST", "/v1/orders", body))
        told = raw.read()
        assert (told.status, told.content["code"]) == (422, "POST_ONLY_WOULD_TAKE")
    (result,) = desk.client.post("/v1/orders/batch", json={"orders": [body]}).json()["results"]
    assert (result["status"], result["error"]["code"]) == (422, "POST_ONLY_WOULD_TAKE")
    with open_socket(desk.api) as socket:
        one = ask(socket, "order.place", body)
        assert (one["status"], one["error"]["code"]) == (422, "POST_ONLY_WOULD_TAKE")
        (result,) = ask(socket, "order.place_batch", {"orders": [body]})["result"]["results"]
        assert (result["status"], result["error"]["code"]) == (422, "POST_ONLY_WOULD_TAKE")
    assert desk.client.get(f"/v1/orders?account={account}").json()["items"] == []


def test_orders_that_met_a_refused_replace_are_canceled_with_the_others(desk: TradingDesk) -> None:
    account = desk.account()
    orders = [desk.take(account, "SELL", "1", "150.80", post_only=True) for _ in range(3)]
    assert desk.refused(desk.amend(orders[1], price="149.00")) == "POST_ONLY_WOULD_TAKE"
    told = desk.client.delete(f"/v1/orders?account={account}").json()
    assert (told["canceled"], told["pending"], told["failed"]) == (3, 0, 0)
    assert {desk.status(order) for order in orders} == {("CANCELED", None)}


def test_an_order_that_ended_in_the_same_tick_cannot_be_canceled(desk: TradingDesk) -> None:
    """Pipelined: the amend fills it, then the cancel and the next amend find it closed."""
    account = desk.account()
    order = desk.take(account, "SELL", "1", "150.80")
    with RawClient(desk.api) as raw:
        path = f"/v1/orders/{order}"
        raw.send(
            request("PATCH", path, {"price": "149.00"})
            + request("DELETE", path)
            + request("PATCH", path, {"price": "151.00"})
        )
        filled, canceled, amended = raw.read(), raw.read(), raw.read()
    assert (filled.status, filled.content["status"]) == (200, "FILLED")
    assert (canceled.status, canceled.content["code"]) == (409, "ORDER_CLOSED")
    assert (amended.status, amended.content["code"]) == (409, "ORDER_CLOSED")


def test_a_replace_while_nothing_matches(desk: TradingDesk) -> None:
    """What the venue cannot do in CANCEL_ONLY is refused, and the order stays as it is shown."""
    account = desk.account()
    order = desk.take(account, "SELL", "3", "150.80")
    path = f"/v1/instruments/{desk.symbol}"
    desk.client.patch(path, json={"status": "CANCEL_ONLY"}).raise_for_status()
    with watch(desk.api) as watcher:
        watcher.subscribe({"name": "orders", "account": account})
        watcher.snapshot("orders", account)
        assert desk.refused(desk.amend(order, price="149.00")) == "SYMBOL_NOT_TRADING"
        lower = desk.amend(order, quantity="2")
        watcher.wait_until_quiet()
        told = [item for message in watcher.of("orders", account)[1:] for item in message["data"]]
    shown = desk.order(order)
    assert shown["status"] == "NEW"
    assert shown["quantity"] == ("2.000" if lower.status_code == 200 else "3.000")
    if told:
        assert (told[-1]["status"], told[-1]["quantity"]) == (shown["status"], shown["quantity"])
