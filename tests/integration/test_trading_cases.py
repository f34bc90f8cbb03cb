"""Cases in which other trading systems have lost money, and ours did: what is right, over HTTP.

Each names the rule. The numbers are those under which the CHANGELOG lists them.
"""

from decimal import Decimal

import httpx
import pytest

from app.engine.types import Policy
from tests.support.api import ApiServer
from tests.support.trading_desk import TradingDesk


@pytest.fixture
def desk(api: ApiServer, client: httpx.Client) -> TradingDesk:
    return TradingDesk.of(api, client)


# T2, T8, E3: reduce-only orders are clamped to the position when they trade.


@pytest.mark.parametrize("first", [True, False], ids=["reduce-only first", "reduce-only last"])
def test_a_match_of_several_orders_ends_flat(desk: TradingDesk, first: bool) -> None:
    desk.book([("150", "10")], [("151", "10")])
    holder, taker = desk.account(), desk.account()
    desk.take(holder, "BUY", "1")
    prices = ("150.40", "150.50") if first else ("150.50", "150.40")
    protecting = desk.take(holder, "SELL", "1", prices[0], reduce_only=True)
    desk.take(holder, "SELL", "1", prices[1])
    order = desk.order(desk.take(taker, "BUY", "2", "150.50", time_in_force="IOC"))
    if first:  # it trades, and then the plain one opens, as it may
        assert (desk.position(holder), desk.status(protecting)) == (Decimal(-1), ("FILLED", None))
        assert order["filled_quantity"] == "2.000"
    else:
        assert (desk.position(holder), desk.status(protecting)) == (Decimal(0), ("CANCELED", "REDUCE_ONLY"))
        assert order["filled_quantity"] == "1.000"


@pytest.mark.parametrize(("side", "exit_side"), [("BUY", "SELL"), ("SELL", "BUY")])
def test_two_exits_and_one_position(desk: TradingDesk, side: str, exit_side: str) -> None:
    account = desk.account()
    desk.take(account, side, "10")
    profit, stop = ("160.00", "140.00") if side == "BUY" else ("140.00", "160.00")
    taking = desk.take(account, exit_side, "10", profit, reduce_only=True)
    stopping = desk.take(account, exit_side, "10", type="STOP", stop_price=stop, reduce_only=True)
    desk.at("139.00" if side == "BUY" else "161.00")
    assert desk.status(stopping)[0] == "FILLED"
    assert desk.status(taking) == ("CANCELED", "REDUCE_ONLY")
    assert desk.position(account) == 0


def test_depth_that_reaches_two_exits_closes_once(desk: TradingDesk) -> None:
    account = desk.account()
    desk.take(account, "BUY", "10")
    orders = [desk.take(account, "SELL", "10", price, reduce_only=True) for price in ("151.00", "150.50")]
    desk.depth([("152.00", "100")], [("152.10", "100")])
    assert desk.position(account) == 0
    assert sorted(desk.status(order) for order in orders) == [("CANCELED", "REDUCE_ONLY"), ("FILLED", None)]


def test_more_than_the_position_is_refused(desk: TradingDesk) -> None:
    account = desk.account()
    desk.take(account, "BUY", "10")
    refused = desk.send(account, "SELL", "10.001", "160.00", reduce_only=True)
    assert desk.refused(refused) == "REDUCE_ONLY"
    assert (refused.json()["limit"], refused.json()["observed"]) == ("10.000", "10.001")
    order = desk.take(account, "SELL", "4", "160.00", reduce_only=True)
    assert desk.refused(desk.amend(order, quantity="11")) == "REDUCE_ONLY"


# T7: a partial exit leaves the rest protected.


@pytest.mark.parametrize("kind", ["STOP", "LIMIT"])
def test_a_partial_exit_trims_what_protects(desk: TradingDesk, kind: str) -> None:
    account = desk.account()
    desk.take(account, "BUY", "10")
    more = {"type": "STOP", "stop_price": "140.00"} if kind == "STOP" else {"price": "160.00"}
    order = desk.take(account, "SELL", "10", reduce_only=True, **{"type": kind, **more})
    desk.take(account, "SELL", "1")
    shown = desk.order(order)
    assert (shown["status"], shown["quantity"]) == ("NEW", "9.000")
    desk.take(account, "SELL", "9")
    assert desk.status(order) == ("CANCELED", "REDUCE_ONLY")


# T3, T11: restrictions and halts destroy no protection.


def test_a_stop_fires_while_only_reducing_is_allowed(desk: TradingDesk) -> None:
    account = desk.account()
    desk.take(account, "BUY", "10")
    profit = desk.take(account, "SELL", "10", "160.00")
    stop = desk.take(account, "SELL", "10", type="STOP", stop_price="148.00")
    told = desk.kill_switch(f"account:{account}", "reduce_only")
    assert told["resting"] == 2
    desk.at("147.00")
    assert desk.status(stop)[0] == "FILLED"
    assert desk.position(account) == 0
    assert desk.status(profit) == ("CANCELED", "REDUCING_ONLY")


@pytest.mark.parametrize("scope", ["account", "symbol", "instrument"])
def test_a_stop_waits_through_a_halt(desk: TradingDesk, scope: str) -> None:
    account = desk.account()
    desk.take(account, "BUY", "10")
    stop = desk.take(account, "SELL", "10", type="STOP", stop_price="148.00", reduce_only=True)
    named = f"account:{account}" if scope == "account" else f"symbol:{desk.symbol}"
    path = f"/v1/instruments/{desk.symbol}"
    if scope == "instrument":
        assert desk.client.patch(path, json={"status": "HALTED"}).status_code == 200
    else:
        desk.kill_switch(named, "halt")
    desk.at("147.00")
    assert desk.status(stop) == ("NEW", None)
    if scope == "instrument":
        assert desk.client.patch(path, json={"status": "TRADING"}).status_code == 200
    else:
        desk.kill_switch(named, "resume")
    assert desk.status(stop)[0] == "FILLED"
    assert desk.position(account) == 0


# T4, T9: closing.


# T5, T19, T20, E7, E9: an amended order is an order.


def test_an_amend_is_checked_as_an_order(desk: TradingDesk) -> None:
    account = desk.account()
    order = desk.take(account, "BUY", "10", "140.00")
    desk.limit(f"accounts/{account}", PRICE_COLLAR_BPS=100)
    assert desk.refused(desk.amend(order, price="139.00")) == "PRICE_COLLAR"
    lower = desk.amend(order, quantity="6")
    assert lower.status_code == 200 and desk.order(order)["quantity"] == "6.000"
    desk.kill_switch(f"account:{account}", "reduce_only")
    assert desk.refused(desk.amend(order, price="150.02")) in ("REDUCING_ONLY", "ORDER_CLOSED")
    assert desk.position(account) == 0


def test_a_quantity_of_zero_is_too_small(desk: TradingDesk) -> None:
    order = desk.take(desk.account(), "BUY", "10", "140.00")
    refused = desk.amend(order, quantity="0")
    assert (refused.json()["code"], refused.json()["limit"]) == ("QUANTITY_MIN", "0.001")
    assert desk.order(order)["quantity"] == "10.000"


def test_a_stop_price_is_amended(desk: TradingDesk) -> None:
    account = desk.account()
    desk.take(account, "BUY", "10")
    stop = desk.take(account, "SELL", "10", type="STOP", stop_price="140.00")
    moved = desk.amend(stop, stop_price="148.00")
    assert (moved.status_code, moved.json()["stop_price"]) == (200, "148.00")
    assert desk.refused(desk.amend(stop, stop_price="151.00")) == "STOP_PRICE_INVALID"
    desk.at("147.50")
    assert desk.status(stop)[0] == "FILLED" and desk.order(stop)["triggered"] is True
    limit = desk.take(account, "BUY", "1", "140.00")
    assert desk.refused(desk.amend(limit, stop_price="141.00")) == "STOP_PRICE_INVALID"


def test_a_sell_is_worth_what_it_can_trade_at(desk: TradingDesk) -> None:
    account = desk.account(MAX_ORDER_NOTIONAL="1000")
    assert desk.refused(desk.send(account, "SELL", "1000", "0.01")) == "MAX_ORDER_NOTIONAL"
    desk.take(account, "SELL", "1", "0.01")
    assert desk.position(account) == -1


# T10: what the venue refuses is told to who asked.


def test_a_replace_that_the_venue_refuses_is_refused(desk: TradingDesk) -> None:
    desk.book([("150", "10")], [("151", "10")])
    order = desk.take(desk.account(), "SELL", "3", "150.80", post_only=True)
    refused = desk.amend(order, price="149.00")
    assert (refused.status_code, refused.json()["code"]) == (422, "POST_ONLY_WOULD_TAKE")
    shown = desk.order(order)
    assert (shown["status"], shown["price"]) == ("NEW", "150.80")


# T12, T13: what nothing can end, and what is nobody's fault but the client's.


def test_depth_beyond_the_highest_price_is_no_liquidity(desk: TradingDesk) -> None:
    account = desk.account()
    desk.book([("150.00", "10")], [("150.02", "1"), ("200000.00", "100")])
    order = desk.order(desk.take(account, "BUY", "2"))
    assert (order["status"], order["code"]) == ("CANCELED", "INSUFFICIENT_LIQUIDITY")
    assert order["filled_quantity"] == "1.000"


def test_a_change_that_an_open_order_does_not_fit_into_is_refused(desk: TradingDesk) -> None:
    order = desk.take(desk.account(), "SELL", "3", "120000.00")
    path = f"/v1/instruments/{desk.symbol}"
    refused = desk.client.patch(path, json={"max_quantity": "900000"})
    assert desk.refused(refused) == "INSTRUMENT_IN_USE"
    assert desk.client.delete(f"/v1/orders/{order}").status_code == 200


def test_post_only_refusals_are_no_venue_rejections(desk: TradingDesk) -> None:
    one, other = desk.account(), desk.account()
    desk.limit(f"symbols/{desk.symbol}", VENUE_REJECTIONS=3)
    for _ in range(5):
        refused = desk.send(one, "BUY", "1", "151.00", post_only=True)
        assert desk.refused(refused) == "POST_ONLY_WOULD_TAKE"
    desk.take(other, "BUY", "1")


# T14: a breaker cancels what could increase the position, and says how many rest.


@pytest.mark.parametrize("setting", [0, 1])
def test_a_breaker_holds_what_is_open(desk: TradingDesk, setting: int) -> None:
    account = desk.account(DAILY_LOSS="25")
    desk.policy(Policy.CANCEL_INCREASING, setting)
    desk.take(account, "BUY", "10")
    buys = [desk.take(account, "BUY", "10", price) for price in ("146.00", "145.00", "144.00")]
    exit_order = desk.take(account, "SELL", "10", "160.00")
    desk.at("147.00")
    assert {desk.order(order)["status"] for order in buys} == ({"CANCELED"} if setting else {"NEW"})
    desk.at("143.00")
    assert desk.position(account) == 10
    assert {desk.status(order) for order in buys} == {("CANCELED", "REDUCING_ONLY")}
    assert desk.status(exit_order) == ("NEW", None)
    desk.policy(Policy.CANCEL_INCREASING, 1)


# T15, T16: halts and marks.


@pytest.mark.parametrize("status", ["CANCEL_ONLY", "HALTED"])
def test_nothing_matches_in_an_instrument_that_does_not_trade(desk: TradingDesk, status: str) -> None:
    account = desk.account()
    order = desk.take(account, "BUY", "1", "149.00")
    path = f"/v1/instruments/{desk.symbol}"
    desk.client.patch(path, json={"status": status}).raise_for_status()
    desk.at("148.00")
    assert desk.status(order) == ("NEW", None)
    desk.client.patch(path, json={"status": "TRADING"}).raise_for_status()
    assert desk.status(order)[0] == "FILLED"


# T18: what matters of an order is shown.


def test_orders_show_when_they_end_and_whether_they_have_fired(desk: TradingDesk) -> None:
    account = desk.account()
    ends = desk.api.server.clock.now() + 3_600_000_000
    order = desk.order(desk.take(account, "BUY", "1", "149.00", time_in_force="GTD", expire_at=ends))
    assert (order["expire_at"], order["triggered"]) == (ends, False)
    more = {"type": "STOP_LIMIT", "price": "160.00"}
    fired = desk.take(account, "BUY", "1", stop_price="151.00", **{**more, "price": "150.00"})
    waiting = desk.take(account, "BUY", "1", stop_price="170.00", **{**more, "price": "150.00"})
    desk.depth([("151.50", "10")], [("151.60", "10")])
    desk.mark("151.50")
    assert desk.order(fired)["triggered"] is True
    assert desk.order(waiting)["triggered"] is False
    assert desk.order(fired)["status"] == desk.order(waiting)["status"] == "NEW"


# What an attack has found beside the cases.


@pytest.mark.parametrize(
    "limits", [{"MAX_NET_EXPOSURE": "10"}, {"MAX_DAILY_NOTIONAL": "10"}], ids=["net", "turnover"]
)
@pytest.mark.parametrize("kind", ["STOP", "STOP_LIMIT", "TAKE_PROFIT", "amend"])
@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_no_limit_is_passed_by_a_stop_or_an_amend(
    desk: TradingDesk, side: str, kind: str, limits: dict[str, str]
) -> None:
    account = desk.account()
    buy = side == "BUY"
    rises = buy == (kind != "TAKE_PROFIT")
    stop, beyond = ("155.00", "156.00") if rises else ("145.00", "144.00")
    price = "158.00" if buy else "142.00"
    if kind == "amend":
        order = desk.take(account, side, "10", "140.00" if buy else "160.00")
    else:
        more = {"price": price} if kind == "STOP_LIMIT" else {}
        order = desk.take(account, side, "10", type=kind, stop_price=stop, **more)
    desk.limit(f"accounts/{account}", **limits)
    code = next(iter(limits))
    if kind == "amend":
        assert desk.refused(desk.amend(order, price="151.00" if buy else "149.00")) == code
    else:
        desk.at(beyond)
        assert desk.status(order) == ("CANCELED", code)
    assert desk.position(account) == 0


@pytest.mark.parametrize("sweep", ["a taker", "depth", "its own order"])
@pytest.mark.parametrize("limit", ["DAILY_LOSS", "MAX_DRAWDOWN"])
def test_a_breaker_that_trips_in_a_match_stops_the_rest_of_it(
    desk: TradingDesk, limit: str, sweep: str
) -> None:
    account, other = desk.account(**{limit: "25"}), desk.account()
    desk.book([("140.00", "100")], [("160.00", "100")])
    if sweep == "its own order":
        for price in ("151.00", "152.00", "153.00", "154.00", "155.00"):
            desk.take(other, "SELL", "4", price)
        order = desk.order(desk.take(account, "BUY", "20", "155.00"))
        assert (order["status"], order["code"]) == ("CANCELED", "REDUCING_ONLY")
        assert 0 < desk.position(account) < 20
        return
    orders = [desk.take(account, "BUY", "2", "155.00") for _ in range(20)]
    if sweep == "depth":
        desk.depth([("140.00", "100")], [("152.00", "100")])
    else:
        desk.send(other, "SELL", "40", "152.00")
    # Each loses 5 a unit against the mark of 150: the third fill is beyond 25.
    assert desk.position(account) == 6
    assert [desk.status(order)[0] for order in orders] == ["FILLED"] * 3 + ["CANCELED"] * 17


def test_free_margin_is_what_can_be_withdrawn(desk: TradingDesk) -> None:
    account = desk.account()
    desk.take(account, "BUY", "5", type="STOP_LIMIT", stop_price="155.00", price="160.00")
    free = desk.client.get(f"/v1/accounts/{account}").json()["free_margin"]
    path = f"/v1/accounts/{account}/transfers"
    more = {"amount": f"-{Decimal(free) + Decimal('0.00000001')}", "reason": "a test"}
    assert desk.refused(desk.client.post(path, json=more)) == "INSUFFICIENT_MARGIN"
    assert desk.client.post(path, json=more | {"amount": f"-{free}"}).status_code == 201
