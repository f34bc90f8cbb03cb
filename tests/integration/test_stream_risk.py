"""The channel `risk` of `WS /v1/stream`: limits, states, permissions, policies, parameters, and why."""

import json
from typing import Any

import httpx

from app.commands.notes import explained
from app.engine.codes import Code
from app.engine.types import (
    CommandKind,
    EventKind,
    Limit,
    OverrideEnd,
    Permission,
    Policy,
    Scope,
    TradingState,
)
from app.runtime.views import EVENT_BYTES, event_view
from tests.support.api import ApiServer, limit_order
from tests.support.stream import Message, Watcher, check_chain, watch


def submit(api: ApiServer, kind: CommandKind, reason: str = "", **values: int) -> None:
    """A command of a risk manager, with its reason."""
    records = b"".join(explained(kind, 3, reason, **values))
    api.call(lambda: api.server.loop.submit_batch(records))


def test_risk_tells_limits_states_and_breaches(client: httpx.Client, watcher: Watcher, account: str) -> None:
    watcher.subscribe({"name": "risk", "account": account}, {"name": "risk"})
    own = watcher.snapshot("risk", account)["data"]
    assert {item["scope"] for item in own} == {f"account:{account}"}
    assert own[0]["limits"] == client.get(f"/v1/limits/accounts/{account}").json()["limits"]
    # In as many parts as there are accounts.
    watcher.wait(
        lambda message: (
            (message.get("type"), message.get("channel"), message.get("key")) == ("snapshot", "risk", "*")
            and not message.get("more")
        )
    )
    parts = [message for message in watcher.of("risk", "*") if message["type"] == "snapshot"]
    everything = [item for part in parts for item in part["data"]]
    assert {"firm", f"account:{account}"} <= {item.get("scope") for item in everything}

    client.put(
        f"/v1/limits/accounts/{account}", json={"limits": {"MAX_ORDER_NOTIONAL": "100"}, "reason": "a test"}
    )
    limit = watcher.update("risk", account, lambda item: item["event"] == "limit")
    assert (limit["limit"], limit["value"]) == ("MAX_ORDER_NOTIONAL", "100")
    refused = client.post("/v1/orders", json=limit_order(account)).json()
    breach = watcher.update("risk", account, lambda item: item["event"] == "breach")
    for name in ("code", "limit", "observed", "scope", "order_id"):
        assert breach[name] == refused[name]
    client.post("/v1/orders", json=limit_order(account, quantity="0.000001"))  # a mistake, no breach
    body = {"scope": f"account:{account}", "action": "halt", "cancel_open_orders": False, "reason": "a test"}
    assert client.post("/v1/kill-switch", json=body).status_code == 200
    state = watcher.update("risk", account, lambda item: item["event"] == "trading_state")
    assert (state["state"], state["previous"], state["cause"]) == ("HALTED", "ACTIVE", None)
    assert (limit["reason"], state["reason"]) == ("a test", "a test")
    watcher.update("risk", "*", lambda item: item == state)
    measure = watcher.update("risk", account, lambda item: item["event"] == "utilisation")
    assert measure["scope"] == f"account:{account}"
    events = [
        item["event"]
        for message in watcher.of("risk", account)
        if message["type"] == "update" and message["seq"] != message["prev_seq"]
        for item in message["data"]
    ]
    assert events == ["limit", "breach", "trading_state"]
    check_chain(watcher.of("risk", account))
    shown = {item["event"] for item in everything}
    known = {"limits", "trading_state", "policy", "utilisation", "correlation", "risk_parameters"}
    assert shown - {"permission"} == known


def test_risk_tells_overrides_and_proposals(api: ApiServer, account: str) -> None:
    blank = event_view(bytes(EVENT_BYTES))
    index = api.server.reference.accounts[account]
    limit: dict[str, Any] = {
        "account": index,
        "symbol": -1,
        "scope": Scope.ACCOUNT,
        "code": Limit.MAX_ORDER_NOTIONAL,
    }
    change: dict[str, Any] = {
        "limit": 5 * 10**8,
        "observed": -1,
        "execution_id": 7,
        "expire_ts": 9,
        "fee": 3,
        "ts": 1,
        "status": OverrideEnd.REMOVED,
    }
    for kind, name in (
        (EventKind.OVERRIDE_SET, "override_set"),
        (EventKind.OVERRIDE_ENDED, "override_ended"),
        (EventKind.CHANGE_PROPOSED, "change_proposed"),
    ):
        item = api.server.hub.items.risk(blank._replace(kind=kind, **limit, **change), shows_shared=True)
        assert item is not None
        assert json.loads(item) == {
            "event": name,
            "scope": f"account:{account}",
            "limit": "MAX_ORDER_NOTIONAL",
            "value": "5",
            "previous": None,
            "version": None,
            "number": 7,
            "expires_ts": 9,
            "ended": "REMOVED" if kind == EventKind.OVERRIDE_ENDED else None,
            "actor": 3,
            "reason": None,
            "ts": 1,
        }
    item = api.server.hub.items.risk(
        blank._replace(kind=EventKind.CHANGE_APPROVED, account=-1, **change), shows_shared=True
    )
    assert item is not None
    assert json.loads(item) == {
        "event": "change_approved",
        "number": 7,
        "actor": 3,
        "reason": None,
        "ts": 1,
    }


def test_risk_tells_who_may_trade_what_and_why(api: ApiServer, watcher: Watcher, account: str) -> None:
    index = api.server.reference.accounts[account]
    symbol = api.server.reference.symbols["ETH-USDT"]
    reason = "not before the audit is over, " * 6  # of several notes
    watcher.subscribe({"name": "risk", "account": account}, {"name": "risk"})
    before = watcher.snapshot("risk", account)["seq"]
    assert not [item for item in watcher.snapshot("risk", account)["data"] if item["event"] == "permission"]
    submit(api, CommandKind.SET_PERMISSION, reason, account=index, symbol=symbol, state=Permission.DENIED)
    submit(api, CommandKind.SET_PERMISSION, account=index, state=Permission.ALLOWED)
    first = watcher.update("risk", account, lambda item: item["event"] == "permission")
    assert first | {"ts": 0} == {
        "event": "permission",
        "scope": f"account:{account}/symbol:ETH-USDT",
        "permission": "DENIED",
        "previous": "DEFAULT",
        "actor": 3,
        "reason": reason,
        "ts": 0,
    }
    second = watcher.update("risk", account, lambda item: item.get("permission") == "ALLOWED")
    assert (second["scope"], second["reason"]) == (f"account:{account}", None)
    watcher.update("risk", "*", lambda item: item == second)
    with watch(api) as other:  # what was missed says why, too
        other.subscribe({"name": "risk", "account": account}, from_seq=before)
        assert other.update("risk", account, lambda item: item["event"] == "permission") == first
        other.subscribe({"name": "risk", "account": account})
        shown = other.snapshot("risk", account)["data"]
        assert {item["scope"]: item["permission"] for item in shown if item["event"] == "permission"} == {
            f"account:{account}/symbol:ETH-USDT": "DENIED",
            f"account:{account}": "ALLOWED",
        }


def test_risk_tells_policies_and_parameters_to_who_may_read_all(
    api: ApiServer, client: httpx.Client, watcher: Watcher, account: str
) -> None:
    watcher.subscribe({"name": "risk", "account": account}, {"name": "risk"})
    old = client.get("/v1/risk/parameters").json()
    value = int(api.server.engine.state.firm[0]["policy"][Policy.ORDER_TO_TRADE_FLOOR])
    code = int(Policy.ORDER_TO_TRADE_FLOOR)
    submit(api, CommandKind.SET_POLICY, "a quiet day", value=value + 1, code=code)
    found = watcher.update("risk", "*", lambda item: item.get("value") == value + 1)
    assert (found["policy"], found["previous"], found["reason"]) == (
        "ORDER_TO_TRADE_FLOOR",
        value,
        "a quiet day",
    )
    submit(api, CommandKind.SET_POLICY, value=value, code=code)
    body = {"half_life": old["half_life"] + 1, "reason": "a test"}
    new = client.patch("/v1/risk/parameters", json=body).json()
    found = watcher.update("risk", "*", lambda item: item["event"] == "risk_parameters_set")
    assert (found["parameter"], found["value"], found["previous"]) == (
        "half_life",
        old["half_life"] + 1,
        old["half_life"],
    )
    assert (found["reason"], found["version"]) == ("a test", new["version"])
    watcher.update("risk", "*", lambda item: item == {"event": "risk_parameters", **new})
    client.patch("/v1/risk/parameters", json={"half_life": old["half_life"], "reason": "a test"})
    watcher.wait_until_quiet()
    assert {item["event"] for message in watcher.of("risk", account) for item in message["data"]} <= {
        *("limits", "trading_state", "utilisation")
    }
    check_chain(watcher.of("risk", account))


def test_risk_tells_what_has_tripped_a_breaker(api: ApiServer, account: str) -> None:
    blank = event_view(bytes(EVENT_BYTES))
    where: dict[str, Any] = {
        "account": api.server.reference.accounts[account],
        "symbol": -1,
        "scope": Scope.ACCOUNT,
        "code": Code.DAILY_LOSS,
        "ts": 1,
    }
    tripped = blank._replace(
        kind=EventKind.BREAKER_TRIPPED, status=TradingState.HALTED, limit=10**8, observed=2 * 10**8, **where
    )
    assert json.loads(api.server.hub.items.risk(tripped, shows_shared=True) or b"") == {
        "event": "breaker",
        "code": "DAILY_LOSS",
        "limit": "1",
        "observed": "2",
        "scope": f"account:{account}",
        "state": "HALTED",
        "previous": "ACTIVE",
        "resting": 0,
        "ending": 0,
        "ts": 1,
    }
    stopped = blank._replace(kind=EventKind.TRADING_STATE_SET, limit=TradingState.HALTED, **where)
    found: Message = json.loads(api.server.hub.items.risk(stopped, shows_shared=True) or b"")
    assert (found["state"], found["cause"], found["actor"]) == ("HALTED", "DAILY_LOSS", 0)


def test_a_trader_is_told_of_its_own_accounts_alone(
    api: ApiServer, client: httpx.Client, account: str
) -> None:
    number = len(api.server.reference.account_names)
    other = api.open_account(f"other-{number}")
    created = client.post("/v1/keys", json={"name": "risk-reader", "role": "trader", "accounts": [account]})
    with watch(api, created.json()["key"]) as trader:
        answer = trader.subscribe({"name": "risk"})
        assert answer["result"]["channels"] == [{"name": "risk", "key": account}]
        assert trader.subscribe({"name": "risk", "account": other})["error"]["code"] == "FORBIDDEN"
        for name in (other, account):
            index = api.server.reference.accounts[name]
            submit(api, CommandKind.SET_PERMISSION, name, account=index, state=Permission.DENIED)
        submit(api, CommandKind.SET_POLICY, code=int(Policy.MAKER_CHECKER), value=0)
        found = trader.update("risk", account, lambda item: item["event"] == "permission")
        assert found["reason"] == account
        trader.wait_until_quiet()
        told = [message for message in trader.seen if "channel" in message]
        assert other not in json.dumps(told)
        assert "policy" not in json.dumps(trader.seen)
