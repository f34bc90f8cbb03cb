"""Changes and breaches as shown: of which scope, by whom and why."""

from typing import Any

import httpx
import pytest

from app.api.routes.risk_history import BREAKER, RiskChange, actor_name, is_of_scope
from app.engine.codes import Code
from app.engine.types import EventKind, Scope
from app.runtime.event_views import EventHead
from app.runtime.limit_scope import LimitScope
from tests.support.api import ApiServer
from tests.support.trading_desk import REASON, TradingDesk


def event_of(scope: Scope, account: int, symbol: int) -> EventHead:
    return EventHead(1, 1, account, symbol, EventKind.LIMIT_SET, scope, 0, 0)


SCOPES = [
    LimitScope(),
    LimitScope(0),
    LimitScope(1),
    LimitScope(None, 0),
    LimitScope(None, 1),
    LimitScope(0, 0),
    LimitScope(1, 0),
    LimitScope(0, 1),
]


@pytest.mark.parametrize("scope", SCOPES, ids=str)
def test_an_event_is_of_exactly_one_scope(scope: LimitScope) -> None:
    account, symbol = scope.indexes
    event = event_of(scope.kind, account, symbol)
    assert [each for each in SCOPES if is_of_scope(event, each)] == [scope]


def test_the_account_that_an_order_of_the_firm_s_scope_had_does_not_matter() -> None:
    event = event_of(Scope.FIRM, 3, 4)
    assert is_of_scope(event, LimitScope())
    assert not is_of_scope(event, LimitScope(3))


def test_who_it_was(api: ApiServer) -> None:
    services = api.server.services
    assert actor_name(services, 1, 0) == "BOT4_ADMIN_KEY"
    assert actor_name(services, 0, Code.DAILY_LOSS) == BREAKER
    assert actor_name(services, 0, 0) is None


def history(client: httpx.Client, account: str) -> list[dict[str, Any]]:
    items = client.get(f"/v1/limits/accounts/{account}/history").json()["items"]
    for item in items:
        RiskChange.model_validate(item)
    return [dict(item) for item in items]


def test_a_change_of_a_limit(client: httpx.Client, desk: TradingDesk) -> None:
    account = desk.account()
    desk.limit(f"accounts/{account}", MAX_OPEN_ORDERS=7)
    desk.limit(f"accounts/{account}", MAX_OPEN_ORDERS=5)
    newest, before = history(client, account)[:2]
    wanted = {
        "kind": "LIMIT_SET",
        "scope": f"account:{account}",
        "limit": "MAX_OPEN_ORDERS",
        "old": 7,
        "new": 5,
        "code": None,
        "expires_at": None,
        "override_id": None,
        "change_id": None,
        "ended": None,
        "actor": 1,
        "actor_name": "BOT4_ADMIN_KEY",
        "reason": REASON,
    }
    assert {name: newest[name] for name in wanted} == wanted
    assert newest["version"] == before["version"] + 1
    assert (before["old"], before["new"]) == (None, 7)


def test_an_override_and_its_end(client: httpx.Client, desk: TradingDesk) -> None:
    account = desk.account(MAX_OPEN_ORDERS=7)
    now = client.get("/v1/system").json()["now_ts"]
    body = {"limit": "MAX_OPEN_ORDERS", "value": 9, "expires_at": now + 10**9, "reason": REASON}
    made = client.post(f"/v1/limits/accounts/{account}/overrides", json=body).json()
    client.delete(f"/v1/limits/overrides/{made['id']}", params={"reason": "enough"})
    ended, begun = history(client, account)[:2]
    assert (begun["kind"], begun["override_id"], begun["expires_at"]) == (
        "OVERRIDE_SET",
        made["id"],
        now + 10**9,
    )
    assert (ended["kind"], ended["override_id"], ended["ended"]) == ("OVERRIDE_ENDED", made["id"], "REMOVED")
    assert (ended["reason"], ended["change_id"]) == ("enough", None)


def test_a_breaker_is_nobody_s_key(client: httpx.Client, desk: TradingDesk) -> None:
    account = desk.account(DAILY_LOSS="100")
    desk.take(account, "BUY", "10")
    desk.mark("120.00")
    tripped = [item for item in history(client, account) if item["kind"] == "BREAKER_TRIPPED"]
    assert [each["code"] for each in tripped] == ["DAILY_LOSS"]
    assert (tripped[0]["actor"], tripped[0]["actor_name"]) == (0, BREAKER)
    assert (tripped[0]["old"], tripped[0]["new"], tripped[0]["limit"]) == ("ACTIVE", "REDUCING", None)


def test_a_refusal(client: httpx.Client, desk: TradingDesk) -> None:
    account = desk.account(MAX_OPEN_ORDERS=0)
    assert desk.refused(desk.send(account, "BUY", "1", "149.00")) == "MAX_OPEN_ORDERS"
    refusals = client.get("/v1/risk/breaches").json()["refusals"]
    (found,) = [each for each in refusals if each["account"] == account]
    wanted = {
        "account": account,
        "symbol": desk.symbol,
        "code": "MAX_OPEN_ORDERS",
        "limit": 0,
        "observed": 1,
        "scope": f"account:{account}",
    }
    assert {name: found[name] for name in wanted} == wanted
