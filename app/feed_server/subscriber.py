"""Subscriber: one connection of a feed server, its subscriptions and its outgoing messages."""

from collections.abc import Callable, Collection
from typing import Any

import orjson
from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame
from websockets.protocol import State

from app.feed_server.faults import Faults, Injector, Payload

STREAMS_MAX = 1_024
# A client that is this far behind is cut off.
BEHIND_BYTES_MAX = 16 << 20
FRAMES_MAX = 100_000


class Subscriber:
    """`combined`: messages name their stream. `mute`: half open, nothing goes out or comes in any more."""

    def __init__(self, socket: ServerConnection, *, combined: bool, seed: str) -> None:
        self.streams: set[str] = set()
        self.injector = Injector(seed)
        self.mute = False
        self._socket = socket
        self._combined = combined
        self._frames: list[bytes] = []
        self._held_until_seconds = 0.0

    def subscribe(self, streams: Collection[str]) -> str:
        """Returns the error, if any; a stream of an unknown symbol is silent, as on the exchange."""
        if len(self.streams | set(streams)) > STREAMS_MAX:
            return f"more than {STREAMS_MAX} streams"
        self.streams |= set(streams)
        return ""

    def answer(self, request: str | bytes) -> None:
        """SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS, as the exchange takes them."""
        result: Any = None
        number: Any = None
        error = "Invalid request: no such method"
        try:
            document = orjson.loads(request)
            number, method = document.get("id"), document.get("method")
            streams = document.get("params", [])
            if not isinstance(streams, list) or not all(isinstance(each, str) for each in streams):
                error = "Invalid request: params must be an array of strings"
            elif method == "SUBSCRIBE":
                error = self.subscribe(streams)
            elif method == "UNSUBSCRIBE":
                self.streams -= set(streams)
                error = ""
            elif method == "LIST_SUBSCRIPTIONS":
                result, error = sorted(self.streams), ""
        except (orjson.JSONDecodeError, AttributeError):
            error = "Invalid JSON"
        document = {"error": {"code": 2, "msg": error}} if error else {"result": result}
        self._add(orjson.dumps(document | {"id": number}))
        self.flush(0.0)

    def offer(self, raw: bytes, faults: Faults, now_seconds: Callable[[], float]) -> None:
        """Send a message of one of the streams, at the next `flush`."""
        if self.mute:
            return
        if not self._combined:
            raw = raw[raw.index(b'"data":') + 7 : -1]
        if faults.quiet:
            for payload in self.injector.release():
                self._add_payload(payload)
            self._add(raw)
            return
        payloads, event = self.injector.apply(faults, raw)
        for payload in payloads:
            self._add_payload(payload)
        if event == "delay":
            self._held_until_seconds = now_seconds() + faults.delay_ms / 1_000
        elif event == "cut":
            self.cut()
        elif event == "half_open":
            self.make_half_open()

    def flush(self, now_seconds: float) -> None:
        transport = self._socket.transport
        if len(self._frames) > FRAMES_MAX:
            self.cut()
        if not self._frames or now_seconds < self._held_until_seconds or self.mute:
            return
        if self._socket.state is not State.OPEN or transport.is_closing():
            self._frames.clear()  # it is saying goodbye
            return
        transport.write(b"".join(self._frames))
        self._frames.clear()
        if self.behind_bytes > BEHIND_BYTES_MAX:
            self.cut()

    @property
    def behind_bytes(self) -> int:
        """Bytes not sent yet."""
        return 0 if self.mute else self._socket.transport.get_write_buffer_size()

    def cut(self) -> None:
        self._frames.clear()
        self._socket.transport.abort()

    def make_half_open(self) -> None:
        """As after a power cut in between: the connection stands, and is dead. Not even pings are read."""
        self.mute = True
        self._frames.clear()
        self._socket.transport.pause_reading()

    def _add(self, data: bytes) -> None:
        # A text frame's header by hand: a message goes to many, and most have nothing done to them.
        size = len(data)
        if size < 126:
            self._frames.append(b"\x81%c%b" % (size, data))
        else:
            self._frames.append(b"\x81\x7e%b%b" % (size.to_bytes(2), data) if size < 1 << 16 else _long(data))

    def _add_payload(self, payload: Payload) -> None:
        self._frames.append(Frame(*payload).serialize(mask=False))


def _long(data: bytes) -> bytes:
    return b"\x81\x7f%b%b" % (len(data).to_bytes(8), data)
