"""WebSocket connections: how both sockets are opened, and what a refused handshake means."""

import orjson
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from bot4_client.errors import Bot4Error, error_of

MESSAGE_BYTES_MAX = 64 << 20


def open_socket(url: str, key: str) -> connect:
    """Use it with `async with`. The key goes in a header, never in the address."""
    return connect(
        url,
        additional_headers={"Authorization": f"Bearer {key}"},
        compression=None,
        proxy=None,
        max_size=MESSAGE_BYTES_MAX,
    )


def refusal(error: InvalidStatus) -> Bot4Error | None:
    """The error of a handshake that a retry would not change; None if it may."""
    if error.response.status_code not in (401, 403):
        return None
    return error_of(error.response.status_code, orjson.loads(error.response.body or b"{}"))
