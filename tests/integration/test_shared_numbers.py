"""A limit of the firm or of a symbol is others' too: a trader is told that it has refused, and no more.

The kind of case S10, over HTTP and the trade socket, of orders, batches and amends, and on the stream.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.test_trade_socket import ask, open_socket
from tests.support.api import ApiServer, limit_order
from tests.support.stream import watch

ALLOWED = "43210"  # steps or money: no other number in an answer


@pytest.fixture(params=["firm", "symbols/BTC-USDT"])
def scope(client: httpx.Client, request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the limit is that refuses: "firm" or "symbol:BTC-USDT"."""
    limit = "MAX_ORDER_NOTIONAL"
    for value in (ALLOWED, None):
        body = {"limits": {limit: value}, "reason": "a test"}
        client.put(f"/v1/limits/{request.param}", json=body).raise_for_status()
        if value is not None:
            yield request.param.replace("symbols/", "symbol:")


@pytest.fixture
def trader(api: ApiServer, account: str) -> str:
    """The key of a trader of the account."""
    return api.make_key("trader", account)[1]


def hidden(refusal: dict[str, Any], scope: str) -> None:
    assert (refusal["code"], refusal["scope"]) == ("MAX_ORDER_NOTIONAL", scope)
    assert (refusal["limit"], refusal["observed"]) == (None, None)
    assert scope in refusal["detail"] and not any(char.isdigit() for char in refusal["detail"])


def too_much(account: str, **changes: Any) -> dict[str, Any]:
    return limit_order(account, quantity="1", **changes)


def test_over_http(api: ApiServer, client: httpx.Client, account: str, trader: str, scope: str) -> None:
    with api.client(trader) as own:
        order = too_much(account, client_order_id="a")
        hidden(own.post("/v1/orders", json=order).json(), scope)
        hidden(own.post("/v1/orders", json=order).json(), scope)  # the same again, as a replay
        batch = {"orders": [too_much(account), limit_order(account)]}
        refused, placed = own.post("/v1/orders/batch", json=batch).json()["results"]
        hidden(refused["error"], scope)
        path = f"/v1/orders/{placed['order']['order_id']}"
        hidden(own.patch(path, json={"quantity": "1"}).json(), scope)
        seen = client.patch(path, json={"quantity": "1"}).json()
    assert (seen["limit"], seen["scope"]) == (ALLOWED, scope), "a key of the firm is shown what is the firm's"
    assert ALLOWED in seen["detail"]


def test_over_the_trade_socket(api: ApiServer, account: str, trader: str, scope: str) -> None:
    with open_socket(api, trader) as socket:
        hidden(ask(socket, "order.place", too_much(account))["error"], scope)
        placed = ask(socket, "order.place", limit_order(account))["result"]
        amend = {"order_id": placed["order_id"], "quantity": "1"}
        hidden(ask(socket, "order.amend", amend)["error"], scope)


def test_on_the_stream(api: ApiServer, account: str, trader: str, scope: str) -> None:
    """Who watches one account is told what is that account's; who watches all of them is told all."""
    with watch(api, trader) as own, watch(api) as every, api.client(trader) as trading:
        since = own.subscribe({"name": "risk"}) and own.snapshot("risk", account)["seq"]
        every.subscribe({"name": "risk"})
        every.snapshot("risk", "*")
        trading.post("/v1/orders", json=too_much(account))
        own.wait_until_quiet()
        every.wait_until_quiet()
        with watch(api, trader) as later:
            later.subscribe({"name": "risk"}, from_seq=since)
            later.wait_until_quiet()
            for watcher, key, limit in ((own, account, None), (later, account, None), (every, "*", ALLOWED)):
                updates = [each for each in watcher.of("risk", key) if each["type"] == "update"]
                items = [item for each in updates for item in each["data"]]
                breach = next(
                    item for item in items if item["event"] == "breach" and item["account"] == account
                )
                assert (breach["limit"], breach["scope"]) == (limit, scope)
                assert (breach["observed"] is None) == (limit is None)


def test_without_numbers_it_still_says_what_is_wrong(api: ApiServer, account: str, trader: str) -> None:
    """What no limit of the account's own says stands under the firm: here, that there is no mark."""
    with api.client(trader) as own:
        order = limit_order(account, symbol="SOL-USDT", price="1.00", quantity="10")
        refused = own.post("/v1/orders", json=order).json()
    assert (refused["code"], refused["limit"], refused["observed"]) == ("MARKET_DATA_STALE", None, None)
    assert refused["detail"] == "the symbol's mark is missing or too old (firm)"


def test_of_the_account_itself_the_numbers_are_told(
    api: ApiServer, client: httpx.Client, account: str
) -> None:
    body = {"limits": {"MAX_ORDER_NOTIONAL": ALLOWED}, "reason": "a test"}
    client.put(f"/v1/limits/accounts/{account}", json=body).raise_for_status()
    with api.client(api.make_key("trader", account)[1]) as own:
        refused = own.post("/v1/orders", json=too_much(account)).json()
    assert refused["limit"] == ALLOWED and refused["observed"] is not None
