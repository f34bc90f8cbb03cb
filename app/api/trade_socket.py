"""`WS /v1/trade`: order entry over a WebSocket, as a bare ASGI callable.

A key comes in the Authorization header or in a first message. Then
`app.api.trade_session` takes the messages from the connection itself, and the
coroutine only waits for the end.
"""

import logging

from app.api.asgi import Receive, Scope, Send, header
from app.api.dead_man import DeadManTimers
from app.api.direct_socket import direct_socket
from app.api.errors import Problem, engine_halted, not_ready, overloaded, unauthorized
from app.api.order_desk import OrderDesk
from app.api.services import Services
from app.api.socket_door import CLOSE_UNAUTHORIZED, UNKNOWN_MAX, principal_of_first_message, send_http_problem
from app.api.trade_session import TradeSession

logger = logging.getLogger(__name__)

SESSIONS_MAX = 1_024


class TradeSocket:
    def __init__(self, services: Services, desk: OrderDesk) -> None:
        self._services = services
        self._desk = desk
        self._timers = DeadManTimers(services.loop)
        self._sessions = 0
        self._unknown = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        problem = self._door_problem(scope)
        if problem is not None:
            await send_http_problem(send, problem)
            return
        self._sessions += 1
        try:
            await self._serve(scope, receive, send)
        except OSError:
            logger.debug("a trade socket was lost", exc_info=True)
        finally:
            self._sessions -= 1

    def _door_problem(self, scope: Scope) -> Problem | None:
        """Why a connection is not even accepted."""
        authorization = header(scope, b"authorization")
        if authorization is not None and self._services.keys.of_header(authorization) is None:
            return unauthorized()
        if not self._services.loop.ready:
            return engine_halted() if self._services.loop.halted else not_ready()
        if self._sessions >= SESSIONS_MAX or (authorization is None and self._unknown >= UNKNOWN_MAX):
            return overloaded()
        return None

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        wire = direct_socket(scope)
        authorization = header(scope, b"authorization")
        if authorization is None:
            self._unknown += 1
            try:
                principal = await principal_of_first_message(self._services.keys, receive, wire)
            finally:
                self._unknown -= 1
        else:
            principal = self._services.keys.of_header(authorization)
        if principal is None:
            wire.finish(CLOSE_UNAUTHORIZED, "no valid key")
            return
        session = TradeSession(self._services, self._desk, self._timers, principal, wire)
        try:
            session.open()
            await receive()  # the end: messages do not come this way any more
        finally:
            session.ended()
