"""A WebSocket whose messages and frames need no waiting: what trading and fan-out need beside ASGI.

ASGI's `receive` and `send` take a coroutine step for each message, build each frame
anew and write it by itself, and do not say how much is still to be sent. Frames from a
server are not masked, so the same bytes may go to everyone; and a writer that must
never wait has to know when a client is behind. So uvicorn's protocol is extended, and
the application finds the connection in the scope's extensions.

Frames are cut here. A text message in one frame goes to whoever takes messages; all
else, whole frames too, takes uvicorn's own way, which knows the whole protocol.

What comes waits, unread, for a `_Wait`: until the handshake is answered; from the first
message on until the key in it is known; while the peer does not read what it is sent,
which goes for answers to pings as for any other; and for the next turn of the event
loop, where there are many frames. While anything waits the transport is not read.
"""

import asyncio
import logging
from collections.abc import Callable
from enum import IntFlag
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import (  # type: ignore[attr-defined]  # compiled where it can be
    CloseCode,
    Frame,
    apply_mask,
)
from websockets.protocol import State

from app.api.http.asgi import Scope
from app.api.http.sweep import ConnectionSweep, UnreadWatch

EXTENSION = "bot4.direct"

# Above the first a client is behind; below the second it is not any more.
BUFFER_BYTES_HIGH = 256 << 10
BUFFER_BYTES_LOW = 64 << 10
# For the answer to a handshake.
HANDSHAKE_SECONDS_MAX = 10.0
# A client that reads nothing of what waits for it is closed.
UNREAD_SECONDS_MAX = 30.0
# For a client to read what is left when it is told to go, and when the server stops.
CLOSE_SECONDS_MAX = 10.0
STOP_SECONDS_MAX = 8.0
# All that a client may send before its key is known.
UNKNOWN_BYTES_MAX = 16 << 10
# Of one message.
FRAGMENTS_MAX = 1_024
# In one turn of the event loop; a frame on uvicorn's way counts as several messages.
MESSAGES_PER_TURN = 512
_MESSAGES_PER_FRAME = 8
# With so much that could be read at once nothing more is.
HELD_BYTES_MAX = 64 << 10

CLOSE_STOPPING = 1012
CLOSE_TOO_SLOW = 4008

_NO_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_TEXT = 0x81  # the first byte of a frame: the whole of a text message
_CLOSE = 0x88
_MASKED = 0x80
_MASK_BYTES = 4
_LENGTH_BYTES = {126: 2, 127: 8}

# Takes a text message, valid UTF-8. It must not raise.
Take = Callable[[bytes], None]

logger = logging.getLogger(__name__)


class _Wait(IntFlag):
    """What keeps frames from being read."""

    HANDSHAKE = 1
    KEY = 2
    PEER = 4
    TURN = 8


def _nothing() -> None:
    """Until somebody wants to know."""


class DirectSocket(WebSocketsSansIOProtocol):
    """`on_pause`, `on_resume`: the transport's buffer is full, has room again. `on_lost`: it is gone.

    `on_stop`: the server stops; who takes it closes the connection when all is answered. `sweep`: the
    server's, which looks at this connection from its first moment to its last.
    """

    sweep: ConnectionSweep
    on_pause: Callable[[], None] = staticmethod(_nothing)
    on_resume: Callable[[], None] = staticmethod(_nothing)
    on_lost: Callable[[], None] = staticmethod(_nothing)
    on_stop: Callable[[], None] | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._take: Take | None = None
        self._refuse_binary: Callable[[], None] = _nothing
        self._held = bytearray()  # the beginning of a frame, or what waits
        self._wanted = 0  # so many bytes must be held before it can be whole
        self._waits: int = _Wait.HANDSHAKE.value
        self._admitted = False
        self._left = UNKNOWN_BYTES_MAX  # that may come before the key is known
        self._opened = 0.0
        self._unread = UnreadWatch()

    # The beginning.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._opened = self.loop.time()
        self.sweep.join(self)

    def begin(self, head: bytes, frames: bytes) -> None:
        """Take a handshake's head, and what came behind it."""
        super().data_received(head)
        if not self.handshake_initiated:  # it was checked: this ends whatever is left
            logger.error("a handshake was taken by one parser and not by the other")
            self.transport.write(_NO_HANDSHAKE)
            self.transport.close()
            return
        if frames:
            self.data_received(frames)

    async def run_asgi(self) -> None:
        cast(dict[str, Any], self.scope["extensions"])[EXTENSION] = self
        await super().run_asgi()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if self.handshake_complete and self._waits & _Wait.HANDSHAKE:
            self._end_wait(_Wait.HANDSHAKE)

    def admit(self) -> None:
        """The key is known: from here on bounds are those of clients."""
        self._admitted = True
        self._end_wait(_Wait.KEY)

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
        self.read_paused = False
        self._steer()

    # What comes in.

    def data_received(self, data: bytes) -> None:
        held = self._held
        if held or self._waits:
            held += data
            if self._waits:
                self._steer()  # uvicorn reads on for each message that it hands over
                return
            if len(held) < self._wanted:
                return
            data = bytes(held)
            held.clear()
        self._read(data)

    def _read(self, data: bytes) -> None:
        self._wanted = 0
        rest = self._cut(data)
        if rest < len(data):
            self._held += data[rest:]

    def _cut(self, data: bytes) -> int:
        """Deal with the whole frames at the beginning; where they end."""
        at, size = 0, len(data)
        turn = MESSAGES_PER_TURN
        bytes_max = self.config.ws_max_size if self._admitted else self._left
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
            if not 0 <= length <= bytes_max:
                self._refuse_frame(data[at:])
                return size
            if end > size:
                self._wanted = end - at
                break
            if data[at] == _TEXT and self._take is not None and not self.frames and not self.close_sent:
                self._take_text(data, at, start, end)
                turn -= 1
            else:
                self._pass_on(data[at:end])
                turn -= _MESSAGES_PER_FRAME
                if self.transport.is_closing():
                    return size
                if not self._admitted:
                    self._left -= 2 + length
                    bytes_max = self._left
                if self._waits:
                    return end
            at = end
            if turn <= 0 and at < size:
                self._wait(_Wait.TURN)
                self.loop.call_soon(self._end_wait, _Wait.TURN)
                break
        return at

    def _take_text(self, data: bytes, at: int, start: int, end: int) -> None:
        assert self._take is not None
        text = apply_mask(data[start:end], data[start - _MASK_BYTES : start])
        if text.isascii():
            self._take(text)
        else:
            super().data_received(data[at:end])

    def _pass_on(self, frame: bytes) -> None:
        """A whole frame goes uvicorn's way; once this side has closed, only the peer's own close does."""
        if self.conn.state is State.OPEN or frame[0] == _CLOSE:
            super().data_received(frame)

    def _refuse_frame(self, frame: bytes) -> None:
        """Not masked, which uvicorn says, or too large."""
        if self._admitted or frame[1] < _MASKED:
            super().data_received(frame)
        if not self.transport.is_closing():
            self._fail(CloseCode.MESSAGE_TOO_BIG, f"more than {UNKNOWN_BYTES_MAX} bytes before the key")

    def _fail(self, code: int, reason: str) -> None:
        """Close, and read nothing more."""
        self.finish(code, reason)
        self.frames = []
        self.transport.close()

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) >= FRAGMENTS_MAX:
            self._fail(CloseCode.MESSAGE_TOO_BIG, f"a message has more than {FRAGMENTS_MAX} fragments")
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """A message that came by uvicorn's way."""
        if self._take is None or self.close_sent:
            super().send_receive_event_to_app()
            if not self._admitted:
                self._wait(_Wait.KEY)
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

    # What waits.

    def _wait(self, reason: _Wait) -> None:
        self._waits |= reason.value
        self._steer()

    def _end_wait(self, reason: _Wait) -> None:
        self._waits &= ~reason.value
        self._steer()
        if self._held and not self._waits:
            self.loop.call_soon(self._go_on)

    def _steer(self) -> None:
        """Read the transport where nothing waits and little is held, or more is needed."""
        if self.transport.is_closing():
            return
        if self._waits or self.read_paused or len(self._held) > max(self._wanted, HELD_BYTES_MAX):
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _go_on(self) -> None:
        if self._waits or self.transport.is_closing() or len(self._held) < max(self._wanted, 1):
            return
        data = bytes(self._held)
        self._held.clear()
        self._read(data)
        self._steer()

    # What goes out.

    def pause_writing(self) -> None:
        super().pause_writing()
        self._wait(_Wait.PEER)
        self.on_pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._end_wait(_Wait.PEER)
        self.on_resume()

    def send_keepalive_ping(self) -> None:
        """None to who is behind: it could not be answered, and what waits would look as if it were read."""
        if self._waits & _Wait.PEER:
            self.schedule_ping()
        else:
            super().send_keepalive_ping()

    def keepalive_timeout(self) -> None:
        if self._waits & _Wait.PEER:  # the answer may be here and is not read: the sweep sees to the rest
            self.pong_timer = self.pending_ping_payload = None
            self.schedule_ping()
        else:
            super().keepalive_timeout()

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
        self.read_paused = False
        self._end_wait(_Wait.KEY)
        self.close_timer = self.loop.call_later(CLOSE_SECONDS_MAX, self.transport.abort)

    # The end.

    def check_deadlines(self, now: float) -> None:
        """See to it that there is a handshake in time, and that what is sent is read."""
        if not self.handshake_complete:
            if now - self._opened > HANDSHAKE_SECONDS_MAX:
                self.transport.abort()
        elif self._unread.seconds(self.transport, now) > UNREAD_SECONDS_MAX:
            if self.transport.is_closing():
                self.transport.abort()
            elif not self.close_sent:  # else a timer runs
                self.finish(CLOSE_TOO_SLOW, "nothing is read")

    def shutdown(self) -> None:
        """The server stops. It must not raise: others are told after this one."""
        self.stop_keepalive()
        self.loop.call_later(STOP_SECONDS_MAX, self.transport.abort)
        if self.transport.is_closing() or self.close_sent:
            return
        if not self.handshake_complete:
            self.transport.close()
        elif self.on_stop is not None:
            self.on_stop()
        else:
            self.finish(CLOSE_STOPPING, "the server is shutting down")

    def connection_lost(self, exc: Exception | None) -> None:
        self.sweep.leave(self)
        super().connection_lost(exc)
        self._held.clear()
        self._take = None
        self.on_stop = None
        self.on_lost()


def direct_socket(scope: Scope) -> DirectSocket:
    """The connection that a scope belongs to. Raises KeyError under another server."""
    found = scope["extensions"][EXTENSION]
    assert isinstance(found, DirectSocket)
    return found
