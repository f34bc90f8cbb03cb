"""Frame reader: from a WebSocket's bytes to its messages, as fast as they may be read.

A text message in one frame goes to whoever takes messages; all else, whole frames too,
goes to the protocol, which knows all of RFC 6455, and what that makes of it to the owner.

What comes waits, unread, for a `Wait`: until the handshake is answered; from the first
message on until the key in it is known; while the peer does not read what it is sent,
which goes for answers to pings as for any other; and for the next turn of the event
loop, where there are many frames. While anything waits the transport is not read.
"""

import asyncio
from collections.abc import Callable
from enum import IntFlag
from typing import Protocol

from websockets.frames import (  # type: ignore[attr-defined]  # compiled where it can be
    CloseCode,
    Frame,
    Opcode,
    apply_mask,
)
from websockets.protocol import State as ProtocolState
from websockets.server import ServerProtocol

# All that a client may send before its key is known.
UNKNOWN_BYTES_MAX = 16 << 10
# Of one message.
FRAGMENTS_MAX = 1_024
# In one turn of the event loop; a frame for the protocol counts as several messages.
MESSAGES_PER_TURN = 512
_MESSAGES_PER_FRAME = 8
# With this much held that could be read at once, nothing more is read.
HELD_BYTES_MAX = 64 << 10

_TEXT = 0x81  # the first byte of a frame: the whole of a text message
_CLOSE = 0x88
_MASKED = 0x80
_MASK_BYTES = 4
_LENGTH_BYTES = {126: 2, 127: 8}

# Takes a text message, valid UTF-8. It must not raise.
Take = Callable[[bytes], None]


class Wait(IntFlag):
    """A reason not to read frames."""

    HANDSHAKE = 1
    KEY = 2
    PEER = 4
    TURN = 8


class Owner(Protocol):
    """The connection whose frames are read."""

    transport: asyncio.Transport

    @property
    def is_queue_full(self) -> bool:
        """Whether messages wait for somebody to receive them."""

    def handle_message(self, message: bytes, *, is_text: bool) -> None:
        """A message without another receiver; text is valid UTF-8."""

    def handle_ping(self) -> None: ...

    def handle_pong(self, payload: bytes) -> None: ...

    def handle_close(self) -> None: ...

    def end_as_the_protocol_says(self) -> None:
        """The peer has broken the rules."""

    def fail(self, code: int, reason: str) -> None:
        """Close, and read nothing more."""


class FrameReader:
    """`take`: gets text messages, where anybody does. `admit` ends the bounds of those without a key."""

    def __init__(
        self, owner: Owner, protocol: ServerProtocol, loop: asyncio.AbstractEventLoop, bytes_max: int
    ) -> None:
        self.take: Take | None = None
        self._owner = owner
        self._protocol = protocol
        self._loop = loop
        self._message_bytes_max = bytes_max
        self._bytes_max = UNKNOWN_BYTES_MAX  # of the next frame; before the key is known, of all
        self._is_known = False
        self._held = bytearray()  # the beginning of a frame, or what waits
        self._wanted = 0  # bytes that must be held before it can be whole
        self._waits: int = Wait.HANDSHAKE.value
        self._fragments: list[bytes] = []  # of a message whose end has not come
        self._is_text = False

    def __len__(self) -> int:
        """How many bytes it holds."""
        return len(self._held)

    def admit(self) -> None:
        """The key is known: from here on bounds are those of clients."""
        self._is_known = True
        self._bytes_max = self._message_bytes_max
        self.end_wait(Wait.KEY)

    def close(self) -> None:
        """The connection is gone."""
        self._held.clear()
        self.take = None

    # Frames.

    def feed(self, data: bytes) -> None:
        held = self._held
        if held or self._waits:
            held += data
            if self._waits:
                self.steer()
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
        """Handle the whole frames at the beginning; returns where they end."""
        at, size = 0, len(data)
        turn = MESSAGES_PER_TURN
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
            if not 0 <= length <= self._bytes_max:
                self._refuse(data[at:])
                return size
            if end > size:
                self._wanted = end - at
                break
            if data[at] == _TEXT and self.take is not None and not self._fragments:
                self._take_text(data, at, start, end)
                turn -= 1
            else:
                self._pass_on(data[at:end])
                turn -= _MESSAGES_PER_FRAME
                if self._owner.transport.is_closing():
                    return size
                if not self._is_known:
                    self._bytes_max -= 2 + length
                if self._waits:
                    return end
            at = end
            if turn <= 0 and at < size:
                self.wait(Wait.TURN)
                self._loop.call_soon(self.end_wait, Wait.TURN)
                break
        return at

    def _take_text(self, data: bytes, at: int, start: int, end: int) -> None:
        assert self.take is not None
        text = apply_mask(data[start:end], data[start - _MASK_BYTES : start])
        if text.isascii():
            self.take(text)
        else:
            self._parse(data[at:end])

    def _refuse(self, frame: bytes) -> None:
        """Not masked, which the protocol says, or too large."""
        if self._is_known or frame[1] < _MASKED:
            self._parse(frame)
        if not self._owner.transport.is_closing():
            reason = f"more than {UNKNOWN_BYTES_MAX} bytes before the key"
            self._owner.fail(CloseCode.MESSAGE_TOO_BIG, reason)

    # Read by the protocol.

    def _pass_on(self, frame: bytes) -> None:
        """Once this side has closed, only the peer's own close counts."""
        if self._protocol.state is ProtocolState.OPEN or frame[0] == _CLOSE:
            self._parse(frame)

    def _parse(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        if self._protocol.parser_exc is not None:
            self.take = None
            self._owner.end_as_the_protocol_says()
            return
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._handle(event)

    def _handle(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            self._owner.handle_ping()
        elif frame.opcode is Opcode.PONG:
            self._owner.handle_pong(bytes(frame.data))
        elif frame.opcode is Opcode.CLOSE:
            self._owner.handle_close()
        else:
            self._handle_data(frame)

    def _handle_data(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
            self._fragments = []
        elif len(self._fragments) >= FRAGMENTS_MAX:
            reason = f"a message has more than {FRAGMENTS_MAX} fragments"
            self._owner.fail(CloseCode.MESSAGE_TOO_BIG, reason)
            return
        self._fragments.append(bytes(frame.data))
        if frame.fin:
            message, self._fragments = b"".join(self._fragments), []
            self._handle_message(message)

    def _handle_message(self, message: bytes) -> None:
        if self._is_text and not _is_utf8(message):
            self._protocol.send_close(CloseCode.INVALID_DATA)
            self.take = None
            self._owner.end_as_the_protocol_says()
        elif self._is_text and self.take is not None:
            self.take(message)
        else:
            self._owner.handle_message(message, is_text=self._is_text)
            if not self._is_known:
                self.wait(Wait.KEY)

    # Waiting.

    def wait(self, reason: Wait) -> None:
        self._waits |= reason.value
        self.steer()

    def end_wait(self, reason: Wait) -> None:
        self._waits &= ~reason.value
        self.steer()
        if self._held and not self._waits:
            self._loop.call_soon(self._go_on)

    def waits_for(self, reason: Wait) -> bool:
        return bool(self._waits & reason.value)

    def steer(self) -> None:
        """Read the transport if nothing waits and little is held, or more is needed."""
        transport = self._owner.transport
        if transport.is_closing():
            return
        is_full = len(self._held) > max(self._wanted, HELD_BYTES_MAX)
        if self._waits or is_full or self._owner.is_queue_full:
            transport.pause_reading()
        else:
            transport.resume_reading()

    def _go_on(self) -> None:
        is_closing = self._owner.transport.is_closing()
        if self._waits or is_closing or len(self._held) < max(self._wanted, 1):
            return
        data = bytes(self._held)
        self._held.clear()
        self._read(data)
        self.steer()


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
