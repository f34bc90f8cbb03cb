"""Keys over HTTP: shown once, listed without themselves, and useless once revoked."""

from typing import Any

import httpx
import pytest

from tests.support.api import ApiServer


def create(client: httpx.Client, role: str = "viewer", **members: Any) -> httpx.Response:
    return client.post("/v1/keys", json={"name": f"a {role}", "role": role, **members})


def listed(client: httpx.Client) -> dict[int, dict[str, Any]]:
    return {item["id"]: item for item in client.get("/v1/keys").json()["items"]}


def refused(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_a_key_is_shown_once(api: ApiServer, client: httpx.Client) -> None:
    made = create(client)
    assert made.status_code == 201, made.text
    content = made.json()
    key = content.pop("key")
    assert content | {"id": 0, "created_ts": 0} == {
        "id": 0,
        "name": "a viewer",
        "role": "viewer",
        "accounts": [],
        "created_ts": 0,
        "revoked_ts": None,
    }
    assert listed(client)[content["id"]] == content
    assert key not in client.get("/v1/keys").text
    with api.client(key) as viewer:
        assert viewer.get("/v1/accounts").status_code == 200


def test_a_revoked_key_is_listed_and_useless(api: ApiServer, client: httpx.Client) -> None:
    number, key = api.make_key("viewer")
    revoked = client.delete(f"/v1/keys/{number}")
    assert revoked.status_code == 200
    assert revoked.json()["revoked_ts"] >= revoked.json()["created_ts"]
    assert listed(client)[number] == revoked.json()
    with api.client(key) as viewer:
        assert refused(viewer.get("/v1/accounts")) == (401, "UNAUTHORIZED")


def test_a_trader_has_its_accounts_by_name(client: httpx.Client) -> None:
    assert create(client, "trader", accounts=["beta", "alpha"]).json()["accounts"] == ["alpha", "beta"]


@pytest.mark.parametrize(
    "members",
    [
        {"role": "trader"},
        {"role": "trader", "accounts": []},
        {"role": "viewer", "accounts": ["alpha"]},
        {"role": "admin", "accounts": ["alpha"]},
        {"role": "king"},
        {"name": ""},
    ],
    ids=str,
)
def test_what_makes_no_key(client: httpx.Client, members: dict[str, Any]) -> None:
    before = listed(client)
    assert refused(create(client, **members)) == (400, "INVALID_REQUEST")
    assert listed(client) == before


def test_keys_that_cannot_be_revoked(client: httpx.Client) -> None:
    assert refused(client.delete("/v1/keys/999999")) == (404, "UNKNOWN_KEY")
    assert refused(client.delete("/v1/keys/1")) == (409, "KEY_REFUSED"), "the environment's own"
    assert client.get("/v1/keys").status_code == 200


@pytest.mark.parametrize("role", ["viewer", "risk"])
def test_administrators_alone(api: ApiServer, role: str) -> None:
    with api.client(api.make_key(role)[1]) as other:
        assert refused(other.get("/v1/keys")) == (403, "FORBIDDEN")
        assert refused(create(other)) == (403, "FORBIDDEN")
        assert refused(other.delete("/v1/keys/1")) == (403, "FORBIDDEN")
