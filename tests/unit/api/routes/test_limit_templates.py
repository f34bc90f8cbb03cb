"""Limit templates over HTTP: replaced as a whole, by who knows the version that is there."""

from typing import Any

import httpx
import pytest

from app.api import template_store
from tests.support.api import ApiServer

REASON = "a test"


def put(client: httpx.Client, name: str, if_match: str | None = None, **limits: Any) -> httpx.Response:
    headers = {} if if_match is None else {"if-match": if_match}
    body = {"limits": limits, "reason": REASON}
    return client.put(f"/v1/limit-templates/{name}", json=body, headers=headers)


def refused(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


@pytest.fixture
def name(account: str) -> str:
    return f"of-{account}"


def test_what_is_put_is_what_is_read(client: httpx.Client, name: str) -> None:
    made = put(client, name, '"0"', MAX_ORDER_NOTIONAL="5000.50", MAX_OPEN_ORDERS=7)
    assert made.status_code == 200, made.text
    content = made.json()
    assert content | {"updated_ts": 0} == {
        "name": name,
        "version": 1,
        "limits": {"MAX_ORDER_NOTIONAL": "5000.5", "MAX_OPEN_ORDERS": 7},
        "actor": 1,
        "reason": REASON,
        "updated_ts": 0,
    }
    read = client.get(f"/v1/limit-templates/{name}")
    assert (read.json(), read.headers["etag"]) == (content, '"1"')
    assert content in client.get("/v1/limit-templates").json()["items"]


def test_another_replaces_all_of_it(client: httpx.Client, name: str) -> None:
    put(client, name, MAX_ORDER_NOTIONAL="5000", MAX_OPEN_ORDERS=7)
    made = put(client, name, '"1"', MAX_OPEN_ORDERS=8, ORDER_RATE=None)
    assert made.headers["etag"] == '"2"'
    assert made.json()["limits"] == {"MAX_OPEN_ORDERS": 8}, "null is no limit"


@pytest.mark.parametrize("if_match", ['"0"', '"2"'])
def test_a_version_that_is_not_there(client: httpx.Client, name: str, if_match: str) -> None:
    put(client, name, MAX_OPEN_ORDERS=7)
    stale = put(client, name, if_match, MAX_OPEN_ORDERS=8)
    assert refused(stale) == (412, "STALE_VERSION")
    assert stale.json()["version"] == 1
    assert client.get(f"/v1/limit-templates/{name}").json()["limits"] == {"MAX_OPEN_ORDERS": 7}


@pytest.mark.parametrize(
    ("limits", "status", "code"),
    [
        ({}, 400, "INVALID_REQUEST"),
        ({"MAX_OPEN_ORDERS": None}, 400, "INVALID_REQUEST"),
        ({"MAX_POSITION": "1"}, 422, "WRONG_SCOPE"),
        ({"MAX_ORDER_NOTIONAL": "5", "MAX_GROSS_EXPOSURE": "4"}, 422, "LIMIT_CONTRADICTION"),
        ({"MAX_OPEN_ORDERS": -1}, 400, "INVALID_REQUEST"),
    ],
)
def test_what_no_account_could_have(
    client: httpx.Client, name: str, limits: dict[str, Any], status: int, code: str
) -> None:
    assert refused(put(client, name, **limits)) == (status, code)
    assert refused(client.get(f"/v1/limit-templates/{name}")) == (404, "UNKNOWN_TEMPLATE")


def test_there_is_no_room_for_ever_more(
    client: httpx.Client, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(client, name, MAX_OPEN_ORDERS=7)
    monkeypatch.setattr(template_store, "TEMPLATES_MAX", 1)
    assert refused(put(client, f"{name}-2", MAX_OPEN_ORDERS=7)) == (409, "TEMPLATE_CAPACITY")
    assert put(client, name, MAX_OPEN_ORDERS=6).status_code == 200, "it has its place"


def test_all_may_read_and_risk_managers_change(api: ApiServer, trader: httpx.Client, name: str) -> None:
    assert refused(put(trader, name, MAX_OPEN_ORDERS=7)) == (403, "FORBIDDEN")
    with api.client(api.make_key("risk")[1]) as risk:
        assert put(risk, name, MAX_OPEN_ORDERS=7).status_code == 200
    assert trader.get(f"/v1/limit-templates/{name}").status_code == 200
