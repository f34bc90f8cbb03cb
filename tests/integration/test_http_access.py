"""Who may do what: keys and roles over HTTP."""

from typing import Any

import httpx
import pytest

from tests.support.api import ApiServer, limit_order

ROLES = ("viewer", "trader", "risk", "admin")

# Method, path, body, and the first role that may; {account} is one that the trader's key names.
ROUTES: list[tuple[str, str, dict[str, Any] | None, str]] = [
    ("GET", "/openapi.json", None, "viewer"),
    ("GET", "/metrics", None, "viewer"),
    ("GET", "/v1/system", None, "viewer"),
    ("GET", "/v1/orders", None, "viewer"),
    ("GET", "/v1/orders?account={account}", None, "viewer"),
    ("GET", "/v1/accounts", None, "viewer"),
    ("GET", "/v1/accounts/{account}", None, "viewer"),
    ("GET", "/v1/accounts/{account}/positions", None, "viewer"),
    ("GET", "/v1/positions", None, "viewer"),
    ("GET", "/v1/instruments", None, "viewer"),
    ("GET", "/v1/limits", None, "viewer"),
    ("GET", "/v1/limits/accounts/{account}", None, "viewer"),
    ("GET", "/v1/market/BTC-USDT/book", None, "viewer"),
    ("POST", "/v1/risk/check", {"order": True}, "viewer"),
    ("POST", "/v1/orders", {"order": True}, "trader"),
    ("POST", "/v1/orders/batch", {"orders": True}, "trader"),
    ("DELETE", "/v1/orders?account={account}", None, "trader"),
    ("POST", "/v1/accounts/{account}/positions/SOL-USDT/close", {}, "trader"),
    (
        "PUT",
        "/v1/limits/accounts/{account}",
        {"limits": {"MAX_OPEN_ORDERS": 1000}, "reason": "a test"},
        "risk",
    ),
    ("PUT", "/v1/limits/symbols/SOL-USDT", {"limits": {"MAX_POSITION": "1000"}, "reason": "a test"}, "risk"),
    ("GET", "/v1/limits/overrides", None, "viewer"),
    ("GET", "/v1/limits/accounts/{account}/overrides", None, "viewer"),
    ("GET", "/v1/limit-templates", None, "viewer"),
    ("POST", "/v1/limits/accounts/{account}/overrides", {}, "risk"),
    ("DELETE", "/v1/limits/overrides/999999?reason=x", None, "risk"),
    ("POST", "/v1/limit-changes/999999/approve", {"reason": "a test"}, "risk"),
    ("POST", "/v1/limit-changes/999999/reject", {"reason": "a test"}, "risk"),
    ("PUT", "/v1/limit-templates/access", {"limits": {"ORDER_RATE": 1}, "reason": "a test"}, "risk"),
    ("GET", "/v1/permissions", None, "viewer"),
    ("GET", "/v1/permissions/accounts/{account}", None, "viewer"),
    ("GET", "/v1/permissions/accounts/{account}/symbols/SOL-USDT", None, "viewer"),
    ("PUT", "/v1/permissions/accounts/{account}", {"permission": "DEFAULT", "reason": "a test"}, "risk"),
    (
        "PUT",
        "/v1/permissions/accounts/{account}/symbols/SOL-USDT",
        {"permission": "ALLOWED", "reason": "a test"},
        "risk",
    ),
    ("DELETE", "/v1/permissions/accounts/{account}/symbols/SOL-USDT?reason=x", None, "risk"),
    ("PATCH", "/v1/risk/parameters", {"half_life": 600, "reason": "a test"}, "risk"),
    (
        "POST",
        "/v1/kill-switch",
        {"scope": "symbol:SOL-USDT", "action": "resume", "reason": "a test"},
        "risk",
    ),
    ("GET", "/v1/keys", None, "admin"),
    ("POST", "/v1/keys", {"name": "x", "role": "viewer"}, "admin"),
    ("DELETE", "/v1/keys/999999", None, "admin"),
    ("POST", "/v1/accounts", {"account": "bad name"}, "admin"),
    ("POST", "/v1/instruments", {"symbol": "bad name"}, "admin"),
    ("PATCH", "/v1/instruments/SOL-USDT", {"status": "TRADING"}, "admin"),
]


def _body(body: dict[str, Any] | None, account: str) -> dict[str, Any] | None:
    if body == {"order": True}:
        return limit_order(account)
    return {"orders": [limit_order(account)]} if body == {"orders": True} else body


@pytest.fixture(scope="session")  # not module: a worker may leave a file and come back to it
def keys(api: ApiServer) -> dict[str, str]:
    account = api.open_account("access")
    api.open_account("access-other")
    return {role: api.make_key(role, *([account] if role == "trader" else []))[1] for role in ROLES}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("method", "path", "body", "first"), ROUTES)
def test_roles(
    api: ApiServer,
    keys: dict[str, str],
    method: str,
    path: str,
    body: dict[str, Any] | None,
    first: str,
    role: str,
) -> None:
    with api.client(keys[role]) as client:
        response = client.request(method, path.format(account="access"), json=_body(body, "access"))
    if ROLES.index(role) < ROLES.index(first):
        assert (response.status_code, response.json()["code"]) == (403, "FORBIDDEN")
    else:
        assert response.status_code not in (401, 403, 405, 500), response.text


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer x", "Basic eDp4", "bearer ä"])
@pytest.mark.parametrize(("method", "path", "body", "first"), ROUTES)
def test_without_a_valid_key(
    api: ApiServer,
    header: str | None,
    method: str,
    path: str,
    body: dict[str, Any] | None,
    first: str,
) -> None:
    headers = {} if header is None else {b"authorization": header.encode("latin-1")}
    with api.client(None) as client:
        response = client.request(
            method, path.format(account="alpha"), json=_body(body, "alpha"), headers=headers
        )
    assert (response.status_code, response.json()["code"]) == (401, "UNAUTHORIZED")
    assert response.headers["www-authenticate"] == "Bearer"


def test_health_is_open(api: ApiServer) -> None:
    with api.client(None) as client:
        assert client.get("/health/live").json() == {"status": "live"}
        assert client.get("/health/ready").json()["status"] == "ready"


def test_a_trader_sees_and_touches_its_accounts_only(api: ApiServer, keys: dict[str, str]) -> None:
    with api.client() as admin:
        foreign = admin.post("/v1/orders", json=limit_order("access-other")).json()["order_id"]
    with api.client(keys["trader"]) as client:
        _expect(client.post("/v1/orders", json=limit_order("access-other")), 403)
        _expect(client.post("/v1/orders", json=limit_order("nobody-at-all")), 403)
        _expect(client.post("/v1/risk/check", json=limit_order("access-other")), 403)
        batch = client.post(
            "/v1/orders/batch", json={"orders": [limit_order("access"), limit_order("access-other")]}
        )
        assert [result["status"] for result in batch.json()["results"]] == [201, 403]
        _expect(client.post("/v1/orders/batch", json={"orders": [limit_order("access-other")]}), 403)
        for response in (
            client.get(f"/v1/orders/{foreign}"),
            client.delete(f"/v1/orders/{foreign}"),
            client.patch(f"/v1/orders/{foreign}", json={"quantity": "1"}),
            client.get("/v1/orders?account=access-other"),
            client.get("/v1/accounts/access-other"),
            client.get("/v1/limits/accounts/access-other"),
        ):
            _expect(response, 404)
        _expect(client.delete("/v1/orders?account=access-other"), 403)
        _expect(client.get("/v1/kill-switch"), 403)
        _expect(client.get("/v1/limits/firm"), 403)
        orders = client.get("/v1/orders?status=all").json()["items"]
        assert {order["account"] for order in orders} <= {"access"}
        assert [item["account"] for item in client.get("/v1/accounts").json()["items"]] == ["access"]
        assert client.delete("/v1/orders?scope=firm").status_code == 200
    with api.client() as admin:
        assert admin.get(f"/v1/orders/{foreign}").json()["status"] == "NEW"
        own = admin.get("/v1/orders?account=access").json()["items"]
        assert own == []


def _expect(response: httpx.Response, status: int) -> None:
    assert response.status_code == status, response.text


def test_a_revoked_key_is_useless_at_once(api: ApiServer, account: str) -> None:
    number, key = api.make_key("trader", account)
    with api.client(key) as client, api.client() as admin:
        assert client.post("/v1/orders", json=limit_order(account)).status_code == 201
        revoked = admin.delete(f"/v1/keys/{number}")
        assert revoked.status_code == 200 and revoked.json()["revoked_ts"] is not None
        _expect(client.post("/v1/orders", json=limit_order(account)), 401)
        _expect(client.get("/v1/accounts"), 401)
        again = admin.delete(f"/v1/keys/{number}")
        assert again.json() == revoked.json()
        listed = {item["id"]: item for item in admin.get("/v1/keys").json()["items"]}
        assert listed[number] == revoked.json()
        assert key not in str(listed)


def test_the_environment_s_key_is_not_revoked_here(api: ApiServer) -> None:
    with api.client() as admin:
        response = admin.delete("/v1/keys/1")
        assert (response.status_code, response.json()["code"]) == (409, "KEY_REFUSED")


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "role": "trader"},
        {"name": "x", "role": "viewer", "accounts": ["alpha"]},
        {"name": "", "role": "viewer"},
        {"name": "x", "role": "root"},
        {"name": "x", "role": "trader", "accounts": ["no/such name"]},
        {"name": "x"},
    ],
)
def test_wrong_keys(api: ApiServer, body: dict[str, Any]) -> None:
    with api.client() as admin:
        response = admin.post("/v1/keys", json=body)
        assert (response.status_code, response.json()["code"]) == (400, "INVALID_REQUEST")
