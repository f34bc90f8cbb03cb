"""A WebSocket whose messages and frames need no waiting: what trading and fan-out need beside ASGI.

ASGI's `receive` and `send` take a coroutine step for each message, build each frame
anew and write it by itself, and do not say how much is still to be sent. Frames from a
server are not masked, so the same bytes may go to everyone; and a writer that must
never wait has to know when a client is behind. So uvicorn's protocol is extended, and
the application finds the connection in the scope's extensions.

Frames are cut here. A text message in one frame goes to whoever takes messages; all
else, whole frames too, takes uvicorn's own way, which knows the whole protocol.
"""

from collections.abc import Callable
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import apply_mask  # type: ignore[attr-defined]  # compiled where it can be
from websockets.protocol import State

from app.api.asgi import Scope

EXTENSION = "bot4.direct"

# Above the first a client is behind; below the second it is not any more.
BUFFER_BYTES_HIGH = 256 << 10
BUFFER_BYTES_LOW = 64 << 10
# For a client to read what is left when it is told to go.
CLOSE_SECONDS_MAX = 10.0

_TEXT = 0x81  # the first byte of a frame: the whole of a text message
_MASKED = 0x80
_MASK_BYTES = 4
_LENGTH_BYTES = {126: 2, 127: 8}

# Takes a text message, valid UTF-8. It must not raise.
Take = Callable[[bytes], None]


def _nothing() -> None:
    """Until somebody wants to know."""


class DirectSocket(WebSocketsSansIOProtocol):
    """`on_pause`, `on_resume`: the transport's buffer is full, has room again. `on_lost`: it is gone."""

    on_pause: Callable[[], None] = staticmethod(_nothing)
    on_resume: Callable[[], None] = staticmethod(_nothing)
    on_lost: Callable[[], None] = staticmethod(_nothing)

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._take: Take | None = None
        self._refuse_binary: Callable[[], None] = _nothing
        self._held = bytearray()  # the beginning of a frame
        self._wanted = 0  # so many bytes must be held before it can be whole
        self._uncut = False  # the rest of the connection is uvicorn's: it is ending

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

    def take_messages(self, take: Take, refuse_binary: Callable[[], None]) -> None:
        """From here on call one of these with each message as it comes; first with those that wait.

        `receive` tells of the end, as ever.
        """
        waiting = []
        while not self.queue.empty():
            waiting.append(self.queue.get_nowait())
        self._take = take
        self._refuse_binary = refuse_binary
        for message in waiting:
            if message["type"] != "websocket.receive":
                self.queue.put_nowait(message)
            elif message.get("text") is not None:
                take(cast(str, message["text"]).encode())
            else:
                refuse_binary()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    # What comes in.

    def data_received(self, data: bytes) -> None:
        if self._uncut or not self.handshake_initiated:
            super().data_received(data)
            return
        held = self._held
        if held:
            held += data
            if len(held) < self._wanted:
                return
            data = bytes(held)
            held.clear()
        self._wanted = 0
        rest = self._cut(data)
        if rest < len(data):
            held += data[rest:]

    def _cut(self, data: bytes) -> int:
        """Deal with the whole frames at the beginning; where they end."""
        at, size = 0, len(data)
        bytes_max = self.config.ws_max_size
        while size - at >= 2:
            length = data[at + 1] - _MASKED
            start = at + 2 + _MASK_BYTES
            more = _LENGTH_BYTES.get(length)
            if more is not None:
                start += more
                if start > size:
                    break
                length = int.from_bytes(data[at + 2 : at + 2 + more], "big")
            end = start + length
            if not 0 <= length <= bytes_max:  # not masked, or too large: uvicorn says what is wrong
                self._uncut = True
                super().data_received(data[at:])
                return size
            if end > size:
                self._wanted = end - at
                break
            if data[at] == _TEXT and self._take is not None and not self.frames and not self.close_sent:
                self._take_text(data, at, start, end)
            else:
                super().data_received(data[at:end])
            at = end
            if self.conn.state is not State.OPEN and self.handshake_complete:
                self._uncut = True
                super().data_received(data[at:])
                return size
        return at

    def _take_text(self, data: bytes, at: int, start: int, end: int) -> None:
        assert self._take is not None
        text = apply_mask(data[start:end], data[start - _MASK_BYTES : start])
        if text.isascii():
            self._take(text)
        else:
            super().data_received(data[at:end])

    def send_receive_event_to_app(self) -> None:
        """A message that came by uvicorn's way."""
        if self._take is None or self.close_sent:
            super().send_receive_event_to_app()
            return
        if self.curr_msg_data_type != "text":
            self.frames = []
            self._refuse_binary()
            return
        text = b"".join(self.frames)
        try:
            text.decode()
        except UnicodeDecodeError:  # uvicorn closes the connection for it
            super().send_receive_event_to_app()
            return
        self.frames = []
        self._take(text)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._held.clear()
        self._take = None
        self.on_lost()

    # What goes out.

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
