"""Limits over HTTP against a real server: versions, all or nothing, history, overrides, the second person."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.commands.administration import set_policy
from app.engine.types import Limit, Policy
from tests.support.api import ApiServer, limit_order

REASON = "because a test says so"


@pytest.fixture
def client(api: ApiServer) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


def _path(account: str) -> str:
    return f"/v1/limits/accounts/{account}"


def _put(
    client: httpx.Client, path: str, headers: dict[str, str] | None = None, **limits: Any
) -> httpx.Response:
    return client.put(path, json={"limits": limits, "reason": REASON}, headers=headers)


def _refused(response: httpx.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text


def test_what_a_limit_shows(client: httpx.Client, account: str) -> None:
    _put(client, _path(account), MAX_ORDER_NOTIONAL="1000", MAX_OPEN_ORDERS=4)
    _put(client, "/v1/limits/symbols/BTC-USDT", MAX_ORDER_NOTIONAL="700000.5")
    client.post("/v1/orders", json=limit_order(account))
    shown = client.get(_path(account)).json()["limits"]
    assert shown["MAX_OPEN_ORDERS"] == {
        "value": 4,
        "effective": 4,
        "source": f"account:{account}",
        "override_id": None,
        "used": 1,
        "used_percent": 25.0,
        "unit": "orders",
    }
    assert shown["MAX_GROSS_EXPOSURE"]["used"] == "500"
    assert shown["MAX_ORDER_NOTIONAL"]["used"] is None
    assert "MAX_POSITION" not in shown, "an account cannot carry it"
    pair = client.get(f"{_path(account)}/symbols/BTC-USDT").json()["limits"]
    assert pair["MAX_ORDER_NOTIONAL"]["value"] is None
    assert (pair["MAX_ORDER_NOTIONAL"]["effective"], pair["MAX_ORDER_NOTIONAL"]["source"]) == (
        "1000",
        f"account:{account}",
    )
    assert pair["MAX_POSITION"]["used"] == "0.01" and pair["MAX_POSITION"]["effective"] is None
    symbol = client.get("/v1/limits/symbols/BTC-USDT").json()["limits"]
    assert symbol["MAX_ORDER_NOTIONAL"]["source"] == "symbol:BTC-USDT"
    _put(client, "/v1/limits/symbols/BTC-USDT", MAX_ORDER_NOTIONAL=None)


def test_versions(client: httpx.Client, account: str) -> None:
    path = _path(account)
    first = client.get(path)
    version = first.json()["version"]
    assert first.headers["etag"] == f'"{version}"'
    changed = _put(client, path, {"If-Match": first.headers["etag"]}, MAX_OPEN_ORDERS=9, ORDER_RATE=50)
    assert changed.status_code == 200
    assert (changed.json()["version"], changed.headers["etag"]) == (version + 1, f'"{version + 1}"')
    stale = _put(client, path, {"If-Match": first.headers["etag"]}, MAX_OPEN_ORDERS=10, ORDER_RATE=60)
    _refused(stale, 412, "STALE_VERSION")
    assert (stale.json()["limit"], stale.json()["observed"]) == (version, version + 1)
    assert client.get(path).json() == changed.json()
    for anything in ("*", None):
        headers = {} if anything is None else {"If-Match": anything}
        assert _put(client, path, headers, MAX_OPEN_ORDERS=9).status_code == 200
    for wrong in ("7", 'W/"7"', '"x"', '"1", "2"', '""'):
        _refused(_put(client, path, {"If-Match": wrong}, MAX_OPEN_ORDERS=1), 400, "INVALID_REQUEST")


WRONG: list[tuple[Any, int, str]] = [
    ({"limits": {"MAX_OPEN_ORDERS": 1}}, 400, "INVALID_REQUEST"),  # no reason
    ({"limits": {"MAX_OPEN_ORDERS": 1}, "reason": ""}, 400, "INVALID_REQUEST"),
    ({"limits": {"MAX_OPEN_ORDERS": 1}, "reason": "  "}, 400, "INVALID_REQUEST"),
    ({"limits": {"MAX_OPEN_ORDERS": 1}, "reason": "x" * 501}, 400, "INVALID_REQUEST"),
    ({"limits": {"MAX_OPEN_ORDERS": 1}, "reason": "\U0001f4a5" * 400}, 400, "INVALID_REQUEST"),
    ({"limits": {"MAX_OPEN_ORDERS": 1}, "reason": "\ud800"}, 400, "INVALID_REQUEST"),
    ({"limits": {}, "reason": REASON}, 400, "INVALID_REQUEST"),
    ({"MAX_OPEN_ORDERS": 1, "reason": REASON}, 400, "INVALID_REQUEST"),
    ({"limits": {"MAX_EVERYTHING": 1}, "reason": REASON}, 400, "INVALID_REQUEST"),
    ({"limits": {"MAX_OPEN_ORDERS": -1}, "reason": REASON}, 400, "INVALID_REQUEST"),
    ({"limits": {"MAX_OPEN_ORDERS": 1.5}, "reason": REASON}, 400, "INVALID_REQUEST"),
    ({"limits": {"MAX_ORDER_NOTIONAL": "-1"}, "reason": REASON}, 400, "INVALID_REQUEST"),
    ({"limits": {"MAX_ORDER_NOTIONAL": "1e9"}, "reason": REASON}, 400, "INVALID_REQUEST"),
    ({"limits": {"MAX_ORDER_NOTIONAL": "0.123456789"}, "reason": REASON}, 400, "INVALID_REQUEST"),
    ({"limits": {"MAX_ORDER_NOTIONAL": "9" * 25}, "reason": REASON}, 400, "INVALID_REQUEST"),
    ({"limits": {"PRICE_COLLAR_BPS": 10**7}, "reason": REASON}, 422, "INVALID_VALUE"),
    ({"limits": {"MAX_POSITION": "1"}, "reason": REASON}, 422, "WRONG_SCOPE"),
    (
        {"limits": {"MAX_ORDER_NOTIONAL": "5", "MAX_GROSS_EXPOSURE": "4"}, "reason": REASON},
        422,
        "LIMIT_CONTRADICTION",
    ),
    ({"limits": {"MAX_ORDER_NOTIONAL": "10000000"}, "reason": REASON}, 422, "LIMIT_CONTRADICTION"),
]


@pytest.mark.parametrize(("body", "status", "code"), WRONG)
def test_what_is_wrong_changes_nothing(
    client: httpx.Client, account: str, body: Any, status: int, code: str
) -> None:
    before = client.get(_path(account)).json()
    if isinstance(body.get("limits"), dict) and body["limits"]:
        body = body | {"limits": {"ORDER_RATE": 77, **body["limits"]}}  # a good one goes down with it
    _refused(client.put(_path(account), content=json.dumps(body)), status, code)
    assert client.get(_path(account)).json() == before


def test_who_may_change_what(api: ApiServer, client: httpx.Client, account: str) -> None:
    _, trader = api.make_key("trader", account)
    before = client.get(_path(account)).json()
    with api.client(trader) as own:
        assert own.get(_path(account)).json() == before
        _refused(_put(own, _path(account), MAX_OPEN_ORDERS=1), 403, "FORBIDDEN")
        later = {"limit": "MAX_OPEN_ORDERS", "value": 1, "expires_at": 1 << 50, "reason": REASON}
        _refused(own.post(f"{_path(account)}/overrides", json=later), 403, "FORBIDDEN")
        for path in ("/v1/limits/firm", "/v1/limits/symbols/BTC-USDT", "/v1/limit-changes"):
            _refused(own.get(path), 403, "FORBIDDEN")
        _refused(own.get(_path("alpha")), 404, "UNKNOWN_ACCOUNT")
        assert {item["scope"] for item in own.get("/v1/limits").json()["items"]} == {f"account:{account}"}
    assert client.get(_path(account)).json() == before


def test_the_history_says_who_when_why_and_what(api: ApiServer, client: httpx.Client, account: str) -> None:
    number, key = api.make_key("risk")
    reason = "größer, weil " + "ß" * 200
    with api.client(key) as manager:
        body = {"limits": {"MAX_OPEN_ORDERS": 3, "ORDER_RATE": 5}, "reason": reason}
        manager.put(_path(account), json=body).raise_for_status()
    _put(client, _path(account), MAX_OPEN_ORDERS=4)
    history = client.get(f"{_path(account)}/history").json()
    newest, *_ = history["items"]
    assert (newest["limit"], newest["old"], newest["new"], newest["reason"]) == (
        "MAX_OPEN_ORDERS",
        3,
        4,
        REASON,
    )
    mine = [item for item in history["items"] if item["actor"] == number]
    assert {(item["limit"], item["old"], item["new"]) for item in mine} == {
        ("MAX_OPEN_ORDERS", None, 3),
        ("ORDER_RATE", None, 5),
    }
    assert {(item["kind"], item["reason"], item["actor_name"]) for item in mine} == {
        ("LIMIT_SET", reason, "risk of a test")
    }
    assert len({(item["ts"], item["seq"], item["version"]) for item in mine}) == 1
    first = client.get(f"{_path(account)}/history?limit=1").json()
    assert first["items"] == [newest]
    rest = client.get(f"{_path(account)}/history?before_seq={first['next_cursor']}").json()
    assert rest["items"] == history["items"][1:] and rest["next_cursor"] is None
    assert client.get("/v1/limits/accounts/alpha/history").json()["items"][-1]["actor"] == 0


def test_an_override_ends_by_itself(client: httpx.Client, account: str) -> None:
    path = _path(account)
    _put(client, path, MAX_ORDER_NOTIONAL="100")
    order = limit_order(account)
    _refused(client.post("/v1/orders", json=order), 422, "MAX_ORDER_NOTIONAL")
    now = client.get("/v1/system").json()["now_ts"]
    body = {"limit": "MAX_ORDER_NOTIONAL", "value": "600", "expires_at": now + 1_500_000, "reason": REASON}
    created = client.post(f"{path}/overrides", json=body)
    assert created.status_code == 201, created.text
    override = created.json()
    assert (override["value"], override["own_value"], override["limit"]) == (
        "600",
        "100",
        "MAX_ORDER_NOTIONAL",
    )
    assert client.post("/v1/orders", json=order).status_code == 201
    shown = client.get(path).json()["limits"]["MAX_ORDER_NOTIONAL"]
    assert (shown["value"], shown["effective"], shown["override_id"]) == ("100", "600", override["id"])
    assert client.get(f"{path}/overrides").json()["items"] == [override]
    assert override in client.get("/v1/limits/overrides").json()["items"]
    _refused(client.post(f"{path}/overrides", json=body), 409, "OVERRIDE_EXISTS")
    deadline = time.monotonic() + 20
    while client.get(f"{path}/overrides").json()["items"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert client.get(path).json()["limits"]["MAX_ORDER_NOTIONAL"]["effective"] == "100"
    _refused(client.post("/v1/orders", json=order), 422, "MAX_ORDER_NOTIONAL")
    ended = client.get(f"{path}/history").json()["items"][0]
    assert (ended["kind"], ended["ended"], ended["old"], ended["new"], ended["actor"]) == (
        "OVERRIDE_ENDED",
        "EXPIRED",
        "600",
        "100",
        0,
    )


def test_an_override_can_be_ended(client: httpx.Client, account: str) -> None:
    path = _path(account)
    now = client.get("/v1/system").json()["now_ts"]
    good = {"limit": "MAX_OPEN_ORDERS", "value": 0, "expires_at": now + 10**9, "reason": REASON}
    for change, status, code in (
        ({"expires_at": now - 1}, 400, "INVALID_REQUEST"),
        ({"expires_at": now + 10**14}, 400, "INVALID_REQUEST"),
        ({"value": -1}, 400, "INVALID_REQUEST"),
        ({"value": "1.5"}, 400, "INVALID_REQUEST"),
        ({"limit": "MAX_EVERYTHING"}, 400, "INVALID_REQUEST"),
        ({"limit": "MAX_POSITION"}, 422, "WRONG_SCOPE"),
        ({"reason": None}, 400, "INVALID_REQUEST"),
        ({"value": 10**20}, 400, "INVALID_REQUEST"),
    ):
        _refused(client.post(f"{path}/overrides", json=good | change), status, code)
        assert client.get(f"{path}/overrides").json()["items"] == []
    stale = client.post(f"{path}/overrides", json=good, headers={"If-Match": '"999"'})
    _refused(stale, 412, "STALE_VERSION")
    override = client.post(f"{path}/overrides", json=good).json()
    _refused(client.post("/v1/orders", json=limit_order(account)), 422, "MAX_OPEN_ORDERS")
    _refused(client.delete(f"/v1/limits/overrides/{override['id']}"), 400, "INVALID_REQUEST")
    ended = client.delete(f"/v1/limits/overrides/{override['id']}", params={"reason": REASON})
    assert ended.json() == override
    _refused(
        client.delete(f"/v1/limits/overrides/{override['id']}", params={"reason": REASON}),
        404,
        "UNKNOWN_OVERRIDE",
    )
    assert client.post("/v1/orders", json=limit_order(account)).status_code == 201
    assert client.get(path).json()["limits"]["MAX_OPEN_ORDERS"]["value"] is None


@pytest.fixture
def second_person(api: ApiServer) -> Iterator[None]:
    """The maker-checker rule in force."""

    def switch(value: int) -> None:
        api.call(lambda: api.server.loop.submit(set_policy(Policy.MAKER_CHECKER, value, 0)))

    switch(1)
    yield
    switch(0)


@pytest.mark.usefixtures("second_person")
def test_what_loosens_waits_for_a_second_person(api: ApiServer, client: httpx.Client) -> None:
    name = f"four-eyes-{time.time_ns()}"
    body: dict[str, Any] = {"account": name, "deposit": "1000000", "limits": {"MAX_OPEN_ORDERS": 5}}
    opened = client.post("/v1/accounts", json=body).json()
    account = opened["account"]
    path = _path(account)
    _refused(client.post("/v1/orders", json=limit_order(account)), 422, "LIMITS_NOT_SET")
    _, key = api.make_key("risk")
    decide = {"reason": "looks good"}
    with api.client(key) as other:
        waiting = f"/v1/limit-changes/{opened['limit_change_id']}"
        _refused(client.post(f"{waiting}/approve", json=decide), 403, "MAKER_CANNOT_APPROVE")
        _refused(other.post(f"{waiting}/approve", json={}), 400, "INVALID_REQUEST")
        assert client.get(path).json()["limits"]["MAX_OPEN_ORDERS"]["value"] is None
        approved = other.post(f"{waiting}/approve", json=decide)
        assert approved.json()["status"] == "APPROVED", approved.text
        assert client.get(path).json()["limits"]["MAX_OPEN_ORDERS"]["value"] == 5
        tighter = _put(client, path, MAX_OPEN_ORDERS=2)
        assert tighter.status_code == 200
        looser = _put(client, path, MAX_OPEN_ORDERS=6, ORDER_RATE=9)
        assert looser.status_code == 202, looser.text
        request = looser.json()
        assert request["changes"] == [
            {"limit": "MAX_OPEN_ORDERS", "old": 2, "new": 6},
            {"limit": "ORDER_RATE", "old": None, "new": 9},
        ]
        assert request in client.get("/v1/limit-changes").json()["items"]
        assert client.get(path).json() == tighter.json()
        rejected = other.post(f"/v1/limit-changes/{request['id']}/reject", json=decide).json()
        assert (rejected["status"], rejected["id"]) == ("REJECTED", request["id"])
        for verb in ("approve", "reject"):
            _refused(
                other.post(f"/v1/limit-changes/{request['id']}/{verb}", json=decide), 409, "CHANGE_CLOSED"
            )
        assert client.get(path).json() == tighter.json()
        gone = _put(client, path, MAX_OPEN_ORDERS=None).json()
        _put(client, path, MAX_OPEN_ORDERS=1)
        _refused(other.post(f"/v1/limit-changes/{gone['id']}/approve", json=decide), 409, "CHANGE_STALE")
        now = client.get("/v1/system").json()["now_ts"]
        body = {"limit": "MAX_OPEN_ORDERS", "value": 9, "expires_at": now + 10**9, "reason": REASON}
        override = client.post(f"{path}/overrides", json=body)
        assert override.status_code == 202 and override.json()["expires_at"] == now + 10**9
        other.post(f"/v1/limit-changes/{override.json()['id']}/approve", json=decide).raise_for_status()
        assert client.get(path).json()["limits"]["MAX_OPEN_ORDERS"]["effective"] == 9
    _refused(client.post("/v1/limit-changes/999999/approve", json=decide), 404, "UNKNOWN_CHANGE")
    kinds = [item["kind"] for item in client.get(f"{path}/history").json()["items"]]
    assert kinds[:2] == ["OVERRIDE_SET", "CHANGE_PROPOSED"]


def test_templates(client: httpx.Client, account: str) -> None:
    name = f"desk-{account}"
    path = f"/v1/limit-templates/{name}"
    _refused(client.get(path), 404, "UNKNOWN_TEMPLATE")
    made = _put(client, path, {"If-Match": '"0"'}, MAX_ORDER_NOTIONAL="5000", MAX_OPEN_ORDERS=20)
    assert made.status_code == 200 and made.headers["etag"] == '"1"', made.text
    assert made.json()["limits"] == {"MAX_ORDER_NOTIONAL": "5000", "MAX_OPEN_ORDERS": 20}
    _refused(_put(client, path, {"If-Match": '"0"'}, MAX_OPEN_ORDERS=1), 412, "STALE_VERSION")
    _refused(_put(client, path, MAX_POSITION="1"), 422, "WRONG_SCOPE")
    _refused(_put(client, path), 400, "INVALID_REQUEST")
    assert client.get(path).json() == made.json()
    assert made.json() in client.get("/v1/limit-templates").json()["items"]
    body = {"account": f"{account}-t", "template": name, "limits": {"MAX_OPEN_ORDERS": 3}, "deposit": "10"}
    assert client.post("/v1/accounts", json=body).status_code == 201
    shown = client.get(_path(f"{account}-t")).json()["limits"]
    assert (shown["MAX_ORDER_NOTIONAL"]["value"], shown["MAX_OPEN_ORDERS"]["value"]) == ("5000", 3)
    unknown = {"account": f"{account}-u", "template": "no-such-template"}
    _refused(client.post("/v1/accounts", json=unknown), 404, "UNKNOWN_TEMPLATE")
    assert client.get(f"/v1/accounts/{account}-u").status_code == 404


# The design's table of checks. The collar and the age of a mark may also be set wider: the tightest applies.
_EVERYWHERE = "firm, account, symbol, account+symbol"
SCOPES = {
    "MAX_ORDER_QUANTITY": _EVERYWHERE,
    "MAX_ORDER_NOTIONAL": _EVERYWHERE,
    "MAX_OPEN_ORDERS": "account, account+symbol",
    "MAX_POSITION": "symbol, account+symbol",
    "MAX_GROSS_EXPOSURE": "firm, account",
    "ORDER_RATE": "firm, account",
    "PRICE_COLLAR_BPS": _EVERYWHERE,
    "MAX_MARK_AGE": _EVERYWHERE,
    "MAX_PORTFOLIO_VAR": "firm, account",
    "MAX_CORRELATED_EXPOSURE": "account",
    "CANCEL_RATE": "firm, account",
    "MAX_REPEATED_ORDERS": "account",
    "PRICE_MOVE_BPS": _EVERYWHERE,
    "MAX_NET_EXPOSURE": "firm, account",
    "MAX_LEVERAGE": "account",
    "MAX_DAILY_NOTIONAL": "firm, account",
    "DAILY_LOSS": "firm, account",
    "MAX_DRAWDOWN": "firm, account",
    "MAX_ORDER_TO_TRADE_RATIO": "account",
    "VENUE_REJECTIONS": "account, symbol",
    "MARK_HALT_AGE": "symbol",
    "MAINTENANCE_LEVERAGE": "account",
}


@pytest.mark.parametrize("limit", Limit)
def test_a_limit_is_set_where_it_may_be_and_nowhere_else(
    client: httpx.Client, account: str, limit: Limit
) -> None:
    paths = {
        "firm": "/v1/limits/firm",
        "account": _path(account),
        "symbol": "/v1/limits/symbols/DOGE-USDT",
        "account+symbol": f"{_path(account)}/symbols/DOGE-USDT",
    }
    allowed = SCOPES[limit.name].split(", ")
    for scope, path in paths.items():
        answer = _put(client, path, None, **{limit.name: 100_000})
        override = {
            "limit": limit.name,
            "value": 1,
            "expires_at": client.get("/v1/system").json()["now_ts"] + 10**9,
            "reason": REASON,
        }
        if scope in allowed:
            assert answer.status_code == 200, answer.text
            assert answer.json()["limits"][limit.name]["value"] in (100_000, "100000")
            assert _put(client, path, **{limit.name: None}).status_code == 200
            continue
        for refused in (answer, client.post(f"{path}/overrides", json=override)):
            _refused(refused, 422, "WRONG_SCOPE")
            assert refused.json()["allowed_scopes"] == allowed
            assert SCOPES[limit.name] in refused.json()["detail"]
        assert limit.name not in client.get(path).json()["limits"]
