"""Watchers of `/v1/stream` beside orders at a constant rate, or of a bare fan-out beside the same messages.

Messages carry the time at which what they tell was durable, in microseconds of the machine's
clock. Server and generator run on one machine, so its distance to the time of arrival, by the
same clock, is the latency; each message is counted, whatever frame it came in.
"""

import asyncio
import base64
import os
import time
from typing import Any, cast

import numpy as np

from loadtests.figures import percentiles
from loadtests.order_bodies import ACCOUNT, OrderBodies
from loadtests.ws_load import FrameReader, text_frame

_TS = b',"ts":'
_TS_DIGITS = 16
_UPDATE = b'{"type":"update"'
_CANCEL_ALL = b'{"id":0,"op":"order.cancel_all","params":{"account":"' + ACCOUNT.encode() + b'"}}'
_SUBSCRIBE = (
    b'{"op":"subscribe","id":1,"batch":%b,"channels":[{"name":"orders","account":"'
    + ACCOUNT.encode()
    + b'"}]}'
)


class Socket(asyncio.Protocol):
    """A WebSocket client with as little between the wire and `on_messages` as there can be."""

    def __init__(self, host: str, path: str, key: str) -> None:
        nonce = base64.b64encode(os.urandom(16)).decode()
        lines = (
            *(f"GET {path} HTTP/1.1", f"host: {host}", "upgrade: websocket", "connection: Upgrade"),
            *("sec-websocket-version: 13", f"sec-websocket-key: {nonce}", f"authorization: Bearer {key}"),
        )
        self._request = "".join(f"{line}\r\n" for line in (*lines, "")).encode()
        self._head = b""
        self._reader: FrameReader | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._request)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True

    def send(self, payload: bytes) -> None:
        self.transport.write(text_frame(payload))

    def data_received(self, data: bytes) -> None:
        if self._reader is None:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self._head.startswith(b"HTTP/1.1 101"):
                self.opened.set_exception(RuntimeError(f"no WebSocket: {self._head[:300]!r}"))
                return
            self._reader = FrameReader()
            data = self._head[end + 4 :]
            self.opened.set_result(None)
        payloads = self._reader.feed(data)
        if payloads:
            self.on_messages(payloads)

    def on_messages(self, payloads: list[bytes]) -> None:
        raise NotImplementedError


class Watcher(Socket):
    """Notes when each message was told and when it came, in microseconds."""

    counting = False

    def __init__(self, host: str, path: str, key: str) -> None:
        super().__init__(host, path, key)
        self.latencies_us: list[int] = []
        self.bytes = 0

    def on_messages(self, payloads: list[bytes]) -> None:
        if not self.counting:
            return
        now = time.time_ns() // 1_000
        for payload in payloads:
            self.bytes += len(payload)
            at = payload.find(_UPDATE)
            while at >= 0:
                found = payload.index(_TS, at) + len(_TS)
                self.latencies_us.append(now - int(payload[found : found + _TS_DIGITS]))
                at = payload.find(_UPDATE, found)


class Broom(Socket):
    """Cancels what the run before has left open: snapshots are not what is measured here."""

    def __init__(self, host: str, path: str, key: str) -> None:
        super().__init__(host, path, key)
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_messages(self, payloads: list[bytes]) -> None:
        if not self.answered.done():
            self.answered.set_result(None)


class Driver(Socket):
    """Orders at a constant rate; latency counts from when each was to be sent."""

    def __init__(self, host: str, path: str, key: str) -> None:
        super().__init__(host, path, key)
        self.due: list[float] = []
        self.answered: list[float] = []
        self.refused = 0

    def on_messages(self, payloads: list[bytes]) -> None:
        now = time.perf_counter()
        for payload in payloads:
            number = int(payload[6 : payload.index(b",", 6)])
            self.refused += b'"status":201' not in payload
            self.answered.append(now - self.due[number])

    async def drive(self, bodies: OrderBodies, rate: float, seconds: float) -> None:
        begin = time.perf_counter()
        while (passed := time.perf_counter() - begin) < seconds:
            while len(self.due) < passed * rate:
                number = len(self.due)
                self.due.append(begin + number / rate)
                self.send(b'{"id":%d,"op":"order.place","params":%b}' % (number, next(bodies)))
            await asyncio.sleep(0.000_2)
        await asyncio.sleep(0.2)


async def watched(
    host: str,
    port: int,
    key: str,
    prefix: str,
    watchers: int,
    rate: float,
    warmup: float,
    seconds: float,
    *,
    batch: bool = False,
) -> dict[str, Any]:
    """`rate` orders a second; messages per second over all watchers, and latencies in milliseconds."""
    loop = asyncio.get_running_loop()
    _, broom = await loop.create_connection(lambda: Broom(host, "/v1/trade", key), host, port)
    await broom.opened
    broom.send(_CANCEL_ALL)
    await broom.answered
    broom.transport.abort()
    sockets: list[Watcher] = []
    for _ in range(watchers):
        _, watcher = await loop.create_connection(lambda: Watcher(host, "/v1/stream", key), host, port)
        await watcher.opened
        watcher.send(_SUBSCRIBE % (b"true" if batch else b"false"))
        sockets.append(watcher)
    _, warm = await loop.create_connection(lambda: Driver(host, "/v1/trade", key), host, port)
    await warm.opened
    bodies = OrderBodies(prefix)
    await warm.drive(bodies, rate, warmup)
    warm.transport.abort()
    _, driver = await loop.create_connection(lambda: Driver(host, "/v1/trade", key), host, port)
    await driver.opened
    Watcher.counting = True
    began = time.perf_counter()
    busy = time.process_time()
    await driver.drive(bodies, rate, seconds)
    passed = time.perf_counter() - began
    busy = time.process_time() - busy
    latencies = np.array([each for watcher in sockets for each in watcher.latencies_us], np.float64)
    lost = sum(watcher.lost for watcher in sockets)
    if driver.refused or lost or not driver.answered:
        raise RuntimeError(f"{driver.refused} refused, {lost} lost, {len(driver.answered)} answered")
    found = {
        "watchers": watchers,
        "rate": rate,
        "batch": batch,
        "all_answers": len(driver.answered) + len(latencies),
        "messages_per_second": len(latencies) / (passed - 0.2),
        "message_bytes": sum(watcher.bytes for watcher in sockets) / max(len(latencies), 1),
        "order_latency_ms": percentiles(np.array(driver.answered) * 1e3),
        "generator_busy": round(busy / passed, 3),
    }
    if len(latencies):
        found["latency_ms"] = percentiles(latencies / 1e3)
    return found
