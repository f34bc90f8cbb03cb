"""How an application's answer to a handshake reaches the connection, and how the end reaches it."""

import asyncio
import errno
from collections.abc import Awaitable, Callable

import pytest

from app.api.http.asgi import Message, Receive, Scope, Send
from app.api.websocket.cycle import Headers, SocketCycle

Script = Callable[[Receive, Send], Awaitable[None]]


class Connection:
    """Remembers what is asked of it."""

    def __init__(self, *, lost: bool = False) -> None:
        self.in_handshake = True
        self.asked: list[object] = []
        self._lost = lost

    async def writable(self) -> None:
        if self._lost:
            raise ConnectionResetError

    def accept(self, headers: Headers) -> None:
        self.in_handshake = False
        self.asked.append(("accept", headers))

    def refuse(self, status: int, headers: Headers, body: bytes) -> None:
        self.in_handshake = False
        self.asked.append((status, headers, body))

    def finish(self, code: int, reason: str) -> None:
        self.asked.append(("finish", code, reason))

    def steer(self) -> None:
        self.asked.append("steer")


def asked_by(script: Script, *, lost: bool = False) -> list[object]:
    """What a connection is asked for while an application runs."""
    connection = Connection(lost=lost)
    cycle = SocketCycle(connection, {"type": "websocket"})

    async def application(_scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "websocket.connect"
        await script(receive, send)

    asyncio.run(cycle.run(application))
    assert connection.asked.pop(0) == "steer", "what was received makes room"
    return connection.asked


def sends(*messages: Message) -> Script:
    async def script(_receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return script


ACCEPT: Message = {"type": "websocket.accept"}
CLOSE: Message = {"type": "websocket.close", "code": 4000, "reason": "why"}
START: Message = {"type": "websocket.http.response.start", "status": 401, "headers": [(b"a", b"b")]}


def test_answers_to_a_handshake() -> None:
    assert asked_by(sends(ACCEPT, CLOSE)) == [("accept", []), ("finish", 4000, "why")]
    assert asked_by(sends(CLOSE)) == [(403, [], b"")]
    pieces: list[Message] = [
        {"type": "websocket.http.response.body", "body": b"x", "more_body": True},
        {"type": "websocket.http.response.body", "body": b"y"},
    ]
    assert asked_by(sends(START, *pieces)) == [(401, [(b"a", b"b")], b"xy")]


def test_without_an_answer_it_is_500() -> None:
    async def breaks(_receive: Receive, _send: Send) -> None:
        raise RuntimeError("a bug")

    for script in (breaks, sends(), sends({"type": "websocket.send", "text": "x"})):
        assert asked_by(script) == [(500, [], b"Internal Server Error")]
    assert asked_by(sends(START, ACCEPT)) == [], "half an answer was begun: the connection is closed"


def test_a_bug_after_the_handshake_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert asked_by(sends(ACCEPT, {"type": "websocket.send", "text": "x"})) == [("accept", [])]
    assert "frames are written by the connection" in caplog.text


def test_a_full_disk_is_not_taken_for_a_client_that_has_gone(caplog: pytest.LogCaptureFixture) -> None:
    async def meets_a_full_disk(_receive: Receive, _send: Send) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    assert asked_by(meets_a_full_disk) == [(500, [], b"Internal Server Error")]
    assert "No space left on device" in caplog.text


def test_who_has_gone_is_no_bug(caplog: pytest.LogCaptureFixture) -> None:
    assert asked_by(sends(ACCEPT), lost=True) == []
    assert not caplog.text


@pytest.mark.parametrize(("in_handshake", "code"), [(True, 1006), (False, 1005)])
def test_the_end_reaches_the_application(in_handshake: bool, code: int) -> None:
    async def run() -> list[Message]:
        connection = Connection()
        connection.in_handshake = in_handshake
        cycle = SocketCycle(connection, {})
        cycle.lost()
        return [await cycle.receive(), await cycle.receive()]

    connect, end = asyncio.run(run())
    assert connect["type"] == "websocket.connect"
    assert (end["type"], end["code"]) == ("websocket.disconnect", code)
