"""Requests beyond orders: how many a key may make, and what becomes of those without a key."""

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.api.auth import KeyStore, Role
from app.api.failed_keys import BURST
from app.api.key_budget import AT_ONCE_MAX, Allowance, KeyBudget
from tests.support.api import ADMIN_KEY, ApiServer, limit_order

RATE = 50


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server that allows a key little."""
    with ApiServer(tmp_path_factory.mktemp("slow"), BOT4_KEY_REQUESTS_PER_SECOND=str(RATE)) as server:
        server.show_market()
        time.sleep(0.5)
        yield server


@pytest.fixture(scope="session")
def besieged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A server of its own: the tests' address is counted there."""
    with ApiServer(tmp_path_factory.mktemp("besieged")) as server:
        yield server


def _exhaust(client: httpx.Client, target: str = "/v1/market") -> httpx.Response:
    for _ in range(20 * RATE):
        response = client.get(target)
        if response.status_code == 429:
            return response
    raise AssertionError("nothing was refused")


def test_a_key_has_a_rate_and_others_are_not_held_up(slow: ApiServer) -> None:
    account = slow.open_account("fair")
    _, key = slow.make_key("trader", account)
    _, other = slow.make_key("viewer")
    with slow.client(key) as client, slow.client(other) as neighbour:
        refused = _exhaust(client)
        problem = refused.json()
        assert (problem["code"], problem["limit"]) == ("REQUEST_RATE", RATE)
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.headers["content-type"] == "application/problem+json"
        assert neighbour.get("/v1/market").status_code == 200
        # What the key is there for, and the way out, are not counted.
        placed = client.post("/v1/orders", json=limit_order(account))
        assert placed.status_code == 201, placed.text
        order_id = placed.json()["order_id"]
        assert client.patch(f"/v1/orders/{order_id}", json={"quantity": "0.005"}).status_code == 200
        assert client.delete(f"/v1/orders/{order_id}").status_code == 200
        assert client.delete(f"/v1/orders?account={account}").status_code == 200
        batch = client.post("/v1/orders/batch", json={"orders": [limit_order(account)]})
        assert batch.status_code == 200
        assert client.get("/health/ready").status_code == 200
        time.sleep(int(refused.headers["retry-after"]))
        assert client.get("/v1/market").status_code == 200
        assert neighbour.get("/v1/system").json()["counts"]["refused_requests"] > 0


def test_a_key_has_a_share_of_the_loop() -> None:
    budget = KeyBudget(Allowance(requests_per_second=0, loop_percent=10))
    assert budget.problem(100.0) is None
    budget.spent(2.5)
    problem = budget.problem(100.0)
    assert problem is not None
    assert (problem.status, problem.code, problem.headers["retry-after"]) == (429, "REQUEST_COST", "5")
    assert budget.problem(104.9) is not None
    assert budget.problem(105.1) is None


def test_a_key_has_so_many_requests_at_once() -> None:
    budget = KeyBudget(Allowance(0, 0))
    budget.at_once = AT_ONCE_MAX
    problem = budget.problem(0.0)
    assert problem is not None and problem.code == "REQUESTS_AT_ONCE"
    budget.at_once -= 1
    assert budget.problem(0.0) is None


def test_zero_is_no_bound() -> None:
    budget = KeyBudget(Allowance(0, 0))
    budget.spent(1_000.0)
    assert all(budget.problem(0.0) is None for _ in range(10_000))


def test_wrong_keys_are_counted_told_and_slowed_down_and_good_ones_served(
    besieged: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "app.api.failed_keys"), besieged.client("wrong") as guesser:
        first = guesser.get("/v1/accounts?\n".rstrip())
        assert first.status_code == 401
        statuses = [guesser.get("/v1/accounts").status_code for _ in range(BURST + 100)]
    assert set(statuses) == {401, 429}
    lines = [record.getMessage() for record in caplog.records if "authentication failed" in record.message]
    assert lines and "127.0.0.1" in lines[0] and "/v1/accounts" in lines[0]
    assert len(lines) <= 3, "the log is bounded, whatever is sent"
    with besieged.client("wrong") as guesser:
        # Now and then one is looked at again.
        asked = [guesser.get("/v1/accounts") for _ in range(10)]
        refused = next(response for response in asked if response.status_code == 429)
        assert refused.json()["code"] == "FAILED_KEYS" and int(refused.headers["retry-after"]) >= 1
        orders = [guesser.post("/v1/orders", json=limit_order("alpha")).status_code for _ in range(10)]
        assert 429 in orders, "no way around"
    with besieged.client() as good:
        assert good.get("/v1/accounts").status_code == 200, "from the same address"
        assert good.post("/v1/orders/batch", json={"orders": []}).status_code == 400
        counts = good.get("/v1/system").json()["counts"]
        assert counts["failed_authentications"] >= BURST
        assert counts["throttled_authentications"] > 0
        metrics = good.get("/metrics").text
        assert f"bot4_failed_authentications {counts['failed_authentications']}" in metrics
        assert good.get("/health/live").status_code == 200


def test_a_large_header_leaves_nothing_behind(api: ApiServer) -> None:
    """The key is remembered, not what was written around it; and what is too long is no key."""
    with api.client() as client:
        keys = api.server.keys
        before = len(keys._by_key)
        for blanks in (" ", " " * 100, " " * 900):
            assert client.get(
                "/v1/market", headers={"authorization": f"Bearer{blanks}{ADMIN_KEY}"}
            ).is_success
        huge = client.get("/v1/market", headers={"authorization": f"Bearer{' ' * 30_000}{ADMIN_KEY}"})
        assert huge.status_code == 401
        assert len(keys._by_key) - before <= 1
        assert max(map(len, keys._by_key)) < 300


def test_a_key_that_is_revoked_while_it_is_used(api: ApiServer) -> None:
    """Looked up at the very moment of its end, again and again, it is not remembered as good."""
    keys = api.server.keys
    for _ in range(20):
        number, key = api.make_key("viewer")
        header = f"Bearer {key}".encode()
        stop = threading.Event()

        def look(header: bytes = header, stop: threading.Event = stop) -> None:
            while not stop.is_set():
                keys.of_header(header)

        looking = threading.Thread(target=look)
        looking.start()
        with api.client() as admin:
            assert admin.delete(f"/v1/keys/{number}").status_code == 200
        assert keys.of_header(header) is None
        stop.set()
        looking.join()
        assert keys.of_header(header) is None


def test_a_store_that_forgets_to_forget(tmp_path: Path) -> None:
    """What a look-up puts back behind a revocation is not taken for valid."""
    store, _ = KeyStore.open(tmp_path, "k" * 30, lambda: 1)
    principal, key = store.create("x", Role.VIEWER, [])
    store.revoke(principal.number)
    store._by_key[key.encode()] = principal
    assert store.of_header(f"Bearer {key}".encode()) is None
