"""Stream client: one connection, its waiting messages, and conflation when it does not read.

Writes are never awaited. The transport buffers what it cannot send at once and signals when its
buffer is full. Until it has drained, market data and states are conflated (a fresh snapshot
follows), while orders, fills and risk wait here, up to a bound at which the connection is closed.
"""

from collections.abc import Callable
from typing import Protocol

from app.streams.codec import Chunk, pack

# Bounds on what waits beside the transport's buffer: for one connection, and for all together.
WAITING_BYTES_MAX = 4 << 20
WAITING_BYTES_TOTAL_MAX = 256 << 20


class Wire(Protocol):
    """Where a connection's frames go. Both return at once."""

    def write_frames(self, frames: list[bytes]) -> None:
        """Whole frames, in order; dropped where the connection has ended."""

    def finish(self, code: int, reason: str) -> None:
        """Close the WebSocket with a code; unsent frames may be dropped."""


class Subscription:
    """A client's subscription to one stream. `packed`: messages of a tick come in one frame."""

    __slots__ = ("client", "packed", "snapshot")

    def __init__(self, client: "Client", snapshot: Callable[[], bytes] | None, *, packed: bool) -> None:
        """`snapshot` gives the whole of a stream that may be conflated; None for one that may not."""
        self.client = client
        self.packed = packed
        self.snapshot = snapshot

    def deliver(self, chunk: Chunk) -> None:
        client = self.client
        if client.paused:
            if self.snapshot is not None:
                client.stale[self] = None
                return
            client.waiting_bytes += chunk.size
        if self.packed:
            client.packed.append(chunk)
        else:
            client.frames.append(chunk.frames)


class Client:
    """`number`: of the key. `stale`: subscriptions whose newest messages were left out."""

    __slots__ = (
        "_drained",
        "_wire",
        "closed",
        "frames",
        "number",
        "packed",
        "paused",
        "refusals",
        "stale",
        "waiting_bytes",
    )

    def __init__(self, number: int, wire: Wire, drained: Callable[[], None]) -> None:
        """`drained` is called when the client reads again after it was behind, and when it is gone."""
        self.number = number
        self.paused = False
        self.closed = False
        self.refusals = 0
        self.frames: list[bytes] = []
        self.packed: list[Chunk] = []
        self.stale: dict[Subscription, None] = {}
        self.waiting_bytes = 0
        self._wire = wire
        self._drained = drained

    def send(self, frame: bytes) -> None:
        """A frame for this client alone, behind what waits for it."""
        self.frames.append(frame)
        if self.paused:
            self.waiting_bytes += len(frame)
        self.flush()

    def flush(self) -> None:
        """Pass waiting messages to the transport, unless its buffer is full."""
        packed = self.packed
        if packed:
            if len(packed) == 1:
                self.frames.append(packed[0].packed)
            else:
                self.frames.append(pack([message for chunk in packed for message in chunk.messages]))
            packed.clear()
        if self.paused or not self.frames:
            return
        frames, self.frames = self.frames, []
        self.waiting_bytes = 0
        self._wire.write_frames(frames)

    # Called by the connection.

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        """The transport has room again: send what has waited, then the newest of what was left out."""
        self.paused = False
        self.flush()
        while self.stale and not self.paused:
            subscription = next(iter(self.stale))
            del self.stale[subscription]
            assert subscription.snapshot is not None
            message = subscription.snapshot()
            self.send(Chunk([message]).packed if subscription.packed else Chunk([message]).frames)
        if not self.paused:
            self._drained()

    def close(self, code: int, reason: str) -> None:
        if not self.closed:
            self.end()
            self._wire.finish(code, reason)

    def end(self) -> None:
        """Drop waiting messages: nothing is sent any more."""
        self.closed = True
        self.paused = True
        self.frames.clear()
        self.packed.clear()
        self.stale.clear()
        self.waiting_bytes = 0
        self._drained()
