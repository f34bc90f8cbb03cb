"""Lingering: the end of a connection whose client may still be sending.

A connection that is closed with unread bytes is reset, and the answer may be lost on its way. So
only this side's half is closed. Later bytes are dropped until the client has closed its half, or
for a little while.
"""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.api.http.request_parser import RequestParser
from app.api.http.sweep import ConnectionSweep
from app.documents.problems import Problem

LINGER_SECONDS_MAX = 2.0


def last_response(problem: Problem, more_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The response with which a connection ends."""
    body = problem.body()
    headers = {"connection": "close", **problem.headers, "content-length": str(len(body))}
    lines = [b"%b: %b\r\n" % (name.encode(), value.encode()) for name, value in headers.items()]
    lines += [b"%b: %b\r\n" % header for header in more_headers]
    return b"%b%b\r\n%b" % (STATUS_LINE[problem.status], b"".join(lines), body)


class Ended(Protocol):
    """The protocol of a connection that has ended."""

    sweep: ConnectionSweep

    def connection_lost(self, exc: Exception | None) -> None: ...


class LingeringConnection(asyncio.Protocol):
    def __init__(self, ended: Ended, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._ended = ended
        self._transport = transport
        self._since = loop.time()

    def data_received(self, data: bytes) -> None:
        """Dropped."""

    def check_deadlines(self, now: float) -> None:
        if now - self._since > LINGER_SECONDS_MAX:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.sweep.leave(self)
        self._ended.connection_lost(exc)


class Lingers(Protocol):
    """An HTTP connection."""

    transport: asyncio.Transport
    parser: RequestParser

    def linger(self) -> None: ...


class PoliteTransport:
    """The transport that uvicorn answers through: a client that is still sending can read the answer.

    One that is gone is no error: uvicorn notifies only the newest of its requests.
    """

    def __init__(self, connection: Lingers) -> None:
        self._connection = connection
        self.is_closing = connection.transport.is_closing

    def write(self, data: bytes) -> None:
        if not self.is_closing():
            self._connection.transport.write(data)

    def close(self) -> None:
        if self._connection.parser.in_request:
            self._connection.linger()
        else:
            self._connection.transport.close()
