"""The pieces of ASGI that the edges speak without a framework."""

from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

from app.documents.problems import Problem, body_too_large

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]


class Disconnected(Exception):
    """The client went away before its request was complete."""


def header(scope: Scope, name: bytes) -> bytes | None:
    for key, value in scope["headers"]:
        if key == name:
            return value  # type: ignore[no-any-return]
    return None


async def read_body(scope: Scope, receive: Receive, bytes_max: int) -> bytes:
    """The whole body; one announced as too large is not waited for. Raises Problem (413), Disconnected."""
    declared = header(scope, b"content-length")
    if declared is not None and int(declared) > bytes_max:
        raise body_too_large(bytes_max)
    parts = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        body = message.get("body", b"")
        size += len(body)
        if size > bytes_max:
            raise body_too_large(bytes_max)
        parts.append(body)
        if not message.get("more_body", False):
            return b"".join(parts)


async def send_problem(send: Send, problem: Problem) -> None:
    body = problem.body()
    headers = [(name.encode(), value.encode()) for name, value in problem.headers.items()]
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
