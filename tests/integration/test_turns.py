"""E13, E4: orders meet what the ones before them have led to; what happens together is looked at together.

E13: orders of a batch, or that meet in one tick, are applied one after the other, each with its fills.
E4: both sides of a trade, and all marks of a tick, are one moment for breakers and stops.
"""

import json
from typing import Any

import httpx
import pytest

from tests.integration.test_order_protocol import RawClient, request
from tests.integration.test_trade_socket import answer, ask, open_socket
from tests.support.api import ApiServer
from tests.support.trading_desk import TradingDesk

TRIES = 20


@pytest.fixture
def desk(api: ApiServer, client: httpx.Client) -> TradingDesk:
    return TradingDesk(api, client)


def order(desk: TradingDesk, account: str, side: str, quantity: str, **more: Any) -> dict[str, Any]:
    kind = "LIMIT" if "price" in more else "MARKET"
    return {
        "account": account,
        "symbol": desk.symbol,
        "side": side,
        "quantity": quantity,
        "type": kind,
        **more,
    }


def round_trip(desk: TradingDesk, account: str, side: str = "BUY") -> list[dict[str, Any]]:
    """In and out again: the second may only reduce, so it needs what the first has bought."""
    other = "SELL" if side == "BUY" else "BUY"
    return [order(desk, account, side, "1"), order(desk, account, other, "1", reduce_only=True)]


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_a_batch_over_http(desk: TradingDesk, side: str) -> None:
    account = desk.account()
    for _ in range(TRIES):
        sent = desk.client.post("/v1/orders/batch", json={"orders": round_trip(desk, account, side)})
        results = sent.json()["results"]
        assert [result["status"] for result in results] == [201, 201], results
        assert [result["order"]["status"] for result in results] == ["FILLED", "FILLED"]
    assert desk.position(account) == 0


def test_a_batch_over_a_socket(desk: TradingDesk) -> None:
    account = desk.account()
    with open_socket(desk.api) as socket:
        for _ in range(TRIES):
            told = ask(socket, "order.place_batch", {"orders": round_trip(desk, account)})
            assert [result["status"] for result in told["result"]["results"]] == [201, 201], told
    assert desk.position(account) == 0


def test_requests_pipelined_over_a_socket(desk: TradingDesk) -> None:
    account = desk.account()
    with open_socket(desk.api) as socket:
        for number in range(TRIES):
            for params in round_trip(desk, account):
                socket.send(json.dumps({"id": number, "op": "order.place", "params": params}))
        told = [answer(socket) for _ in range(2 * TRIES)]
    assert [each["status"] for each in told] == [201] * (2 * TRIES)
    assert {each["result"]["status"] for each in told} == {"FILLED"}
    assert desk.position(account) == 0


def test_requests_pipelined_over_http(desk: TradingDesk) -> None:
    account = desk.account()
    with RawClient(desk.api) as raw:
        pairs = [each for _ in range(TRIES) for each in round_trip(desk, account)]
        raw.send(b"".join(request("POST", "/v1/orders", each) for each in pairs))
        told = [raw.read() for _ in pairs]
    assert [each.status for each in told] == [201] * (2 * TRIES), [each.content for each in told]
    assert desk.position(account) == 0


def test_a_batch_meets_the_limits_as_the_fills_before_left_them(desk: TradingDesk) -> None:
    """The third would be refused if the first two were still open, or had not been filled."""
    account = desk.account()
    desk.limit(f"accounts/{account}/symbols/{desk.symbol}", MAX_POSITION="1")
    batch = [
        order(desk, account, "BUY", "1"),
        order(desk, account, "SELL", "2"),
        order(desk, account, "BUY", "2"),
        order(desk, account, "BUY", "0.001"),
    ]
    results = desk.client.post("/v1/orders/batch", json={"orders": batch}).json()["results"]
    assert [result["status"] for result in results] == [201, 201, 201, 422]
    assert results[-1]["error"]["code"] == "MAX_POSITION"
    assert desk.position(account) == 1


def test_orders_of_a_batch_trade_with_each_other(desk: TradingDesk) -> None:
    """What rests of one is there for the next, and the stop that it needs protects what it has bought."""
    maker, taker = desk.account(), desk.account()
    batch = [
        order(desk, maker, "SELL", "1", price="150.01"),
        order(desk, taker, "BUY", "1"),
        order(desk, taker, "SELL", "1", type="STOP", stop_price="140.00", reduce_only=True),
        order(desk, taker, "SELL", "1", reduce_only=True),
    ]
    results = desk.client.post("/v1/orders/batch", json={"orders": batch}).json()["results"]
    assert [result["status"] for result in results] == [201] * 4, results
    assert results[1]["order"]["average_price"] == "150.01"
    assert desk.status(results[2]["order"]["order_id"]) == ("CANCELED", "REDUCE_ONLY")
    assert desk.position(maker) == -1 and desk.position(taker) == 0


def test_an_amend_and_a_cancel_meet_the_fill_before_them(desk: TradingDesk) -> None:
    maker, taker = desk.account(), desk.account()
    with open_socket(desk.api) as socket:
        for _ in range(TRIES):
            resting = desk.take(maker, "SELL", "1", "150.01")
            requests = [
                ("order.place", order(desk, taker, "BUY", "1")),
                ("order.amend", {"order_id": resting, "price": "151.00"}),
                ("order.cancel", {"order_id": resting}),
            ]
            for number, (op, params) in enumerate(requests):
                socket.send(json.dumps({"id": number, "op": op, "params": params}))
            told = {each["id"]: each for each in (answer(socket) for _ in requests)}
            assert told[0]["result"]["average_price"] == "150.01"
            assert [told[number]["error"]["code"] for number in (1, 2)] == ["ORDER_CLOSED"] * 2


# E4.


def state_of(desk: TradingDesk, account: str) -> str:
    return str(desk.client.get(f"/v1/accounts/{account}").json()["trading_state"])


def test_the_marks_of_a_tick_are_one_moment(api: ApiServer, client: httpx.Client) -> None:
    """Long one symbol, short another alike: both fall by 2 %, and nothing was lost in between."""
    one, other = TradingDesk(api, client), TradingDesk(api, client)
    account = one.account(DAILY_LOSS="100", MAX_DRAWDOWN="100")
    for desk in (one, other):
        desk.book([("149.99", "1000")], [("150.01", "1000")])
    for price in ("147.00", "144.06", "150.00"):
        held = one.position(account)
        if not held:
            one.take(account, "BUY", "100")
            other.take(account, "SELL", "100")
        marks = [(desk._instrument.index, desk._instrument.ticks(price)) for desk in (one, other)]

        def flush(marks: list[tuple[int, int]] = marks) -> None:
            for symbol, ticks in marks:
                api.server.market.on_mark(symbol, ticks)

        api.call(flush)
        for desk in (one, other):
            desk.mark(price)
        assert state_of(one, account) == "ACTIVE"
    one.mark("147.00")  # alone it is a loss of 300
    assert state_of(one, account) != "ACTIVE"


def test_a_trade_between_two_accounts_is_one_moment(desk: TradingDesk) -> None:
    """What one loses the other wins: the firm has lost nothing at any moment."""
    firm = desk.api.server.engine.state.firm[0]
    fallen = int(firm["peak_equity"] - firm["equity"]) // 10**8  # other tests have lost some
    desk.limit("firm", MAX_DRAWDOWN=str(fallen + 10))
    try:
        desk.book([("100.00", "1000")], [("200.00", "1000")])
        maker, taker = desk.account(), desk.account()
        for price in ("110.00", "190.00"):
            for side, other in (("SELL", "BUY"), ("BUY", "SELL")):
                desk.take(maker, side, "1", price)
                desk.take(taker, other, "1", price, time_in_force="IOC")
        assert (state_of(desk, maker), state_of(desk, taker)) == ("ACTIVE", "ACTIVE")
        desk.take(desk.account(), "BUY", "0.1", "100.50")
    finally:
        desk.limit("firm", MAX_DRAWDOWN=None)
