"""Socket cycle: one ASGI application's side of a WebSocket.

The application answers the handshake, receives the messages that nobody takes from the
connection itself, and learns of the end. What it sends beyond the handshake does not go
this way: frames are written by the connection.
"""

import asyncio
import logging
from typing import Any, Protocol

from app.api.http.asgi import Application, Message, Scope

logger = logging.getLogger("uvicorn.error")

_CLOSE_NORMAL = 1000
_CLOSE_NO_STATUS = 1005
_CLOSE_ABNORMAL = 1006
_FORBIDDEN = 403
_INTERNAL_ERROR = 500

Headers = list[tuple[bytes, bytes]]


class Connection(Protocol):
    """The connection as its cycle uses it."""

    @property
    def in_handshake(self) -> bool:
        """Whether the handshake has no answer yet."""

    async def writable(self) -> None:
        """Wait until the peer reads. Raises ConnectionError where it has gone."""

    def accept(self, headers: Headers) -> None: ...

    def refuse(self, status: int, headers: Headers, body: bytes) -> None: ...

    def finish(self, code: int, reason: str) -> None: ...

    def steer(self) -> None:
        """Read on, if nothing keeps it from reading."""


class SocketCycle:
    """`scope`: of the application; `queue`: what it has not received yet."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self.scope = scope
        self.queue: asyncio.Queue[Message] = asyncio.Queue()
        self._connection = connection
        self._refusal: tuple[int, Headers] | None = None
        self._body = b""
        self.queue.put_nowait({"type": "websocket.connect"})

    def end(self, code: int, reason: str = "") -> None:
        """Notify the application that the connection ends."""
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})

    def lost(self) -> None:
        self.end(_CLOSE_ABNORMAL if self._connection.in_handshake else _CLOSE_NO_STATUS)

    async def run(self, application: Application) -> None:
        """Runs until the application returns; a handshake that it left unanswered gets a 500."""
        try:
            await application(self.scope, self.receive, self.send)
        except ConnectionError:
            logger.debug("a socket was lost", exc_info=True)
        except Exception:
            logger.exception("Exception in ASGI application\n")
            self._fail()
        else:
            if self._connection.in_handshake:
                logger.error("ASGI callable returned without completing handshake.")
                self._fail()

    def _fail(self) -> None:
        if self._connection.in_handshake and self._refusal is None:
            self._refuse(_INTERNAL_ERROR, [], b"Internal Server Error")

    async def receive(self) -> Message:
        message = await self.queue.get()
        if self.queue.empty():
            self._connection.steer()
        return message

    async def send(self, message: Message) -> None:
        """Raises ConnectionError where the peer has gone, RuntimeError for what is not to be sent now."""
        await self._connection.writable()
        kind: Any = message["type"]
        if kind == "websocket.close" and not self._connection.in_handshake:
            self._connection.finish(message.get("code", _CLOSE_NORMAL), message.get("reason") or "")
        elif not self._connection.in_handshake:
            raise RuntimeError(f"frames are written by the connection: {kind!r} cannot be sent")
        elif kind == "websocket.http.response.start":
            self._refusal = message["status"], list(message.get("headers", ()))
        elif kind == "websocket.http.response.body" and self._refusal is not None:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                self._refuse(*self._refusal, self._body)
        elif kind == "websocket.accept" and self._refusal is None:
            self._connection.accept(list(message.get("headers", ())))
        elif kind == "websocket.close" and self._refusal is None:
            self._refuse(_FORBIDDEN, [], b"")
        else:
            raise RuntimeError(f"{kind!r} cannot be sent now")

    def _refuse(self, status: int, headers: Headers, body: bytes) -> None:
        self.end(_CLOSE_ABNORMAL)
        self._connection.refuse(status, headers, body)
