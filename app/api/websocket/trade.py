"""Trade socket `WS /v1/trade`: order entry over a WebSocket, as a bare ASGI callable.

A key comes in the Authorization header or in a first message. Then
`app.api.websocket.trade_session` takes the messages from the connection itself, and the coroutine
only waits for the end.
"""

import logging

from app.api.http.asgi import Receive, Scope, Send
from app.api.order_entry.desk import OrderDesk
from app.api.services import Services
from app.api.websocket.connection import connection_of
from app.api.websocket.dead_man import DeadManTimers
from app.api.websocket.handshake import Handshake, send_http_problem
from app.api.websocket.trade_session import TradeSession
from app.documents.problems import overloaded

logger = logging.getLogger(__name__)

SESSIONS_MAX = 1_024


class TradeSocket:
    def __init__(self, services: Services, desk: OrderDesk) -> None:
        self._services = services
        self._desk = desk
        self._timers = DeadManTimers(services.loop)
        self._sessions = 0
        self._handshake = Handshake(services)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        problem = self._handshake.problem(scope)
        if problem is None and self._sessions >= SESSIONS_MAX:
            problem = overloaded()
        if problem is not None:
            await send_http_problem(send, problem)
            return
        self._sessions += 1
        try:
            await self._serve(scope, receive, send)
        except ConnectionError:
            logger.debug("a trade socket was lost", exc_info=True)
        finally:
            self._sessions -= 1

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        wire = connection_of(scope)
        principal = await self._handshake.principal(scope, receive, wire)
        if principal is None:
            return
        session = TradeSession(self._services, self._desk, self._timers, principal, wire)
        try:
            session.open()
            await receive()  # the end: messages do not come this way any more
        finally:
            session.ended()
