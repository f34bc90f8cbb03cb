"""The end of a connection whose client may still be sending.

Closed at once, with bytes that nobody has read, a connection is reset, and the answer
may be lost on its way. So only this side's half is closed; what still comes is dropped,
until the client has closed its half, or for a little while.
"""

import asyncio
from typing import Protocol

from app.api.http.sweep import ConnectionSweep

LINGER_SECONDS_MAX = 2.0


class Ended(Protocol):
    """The protocol that a connection had."""

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

    def look(self, now: float) -> None:
        if now - self._since > LINGER_SECONDS_MAX:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.sweep.leave(self)
        self._ended.connection_lost(exc)


class Lingers(Protocol):
    """An HTTP connection. `in_message`: its client is still sending a request."""

    transport: asyncio.Transport
    in_message: bool

    def linger(self) -> None: ...


class PoliteTransport:
    """What uvicorn answers a request through: a client that is still sending can read the answer.

    One that is gone is no error: uvicorn tells only the newest of several requests of it.
    """

    def __init__(self, connection: Lingers) -> None:
        self._connection = connection
        self.is_closing = connection.transport.is_closing

    def write(self, data: bytes) -> None:
        if not self.is_closing():
            self._connection.transport.write(data)

    def close(self) -> None:
        if self._connection.in_message:
            self._connection.linger()
        else:
            self._connection.transport.close()
