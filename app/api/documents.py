"""Answers that may be large: made and sent in pieces, so that none of them holds the event loop for long."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import orjson
from fastapi import Response

from app.api.asgi import Receive, Scope, Send
from app.api.auth import Principal
from app.api.services import Services

PIECE_BYTES = 1 << 16


class LargeResponse(Response):
    """A body that is there, sent in pieces: the connection takes the next one when it has room for it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        body = memoryview(self.body)
        for start in range(0, max(len(body), 1), PIECE_BYTES):
            piece, more = bytes(body[start : start + PIECE_BYTES]), start + PIECE_BYTES < len(body)
            await send({"type": "http.response.body", "body": piece, "more_body": more})


class PiecewiseResponse(Response):
    """A body that is made while it is sent: no piece before the connection has room for it."""

    def __init__(self, pieces: AsyncIterator[str], media_type: str) -> None:
        super().__init__(media_type=media_type)
        self._pieces = pieces
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # What is sent to a client that has gone is dropped without a word: its end must be listened for.
        gone = asyncio.ensure_future(_end_of(receive))
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            async for piece in self._pieces:
                if gone.done():
                    return
                await send({"type": "http.response.body", "body": piece.encode(), "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()


async def _end_of(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def json_list(services: Services, principal: Principal, items: Iterable[Any]) -> bytes:
    """A JSON array; each item is made, and written, when it is its turn."""
    dumped = map(orjson.dumps, items)
    return b"[%b]" % b",".join(await services.turns.all_of(principal.number, dumped))


def document_bytes(**members: Any) -> bytes:
    """A JSON object; members that are bytes are JSON already."""
    parts = [
        b"%b:%b" % (orjson.dumps(name), value if isinstance(value, bytes) else orjson.dumps(value))
        for name, value in members.items()
    ]
    return b"{%b}" % b",".join(parts)


def document(**members: Any) -> LargeResponse:
    """As `document_bytes`, as an answer."""
    return LargeResponse(document_bytes(**members), media_type="application/json")
