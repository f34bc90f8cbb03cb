"""What the hot lane answers when the engine's loop takes nothing, or something breaks."""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any, cast

import pytest

from app.api.auth import KeyStore
from app.api.http.asgi import Message, Receive, Scope, Send
from app.api.http.order_application import BodyLimit, HotLane
from app.api.order_entry.desk import OrderDesk
from app.api.services import Services
from app.api.template_store import TemplateStore
from app.engine.capacity import SMALL_CAPACITY
from app.engine.state import allocate
from app.market.market_data import MarketData
from app.runtime.alarms import Alarms
from app.runtime.clock import VirtualClock
from app.runtime.loop import EngineLoop
from app.runtime.outcomes import Waiter
from app.runtime.reference import Reference
from app.runtime.retention import DiskBudget
from app.runtime.risk_log import RiskLog
from app.runtime.unavailable import EngineHalted, Overloaded, StorageFull
from app.venues.base import Venue

KEY = "a-key-from-the-environment"
ORDER = {"account": "a", "symbol": "S", "side": "BUY", "type": "MARKET", "quantity": "1"}


class Loop:
    """Takes no command, each time for the same reason."""

    def __init__(self, error: Exception, *, ready: bool = True, halted: bool = False) -> None:
        self.error = error
        self.ready = ready
        self.halted = halted

    def submit_for(self, _waiter: Waiter, _records: bytes) -> None:
        raise self.error


def _keys(folder: Path) -> KeyStore:
    return KeyStore.open(folder, KEY, lambda: 1)[0]


async def _elsewhere(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "elsewhere"})


def _lane(folder: Path, loop: Loop) -> HotLane:
    state = allocate(SMALL_CAPACITY)
    services = Services(
        loop=cast(EngineLoop, loop),
        state=state,
        reference=Reference.from_state(state),
        venue=cast(Venue, None),
        market=cast(MarketData, None),
        clock=VirtualClock(),
        keys=_keys(folder),
        disk=DiskBudget(folder, 0, lambda _: None),
        templates=TemplateStore.open(folder / "templates.json", lambda: 1),
        risk_log=RiskLog(),
        alarms=Alarms(lambda: 1),
        version="test",
        started_ts=0,
    )
    return HotLane(_elsewhere, _elsewhere, services, OrderDesk(services))


def _call(application: Any, messages: list[Message], **scope: Any) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"x"), (b"authorization", f"Bearer {KEY}".encode())]
    whole = {
        "type": "http",
        "method": "POST",
        "path": "/v1/orders",
        "headers": headers,
        "query_string": b"",
    } | scope
    asyncio.run(_run(application(whole, receive, send)))
    return sent


async def _run(answer: Any) -> None:
    await answer


def _request(body: Any) -> list[Message]:
    return [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]


@pytest.mark.parametrize(("path", "body"), [("/v1/orders", ORDER), ("/v1/orders/batch", {"orders": [ORDER]})])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Overloaded("full"), 503, "OVERLOADED"),
        (StorageFull("full"), 503, "STORAGE_FULL"),
        (EngineHalted("disk"), 503, "ENGINE_HALTED"),
        (RuntimeError("secret"), 500, "INTERNAL_ERROR"),
    ],
)
def test_the_loop_takes_nothing(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    path: str,
    body: Any,
    error: Exception,
    status: int,
    code: str,
) -> None:
    with caplog.at_level(logging.ERROR):
        start, content = _call(_lane(tmp_path, Loop(error)), _request(body), path=path)
    assert start["status"] == status
    assert json.loads(content["body"])["code"] == code
    assert b"secret" not in content["body"]
    assert ("secret" in caplog.text) == (status == 500)
    headers = dict(start["headers"])
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"content-length"] == str(len(content["body"])).encode()
    assert (b"retry-after" in headers) == (status == 503)


@pytest.mark.parametrize(("halted", "code"), [(False, "NOT_READY"), (True, "ENGINE_HALTED")])
def test_not_ready(tmp_path: Path, halted: bool, code: str) -> None:
    loop = Loop(RuntimeError(), ready=False, halted=halted)
    start, content = _call(_lane(tmp_path, loop), _request(ORDER))
    assert (start["status"], json.loads(content["body"])["code"]) == (503, code)


@pytest.mark.parametrize(
    "scope",
    [
        {"method": "GET"},
        {"method": "DELETE", "path": "/v1/orders"},
        {"path": "/v1/orders/"},
        {"path": "/v1/orders/batch/"},
        {"path": "/v1/ordersx"},
        {"type": "websocket", "path": "/v1/trade"},
        {"type": "websocket", "path": "/v1/other"},
        {"type": "lifespan"},
    ],
)
def test_everything_else_goes_on(tmp_path: Path, scope: dict[str, Any]) -> None:
    assert _call(_lane(tmp_path, Loop(RuntimeError())), [], **scope) == [{"type": "elsewhere"}]


def test_a_client_that_goes_away_gets_nothing(tmp_path: Path) -> None:
    pieces: list[Message] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    lane = _lane(tmp_path, Loop(RuntimeError()))
    assert _call(lane, pieces) == []
    assert _call(lane, [{"type": "http.disconnect"}]) == []
    assert _call(BodyLimit(_elsewhere, 10, _keys(tmp_path)), [{"type": "http.disconnect"}]) == []


def test_a_body_in_pieces(tmp_path: Path) -> None:
    body = json.dumps(ORDER).encode()
    pieces: list[Message] = [{"type": "http.request", "body": body[:7], "more_body": True}]
    pieces += [{"type": "http.request", "more_body": True}, {"type": "http.request", "body": body[7:]}]
    start, _ = _call(_lane(tmp_path, Loop(Overloaded())), pieces)
    assert start["status"] == 503, "it was read to the end and understood"


def test_the_limit_of_other_bodies(tmp_path: Path) -> None:
    async def echo(_scope: Scope, receive: Receive, send: Send) -> None:
        await send(await receive())
        await send(await receive())

    left: list[Message] = [
        {"type": "http.request", "body": b"12345", "more_body": True},
        {"type": "http.request", "body": b"67890"},
        {"type": "http.disconnect"},
    ]
    whole = {"type": "http.request", "body": b"1234567890", "more_body": False}
    keys = _keys(tmp_path)
    assert _call(BodyLimit(echo, 10, keys), list(left)) == [whole, {"type": "http.disconnect"}]
    start, content = _call(BodyLimit(echo, 9, keys), list(left))
    assert start["status"] == 413 and json.loads(content["body"])["code"] == "BODY_TOO_LARGE"


def test_without_a_key_no_body_is_read(tmp_path: Path) -> None:
    """Neither here nor by the framework, which gets an empty one in its place."""

    async def echo(_scope: Scope, receive: Receive, send: Send) -> None:
        await send(await receive())

    whole = {"type": "http.request", "body": b"", "more_body": False}
    for headers in ([], [(b"authorization", b"Bearer wrong")]):
        assert _call(BodyLimit(echo, 10, _keys(tmp_path)), [], headers=headers) == [whole]
        start, _ = _call(_lane(tmp_path, Loop(RuntimeError())), [], headers=headers)
        assert start["status"] == 401
