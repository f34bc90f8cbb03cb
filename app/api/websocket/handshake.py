"""Handshake of a WebSocket: refused with an HTTP answer, or completed by a key in its first message."""

import asyncio
from typing import Any

import orjson

from app.api.auth import KeyStore, Principal
from app.api.http.asgi import Message, Receive, Scope, Send, header, send_problem
from app.api.http.known_names import query_problem
from app.api.services import Services
from app.api.websocket.connection import WebSocketConnection
from app.api.websocket.trade_messages import key_of_auth, request_id
from app.documents.problems import Problem, engine_halted, invalid_field, not_ready, overloaded, unauthorized
from app.streams.codec import text_frame

AUTH_SECONDS_MAX = 5.0
# Connections to one path that have not shown a key yet: they take no places from those that have.
UNKNOWN_MAX = 256

CLOSE_UNAUTHORIZED = 4001

Id = str | int | None


def answer_frame(identity: Id, result: Any) -> bytes:
    return text_frame(orjson.dumps({"id": identity, "status": 200, "result": result}))


def refusal_frame(identity: Id, problem: Problem) -> bytes:
    return text_frame(orjson.dumps({"id": identity, "status": problem.status, "error": problem.content}))


class Handshake:
    """Admission to one path, by a key in the handshake or in the first message."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._unknown = 0  # connections that have not shown a key yet

    def problem(self, scope: Scope) -> Problem | None:
        """Why a connection is not even accepted; None if it is."""
        authorization = header(scope, b"authorization")
        if authorization is not None and self._services.keys.of_header(authorization) is None:
            return unauthorized()
        if (problem := query_problem(scope["query_string"], ())) is not None:
            return problem
        if not self._services.loop.ready:
            return engine_halted() if self._services.loop.halted else not_ready()
        if authorization is None and self._unknown >= UNKNOWN_MAX:
            return overloaded()
        return None

    async def principal(self, scope: Scope, receive: Receive, wire: WebSocketConnection) -> Principal | None:
        """The holder of the key; None, with the connection closed, if there is none in time."""
        authorization = header(scope, b"authorization")
        if authorization is not None:
            found = self._services.keys.of_header(authorization)
        else:
            self._unknown += 1
            try:
                found = await _principal_of_first_message(self._services.keys, receive, wire)
            finally:
                self._unknown -= 1
        if found is None:
            self._services.failed_keys.note(scope)
            wire.finish(CLOSE_UNAUTHORIZED, "no valid key")
        else:
            wire.admit()
        return found


async def _principal_of_first_message(
    keys: KeyStore, receive: Receive, wire: WebSocketConnection
) -> Principal | None:
    """The holder of the key in the first message; None if there is none in time."""
    try:
        message = await asyncio.wait_for(receive(), AUTH_SECONDS_MAX)
    except TimeoutError:
        return None
    text = message.get("text") or ""
    refused = unauthorized('the first message must be {"op": "auth", "key": ...} with a valid key')
    key, unknown = key_of_auth(text)
    principal = None if key is None else keys.authenticate(key)
    if principal is not None and unknown is not None:
        principal, refused = None, invalid_field(unknown[:200], "unknown field; known are op, key, id")
    identity = request_id(text)
    if principal is not None:
        wire.write_frames([answer_frame(identity, {"role": principal.role.name.lower()})])
    elif message["type"] == "websocket.receive":
        wire.write_frames([refusal_frame(identity, refused)])
    return principal


async def send_http_problem(send: Send, problem: Problem) -> None:
    """Refuse the handshake with an HTTP answer (ASGI extension websocket.http.response)."""

    async def as_websocket(message: Message) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    await send_problem(as_websocket, problem)
