"""Closing a position, as a trader sees it over HTTP: always possible, at once or not at all."""

import httpx
import pytest

from tests.support.api import ApiServer
from tests.support.trading_desk import TradingDesk


@pytest.fixture
def desk(api: ApiServer, client: httpx.Client) -> TradingDesk:
    return TradingDesk.of(api, client)


@pytest.mark.parametrize("why", ["halt", "cancel only"])
def test_a_refused_close_changes_nothing(desk: TradingDesk, why: str) -> None:
    account = desk.account()
    desk.take(account, "BUY", "10")
    stop = desk.take(account, "SELL", "10", type="STOP", stop_price="140.00", reduce_only=True)
    if why == "halt":
        desk.kill_switch(f"account:{account}", "halt")
    else:
        desk.client.patch(f"/v1/instruments/{desk.symbol}", json={"status": "CANCEL_ONLY"}).raise_for_status()
    refused = desk.close(account, cancel_open_orders=True)
    assert refused.status_code == 422
    assert desk.refused(refused) == ("TRADING_HALTED" if why == "halt" else "SYMBOL_NOT_TRADING")
    assert desk.status(stop) == ("NEW", None)
    assert desk.position(account) == 10


@pytest.mark.parametrize(
    "limits",
    [
        {"MAX_ORDER_NOTIONAL": "1000"},
        {"MAX_ORDER_QUANTITY": "1"},
        {"MAX_OPEN_ORDERS": 0},
        {"ORDER_RATE": 0},
        {"MAX_MARK_AGE": 1},
        {"PRICE_MOVE_BPS": 100},
        {"MAX_POSITION": "0"},
        {"MAX_DAILY_NOTIONAL": "1"},
    ],
    ids=lambda limits: next(iter(limits)),
)
def test_a_position_can_always_be_closed(desk: TradingDesk, limits: dict[str, object]) -> None:
    account = desk.account()
    desk.take(account, "BUY", "10")
    scope = f"accounts/{account}"
    if "MAX_POSITION" in limits:
        scope += f"/symbols/{desk.symbol}"
    desk.at("145.00")
    desk.limit(scope, **limits)
    closed = desk.close(account)
    assert closed.status_code == 201, closed.text
    assert desk.position(account) == 0


def test_a_position_below_the_minimum_is_closed(api: ApiServer, client: httpx.Client) -> None:
    desk = TradingDesk(api, client, min_quantity="1")
    account = desk.account()
    desk.take(account, "BUY", "1.5")
    desk.take(account, "SELL", "1")
    assert desk.refused(desk.send(account, "SELL", "0.4", reduce_only=True)) == "QUANTITY_MIN"
    closed = desk.close(account)
    assert closed.status_code == 201, closed.text
    assert desk.position(account) == 0


def test_a_large_position_is_closed_in_slices(api: ApiServer, client: httpx.Client) -> None:
    desk = TradingDesk(api, client, max_quantity="10")
    account = desk.account()
    for _ in range(3):
        desk.take(account, "BUY", "8")
    stop = desk.take(account, "SELL", "10", type="STOP", stop_price="140.00")
    buy = desk.take(account, "BUY", "1", "149.00")
    closed = desk.close(account, cancel_open_orders=True)
    assert closed.status_code == 201, closed.text
    orders = [closed.json(), *closed.json()["further_orders"]]
    assert [order["quantity"] for order in orders] == ["10.000", "10.000", "4.000"]
    assert desk.position(account) == 0
    assert desk.status(stop) == ("CANCELED", "REDUCE_ONLY")
    assert desk.status(buy) == ("CANCELED", None)


def test_a_refused_close_may_be_sent_again(desk: TradingDesk) -> None:
    account = desk.account()
    desk.take(account, "BUY", "8")
    desk.kill_switch(f"account:{account}", "halt")
    assert desk.refused(desk.close(account, client_order_id="exit")) == "TRADING_HALTED"
    desk.kill_switch(f"account:{account}", "resume")
    assert desk.close(account, client_order_id="exit").status_code == 201
    assert desk.position(account) == 0
