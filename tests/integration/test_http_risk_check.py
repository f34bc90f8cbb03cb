"""`POST /v1/risk/check`: what it says is what happens."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.support.api import ApiServer, limit_order, market_order

STEP = Decimal("0.00001")  # of BTC-USDT


@pytest.fixture
def client(api: ApiServer) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


def _check(client: httpx.Client, order: dict[str, Any]) -> dict[str, Any]:
    response = client.post("/v1/risk/check", json=order)
    assert response.status_code == 200, response.text
    content: dict[str, Any] = response.json()
    return content


def _by_code(verdict: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {check["code"]: check for check in verdict["checks"]}


def test_every_check_with_its_headroom(client: httpx.Client, account: str) -> None:
    verdict = _check(client, limit_order(account, quantity="2"))
    assert verdict["passed"] is True and verdict["code"] is None
    checks = _by_code(verdict)
    gross = checks["MAX_GROSS_EXPOSURE"]
    assert (gross["limit"], gross["observed"], gross["headroom"]) == ("9000000", "100000", "8900000")
    assert gross["scope"] == f"account:{account}"
    least = checks["QUANTITY_MIN"]
    assert Decimal(least["headroom"]) == Decimal(least["observed"]) - Decimal(least["limit"])
    assert checks["TRADING_HALTED"]["headroom"] is None
    refused = _by_code(_check(client, limit_order(account, quantity="200")))["MAX_GROSS_EXPOSURE"]
    assert refused["passed"] is False and refused["headroom"] == "-1000000"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"side": "SELL", "price": "51000.00"},
        {"type": "MARKET", "price": None},
        {"quantity": "0.00001"},  # the order itself is too small
        {"quantity": "900"},
        {"quantity": "0.000001"},  # off the grid
        {"side": "SELL", "type": "MARKET", "price": None, "reduce_only": True},
    ],
)
def test_the_largest_quantity_passes_and_one_step_more_does_not(
    client: httpx.Client, account: str, changes: dict[str, Any]
) -> None:
    client.post("/v1/orders", json=market_order(account, quantity="0.5"))
    order = limit_order(account, **changes)
    largest = _check(client, order)["max_quantity"]
    assert largest is not None
    assert _check(client, order | {"quantity": largest})["passed"] is True
    more = _check(client, order | {"quantity": str(Decimal(largest) + STEP)})
    assert more["passed"] is False
    expected = "REDUCE_ONLY" if order.get("reduce_only") else "MAX_GROSS_EXPOSURE"
    assert more["code"] == expected
    if order.get("reduce_only"):
        assert largest == "0.50000"


def test_nothing_passes(client: httpx.Client, account: str) -> None:
    wrong: list[dict[str, Any]] = [
        {"price": "49000.001"},
        {"symbol": "SOL-USDT", "price": "1"},  # it has no mark
        {"symbol": "NOPE"},
        {"type": "MARKET"},
    ]
    for changes in wrong:
        verdict = _check(client, limit_order(account, **changes))
        assert verdict["passed"] is False and verdict["max_quantity"] is None, changes


def test_a_check_changes_nothing(client: httpx.Client, account: str) -> None:
    before = client.get(f"/v1/accounts/{account}").json()
    for _ in range(3):
        _check(client, limit_order(account, client_order_id="only-a-question"))
    assert client.get(f"/v1/accounts/{account}").json() == before
    assert client.get(f"/v1/orders?account={account}&status=all").json()["items"] == []
    assert client.get(f"/v1/orders/by-client-id/{account}/only-a-question").status_code == 404


def test_a_trader_is_shown_its_own_scopes_alone(api: ApiServer, client: httpx.Client, account: str) -> None:
    """Of the firm and of symbols only whether: the numbers are of others, too."""
    reason = {"reason": "a test"}
    firm = {"limits": {"MAX_GROSS_EXPOSURE": "70000000", "ORDER_RATE": 900_000}, **reason}
    symbol = {"limits": {"MAX_POSITION": "90000", "MAX_ORDER_NOTIONAL": "8000000"}, **reason}
    client.put("/v1/limits/firm", json=firm).raise_for_status()
    client.put("/v1/limits/symbols/BTC-USDT", json=symbol).raise_for_status()
    try:
        _, key = api.make_key("trader", account)
        order = limit_order(account, quantity="0.1")
        with api.client(key) as trader:
            told = _check(trader, order)["checks"]
            too_much = _check(trader, limit_order(account, quantity="170"))
        hidden = [check for check in told if check["scope"] in ("firm", "symbol:BTC-USDT")]
        hidden = [check for check in hidden if check["limit"] is None and check["observed"] is None]
        assert {"MAX_GROSS_EXPOSURE", "MAX_POSITION", "MAX_ORDER_NOTIONAL"} <= {
            check["code"] for check in hidden
        }
        assert all(check["headroom"] is None for check in hidden)
        assert all(check["passed"] for check in hidden)
        for number in ("70000000", "90000", "8000000", "900000"):
            assert f'"{number}"' not in str(told).replace("'", '"')
        own = [check for check in told if check["scope"] == f"account:{account}"]
        assert any(check["limit"] == "9000000" and check["headroom"] for check in own)
        rules = {check["code"]: check for check in told}["QUANTITY_MAX"]
        assert rules["limit"] is not None, "a rule of the instrument is everybody's to read"
        refused = [check for check in too_much["checks"] if not check["passed"]]
        assert "MAX_ORDER_NOTIONAL" in {check["code"] for check in refused if check["limit"] is None}
        seen = {(check["code"], check["scope"]): check for check in _check(client, order)["checks"]}
        assert seen["MAX_GROSS_EXPOSURE", "firm"]["limit"] == "70000000", "a key of risk sees it all"
    finally:
        nothing = {"limits": {"MAX_GROSS_EXPOSURE": None, "ORDER_RATE": None}, **reason}
        client.put("/v1/limits/firm", json=nothing).raise_for_status()
        nothing = {"limits": {"MAX_POSITION": None, "MAX_ORDER_NOTIONAL": None}, **reason}
        client.put("/v1/limits/symbols/BTC-USDT", json=nothing).raise_for_status()


def test_unlimited_is_null(client: httpx.Client, account: str) -> None:
    for quantity in ("0.1", "500", "0.000001"):
        for check in _check(client, limit_order(account, quantity=quantity))["checks"]:
            for member in ("limit", "observed", "headroom"):
                number = check[member]
                if isinstance(number, str) and not number[:1].isalpha():
                    number = Decimal(number)
                if not isinstance(number, str) and number is not None:
                    assert abs(number) < 10**10 or check["code"] == "EXPIRE_TIME_INVALID", check
