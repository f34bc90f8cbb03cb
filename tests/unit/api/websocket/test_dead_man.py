"""Timers that cancel the orders of who has fallen silent: each goes off once, or is disarmed in time."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
import pytest

from app.api.websocket import dead_man
from app.api.websocket.dead_man import DeadManTimers, Reason
from app.runtime.unavailable import EngineHalted, Overloaded
from tests.support.api import ApiServer, limit_order
from tests.support.feed import until

Work = Callable[[DeadManTimers], Coroutine[Any, Any, None]]


class Loop:
    """Takes the cancels that it is asked for; fails as often as it is told."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked = 0
        self.future: asyncio.Future[Any] | None = None

    def submit_batch(self, _records: bytes) -> "asyncio.Future[Any]":
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        self.future = asyncio.get_running_loop().create_future()
        return self.future


def run(loop: Loop, work: Work) -> None:
    stand_in: Any = loop
    asyncio.run(work(DeadManTimers(stand_in)))


def test_orders_of_the_account_are_canceled(api: ApiServer, client: httpx.Client, account: str) -> None:
    other = api.open_account(f"{account}-other")
    mine, its = (
        client.post("/v1/orders", json=limit_order(each)).json()["order_id"] for each in (account, other)
    )
    index = api.server.reference.accounts[account]

    async def arm() -> None:
        DeadManTimers(api.server.loop).arm(Reason.SILENCE, 1, index, 0.01)

    api.run(arm())
    deadline = time.monotonic() + 10
    while client.get(f"/v1/orders/{mine}").json()["status"] != "CANCELED":
        assert time.monotonic() < deadline
    assert client.get(f"/v1/orders/{its}").json()["status"] == "NEW", "another's"


def test_who_is_heard_again_in_time_keeps_its_orders() -> None:
    loop = Loop()

    async def work(timers: DeadManTimers) -> None:
        timers.arm(Reason.SILENCE, 1, 5, 0.02)
        timers.arm(Reason.SILENCE, 1, 5, 60)  # in the place of the other
        timers.arm(Reason.DISCONNECT, 1, 5, 0.02)
        timers.disarm(Reason.DISCONNECT, 1, 5)
        timers.disarm(Reason.DISCONNECT, 1, 5)  # it is gone already
        await asyncio.sleep(0.06)
        assert loop.asked == 0

    run(loop, work)


def test_each_reason_key_and_account_has_its_own() -> None:
    loop = Loop()

    async def work(timers: DeadManTimers) -> None:
        for reason, key, account in (
            (Reason.SILENCE, 1, 5),
            (Reason.DISCONNECT, 1, 5),
            (Reason.SILENCE, 2, 5),
            (Reason.SILENCE, 1, 6),
        ):
            timers.arm(reason, key, account, 0.01)
        timers.disarm(Reason.SILENCE, 1, 5)
        await until(lambda: loop.asked == 3, "the others have gone off")
        await asyncio.sleep(0.03)
        assert loop.asked == 3, "each once"

    run(loop, work)


def test_an_overload_is_no_excuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_man, "RETRY_SECONDS", 0.01)
    loop = Loop(Overloaded("so"), Overloaded("so"))

    async def work(timers: DeadManTimers) -> None:
        timers.arm(Reason.SILENCE, 1, 5, 0)
        await until(lambda: loop.asked == 3, "it is tried until it is taken")
        await asyncio.sleep(0.03)
        assert loop.asked == 3

    run(loop, work)


def test_where_orders_are_not_canceled_it_is_said(caplog: pytest.LogCaptureFixture) -> None:
    halted, failing = Loop(EngineHalted("so")), Loop()

    async def halt(timers: DeadManTimers) -> None:
        timers.arm(Reason.SILENCE, 1, 5, 0)
        await until(lambda: "orders of account 5 not canceled" in caplog.text, "it is said")

    async def fail(timers: DeadManTimers) -> None:
        timers.arm(Reason.DISCONNECT, 1, 6, 0)
        await until(lambda: failing.future is not None, "it is asked for")
        assert failing.future is not None
        failing.future.set_exception(EngineHalted("meanwhile"))
        await until(lambda: "a mass cancel failed: meanwhile" in caplog.text, "it is said")

    run(halted, halt)
    run(failing, fail)
    assert "canceling the orders of account 6 (disconnect, key 1)" in caplog.text
