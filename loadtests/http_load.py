"""HTTP/1.1 load: keep-alive connections with just enough of the protocol to cost little.

Closed loop: each connection sends its next order when the last one is answered. Open loop: orders
are due at a constant rate whatever the responses do, and their latency counts from when they were
due, so a server that stalls is not spared.
"""

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Any, cast

from loadtests.order_bodies import OrderBodies
from loadtests.tally import Tally

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length: "
CREATED = 201
_PAUSE_SECONDS = 0.00002


class Requests:
    """`POST /v1/orders`, whole requests without end."""

    def __init__(self, host: str, key: str, bodies: OrderBodies) -> None:
        self._bodies = bodies
        self._head = (
            f"POST /v1/orders HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n"
            "content-type: application/json\r\ncontent-length: "
        ).encode()

    def next(self) -> bytes:
        body = next(self._bodies)
        return b"%b%d\r\n\r\n%b" % (self._head, len(body), body)


class Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, tally: Tally, idle: Callable[["Connection"], None]) -> None:
        self._tally = tally
        self._idle = idle
        self._buffer = b""
        self._sent = 0.0
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's are no subclasses

    def send(self, request: bytes, sent: float) -> None:
        assert self._transport is not None
        self._sent = sent
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        head_end = data.find(_HEAD_END)
        at = data.find(_LENGTH, 0, head_end) if head_end >= 0 else -1
        if at < 0:
            self._buffer = data
            return
        length = int(data[at + len(_LENGTH) : data.index(b"\r", at)])
        if len(data) < head_end + 4 + length:
            self._buffer = data
            return
        self._buffer = b""
        now = perf_counter()
        status = int(data[9:12])
        if status == CREATED:
            self._tally.answered(now, self._sent, length)
        else:
            self._tally.refuse(status, data[head_end + 4 :])
        self._idle(self)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._tally.over:
            self._tally.refuse(0, b"the server closed a connection")

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def _connect(
    host: str, port: int, count: int, tally: Tally, idle: Callable[[Connection], None]
) -> list[Connection]:
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: Connection(tally, idle), host, port) for _ in range(count)]
    return [protocol for _, protocol in made]


async def closed_loop(
    host: str, port: int, key: str, connections: int, warmup: float, seconds: float, prefix: str
) -> dict[str, Any]:
    """As fast as the server answers."""
    tally = Tally(warmup, seconds)
    requests = Requests(host, key, OrderBodies(prefix))

    def send_next(connection: Connection) -> None:
        if not tally.over:
            connection.send(requests.next(), perf_counter())

    opened = await _connect(host, port, connections, tally, send_next)
    tally.start()
    for connection in opened:
        send_next(connection)
    await asyncio.sleep(warmup + seconds + 0.2)
    tally.over = True
    for connection in opened:
        connection.close()
    return tally.result()


async def open_loop(
    host: str, port: int, key: str, connections: int, warmup: float, seconds: float, prefix: str, rate: float
) -> dict[str, Any]:
    """At a constant rate.

    The generator's sleeps are at most a twentieth of the measured times. Other processes on its core would
    delay it by whole time slices, so it takes precedence over them if it may.
    """
    with contextlib.suppress(AttributeError, PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    tally = Tally(warmup, seconds)
    requests = Requests(host, key, OrderBodies(prefix))
    free: deque[Connection] = deque()
    opened = await _connect(host, port, connections, tally, free.append)
    free.extend(opened)
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    tally.start()
    first = perf_counter()
    number = 0

    def turn() -> None:
        nonlocal number
        now = perf_counter()
        while (due := first + number / rate) <= now and free and due < tally.end:
            free.popleft().send(requests.next(), due)
            number += 1
        if now > tally.end + 0.5:
            tally.over = True
            done.set_result(None)
        else:
            time.sleep(_PAUSE_SECONDS)
            loop.call_soon(turn)

    loop.call_soon(turn)
    await done
    for connection in opened:
        connection.close()
    return tally.result() | {"rate": rate}
