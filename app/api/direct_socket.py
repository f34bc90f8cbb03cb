"""A WebSocket whose frames can be written without waiting: what fan-out needs beside ASGI.

ASGI's `send` builds each frame anew, takes a coroutine for each message and does not
say how much is still to be sent. Frames from a server are not masked, so the same
bytes may go to everyone; and a writer that must never wait has to know when a
client is behind. So uvicorn's protocol is extended by two methods and two
callbacks, which the application finds in the scope's extensions.
"""

from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from app.api.asgi import Scope

EXTENSION = "bot4.direct"

# Above the first a client is behind; below the second it is not any more.
BUFFER_BYTES_HIGH = 256 << 10
BUFFER_BYTES_LOW = 64 << 10
# For a client to read what is left when it is told to go.
CLOSE_SECONDS_MAX = 10.0


def _nothing() -> None:
    """Until somebody wants to know."""


class DirectSocket(WebSocketsSansIOProtocol):
    """`on_pause`, `on_resume`: the transport's buffer is full, has room again. `on_lost`: it is gone."""

    on_pause: Callable[[], None] = staticmethod(_nothing)
    on_resume: Callable[[], None] = staticmethod(_nothing)
    on_lost: Callable[[], None] = staticmethod(_nothing)

    async def run_asgi(self) -> None:
        cast(dict[str, Any], self.scope["extensions"])[EXTENSION] = self
        await super().run_asgi()

    def watch(
        self, on_pause: Callable[[], None], on_resume: Callable[[], None], on_lost: Callable[[], None]
    ) -> None:
        self.on_pause = on_pause
        self.on_resume = on_resume
        self.on_lost = on_lost
        self.transport.set_write_buffer_limits(BUFFER_BYTES_HIGH, BUFFER_BYTES_LOW)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.on_lost()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.on_pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.on_resume()

    def write_frames(self, frames: list[bytes]) -> None:
        """Whole frames, behind those before; dropped once the connection is ending."""
        if not (self.close_sent or self.disconnected or self.transport.is_closing()):
            self.transport.writelines(frames)

    def finish(self, code: int, reason: str) -> None:
        """Close with a code; `receive` tells the application. A client that reads nothing is cut off."""
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.stop_keepalive()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(CLOSE_SECONDS_MAX, self.transport.abort)


def direct_socket(scope: Scope) -> DirectSocket:
    """The connection that a scope belongs to. Raises KeyError under another server."""
    found = scope["extensions"][EXTENSION]
    assert isinstance(found, DirectSocket)
    return found
