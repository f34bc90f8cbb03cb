"""ASGI pieces that the edges use without a framework."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from typing import Any
from urllib.parse import unquote

import httptools

from app.api.http.request_parser import RequestHead
from app.documents.problems import Problem, body_too_large

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]


_VERSION = {"version": "3.0", "spec_version": "2.3"}
_SOCKET_VERSION = {"version": "3.0", "spec_version": "2.4"}


class Disconnected(Exception):
    """The client went away before its request was complete."""


def request_scope(head: RequestHead, addresses: Mapping[str, Any], state: Mapping[str, Any]) -> Scope:
    """The scope of a request; `addresses` are server, client and scheme. Raises for a malformed target."""
    url = httptools.parse_url(head.target)
    return {
        "type": "http",
        "asgi": _VERSION,
        "http_version": head.http_version,
        "method": head.method,
        "root_path": "",
        "path": unquote(url.path.decode("ascii")),
        "raw_path": url.path,
        "query_string": url.query or b"",
        "headers": head.headers,
        "state": dict(state),
        **addresses,
    }


def socket_scope(head: RequestHead, addresses: Mapping[str, Any], state: Mapping[str, Any]) -> Scope:
    """The scope of a WebSocket, like that of a request whose target is a path in ASCII."""
    path, _, query = head.target.partition(b"?")
    offered = (value for name, value in head.headers if name == b"sec-websocket-protocol")
    return {
        "type": "websocket",
        "asgi": _SOCKET_VERSION,
        "http_version": "1.1",
        "root_path": "",
        "path": unquote(path.decode("ascii")),
        "raw_path": path,
        "query_string": query,
        "headers": head.headers,
        "subprotocols": [name.strip() for value in offered for name in value.decode("latin-1").split(",")],
        "state": dict(state),
        **addresses,
    }


def header(scope: Scope, name: bytes) -> bytes | None:
    for key, value in scope["headers"]:
        if key == name:
            return value  # type: ignore[no-any-return]
    return None


async def read_body(scope: Scope, receive: Receive, bytes_max: int) -> bytes:
    """The whole body; one announced as too large is not awaited. Raises Problem (413), Disconnected."""
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
