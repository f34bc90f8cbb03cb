"""What the routes of order entry answer when the engine's loop takes nothing, or something breaks."""

import json
import logging
from pathlib import Path
from typing import Any, cast

import pytest

from app.api.auth import KeyStore
from app.api.http.asgi import Application, Message
from app.api.order_entry.desk import OrderDesk
from app.api.services import Services
from app.api.template_store import TemplateStore
from app.engine.capacity import SMALL_CAPACITY
from app.engine.state import allocate
from app.main import create_app
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
from tests.support.asgi import KEY, call, elsewhere

ORDER = {"account": "a", "symbol": "S", "side": "BUY", "type": "MARKET", "quantity": "1"}


class Loop:
    """Takes no command, each time for the same reason."""

    def __init__(self, error: Exception, *, ready: bool = True, halted: bool = False) -> None:
        self.error = error
        self.ready = ready
        self.halted = halted

    def submit_for(self, _waiter: Waiter, _records: bytes) -> None:
        raise self.error


def _application(folder: Path, loop: Loop) -> Application:
    state = allocate(SMALL_CAPACITY)
    services = Services(
        loop=cast(EngineLoop, loop),
        state=state,
        reference=Reference.from_state(state),
        venue=cast(Venue, None),
        market=cast(MarketData, None),
        clock=VirtualClock(),
        keys=KeyStore.open(folder, KEY, lambda: 1)[0],
        disk=DiskBudget(folder, 0, lambda _: None),
        templates=TemplateStore.open(folder / "templates.json", lambda: 1),
        risk_log=RiskLog(),
        alarms=Alarms(lambda: 1),
        version="test",
        started_ts=0,
        body_bytes_max=1 << 20,
    )
    return create_app(services, OrderDesk(services), elsewhere).application


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
        start, content = call(_application(tmp_path, Loop(error)), _request(body), path=path)
    assert start["status"] == status
    assert json.loads(content["body"])["code"] == code
    assert b"secret" not in content["body"]
    assert ("secret" in caplog.text) == (status == 500)
    headers = dict(start["headers"])
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"content-length"] == str(len(content["body"])).encode()
    assert (b"retry-after" in headers) == (status == 503)


@pytest.mark.parametrize("body", [json.dumps(ORDER).encode(), b"{", b" " * (1 << 16)])
@pytest.mark.parametrize("query", [b"", b"x=1"])
@pytest.mark.parametrize(("halted", "code"), [(False, "NOT_READY"), (True, "ENGINE_HALTED")])
def test_not_ready(tmp_path: Path, halted: bool, code: str, query: bytes, body: bytes) -> None:
    """Whatever else is wrong with the request."""
    loop = Loop(RuntimeError(), ready=False, halted=halted)
    messages = [{"type": "http.request", "body": body}]
    start, content = call(_application(tmp_path, loop), messages, query_string=query)
    assert (start["status"], json.loads(content["body"])["code"]) == (503, code)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/orders/", 404),
        ("POST", "/v1/orders/batch/", 404),
        ("POST", "/v1/ordersx", 404),
        ("POST", "/v1/orders/1", 405),
        ("PUT", "/v1/orders", 405),
        ("GET", "/v1/orders/x", 404),
        ("DELETE", "/v1/orders", 400),  # of many orders, and nobody is named
    ],
)
def test_what_is_no_order_entry(tmp_path: Path, method: str, path: str, status: int) -> None:
    """The loop, which fails at each command, is not asked."""
    body: list[Message] = [{"type": "http.request"}]
    start, _ = call(_application(tmp_path, Loop(RuntimeError())), body, method=method, path=path)
    assert start["status"] == status


def test_sockets_have_paths_of_their_own(tmp_path: Path) -> None:
    application = _application(tmp_path, Loop(RuntimeError(), ready=False))
    connect: list[Message] = [{"type": "websocket.connect"}]
    start, _ = call(application, connect, type="websocket", path="/v1/trade")
    assert (start["type"], start["status"]) == ("websocket.http.response.start", 503)
    assert call(application, connect, type="websocket", path="/v1/stream") == [{"type": "elsewhere"}]
    (refused,) = call(application, connect, type="websocket", path="/v1/other")
    assert refused["type"] == "websocket.close"


def test_a_client_that_goes_away_gets_nothing(tmp_path: Path) -> None:
    pieces: list[Message] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    application = _application(tmp_path, Loop(RuntimeError()))
    assert call(application, pieces) == []
    assert call(application, [{"type": "http.disconnect"}]) == []


def test_a_body_in_pieces(tmp_path: Path) -> None:
    body = json.dumps(ORDER).encode()
    pieces: list[Message] = [{"type": "http.request", "body": body[:7], "more_body": True}]
    pieces += [{"type": "http.request", "more_body": True}, {"type": "http.request", "body": body[7:]}]
    start, _ = call(_application(tmp_path, Loop(Overloaded())), pieces)
    assert start["status"] == 503, "it was read to the end and understood"


@pytest.mark.parametrize("headers", [[], [(b"authorization", b"Bearer wrong")]])
def test_without_a_key_no_body_is_read(tmp_path: Path, headers: list[tuple[bytes, bytes]]) -> None:
    start, _ = call(_application(tmp_path, Loop(RuntimeError())), [], headers=headers, query_string=b"x=1")
    assert start["status"] == 401
