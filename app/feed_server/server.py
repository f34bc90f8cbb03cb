"""Feed server: a recorded market served as Binance does: `/stream?streams=...`, `/ws/...`, `/api/v3/depth`.

It also reports its state (`GET /status`) and takes faults while it runs: `GET /faults?drop=0.01`
sets probabilities, `GET /faults?now=cut` or `now=half_open` hits all connections at once, `GET /faults`
shows what is set. It is for tests, demonstrations and load; there is no authorisation.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from app.feed_server.faults import FaultError, Faults
from app.feed_server.recorded_market import Message, RecordedMarket
from app.feed_server.subscriber import Subscriber
from app.market.playback_clock import SLEEP_SECONDS_MIN, SLICE_NS_MAX, Pace

CONNECTIONS_MAX = 300
SNAPSHOT_LEVELS, SNAPSHOT_LEVELS_MAX = 100, 5_000
# With more bytes unsent to a client the recording waits, so that the slowest client sets the pace.
AHEAD_BYTES_MAX = 1 << 20
WAIT_SECONDS_MAX = 5.0


class FeedServer:
    """`speed`: recorded seconds per second. `passes`: then it stands still; 0 for ever.

    The recording begins with the first subscription, so that a client misses nothing of it.
    """

    def __init__(
        self,
        market: RecordedMarket,
        *,
        speed: float = 1.0,
        passes: int = 0,
        faults: Faults | None = None,
        seed: int = 1,
    ) -> None:
        self.faults = faults or Faults()
        self.market = market
        self.messages = 0
        self.ended = False
        self._speed = speed
        self._passes = passes
        self._seed = seed
        self._random = random.Random(f"{seed}/server")  # noqa: S311  # repeatable, not secret
        self._subscribers: dict[ServerConnection, Subscriber] = {}
        self._by_stream: defaultdict[str, list[Subscriber]] = defaultdict(list)
        self._count = 0
        self._done: Counter[str] = Counter()  # faults of connections that have gone, and of requests
        self._begun = asyncio.Event()
        self._server: Server | None = None

    async def listen(self, host: str, port: int) -> int:
        """Begin to serve; returns the port. Raises OSError."""
        self._server = await serve(
            self._handle,
            host,
            port,
            process_request=self._process_request,
            compression=None,
            max_size=1 << 16,
            close_timeout=1,
            ping_interval=20,
            server_header="bot4 feed-server",
        )
        self._now_seconds = asyncio.get_running_loop().time
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        if self._server is not None:
            for subscriber in self._subscribers.values():
                subscriber.cut()
            self._server.close()
            await self._server.wait_closed()

    async def play(self) -> None:
        """Play the recording to whoever has subscribed."""
        await self._begun.wait()
        pace = Pace(self._speed)
        end_ns = self._slice_end_ns()
        for message in self.market.play(self._passes):
            if message.at_ns > pace.reached_ns or self._now_ns() >= end_ns:
                await self._wait(pace, message.at_ns)
                end_ns = self._slice_end_ns()
            self._send(message)
        self._flush()
        self.ended = True

    async def _wait(self, pace: Pace, at_ns: int) -> None:
        """Send what is due until the next message is."""
        self._flush()
        await asyncio.sleep(0)
        while (delay_seconds := pace.delay_seconds(at_ns)) > 0:
            await asyncio.sleep(max(delay_seconds, SLEEP_SECONDS_MIN))
            self._flush()
        deadline_seconds = self._now_seconds() + WAIT_SECONDS_MAX
        while any(each.behind_bytes > AHEAD_BYTES_MAX for each in self._subscribers.values()):
            if self._now_seconds() > deadline_seconds:
                return
            await asyncio.sleep(SLEEP_SECONDS_MIN)

    def _now_ns(self) -> float:
        return self._now_seconds() * 1e9

    def _slice_end_ns(self) -> float:
        return self._now_ns() + SLICE_NS_MAX

    def _send(self, message: Message) -> None:
        self.messages += 1
        for subscriber in self._by_stream.get(message.stream, ()):
            subscriber.offer(message.raw, self.faults, self._now_seconds)

    def _flush(self) -> None:
        now_seconds = self._now_seconds()
        for subscriber in self._subscribers.values():
            subscriber.flush(now_seconds)

    # Connections.

    async def _handle(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        parts = urlsplit(socket.request.path)
        streams = dict(parse_qsl(parts.query)).get("streams", "").split("/")
        if parts.path.startswith("/ws/"):
            streams += parts.path.removeprefix("/ws/").split("/")
        self._count += 1
        subscriber = Subscriber(socket, combined=parts.path == "/stream", seed=f"{self._seed}/{self._count}")
        subscriber.subscribe([stream for stream in streams if stream])
        self._subscribers[socket] = subscriber
        self._index()
        try:
            async for request in socket:
                subscriber.answer(request)
                self._index()
        except ConnectionClosed:
            pass  # cut, by either side
        finally:
            del self._subscribers[socket]
            self._done.update(subscriber.injector.done)
            self._index()

    def _index(self) -> None:
        self._by_stream.clear()
        for subscriber in self._subscribers.values():
            for stream in subscriber.streams:
                self._by_stream[stream].append(subscriber)
        if self._by_stream:
            self._begun.set()

    # HTTP.

    def _process_request(self, _socket: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        if parts.path == "/api/v3/depth":
            return self._snapshot(query)
        if parts.path == "/status":
            return _json(HTTPStatus.OK, self._status())
        if parts.path == "/faults":
            return self._set_faults(query)
        if parts.path not in ("/stream", "/ws") and not parts.path.startswith("/ws/"):
            return _json(HTTPStatus.NOT_FOUND, {"code": -1, "msg": f"there is no {parts.path}"})
        if len(self._subscribers) >= CONNECTIONS_MAX or self._happens("refuse"):
            return _json(HTTPStatus.SERVICE_UNAVAILABLE, {"code": -1, "msg": "no connection now"})
        return None

    def _happens(self, name: str) -> bool:
        probability: float = getattr(self.faults, name)
        if not probability or self._random.random() >= probability:
            return False
        self._done[name] += 1
        return True

    def _snapshot(self, query: Mapping[str, str]) -> Response:
        if self._happens("snapshot_fail"):
            status = int(self.faults.snapshot_status)
            return _json(
                status, {"code": -1003, "msg": "too many requests"}, retry_after=self.faults.retry_after_s
            )
        book = self.market.books.get(query.get("symbol", ""))
        if book is None:
            return _json(HTTPStatus.BAD_REQUEST, {"code": -1121, "msg": "Invalid symbol."})
        text = query.get("limit", str(SNAPSHOT_LEVELS))
        if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0):
            return _json(HTTPStatus.BAD_REQUEST, {"code": -1100, "msg": "Illegal limit."})
        return _response(HTTPStatus.OK, book.snapshot(min(int(text), SNAPSHOT_LEVELS_MAX)))

    def _set_faults(self, query: dict[str, str]) -> Response:
        """Nothing is changed if any part is wrong."""
        now = query.pop("now", "")
        try:
            if now not in ("", "cut", "half_open"):
                raise FaultError(f"now must be cut or half_open, not {now!r}")
            self.faults = self.faults.changed(query)
        except FaultError as error:
            return _json(HTTPStatus.BAD_REQUEST, {"code": -1, "msg": str(error)})
        for subscriber in list(self._subscribers.values()):
            if now == "cut":
                subscriber.cut()
            elif now == "half_open":
                subscriber.make_half_open()
        return _json(HTTPStatus.OK, asdict(self.faults))

    def _status(self) -> dict[str, Any]:
        done = self._done + sum((each.injector.done for each in self._subscribers.values()), Counter())
        return {
            "messages": self.messages,
            "passes": self.market.passes,
            "ended": self.ended,
            "connections": len(self._subscribers),
            "connections_ever": self._count,
            "last_ids": {name: book.last_id for name, book in self.market.books.items()},
            "faults_done": dict(done),
        }


def _json(status: int, content: Any, retry_after: float | None = None) -> Response:
    return _response(status, orjson.dumps(content), retry_after)


def _response(status: int, body: bytes, retry_after: float | None = None) -> Response:
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Refused"
    headers = Headers(
        [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Connection", "close")]
    )
    if retry_after is not None:
        headers["Retry-After"] = str(round(retry_after))
    return Response(status, phrase, headers, body)
