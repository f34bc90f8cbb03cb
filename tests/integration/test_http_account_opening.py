"""An account is opened with its deposit and limits as one: in one tick, or not at all."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from app.engine.types import CommandKind
from app.runtime.journal_reader import JournalReader
from tests.support.api import ApiServer, limit_order


@pytest.fixture
def client(api: ApiServer) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


@pytest.fixture
def name() -> str:
    return f"opened-{time.time_ns()}"


def _refused(response: httpx.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text


def test_all_of_it_is_one_batch_in_the_journal(api: ApiServer, client: httpx.Client, name: str) -> None:
    template = f"/v1/limit-templates/{name}"
    limits = {"MAX_ORDER_NOTIONAL": "5000", "MAX_OPEN_ORDERS": 20, "ORDER_RATE": 10}
    client.put(template, json={"limits": limits, "reason": "a test"}).raise_for_status()
    body = {
        "account": name,
        "deposit": "1000",
        "template": name,
        "limits": {"ORDER_RATE": 7},
        "reason": "a new desk",
    }
    opened = client.post("/v1/accounts", json=body)
    assert opened.status_code == 201, opened.text
    assert (opened.json()["cash"], opened.json()["limit_change_id"]) == ("1000", None)
    shown = client.get(f"/v1/limits/accounts/{name}").json()
    assert shown["version"] == 1
    assert {limit: shown["limits"][limit]["value"] for limit in limits} == limits | {"ORDER_RATE": 7}
    history = client.get(f"/v1/limits/accounts/{name}/history").json()["items"]
    assert {(item["kind"], item["reason"], item["actor"]) for item in history} == {
        (kind, "a new desk", 1) for kind in ("ACCOUNT_SET", "CASH_TRANSFERRED", "LIMIT_SET")
    }
    seq = history[0]["seq"]
    index = api.server.reference.accounts[name]
    for commands, _ in JournalReader(api.server.settings.journal_dir, seq - 7).batches():
        of_account = commands[(commands["account"] == index) | (commands["kind"] == CommandKind.NOTE)]
        if seq in of_account["seq"]:
            break
    opening = of_account[of_account["seq"] >= seq - 7]
    kinds = [CommandKind(kind) for kind in opening["kind"][-8:]]
    assert kinds == [
        CommandKind.NOTE,
        CommandKind.SET_ACCOUNT,
        CommandKind.NOTE,
        CommandKind.TRANSFER_CASH,
        CommandKind.SET_LIMIT,
        CommandKind.SET_LIMIT,
        CommandKind.NOTE,
        CommandKind.SET_LIMIT,
    ]
    assert len(np.unique(opening["ts"])) == 1 and list(np.diff(opening["seq"])) == [1] * 7


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"limits": {"PRICE_COLLAR_BPS": 10**7}}, 422, "INVALID_VALUE"),
        ({"limits": {"MAX_REPEATED_ORDERS": 0}}, 422, "INVALID_VALUE"),
        ({"limits": {"MAX_POSITION": "1"}}, 422, "WRONG_SCOPE"),
        ({"limits": {"MAX_NET_EXPOSURE": "5", "MAX_GROSS_EXPOSURE": "4"}}, 422, "LIMIT_CONTRADICTION"),
        ({"limits": {"ORDER_RATE": -1}}, 400, "INVALID_REQUEST"),
        ({"deposit": "0.000000001"}, 400, "INVALID_REQUEST"),
        ({"deposit": "-5"}, 400, "INVALID_REQUEST"),
        ({"reason": " "}, 400, "INVALID_REQUEST"),
        ({"template": "there-is-none"}, 404, "UNKNOWN_TEMPLATE"),
    ],
)
def test_what_is_wrong_opens_no_account(
    client: httpx.Client, name: str, change: dict[str, Any], status: int, code: str
) -> None:
    body = {"account": name, "deposit": "10", "limits": {"ORDER_RATE": 5}, "reason": "a test"} | change
    seq = client.get("/v1/system").json()["counts"]["accounts"]
    _refused(client.post("/v1/accounts", json=body), status, code)
    _refused(client.get(f"/v1/accounts/{name}"), 404, "UNKNOWN_ACCOUNT")
    assert client.get("/v1/system").json()["counts"]["accounts"] == seq


@pytest.fixture
def second_person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with ApiServer(tmp_path_factory.mktemp("opening"), BOT4_MAKER_CHECKER="1") as server:
        server.show_market()
        yield server


def test_with_a_second_person_the_limits_wait_as_one_request(second_person: ApiServer) -> None:
    body = {"account": "new", "deposit": "10", "limits": {"ORDER_RATE": 5, "MAX_OPEN_ORDERS": 3}}
    with second_person.client() as client:
        opened = client.post("/v1/accounts", json=body).json()
        change = client.get("/v1/limit-changes").json()["items"][0]
        assert opened["limit_change_id"] == change["id"]
        assert {item["limit"] for item in change["changes"]} == {"ORDER_RATE", "MAX_OPEN_ORDERS"}
        _refused(client.post("/v1/orders", json=limit_order("new")), 422, "LIMITS_NOT_SET")
        _, key = second_person.make_key("risk")
        with second_person.client(key) as other:
            approve = f"/v1/limit-changes/{change['id']}/approve"
            other.post(approve, json={"reason": "looks good"}).raise_for_status()
        assert client.get("/v1/limits/accounts/new").json()["limits"]["ORDER_RATE"]["value"] == 5

        # Where the proposal would find no room, there is no account either.
        alpha = client.get("/v1/limits/accounts/alpha").json()["limits"]
        without = {limit: None for limit, shown in alpha.items() if shown["value"] is not None}
        for limits in (without, {"ORDER_RATE": None}):
            loosening = {"limits": limits, "reason": "a test"}
            while (answer := client.put("/v1/limits/accounts/alpha", json=loosening)).status_code == 202:
                pass
            _refused(answer, 422, "CHANGE_CAPACITY")
        _refused(client.post("/v1/accounts", json=body | {"account": "none"}), 422, "CHANGE_CAPACITY")
        _refused(client.get("/v1/accounts/none"), 404, "UNKNOWN_ACCOUNT")
