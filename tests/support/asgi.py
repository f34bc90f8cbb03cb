"""ASGI applications called directly: what goes in, and what they send."""

import asyncio
from collections.abc import Iterable
from typing import Any

from app.api.http.asgi import Application, Message, Receive, Scope, Send

KEY = "a-key-from-the-environment"


class _Elsewhere:
    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "elsewhere"})


# An application that says that it was reached.
elsewhere = _Elsewhere()


def call(application: Application, messages: Iterable[Message], **scope: Any) -> list[Message]:
    """What an application sends for a request to place an order, or for what `scope` makes of it."""
    sent: list[Message] = []
    received = iter(messages)

    async def receive() -> Message:
        return next(received)

    async def send(message: Message) -> None:
        sent.append(message)

    whole: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/v1/orders",
        "root_path": "",
        "headers": [(b"host", b"x"), (b"authorization", f"Bearer {KEY}".encode())],
        "query_string": b"",
        "client": ("127.0.0.1", 1),
    }
    asyncio.run(application(whole | scope, receive, send))
    return sent
