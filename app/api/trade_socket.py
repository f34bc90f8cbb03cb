"""`WS /v1/trade`: order entry over a WebSocket, as a bare ASGI callable.

A key comes in the Authorization header or in a first message. Then one task
reads, one writes, and `app.api.trade_session` does the work between them.
"""

import asyncio
import logging
from typing import Any

import orjson

from app.api.asgi import Message, Receive, Scope, Send, header, send_problem
from app.api.auth import Principal
from app.api.dead_man import DeadManTimers
from app.api.errors import Problem, engine_halted, invalid_request, not_ready, overloaded, unauthorized
from app.api.order_desk import OrderDesk
from app.api.services import Services
from app.api.trade_messages import decode_auth, request_id
from app.api.trade_session import CLOSE_SECONDS_MAX, CLOSE_UNAUTHORIZED, TradeSession

logger = logging.getLogger(__name__)

SESSIONS_MAX = 1_024
AUTH_SECONDS_MAX = 5.0

MESSAGES_AT_ONCE_MAX = 64

CLOSE_BINARY = 1003


class TradeSocket:
    def __init__(self, services: Services, desk: OrderDesk) -> None:
        self._services = services
        self._desk = desk
        self._timers = DeadManTimers(services.loop)
        self._sessions = 0

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
        if self._sessions >= SESSIONS_MAX:
            return overloaded()
        return None

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})
        authorization = header(scope, b"authorization")
        if authorization is None:
            principal = await self._authenticate(receive, send)
        else:
            principal = self._services.keys.of_header(authorization)
        if principal is not None:
            await self._run(
                TradeSession(self._services, self._desk, self._timers, principal, send),
                principal,
                receive,
                send,
            )

    async def _authenticate(self, receive: Receive, send: Send) -> Principal | None:
        """Whose key the first message carries; None when the connection is closed for want of one."""
        try:
            message = await asyncio.wait_for(receive(), AUTH_SECONDS_MAX)
        except TimeoutError:
            await _close(send, CLOSE_UNAUTHORIZED, "no key in time")
            return None
        if message["type"] != "websocket.receive":
            return None
        text = message.get("text")
        try:
            request = decode_auth(text or "")
            principal = self._services.keys.authenticate(request["key"])
        except Problem:
            principal = None
        identity = request_id(text or "")
        if principal is None:
            problem = unauthorized('the first message must be {"op": "auth", "key": ...} with a valid key')
            await _send(send, {"id": identity, "status": 401, "error": problem.content})
            await _close(send, CLOSE_UNAUTHORIZED, "no valid key")
            return None
        await _send(send, {"id": identity, "status": 200, "result": {"role": principal.role.name.lower()}})
        return principal

    async def _run(self, session: TradeSession, principal: Principal, receive: Receive, send: Send) -> None:
        """Until either side ends it."""

        def revoked() -> None:
            session.close(CLOSE_UNAUTHORIZED)

        principal.watchers.add(revoked)
        tasks = [
            asyncio.create_task(_read(session, receive, send)),
            asyncio.create_task(session.write()),
            asyncio.create_task(session.closed()),
        ]
        try:
            if principal.revoked_ts:  # between the look at the key and the watch on it
                revoked()
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            principal.watchers.discard(revoked)
            session.disconnected()
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        _log_bugs(results)
        closed = results[2]
        if isinstance(closed, int):
            await _close(send, closed, "")


async def _read(session: TradeSession, receive: Receive, send: Send) -> None:
    taken = 0
    while True:
        message = await receive()
        if message["type"] != "websocket.receive":
            return
        text = message.get("text")
        if text is None:
            problem = invalid_request("messages are text, not binary")
            await _send(send, {"id": None, "status": 400, "error": problem.content})
            session.close(CLOSE_BINARY)
            return
        session.handle(text)
        taken += 1
        if taken % MESSAGES_AT_ONCE_MAX == 0:
            await asyncio.sleep(0)  # `receive` does not suspend while there is more: let others have a turn


def _log_bugs(results: list[Any]) -> None:
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, OSError):
            logger.error("a trade socket failed", exc_info=result)


async def _send(send: Send, content: dict[str, Any]) -> None:
    await send({"type": "websocket.send", "text": orjson.dumps(content).decode()})


async def _close(send: Send, code: int, reason: str) -> None:
    """Say goodbye; a client that reads nothing is not waited for."""
    try:
        await asyncio.wait_for(
            send({"type": "websocket.close", "code": code, "reason": reason}), CLOSE_SECONDS_MAX
        )
    except (TimeoutError, OSError):
        logger.debug("a trade socket did not take its close frame")


async def send_http_problem(send: Send, problem: Problem) -> None:
    """Refuse the handshake with an HTTP answer (ASGI extension websocket.http.response)."""

    async def as_websocket(message: Message) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    await send_problem(as_websocket, problem)
