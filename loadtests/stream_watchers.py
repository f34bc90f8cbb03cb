"""Stream watchers of `/v1/stream`, in the process of the orders or in one of their own.

Messages carry the time at which their content was durable, in microseconds of the machine's clock.
Server and watchers run on one machine, so the difference to the time of arrival, by the same clock,
is the latency; each message is counted, whatever frame it came in.
"""

import asyncio
import base64
import multiprocessing
import os
import time
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Protocol, cast

import uvloop

from loadtests.order_bodies import ACCOUNT
from loadtests.ws_load import FrameReader, text_frame

# Of watchers in a process of their own: they share a core with the orders' generator and must not
# delay an order.
NICENESS = 10

_TS = b',"ts":'
_TS_DIGITS = 16
_UPDATE = b'{"type":"update"'
_SUBSCRIBE = (
    b'{"op":"subscribe","id":1,"batch":%b,"channels":[{"name":"orders","account":"'
    + ACCOUNT.encode()
    + b'"}]}'
)


class Socket(asyncio.Protocol):
    """A WebSocket client with as little as possible between the wire and `on_messages`."""

    def __init__(self, host: str, path: str, key: str) -> None:
        nonce = base64.b64encode(os.urandom(16)).decode()
        lines = (
            f"GET {path} HTTP/1.1",
            f"host: {host}",
            "upgrade: websocket",
            "connection: Upgrade",
            "sec-websocket-version: 13",
            f"sec-websocket-key: {nonce}",
            f"authorization: Bearer {key}",
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


class Job(NamedTuple):
    host: str
    port: int
    key: str
    watchers: int
    batch: bool


class Seen(NamedTuple):
    """The watchers' measurements: when each message came, and how late, in microseconds."""

    arrived_us: list[int]
    latencies_us: list[int]
    bytes: int
    lost: int


class Watcher(Socket):
    """Notes when each message was published and when it came, in microseconds."""

    counting = False

    def __init__(self, host: str, path: str, key: str) -> None:
        super().__init__(host, path, key)
        self.latencies_us: list[int] = []
        self.arrived_us: list[int] = []
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
                self.arrived_us.append(now)
                at = payload.find(_UPDATE, found)


class Audience(Protocol):
    """Opened, then asked to count, then asked for its result."""

    async def open(self) -> None: ...

    async def count(self) -> None: ...

    async def seen(self) -> Seen: ...


class Here:
    """In this process."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._sockets: list[Watcher] = []

    async def open(self) -> None:
        job = self._job
        loop = asyncio.get_running_loop()
        for _ in range(job.watchers):
            _, watcher = await loop.create_connection(
                lambda: Watcher(job.host, "/v1/stream", job.key), job.host, job.port
            )
            await watcher.opened
            watcher.send(_SUBSCRIBE % (b"true" if job.batch else b"false"))
            self._sockets.append(watcher)

    async def count(self) -> None:
        Watcher.counting = True

    async def seen(self) -> Seen:
        sockets = self._sockets
        return Seen(
            [each for watcher in sockets for each in watcher.arrived_us],
            [each for watcher in sockets for each in watcher.latencies_us],
            sum(watcher.bytes for watcher in sockets),
            sum(watcher.lost for watcher in sockets),
        )


class Apart:
    """In a process of their own, at a lower priority than everything else on the core."""

    def __init__(self, job: Job) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, far = spawn.Pipe()
        self._process = spawn.Process(target=_watch_apart, args=(job, far), daemon=True)

    async def open(self) -> None:
        self._process.start()
        await self._ask("open")

    async def count(self) -> None:
        await self._ask("count")

    async def seen(self) -> Seen:
        found = Seen(*await self._ask("seen"))
        await asyncio.to_thread(self._process.join)
        return found

    async def _ask(self, what: str) -> Any:
        def ask() -> Any:
            self._pipe.send(what)
            return self._pipe.recv()

        try:
            return await asyncio.to_thread(ask)
        except EOFError:
            raise RuntimeError("the watchers have failed") from None


def _watch_apart(job: Job, pipe: Connection) -> None:
    os.nice(NICENESS)

    async def watch() -> None:
        audience = Here(job)
        while True:
            what = await asyncio.to_thread(pipe.recv)
            if what == "seen":
                pipe.send(tuple(await audience.seen()))
                return
            await (audience.open() if what == "open" else audience.count())
            pipe.send(None)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(watch())
