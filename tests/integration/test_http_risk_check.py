"""`POST /v1/risk/check`: what it says is what happens."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.api_support import ApiServer, limit_order, market_order

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
