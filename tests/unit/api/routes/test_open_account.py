"""Opening an account: all that was asked for is there at once, or there is no account."""

from typing import Any

import httpx
import pytest

from tests.support.api import ApiServer, limit_order


@pytest.fixture
def name(account: str) -> str:
    return f"{account}-new"


def post(client: httpx.Client, name: str, **members: Any) -> httpx.Response:
    return client.post("/v1/accounts", json={"account": name, **members})


def limits_of(client: httpx.Client, name: str) -> dict[str, Any]:
    """Those that are set."""
    limits = client.get(f"/v1/limits/accounts/{name}").json()["limits"]
    return {limit: state["value"] for limit, state in limits.items() if state["value"] is not None}


def test_a_name_is_enough(client: httpx.Client, name: str) -> None:
    opened = post(client, name)
    assert opened.status_code == 201, opened.text
    content = opened.json()
    assert (content["account"], content["cash"], content["limit_change_id"]) == (name, "0", None)
    assert client.get(f"/v1/accounts/{name}").json() == {
        member: value for member, value in content.items() if member != "limit_change_id"
    }
    assert limits_of(client, name) == {}
    refused = client.post("/v1/orders", json=limit_order(name))
    assert refused.json()["code"] == "LIMITS_NOT_SET"


@pytest.mark.parametrize(
    ("deposit", "cash"), [("0.00000001", "0.00000001"), (5, "5"), ("250.50", "250.5"), ("0", "0")]
)
def test_a_deposit_is_exact(client: httpx.Client, name: str, deposit: str | int, cash: str) -> None:
    assert post(client, name, deposit=deposit, leverage=3).json()["cash"] == cash
    assert client.get(f"/v1/accounts/{name}").json()["leverage"] == 3


def test_own_limits_stand_in_the_place_of_the_templates(client: httpx.Client, name: str) -> None:
    body = {"limits": {"MAX_OPEN_ORDERS": 7, "ORDER_RATE": 5, "CANCEL_RATE": 4}, "reason": "a test"}
    assert client.put(f"/v1/limit-templates/{name}", json=body).status_code == 200
    own = {"MAX_OPEN_ORDERS": 3, "ORDER_RATE": None, "MAX_GROSS_EXPOSURE": "10"}
    assert post(client, name, template=name, limits=own).status_code == 201
    assert limits_of(client, name) == {"MAX_OPEN_ORDERS": 3, "CANCEL_RATE": 4, "MAX_GROSS_EXPOSURE": "10"}


@pytest.mark.parametrize(
    ("members", "status", "code"),
    [
        ({"deposit": "0.000000001"}, 400, "INVALID_REQUEST"),
        ({"deposit": "99999999999999999999"}, 400, "INVALID_REQUEST"),
        ({"template": "no-such"}, 404, "UNKNOWN_TEMPLATE"),
        ({"limits": {"MAX_POSITION": "1"}}, 422, "WRONG_SCOPE"),
        ({"limits": {"MAX_ORDER_NOTIONAL": "5", "MAX_GROSS_EXPOSURE": "4"}}, 422, "LIMIT_CONTRADICTION"),
        ({"leverage": 0}, 400, "INVALID_REQUEST"),
        ({"reason": "x" * 5_000}, 400, "INVALID_REQUEST"),
    ],
    ids=str,
)
def test_what_is_wrong_opens_none(
    client: httpx.Client, name: str, members: dict[str, Any], status: int, code: str
) -> None:
    refused = post(client, name, **({"deposit": "5"} | members))
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert client.get(f"/v1/accounts/{name}").status_code == 404


def test_a_name_that_is_taken(client: httpx.Client, account: str) -> None:
    before = client.get(f"/v1/accounts/{account}").json()
    refused = post(client, account, deposit="5")
    assert (refused.status_code, refused.json()["code"]) == (409, "ACCOUNT_EXISTS")
    assert client.get(f"/v1/accounts/{account}").json() == before


def test_administrators_alone_open_accounts(api: ApiServer, name: str) -> None:
    with api.client(api.make_key("risk")[1]) as risk:
        assert post(risk, name).status_code == 403
