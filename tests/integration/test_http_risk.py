"""The firm's risk, correlation and their parameters over HTTP, and orders refused for them."""

import math
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.support.api import ApiServer, limit_order, market_order
from tests.support.stream import watch

PARAMETERS = "/v1/risk/parameters"
_SAMPLED_SECONDS_MAX = 60


@pytest.fixture
def client(api: ApiServer) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


def _refused(response: httpx.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text


def _risk_of(client: httpx.Client, account: str) -> dict[str, Any]:
    accounts = client.get("/v1/risk").json()["accounts"]
    found: dict[str, Any] = next(each for each in accounts if each["scope"] == f"account:{account}")
    return found


def _use(figures: dict[str, Any], limit: str) -> dict[str, Any]:
    return next(use for use in figures["utilisation"] if use["limit"] == limit)


def test_marks_are_sampled_while_the_server_runs(client: httpx.Client) -> None:
    started = client.get("/v1/risk/correlation").json()["samples"]
    deadline = time.monotonic() + _SAMPLED_SECONDS_MAX
    while client.get("/v1/risk/correlation").json()["samples"] < started + 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    content = client.get("/v1/risk/correlation").json()
    count = len(content["symbols"])
    assert [len(row) for row in content["matrix"]] == [count] * count
    for i, row in enumerate(content["matrix"]):
        measured = content["symbols"][i]["status"] in ("OK", "STALE")
        assert row[i] == (1.0 if measured else None)
        assert all(value is None or abs(value) <= 1 for value in row)
    assert content["as_of_ts"] % 1_000_000 < 1_000_000 and content["interval_us"] == 1_000_000


def test_what_is_held_is_at_risk_and_limits_are_used(client: httpx.Client, account: str) -> None:
    assert client.post("/v1/orders", json=market_order(account, quantity="0.01")).status_code == 201
    limits = {"MAX_PORTFOLIO_VAR": "1000000", "MAX_CORRELATED_EXPOSURE": "500000"}
    assert (
        client.put(f"/v1/limits/accounts/{account}", json={"limits": limits, "reason": "a test"}).status_code
        == 200
    )
    figures = _risk_of(client, account)
    content = client.get(f"/v1/accounts/{account}").json()
    exposure = float(figures["exposure"])
    assert exposure > 0
    assert figures["trading_state"] == "ACTIVE"
    z = float(client.get(PARAMETERS).json()["z"])
    expected = z * float(figures["sigma"]) + float(figures["unmeasured_exposure"])
    assert float(figures["value_at_risk"]) == pytest.approx(expected, rel=1e-6)
    assert {"exposure", "net_exposure", "unmeasured_exposure", "sigma", "value_at_risk"} <= set(content)
    use = _use(figures, "MAX_PORTFOLIO_VAR")
    assert (use["used"], use["allowed"]) == (figures["value_at_risk"], "1000000")
    assert float(use["ratio"]) == pytest.approx(float(use["used"]) / 1e6, abs=1e-4)
    assert _use(figures, "MAX_CORRELATED_EXPOSURE")["used"] == figures["exposure"]
    firm = client.get("/v1/risk").json()["firm"]
    assert float(firm["exposure"]) >= exposure and firm["scope"] == "firm"


def test_the_bound_stands_beside_value_at_risk_of_what_is_held(client: httpx.Client, account: str) -> None:
    """Only the bound counts a resting order, and only until the order ends."""
    assert client.post("/v1/orders", json=market_order(account, quantity="0.01")).status_code == 201
    order = client.post("/v1/orders", json=limit_order(account, quantity="0.02"))
    assert order.status_code == 201
    with_order, content = _risk_of(client, account), client.get(f"/v1/accounts/{account}").json()
    for shown in (with_order, content):
        # One symbol, 0.01 held and 0.02 open: three times as much may come to be held.
        ratio = float(shown["value_at_risk"]) / float(shown["position_value_at_risk"])
        assert ratio == pytest.approx(3, rel=1e-3)
    assert client.delete(f"/v1/orders/{order.json()['order_id']}").status_code in (200, 202)
    without = _risk_of(client, account)
    assert without["value_at_risk"] == without["position_value_at_risk"]


def test_an_order_above_the_limit_is_refused_and_explained(client: httpx.Client, account: str) -> None:
    assert (
        client.put(
            f"/v1/limits/accounts/{account}",
            json={"limits": {"MAX_PORTFOLIO_VAR": "0.01"}, "reason": "a test"},
        ).status_code
        == 200
    )
    order = market_order(account, quantity="0.01")
    response = client.post("/v1/orders", json=order)
    _refused(response, 422, "MAX_PORTFOLIO_VAR")
    problem = response.json()
    assert (problem["limit"], problem["scope"]) == ("0.01", f"account:{account}")
    assert float(problem["observed"]) > 0.01 and problem["observed"] in problem["detail"]
    checks = client.post("/v1/risk/check", json=order).json()["checks"]
    assert [check["code"] for check in checks if not check["passed"]] == ["MAX_PORTFOLIO_VAR"]
    limits = {"MAX_PORTFOLIO_VAR": None, "MAX_CORRELATED_EXPOSURE": "0.01"}
    assert (
        client.put(f"/v1/limits/accounts/{account}", json={"limits": limits, "reason": "a test"}).status_code
        == 200
    )
    _refused(client.post("/v1/orders", json=order), 422, "MAX_CORRELATED_EXPOSURE")


def test_parameters_are_changed_with_a_reason(client: httpx.Client) -> None:
    before = client.get(PARAMETERS).json()
    assert (before["confidence"], before["z"]) == ("0.99", "2.326347874")
    change = {
        "confidence": "0.975",
        "correlation_threshold": 0.65,
        "horizon_us": 3_600_000_000,
        "reason": "test",
    }
    after = client.patch(PARAMETERS, json=change).json()
    assert (after["confidence"], after["correlation_threshold"]) == ("0.975", "0.65")
    assert float(after["z"]) == pytest.approx(1.959963985)
    assert after["half_life"] == before["half_life"]
    assert after["version"] == before["version"] + 1
    assert client.get("/v1/risk").json()["parameters"] == after
    restore = {name: before[name] for name in ("confidence", "correlation_threshold", "horizon_us")}
    restored = client.patch(PARAMETERS, json=restore | {"reason": "test"}).json()
    assert math.isclose(float(restored["z"]), float(before["z"]))


def test_who_changed_a_parameter_and_why_is_in_the_history(api: ApiServer, client: httpx.Client) -> None:
    number, key = api.make_key("risk")
    before = client.get(PARAMETERS).json()
    change = {"confidence": "0.95", "samples_min": 40, "reason": "größere Stichprobe"}
    with api.client(key) as manager, watch(api) as watcher:
        watcher.subscribe({"name": "risk"})
        after = manager.patch(PARAMETERS, json=change).json()
        told = watcher.update("risk", "*", lambda item: item["event"] == "risk_parameters_set")
    assert told.pop("ts") > 0
    assert told == {
        "event": "risk_parameters_set",
        "parameter": "confidence",
        "value": "0.95",
        "previous": before["confidence"],
        "version": after["version"],
        "actor": number,
        "reason": "größere Stichprobe",
    }
    changes = client.get("/v1/limits/firm/history").json()["items"]
    mine = [item for item in changes if item["actor"] == number]
    assert {(item["limit"], item["old"], item["new"], item["version"]) for item in mine} == {
        ("confidence", before["confidence"], "0.95", after["version"]),
        ("samples_min", before["samples_min"], 40, after["version"]),
    }
    assert {(item["kind"], item["actor_name"], item["reason"]) for item in mine} == {
        ("RISK_MODEL_SET", "risk of a test", "größere Stichprobe")
    }
    restore = {name: before[name] for name in ("confidence", "samples_min")}
    assert client.patch(PARAMETERS, json=restore | {"reason": "test"}).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        {"confidence": "0.5"},
        {"confidence": "1"},
        {"confidence": "0.9999999"},
        {"confidence": "99"},
        {"confidence": None, "half_life": None},
        {"correlation_threshold": "1.1"},
        {"correlation_threshold": "-0.5"},
        {"half_life": 0},
        {"half_life": 1.5},
        {"interval_us": 1},
        {"horizon_us": 500_000},
        {"samples_min": 1},
        {"mark_age_us_max": 0},
        {"no_such": 1},
        {},
        {"half_life": 100, "reason": ""},
        {"half_life": 100, "reason": "   "},
        {"half_life": 100, "reason": "\U0001f4a5" * 400},
        {"half_life": 100, "reason": None},
    ],
)
def test_what_is_wrong_changes_nothing(client: httpx.Client, change: dict[str, Any]) -> None:
    before = client.get(PARAMETERS).json()
    _refused(client.patch(PARAMETERS, json={"reason": "test"} | change), 400, "INVALID_REQUEST")
    assert client.get(PARAMETERS).json() == before


def test_roles(api: ApiServer, client: httpx.Client, account: str) -> None:
    keys = {}
    for role in ("viewer", "trader", "risk"):
        accounts = {"accounts": [account]} if role == "trader" else {}
        created = client.post("/v1/keys", json={"name": f"{role} of {account}", "role": role, **accounts})
        keys[role] = {"Authorization": f"Bearer {created.json()['key']}"}
    change = {"half_life": 600, "reason": "test"}
    for role, firm, write in (("viewer", 200, 403), ("trader", 403, 403), ("risk", 200, 200)):
        headers = keys[role]
        assert client.get("/v1/risk", headers=headers).status_code == firm
        assert client.get("/v1/risk/correlation", headers=headers).status_code == 200
        assert client.get(PARAMETERS, headers=headers).status_code == 200
        assert client.patch(PARAMETERS, headers=headers, json=change).status_code == write
