"""The end of a connection: its last answer is read whole, whatever the client is still sending."""

import asyncio
import socket
from typing import Any

import pytest

from app.api.http import lingering
from app.api.http.lingering import LingeringConnection, PoliteTransport, last_response
from app.documents.problems import body_too_large, request_timeout
from tests.support.api import ADMIN_KEY, ApiServer


def parsed(raw: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return status, dict(line.split(": ", 1) for line in lines), body


def test_the_last_answer_is_whole_and_says_that_it_is_the_last() -> None:
    problem = request_timeout()
    status, headers, body = parsed(last_response(problem, [(b"server", b"bot4")]))
    assert status == "HTTP/1.1 408 Request Timeout"
    assert headers["connection"] == "close"
    assert headers["content-type"] == "application/problem+json"
    assert headers["server"] == "bot4"
    assert body == problem.body()
    assert int(headers["content-length"]) == len(body)


def test_names_of_headers_are_there_once() -> None:
    raw = last_response(body_too_large(5), [])
    names = [line.partition(b":")[0].lower() for line in raw.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]]
    assert len(names) == len(set(names))


class Transport:
    """What it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.gone = False

    def is_closing(self) -> bool:
        return self.gone

    def write(self, data: bytes) -> None:
        self.told.append(data.decode())

    def close(self) -> None:
        self.told.append("close")

    def abort(self) -> None:
        self.told.append("abort")


class Connection:
    """An HTTP connection, in the middle of a request or between two."""

    def __init__(self, in_request: bool) -> None:
        self.transport: Any = Transport()
        self.parser: Any = type("Parser", (), {"in_request": in_request})()
        self.sweep: Any = self
        self.left: list[Any] = []
        self.lost: list[Exception | None] = []

    def linger(self) -> None:
        self.transport.told.append("linger")

    def leave(self, connection: Any) -> None:
        self.left.append(connection)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)


@pytest.mark.parametrize(("in_request", "end"), [(True, "linger"), (False, "close")])
def test_who_is_still_sending_can_read_the_answer(in_request: bool, end: str) -> None:
    connection = Connection(in_request)
    polite = PoliteTransport(connection)
    polite.write(b"answer")
    polite.close()
    assert connection.transport.told == ["answer", end]


def test_who_has_gone_is_written_nothing() -> None:
    connection = Connection(in_request=False)
    polite = PoliteTransport(connection)
    connection.transport.gone = True
    polite.write(b"answer")
    assert connection.transport.told == []


def test_what_still_comes_is_dropped_for_a_little_while() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        ended = Connection(in_request=True)
        lingers = LingeringConnection(ended, ended.transport, loop)
        lingers.data_received(b"more")
        begun = loop.time()
        lingers.check_deadlines(begun + lingering.LINGER_SECONDS_MAX / 2)
        assert ended.transport.told == []
        lingers.check_deadlines(begun + 2 * lingering.LINGER_SECONDS_MAX)
        assert ended.transport.told == ["abort"]
        error = ConnectionResetError()
        lingers.connection_lost(error)
        assert (ended.left, ended.lost) == ([lingers], [error])

    asyncio.run(run())


def test_a_client_that_sends_too_much_reads_why(api: ApiServer) -> None:
    """On a real connection: the answer comes before the body has ended, and none of it is lost."""
    host, _, port = api.url.removeprefix("http://").partition(":")
    size = 64 << 20
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        head = f"POST /v1/orders HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {ADMIN_KEY}\r\n"
        connection.sendall(f"{head}content-length: {size}\r\n\r\n".encode())
        for _ in range(8):
            connection.sendall(bytes(1 << 16))
        answer = b""
        while part := connection.recv(1 << 16):
            answer += part
    status, headers, body = parsed(answer)
    assert status.split()[1] == "413"
    assert b"BODY_TOO_LARGE" in body and len(body) == int(headers["content-length"])
