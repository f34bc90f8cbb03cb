"""Large responses: made and sent in pieces, so that none of them blocks the event loop for long."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import orjson
from fastapi import Response

from app.api.auth import Principal
from app.api.http.asgi import Receive, Scope, Send
from app.api.services import Services

PIECE_BYTES = 1 << 17
JSON_TYPE, CSV_TYPE = "application/json", "text/csv; charset=utf-8"

# JSON, or a table: in pieces of any size.
Pieces = list[bytes]


class LargeResponse(Response):
    """A complete body, sent in pieces: each in a turn of its own, when there is room for it."""

    def __init__(
        self,
        services: Services,
        principal: Principal,
        pieces: Pieces,
        media_type: str = JSON_TYPE,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(headers=headers, media_type=media_type)
        self.headers["content-length"] = str(sum(map(len, pieces)))
        self._turns = services.turns
        self._number = principal.number
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        joined = list(_of_a_size(self._pieces))
        for place, piece in enumerate(joined, 1):
            if place > 1:
                await self._turns.take(self._number)
            await send({"type": "http.response.body", "body": piece, "more_body": place < len(joined)})


def _of_a_size(pieces: Pieces) -> Iterable[bytes]:
    """The same bytes, in pieces of about PIECE_BYTES; at least one."""
    waiting: Pieces = []
    size = 0
    for piece in pieces:
        if len(piece) > PIECE_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
            yield from (piece[start : start + PIECE_BYTES] for start in range(0, len(piece), PIECE_BYTES))
            continue
        waiting.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


class PiecewiseResponse(Response):
    """A body that is made while it is sent: no piece before the connection has room for it."""

    def __init__(self, pieces: AsyncIterator[bytes], media_type: str) -> None:
        super().__init__(media_type=media_type)
        self._pieces = pieces
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Sending to a client that has gone drops silently: its end must be received.
        gone = asyncio.ensure_future(_end_of(receive))
        try:
            await send(
                {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
            )
            async for piece in self._pieces:
                if gone.done():
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()


async def _end_of(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def json_list(services: Services, principal: Principal, items: Iterable[Any]) -> Pieces:
    """A JSON array; each item is made, and written, when it is its turn."""
    pieces, comma = [b"["], b""
    async for part in services.turns.spread(principal.number, map(orjson.dumps, items)):
        if part:
            pieces += (comma, b",".join(part))
            comma = b","
    pieces.append(b"]")
    return pieces


def json_object(**members: Any) -> Pieces:
    """A JSON object; members that are lists of bytes are pieces of JSON already."""
    pieces, before = [], b"{"
    for name, value in members.items():
        pieces.append(b"%b%b:" % (before, orjson.dumps(name)))
        pieces += value if _is_json(value) else (orjson.dumps(value),)
        before = b","
    pieces.append(b"}")
    return pieces


def _is_json(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], bytes)


def document(services: Services, principal: Principal, **members: Any) -> LargeResponse:
    """As `json_object`, as a response."""
    return LargeResponse(services, principal, json_object(**members))
