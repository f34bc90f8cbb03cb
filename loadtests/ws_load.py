"""WebSocket load: orders over `/v1/trade`, many of them in flight on each connection.

Frames are masked with a key of zero, as the protocol allows: the server unmasks them as it does any
other, and the generator need not.
"""

import asyncio
import base64
import os
import struct
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any, cast

from loadtests.order_bodies import OrderBodies
from loadtests.tally import Tally

_ZERO_MASK = b"\0\0\0\0"
_CREATED = b'"status":201'


def text_frame(payload: bytes) -> bytes:
    """A complete text frame as a client sends it."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x81, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x81, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x81, 0x80 | 127, size)
    return head + _ZERO_MASK + payload


class FrameReader:
    """Splits the server's bytes into messages."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads of the text frames that are now complete. Raises RuntimeError at a close."""
        if self._buffer:
            data = self._buffer + data
        payloads = []
        at, end = 0, len(data)
        while end - at >= 2:
            size = data[at + 1]
            start = at + 2
            if size == 126:
                start += 2
                size = int.from_bytes(data[at + 2 : start], "big")
            elif size == 127:
                start += 8
                size = int.from_bytes(data[at + 2 : start], "big")
            if start + size > end or start > end:
                break
            operation = data[at] & 0x0F
            if operation == 8:
                raise RuntimeError(f"the server closed: {data[start : start + size]!r}")
            if operation == 1:
                payloads.append(data[start : start + size])
            at = start + size
        self._buffer = data[at:]
        return payloads


class Connection(asyncio.Protocol):
    """One WebSocket; `next_message` makes the message that follows each reply."""

    def __init__(self, tally: Tally, next_message: Callable[[], bytes], orders: int, *, echo: bool) -> None:
        self._tally = tally
        self._next_message = next_message
        self._orders = orders  # in one message
        self._echo = echo
        self._reader: FrameReader | None = None
        self._handshake = b""
        self._sent: deque[float] = deque()
        self._transport: asyncio.Transport | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are no subclasses

    def upgrade(self, host: str, key: str) -> None:
        assert self._transport is not None
        nonce = base64.b64encode(os.urandom(16)).decode()
        lines = (
            "GET /v1/trade HTTP/1.1",
            f"host: {host}",
            "upgrade: websocket",
            "connection: Upgrade",
            "sec-websocket-version: 13",
            f"sec-websocket-key: {nonce}",
            f"authorization: Bearer {key}",
        )
        self._transport.write("".join(f"{line}\r\n" for line in (*lines, "")).encode())

    def send(self, count: int) -> None:
        assert self._transport is not None
        now = perf_counter()
        self._sent.extend([now] * count)
        self._transport.write(b"".join([text_frame(self._next_message()) for _ in range(count)]))

    def data_received(self, data: bytes) -> None:
        if self._reader is None:
            self._handshake += data
            head_end = self._handshake.find(b"\r\n\r\n")
            if head_end < 0:
                return
            if not self._handshake.startswith(b"HTTP/1.1 101"):
                self.opened.set_exception(RuntimeError(f"no WebSocket: {self._handshake[:300]!r}"))
                return
            self._reader = FrameReader()
            data = self._handshake[head_end + 4 :]
            self.opened.set_result(None)
        payloads = self._reader.feed(data)
        if not payloads:
            return
        now = perf_counter()
        for payload in payloads:
            accepted = self._orders if self._echo else payload.count(_CREATED)
            sent = self._sent.popleft()
            if accepted < self._orders:
                self._tally.refuse(400, payload)
            self._tally.answered(now, sent, len(payload), accepted)
        if not self._tally.over:
            self.send(len(payloads))

    def connection_lost(self, error: Exception | None) -> None:
        if not self._tally.over:
            self._tally.refuse(0, b"the server closed a connection")

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


async def pipelined(
    host: str,
    port: int,
    key: str,
    connections: int,
    in_flight: int,
    batch: int,
    warmup: float,
    seconds: float,
    prefix: str,
    *,
    echo: bool = False,
) -> dict[str, Any]:
    """Always `in_flight` messages on their way on each connection; `batch`: orders in each, 0: one, alone."""
    tally = Tally(warmup, seconds)
    bodies = OrderBodies(prefix)
    number = 0

    def message() -> bytes:
        nonlocal number
        number += 1
        if batch:
            return b'{"id":%d,"op":"order.place_batch","params":%b}' % (number, bodies.batch(batch))
        return b'{"id":%d,"op":"order.place","params":%b}' % (number, next(bodies))

    loop = asyncio.get_running_loop()
    opened = []
    for _ in range(connections):
        _, connection = await loop.create_connection(
            lambda: Connection(tally, message, batch or 1, echo=echo), host, port
        )
        connection.upgrade(host, key)
        await asyncio.wait_for(connection.opened, 10)
        opened.append(connection)
    tally.start()
    for connection in opened:
        connection.send(in_flight)
    await asyncio.sleep(warmup + seconds + 0.3)
    tally.over = True
    for connection in opened:
        connection.close()
    return tally.result()
