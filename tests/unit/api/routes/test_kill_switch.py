"""The kill switch: what stops, what ends, what stays, and who did it why."""

from typing import Any

import httpx
import pytest

from tests.support.api import ApiServer
from tests.support.trading_desk import REASON, TradingDesk


def states(client: httpx.Client, **query: str) -> dict[str, dict[str, Any]]:
    return {item["scope"]: item for item in client.get("/v1/kill-switch", params=query).json()["items"]}


def refused(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_the_firm_is_always_shown_and_others_while_they_are_restricted(
    client: httpx.Client, desk: TradingDesk
) -> None:
    account = desk.account()
    scope = f"account:{account}"
    assert "firm" in states(client)
    assert scope not in states(client)
    assert states(client, state="all")[scope]["state"] == "ACTIVE"
    assert states(client, state="all")[scope]["since_ts"] is None, "it was never set"
    desk.kill_switch(scope, "halt")
    found = states(client)
    assert next(iter(found)) == "firm"
    assert found[scope] | {"since_ts": 0} == {
        "scope": scope,
        "state": "HALTED",
        "since_ts": 0,
        "actor": 1,
        "actor_name": "BOT4_ADMIN_KEY",
        "cause": None,
        "reason": REASON,
    }
    desk.kill_switch(scope, "resume")
    assert scope not in states(client)
    assert states(client, state="all")[scope]["since_ts"] > 0


@pytest.mark.parametrize("kind", ["account", "symbol"])
def test_a_halt_leaves_orders_unless_they_are_to_end(desk: TradingDesk, kind: str) -> None:
    account = desk.account()
    scope = f"account:{account}" if kind == "account" else f"symbol:{desk.symbol}"
    order = desk.take(account, "BUY", "1", "149.00")
    halted = desk.kill_switch(scope, "reduce_only")
    assert (halted["state"], halted["previous"]) == ("REDUCING", "ACTIVE")
    # Only what could increase a position ends by itself.
    assert [item["order"]["order_id"] for item in halted["orders"]] == [order]
    assert (halted["canceled"], halted["resting"], halted["failed"]) == (1, 0, 0)
    desk.kill_switch(scope, "resume")
    orders = {desk.take(account, "BUY", "1", "149.00"), desk.take(account, "SELL", "1", "151.00")}
    ended = desk.kill_switch(scope, "halt", cancel_open_orders=True)
    assert {item["order"]["order_id"] for item in ended["orders"]} == orders
    assert ended["canceled"] == 2
    assert {desk.status(order)[0] for order in orders} == {"CANCELED"}


def test_what_reduces_rests_where_trading_is_restricted(desk: TradingDesk) -> None:
    account = desk.account()
    desk.take(account, "BUY", "2")
    reducing = {
        desk.take(account, "SELL", "1", "155.00", reduce_only=True),
        desk.take(account, "SELL", "5", "156.00"),  # it is held to the position
    }
    restricted = desk.kill_switch(f"account:{account}", "reduce_only")
    assert (restricted["resting"], restricted["canceled"], restricted["orders"]) == (2, 0, [])
    assert {desk.status(order)[0] for order in reducing} == {"NEW"}
    assert {desk.order(order)["quantity"] for order in reducing} == {"1.000", "2.000"}
    assert desk.refused(desk.send(account, "BUY", "1")) == "REDUCING_ONLY"


@pytest.mark.parametrize(
    ("members", "status", "code"),
    [
        ({"scope": "account:nobody"}, 404, "UNKNOWN_ACCOUNT"),
        ({"scope": "symbol:NO-SUCH"}, 404, "UNKNOWN_SYMBOL"),
        ({"scope": "all"}, 400, "INVALID_REQUEST"),
        ({"action": "stop"}, 400, "INVALID_REQUEST"),
        ({"reason": ""}, 400, "INVALID_REQUEST"),
    ],
    ids=str,
)
def test_what_is_wrong_stops_nothing(
    client: httpx.Client, members: dict[str, str], status: int, code: str
) -> None:
    before = states(client)
    body = {"scope": "firm", "action": "halt", "reason": REASON} | members
    assert refused(client.post("/v1/kill-switch", json=body)) == (status, code)
    assert states(client) == before


def test_who_may(api: ApiServer, trader: httpx.Client, account: str) -> None:
    body = {"scope": f"account:{account}", "action": "halt", "reason": REASON}
    assert refused(trader.get("/v1/kill-switch")) == (403, "FORBIDDEN")
    assert refused(trader.post("/v1/kill-switch", json=body)) == (403, "FORBIDDEN")
    with api.client(api.make_key("viewer")[1]) as viewer:
        assert viewer.get("/v1/kill-switch").status_code == 200
        assert refused(viewer.post("/v1/kill-switch", json=body)) == (403, "FORBIDDEN")
    with api.client(api.make_key("risk")[1]) as risk:
        assert risk.post("/v1/kill-switch", json=body).status_code == 200
