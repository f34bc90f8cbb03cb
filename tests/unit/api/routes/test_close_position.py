"""Closing a position: all of it at the market, once, by who may trade the account."""

from decimal import Decimal

import httpx
import pytest

from tests.support.api import ApiServer
from tests.support.trading_desk import TradingDesk


@pytest.fixture
def holder(desk: TradingDesk) -> str:
    """An account that is long five."""
    account = desk.account()
    desk.take(account, "BUY", "5")
    assert desk.position(account) == 5
    return account


def refused(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_the_whole_of_it_goes(desk: TradingDesk, holder: str) -> None:
    closed = desk.close(holder)
    assert closed.status_code == 201, closed.text
    order = closed.json()
    assert (order["side"], order["type"], order["reduce_only"]) == ("SELL", "MARKET", True)
    assert (order["quantity"], order["status"]) == ("5.000", "FILLED")
    assert (order["further_orders"], order["canceled_orders"]) == ([], [])
    assert desk.position(holder) == 0
    assert refused(desk.close(holder)) == (409, "NO_POSITION")


def test_more_than_an_order_may_be_is_closed_by_several(api: ApiServer, client: httpx.Client) -> None:
    desk = TradingDesk(api, client, max_quantity="2")
    account = desk.account()
    for _ in range(3):
        desk.take(account, "BUY", "1.5")
    closed = desk.close(account).json()
    quantities = [Decimal(each["quantity"]) for each in (closed, *closed["further_orders"])]
    assert len(quantities) == 3
    assert (sum(quantities), max(quantities)) == (Decimal("4.5"), Decimal(2))
    assert desk.position(account) == 0


def test_with_an_id_it_may_be_sent_again(desk: TradingDesk, holder: str) -> None:
    first = desk.close(holder, client_order_id="mine")
    again = desk.close(holder, client_order_id="mine")
    assert (first.status_code, again.status_code) == (201, 200)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["order_id"] == first.json()["order_id"]
    assert refused(desk.close(holder, client_order_id="another")) == (409, "NO_POSITION")


def test_other_orders_make_way_where_that_is_asked_for(desk: TradingDesk, holder: str) -> None:
    resting = desk.take(holder, "BUY", "1", "149.00")
    assert desk.close(holder).json()["canceled_orders"] == []
    desk.take(holder, "BUY", "1")
    closed = desk.close(holder, cancel_open_orders=True)
    assert [each["order_id"] for each in closed.json()["canceled_orders"]] == [resting]
    assert desk.status(resting)[0] == "CANCELED"


def test_names_that_are_not_there(desk: TradingDesk, holder: str, client: httpx.Client) -> None:
    assert refused(desk.close("nobody")) == (404, "UNKNOWN_ACCOUNT")
    path = f"/v1/accounts/{holder}/positions/NO-SUCH/close"
    assert refused(client.post(path, json={})) == (404, "UNKNOWN_SYMBOL")
    assert refused(desk.close(holder, all_of_it=True)) == (400, "INVALID_REQUEST")


def test_who_may(api: ApiServer, desk: TradingDesk, holder: str, trader: httpx.Client) -> None:
    path = f"/v1/accounts/{holder}/positions/{desk.symbol}/close"
    assert refused(trader.post(path, json={})) == (404, "UNKNOWN_ACCOUNT"), "another's"
    with api.client(api.make_key("viewer")[1]) as viewer:
        assert refused(viewer.post(path, json={})) == (403, "FORBIDDEN")
    with api.client(api.make_key("trader", holder)[1]) as own:
        assert own.post(path, json={}).status_code == 201
