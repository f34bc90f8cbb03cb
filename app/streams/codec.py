"""Stream codec: message bytes that are made once, however many clients receive them.

Frames from a server are not masked, so a whole frame can be shared too.
"""

import struct
from collections.abc import Iterable, Sequence

import orjson

from app.streams.topics import Topic

# Of one message. A command that has caused more gives several, all but the last with `"more": true`.
ITEMS_MAX = 100
# Of one frame that packs several messages; they are split between messages.
PACKED_BYTES_MAX = 256 << 10

_MORE = b',"more":true'
_TEXT = 0x81  # the whole of a text message


def text_frame(payload: bytes) -> bytes:
    """One WebSocket text frame from a server."""
    size = len(payload)
    if size < 126:
        return struct.pack("!BB", _TEXT, size) + payload
    if size < 1 << 16:
        return struct.pack("!BBH", _TEXT, 126, size) + payload
    return struct.pack("!BBQ", _TEXT, 127, size) + payload


class Envelope:
    """Writes the messages of one topic around items that are JSON already."""

    __slots__ = ("_resumed", "_snapshot", "_update")

    def __init__(self, topic: Topic) -> None:
        key = orjson.dumps(topic.key)
        self._snapshot, self._update, self._resumed = (
            b'{"type":"%b","channel":"%b","key":%b,"seq":' % (kind, topic.channel.encode(), key)
            for kind in (b"snapshot", b"update", b"resumed")
        )

    def update(self, seq: int, prev_seq: int, ts: int, items: Sequence[bytes]) -> list[bytes]:
        """The changes by a command: one message, or several if there are many items."""
        head = self._update
        if len(items) <= ITEMS_MAX:
            return [b'%b%d,"prev_seq":%d,"ts":%d,"data":[%b]}' % (head, seq, prev_seq, ts, b",".join(items))]
        messages = []
        for first in range(0, len(items), ITEMS_MAX):
            more = _MORE if first + ITEMS_MAX < len(items) else b""
            data = b",".join(items[first : first + ITEMS_MAX])
            messages.append(
                b'%b%d,"prev_seq":%d,"ts":%d%b,"data":[%b]}' % (head, seq, prev_seq, ts, more, data)
            )
            prev_seq = seq
        return messages

    def snapshot(
        self, seq: int, ts: int, items: Iterable[bytes], *, more: bool = False, refused: bool = False
    ) -> bytes:
        """`refused`: a resume was requested and was not possible."""
        marks = (_MORE if more else b"") + (b',"resumed":false' if refused else b"")
        return b'%b%d,"ts":%d%b,"data":[%b]}' % (self._snapshot, seq, ts, marks, b",".join(items))

    def resumed(self, seq: int, ts: int) -> bytes:
        """The backfill has been sent: live from here on, and `seq` is that of the last message."""
        return b'%b%d,"ts":%d}' % (self._resumed, seq, ts)


class Chunk:
    """Messages of one stream that go out together, in both shapes; each shape is made when first needed."""

    __slots__ = ("_frames", "_packed", "messages", "size")

    def __init__(self, messages: list[bytes]) -> None:
        self.messages = messages
        self.size = sum(map(len, messages))
        self._frames: bytes | None = None
        self._packed: bytes | None = None

    @property
    def frames(self) -> bytes:
        """A frame for each message."""
        if self._frames is None:
            self._frames = b"".join(map(text_frame, self.messages))
        return self._frames

    @property
    def packed(self) -> bytes:
        """One frame with an array of all messages, or a few where they are large."""
        if self._packed is None:
            self._packed = pack(self.messages)
        return self._packed


def pack(messages: list[bytes]) -> bytes:
    """Messages as JSON arrays, a frame for each."""
    if sum(map(len, messages)) <= PACKED_BYTES_MAX:
        return text_frame(b"[%b]" % b",".join(messages))
    frames: list[bytes] = []
    group: list[bytes] = []
    size = 0
    for message in messages:
        if group and size + len(message) > PACKED_BYTES_MAX:
            frames.append(text_frame(b"[%b]" % b",".join(group)))
            group, size = [], 0
        group.append(message)
        size += len(message)
    frames.append(text_frame(b"[%b]" % b",".join(group)))
    return b"".join(frames)
