"""Requests on their way: each is answered once, in its order, and a bug is no secret of the log's."""

import asyncio
import logging

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.api.order_entry.pending import DESCRIBED_AT_ONCE_MAX, SendReply, failure_reply, reply_of
from app.documents.orders import Reply
from app.documents.problems import Problem, forbidden
from app.runtime.unavailable import EngineHalted, Overloaded, StorageFull
from tests.support.api import limit_order


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (forbidden("no"), 403, "FORBIDDEN"),
        (EngineHalted("so"), 503, "ENGINE_HALTED"),
        (Overloaded("so"), 503, "OVERLOADED"),
        (StorageFull("so"), 503, "STORAGE_FULL"),
    ],
)
def test_what_is_expected_is_its_problem(
    error: Exception, status: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    reply = failure_reply(error)
    assert (reply.status, orjson.loads(reply.body)["code"]) == (status, code)
    assert not caplog.records


def test_a_bug_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    reply = failure_reply(ZeroDivisionError("of the firm's secrets"))
    assert (reply.status, orjson.loads(reply.body)["code"]) == (500, "INTERNAL_ERROR")
    assert b"secrets" not in reply.body
    (record,) = caplog.records
    assert record.levelno == logging.ERROR and record.exc_info


def test_a_coroutine_gets_the_first_reply() -> None:
    def start(send: SendReply) -> None:
        send(Reply(200, b"1"))
        send(Reply(200, b"2"))

    assert asyncio.run(reply_of(start)) == Reply(200, b"1")


def test_a_reply_to_who_has_gone_is_dropped() -> None:
    waiting: list[SendReply] = []

    async def run() -> None:
        task = asyncio.create_task(reply_of(waiting.append))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        waiting[0](Reply(200, b"late"))

    asyncio.run(run())


def test_what_refuses_at_once_raises() -> None:
    def start(_send: SendReply) -> None:
        raise forbidden("no")

    with pytest.raises(Problem, match="no"):
        asyncio.run(reply_of(start))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(st.sampled_from(("good", "refused", "foreign")), min_size=1, max_size=12))
def test_results_of_a_batch_stand_in_the_order_of_its_orders(
    trader: httpx.Client, account: str, kinds: list[str]
) -> None:
    """What is accepted is written by a kernel, what is refused by Python, what is foreign goes nowhere."""
    orders = {
        "good": limit_order(account, price="41000.00"),
        "refused": limit_order(account, price="0.001"),
        "foreign": limit_order("alpha"),
    }
    response = trader.post("/v1/orders/batch", json={"orders": [orders[kind] for kind in kinds]})
    if set(kinds) == {"foreign"}:
        assert (response.status_code, response.json()["code"]) == (403, "FORBIDDEN"), "not one of them"
        return
    statuses = {"good": 201, "refused": 422, "foreign": 403}
    results = response.json()["results"]
    assert [each["status"] for each in results] == [statuses[kind] for kind in kinds]
    for kind, result in zip(kinds, results, strict=True):
        assert result.keys() == {"status", "order" if kind == "good" else "error"}
    trader.delete("/v1/orders", params={"account": account})


def test_many_refusals_are_told_in_turns_and_in_order(trader: httpx.Client, account: str) -> None:
    good = DESCRIBED_AT_ONCE_MAX // 2
    orders = [limit_order(account, price="0.001") for _ in range(2 * DESCRIBED_AT_ONCE_MAX)]
    orders[good] = limit_order(account, price="41000.00")
    results = trader.post("/v1/orders/batch", json={"orders": orders}).json()["results"]
    assert [place for place, result in enumerate(results) if result["status"] == 201] == [good]
    assert {result["error"]["code"] for result in results if "error" in result} == {"PRICE_TICK"}
    assert len(results) == len(orders)
