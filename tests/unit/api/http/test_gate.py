"""The gate: who has no key, or has used up what it may, comes no further; orders always do."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import orjson
import pytest

from app.api import failed_keys
from app.api.failed_keys import FailedKeys
from app.api.http.gate import Gate, is_free
from app.api.key_budget import AT_ONCE_MAX, RATE_BURST_SECONDS, Allowance, KeyBudgets
from app.api.services import Services
from tests.support.api import ADMIN_KEY, ApiServer
from tests.support.feed import until

Message = dict[str, Any]

FREE = [
    ("POST", "/v1/orders"),
    ("POST", "/v1/orders/batch"),
    ("POST", "/v1/kill-switch"),
    ("POST", "/v1/accounts/alpha/positions/BTC-USDT/close"),
    ("DELETE", "/v1/orders"),
    ("DELETE", "/v1/orders/7"),
    ("PATCH", "/v1/orders/7"),
]
COUNTED = [
    ("GET", "/v1/orders"),
    ("POST", "/v1/orders/check"),
    ("POST", "/v1/accounts"),
    ("GET", "/v1/accounts/alpha/positions/BTC-USDT/close"),
    ("DELETE", "/v1/keys/7"),
    ("PUT", "/v1/limits/firm"),
    ("DELETE", "/v1/limits/overrides/7"),
]


@pytest.mark.parametrize(("method", "path"), FREE)
def test_orders_and_what_makes_a_risk_smaller_are_free(method: str, path: str) -> None:
    assert is_free(method, path)


@pytest.mark.parametrize(("method", "path"), COUNTED)
def test_all_else_is_counted(method: str, path: str) -> None:
    assert not is_free(method, path)


class Edge:
    """A gate before an application that says 200, or does what it is told."""

    def __init__(self, services: Services, allowance: Allowance) -> None:
        self.services = replace(services, budgets=KeyBudgets(allowance), failed_keys=FailedKeys())
        self.passed = 0
        self.work: Callable[[], Awaitable[None]] | None = None
        self.gate = Gate(self._application, self.services)

    async def _application(self, _scope: Any, _receive: Any, send: Any) -> None:
        self.passed += 1
        if self.work is not None:
            await self.work()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def ask(
        self, path: str = "/v1/market", method: str = "GET", key: str | None = ADMIN_KEY, kind: str = "http"
    ) -> Message:
        """Status, and the problem where there is one."""
        headers = [] if key is None else [(b"authorization", f"Bearer {key}".encode())]
        scope = {
            "type": kind,
            "method": method,
            "path": path,
            "headers": headers,
            "client": ("192.0.2.1", 5),
            "extensions": {"websocket.http.response": {}},
        }
        sent: list[Message] = []

        async def send(message: Any) -> None:
            sent.append(dict(message))

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        await self.gate(scope, receive, send)
        body = b"".join(message.get("body", b"") for message in sent)
        return {"status": sent[0]["status"]} | (orjson.loads(body) if body else {})


@pytest.fixture
def services(api: ApiServer) -> Services:
    return api.server.services


def test_a_key_that_asks_too_much_still_gets_out(api: ApiServer, services: Services) -> None:
    edge = Edge(services, Allowance(requests_per_second=1, loop_percent=0))

    async def run() -> None:
        statuses = [(await edge.ask())["status"] for _ in range(10)]
        allowed = statuses.index(429)
        assert RATE_BURST_SECONDS <= allowed <= RATE_BURST_SECONDS + 1
        assert set(statuses[allowed:]) == {429}
        refused = await edge.ask()
        assert (refused["code"], refused["limit"]) == ("REQUEST_RATE", 1)
        assert edge.services.budgets.refused == 10 - allowed + 1
        for method, path in FREE:
            assert (await edge.ask(path, method))["status"] == 200
        assert (await edge.ask("/health/ready"))["status"] == 200

    api.run(run())


def test_keys_are_counted_each_by_itself(api: ApiServer, services: Services) -> None:
    _, other = api.make_key("viewer")
    edge = Edge(services, Allowance(requests_per_second=1, loop_percent=0))

    async def run() -> None:
        for _ in range(10):
            await edge.ask()
        assert (await edge.ask())["status"] == 429
        assert (await edge.ask(key=other))["status"] == 200

    api.run(run())


def test_requests_that_are_being_answered_are_bounded_and_end(api: ApiServer, services: Services) -> None:
    edge = Edge(services, Allowance(0, 0))

    async def run() -> None:
        go_on = asyncio.Event()

        async def wait() -> None:
            await go_on.wait()

        edge.work = wait
        waiting = [asyncio.create_task(edge.ask()) for _ in range(AT_ONCE_MAX)]
        await until(lambda: edge.passed == AT_ONCE_MAX, "all are being answered")
        assert (await edge.ask())["code"] == "REQUESTS_AT_ONCE"
        go_on.set()
        assert {each["status"] for each in await asyncio.gather(*waiting)} == {200}
        assert (await edge.ask())["status"] == 200

        async def fail() -> None:
            raise ValueError("a bug")

        edge.work = fail
        with pytest.raises(ValueError, match="a bug"):
            await edge.ask()
        assert edge.services.budgets.of(1).at_once == 0

    api.run(run())


@pytest.mark.parametrize("key", [None, "wrong"])
def test_without_a_key_the_application_says_so_until_there_are_too_many(
    api: ApiServer, services: Services, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failed_keys, "BURST", 4)
    edge = Edge(services, Allowance(0, 0))

    async def run() -> None:
        answers = [await edge.ask(key=key) for _ in range(8)]
        assert [answer["status"] for answer in answers[:4]] == [200] * 4
        assert answers[-1]["code"] == "FAILED_KEYS"
        assert edge.passed == sum(answer["status"] == 200 for answer in answers)
        assert edge.services.failed_keys.count == edge.passed
        assert (await edge.ask("/health/live", key=key))["status"] == 200
        assert (await edge.ask())["status"] == 200, "valid keys are served"

    api.run(run())


def test_a_socket_is_refused_for_a_wrong_key_but_not_for_none(
    api: ApiServer, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failed_keys, "BURST", 4)
    edge = Edge(services, Allowance(0, 0))

    async def run() -> None:
        answers = [await edge.ask("/v1/trade", key="wrong", kind="websocket") for _ in range(8)]
        assert answers[0]["status"] == 200
        assert answers[-1]["code"] == "FAILED_KEYS"
        assert (await edge.ask("/v1/trade", key=None, kind="websocket"))["status"] == 200, "it comes later"
        assert (await edge.ask("/v1/trade", kind="websocket"))["status"] == 200

    api.run(run())
