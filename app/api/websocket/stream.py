"""Stream socket `WS /v1/stream`: live data over a WebSocket, as a bare ASGI callable.

A connection is one coroutine, which reads (`app.api.websocket.stream_session`). All data reach the
client from `app.streams.hub`, without a task and without waiting.
"""

import logging

from app.api.http.asgi import Receive, Scope, Send, header
from app.api.services import Services
from app.api.websocket.connection import connection_of
from app.api.websocket.handshake import Handshake, send_http_problem
from app.api.websocket.stream_session import StreamSession
from app.documents.problems import Problem, forbidden
from app.streams.catch_up import CatchUp
from app.streams.hub import Hub, TooManyConnections

logger = logging.getLogger(__name__)

CLOSE_TRY_LATER = 1013


class StreamSocket:
    """`origins`: pages of these may connect, beside the server's own."""

    def __init__(self, services: Services, hub: Hub, origins: frozenset[str]) -> None:
        self._services = services
        self._hub = hub
        self._catch_up = CatchUp(hub)
        self._origins = origins
        self._handshake = Handshake(services)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        problem = self._refusal(scope)
        if problem is not None:
            await send_http_problem(send, problem)
            return
        try:
            await self._serve(scope, receive, send)
        except ConnectionError:
            logger.debug("a stream was lost", exc_info=True)

    def _refusal(self, scope: Scope) -> Problem | None:
        """Why a connection is not even accepted."""
        if not self._may_come_from(scope):
            return forbidden("pages of this origin may not connect: see BOT4_ALLOWED_ORIGINS")
        return self._handshake.problem(scope)

    def _may_come_from(self, scope: Scope) -> bool:
        """Browsers name the connecting page: a foreign page must not use what its visitor can reach."""
        origin = header(scope, b"origin")
        if origin is None:
            return True
        name = origin.decode("latin-1").lower()
        host = (header(scope, b"host") or b"").decode("latin-1").lower()
        return name in self._origins or name in (f"http://{host}", f"https://{host}")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        wire = connection_of(scope)
        principal = await self._handshake.principal(scope, receive, wire)
        if principal is None:
            return
        session = StreamSession(self._services, self._hub, self._catch_up, principal, wire)
        try:
            session.open()
        except TooManyConnections:
            wire.finish(CLOSE_TRY_LATER, "too many connections")
            return
        try:
            await session.run(receive)
        finally:
            session.ended()
