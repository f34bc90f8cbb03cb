"""WebSocket connections whose messages and frames need no waiting: for trading and fan-out.

ASGI's `receive` and `send` take a coroutine step for each message, build each frame
anew and write it by itself, and do not say how much is still to be sent. Frames from a
server are not masked, so the same bytes may go to everyone; and a writer that must
never wait has to know when a client is behind. So a connection has a protocol of
`websockets`, which knows all of RFC 6455, and a cycle (`app.api.websocket.cycle`), with
which an ASGI application answers the handshake and waits for the end; and the
application finds the connection itself in the scope's extensions.

A reader (`app.api.websocket.frame_reader`) cuts what comes into frames, and decides when
the transport is read.

The states of a connection:

    HANDSHAKE --the application accepts--> UNKNOWN    little is read before the key is known
    UNKNOWN   --the key is known-->        ADMITTED
    UNKNOWN, ADMITTED --this side sends its close frame--> CLOSING    the peer's own is awaited
    any       --refused, both sides have closed, or the peer is gone--> ENDED
"""

import asyncio
import logging
from collections.abc import Callable
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.frames import CloseCode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from app.api.http.asgi import Scope, socket_scope
from app.api.http.lingering import last_response
from app.api.http.request_parser import RequestHead
from app.api.http.sweep import ConnectionSweep, UnreadWatch
from app.api.websocket.cycle import SocketCycle
from app.api.websocket.frame_reader import FrameReader, Take, Wait
from app.api.websocket.handshake_rules import unreadable_handshake
from app.api.websocket.keepalive import Keepalive

EXTENSION = "bot4.direct"

# Above the first a client is behind; below the second no longer.
BUFFER_BYTES_HIGH = 256 << 10
BUFFER_BYTES_LOW = 64 << 10
# For the answer to a handshake.
HANDSHAKE_SECONDS_MAX = 10.0
# A client that reads nothing for this long while bytes wait is closed.
UNREAD_SECONDS_MAX = 30.0
# For a client to read the rest when its connection is closed, and when the server stops.
CLOSE_SECONDS_MAX = 10.0
STOP_SECONDS_MAX = 8.0
CLOSE_STOPPING = 1012
CLOSE_TOO_SLOW = 4008

protocol_logger = logging.getLogger("uvicorn.error")


class State(Enum):
    """See the module."""

    HANDSHAKE = auto()
    UNKNOWN = auto()
    ADMITTED = auto()
    CLOSING = auto()
    ENDED = auto()


def _nothing() -> None:
    """The callback until another is set."""


class WebSocketConnection(asyncio.Protocol):
    """`on_pause`, `on_resume`: the transport's buffer is full, has room again. `on_lost`: it is gone.

    `on_stop`: the server stops; who takes it closes the connection when all is answered. `sweep`: the
    server's, which looks at this connection from its first moment to its last.
    """

    sweep: ConnectionSweep
    transport: asyncio.Transport
    cycle: SocketCycle
    on_pause: Callable[[], None] = staticmethod(_nothing)
    on_resume: Callable[[], None] = staticmethod(_nothing)
    on_lost: Callable[[], None] = staticmethod(_nothing)
    on_stop: Callable[[], None] | None = None

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = _loop or asyncio.get_running_loop()
        self.state = State.HANDSHAKE
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._protocol = ServerProtocol(max_size=config.ws_max_size, logger=protocol_logger)
        self._keepalive = Keepalive(
            self.loop,
            config.ws_ping_interval,
            config.ws_ping_timeout,
            send=self._send_ping,
            fail=self._fail_keepalive,
            is_behind=lambda: self.reader.waits_for(Wait.PEER),
        )
        self.reader = FrameReader(self, self._protocol, self.loop, config.ws_max_size)
        self._refuse_binary: Callable[[], None] | None = None
        self._reads = asyncio.Event()  # the peer does
        self._reads.set()
        self._opened = 0.0
        self._unread = UnreadWatch()
        self._close_timer: asyncio.TimerHandle | None = None

    # The beginning.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._server_state.connections.add(self)  # type: ignore[arg-type]  # it asks for `shutdown` alone
        self.transport = transport  # type: ignore[assignment]  # uvloop's are no subclasses
        self._opened = self.loop.time()
        self.sweep.join(self)

    def begin(self, head: RequestHead, frames: bytes) -> None:
        """Take a handshake, and the bytes after it."""
        addresses = {
            "server": get_local_addr(self.transport),
            "client": get_remote_addr(self.transport),
            "scheme": "wss" if is_ssl(self.transport) else "ws",
        }
        scope = socket_scope(head, addresses, self._app_state)
        scope["extensions"] = {"websocket.http.response": {}, EXTENSION: self}
        self.cycle = SocketCycle(self, scope)
        self._protocol.receive_data(head.written())
        requests = [event for event in self._protocol.events_received() if isinstance(event, Request)]
        self._response = self._protocol.accept(requests[0]) if requests else None
        if self._response is None or self._response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self.transport.write(last_response(unreadable_handshake(), self._server_state.default_headers))
            self._end()
            return
        task = self.loop.create_task(self.run_asgi())
        task.add_done_callback(self._server_state.tasks.discard)
        self._server_state.tasks.add(task)
        if frames:
            self.data_received(frames)

    async def run_asgi(self) -> None:
        """Runs until the application is done with the connection."""
        try:
            await self.cycle.run(self._config.loaded_app)
        finally:
            if self._close_timer is None:
                self.transport.close()

    @property
    def in_handshake(self) -> bool:
        return self.state is State.HANDSHAKE

    async def writable(self) -> None:
        await self._reads.wait()
        if self.state is State.ENDED:
            raise ConnectionResetError("the connection has ended")

    def accept(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Answer the handshake, and read on."""
        if self.transport.is_closing():
            return
        assert self._response is not None
        self.state = State.UNKNOWN
        del self._response.headers["Date"]  # it is one of the server's
        self._response.headers.update(_text_headers(self._server_state.default_headers + headers))
        self._protocol.send_response(self._response)
        self._write_protocol()
        self._keepalive.start()
        self.reader.end_wait(Wait.HANDSHAKE)

    def refuse(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Answer the handshake with HTTP, and close."""
        refusal = self._protocol.reject(status, "")
        found = Headers(_text_headers(headers))
        for name, value in refusal.headers.raw_items():
            found.setdefault(name, str(len(body)) if name == "Content-Length" else value)
        self._protocol.send_response(Response(status, refusal.reason_phrase, found, body))
        self._write_protocol()
        self._end()

    def _write_protocol(self) -> None:
        self.transport.write(b"".join(self._protocol.data_to_send()))

    def _end(self) -> None:
        """Close behind what is written."""
        self.state = State.ENDED
        self._keepalive.stop()
        self.transport.close()

    def admit(self) -> None:
        """The key is known: from here on bounds are those of clients."""
        if self.state is State.UNKNOWN:
            self.state = State.ADMITTED
        self.reader.admit()

    def watch(
        self, on_pause: Callable[[], None], on_resume: Callable[[], None], on_lost: Callable[[], None]
    ) -> None:
        self.on_pause = on_pause
        self.on_resume = on_resume
        self.on_lost = on_lost
        self.transport.set_write_buffer_limits(BUFFER_BYTES_HIGH, BUFFER_BYTES_LOW)

    def take_messages(self, take: Take, refuse_binary: Callable[[], None]) -> None:
        """From here on call one of these with each message as it comes; first with those that wait.

        `receive` reports the end, as ever.
        """
        queue = self.cycle.queue
        waiting = [queue.get_nowait() for _ in range(queue.qsize())]
        if not self._is_ending:
            self.reader.take = take
        self._refuse_binary = refuse_binary
        for message in waiting:
            if message["type"] != "websocket.receive":
                queue.put_nowait(message)
            elif message.get("text") is not None:
                take(message["text"].encode())
            else:
                refuse_binary()
        self.steer()

    # Incoming.

    def data_received(self, data: bytes) -> None:
        self.reader.feed(data)

    def steer(self) -> None:
        self.reader.steer()

    @property
    def is_queue_full(self) -> bool:
        """Whether messages wait for the application; at the end they keep nothing from being read."""
        return self.state is not State.CLOSING and not self.cycle.queue.empty()

    def handle_message(self, message: bytes, *, is_text: bool) -> None:
        if is_text:
            self.cycle.queue.put_nowait({"type": "websocket.receive", "text": message.decode()})
        elif self._refuse_binary is None:
            self.cycle.queue.put_nowait({"type": "websocket.receive", "bytes": message})
        else:
            self._refuse_binary()
        self.steer()

    def handle_ping(self) -> None:
        self._write_protocol()  # it has the answer

    def handle_pong(self, payload: bytes) -> None:
        self._keepalive.on_pong(payload)

    def handle_close(self) -> None:
        """The peer's close frame: the answer to ours, or it is answered."""
        if self.state is not State.CLOSING:
            received = self._protocol.close_rcvd
            assert received is not None
            self.cycle.end(received.code, received.reason)
            self._write_protocol()
        self._end()

    def end_as_the_protocol_says(self) -> None:
        sent = self._protocol.close_sent
        assert sent is not None
        self.cycle.end(sent.code, sent.reason)
        self._write_protocol()
        self._end()

    def fail(self, code: int, reason: str) -> None:
        """Close, and read nothing more."""
        self.finish(code, reason)
        self._end()

    # Outgoing.

    def pause_writing(self) -> None:
        self._reads.clear()
        self.reader.wait(Wait.PEER)
        self.on_pause()

    def resume_writing(self) -> None:
        self._reads.set()
        self.reader.end_wait(Wait.PEER)
        self.on_resume()

    def _send_ping(self, payload: bytes) -> None:
        if not self._is_ending:
            self._protocol.send_ping(payload)
            self._write_protocol()

    def _fail_keepalive(self) -> None:
        if self._is_ending:
            return
        self._protocol.fail(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")
        self._write_protocol()
        self._end()

    @property
    def _is_ending(self) -> bool:
        return self.state in (State.CLOSING, State.ENDED) or self.transport.is_closing()

    def write_frames(self, frames: list[bytes]) -> None:
        """Whole frames, behind those before; dropped once the connection is ending."""
        if not self._is_ending:
            self.transport.writelines(frames)

    def finish(self, code: int, reason: str) -> None:
        """Close with a code; `receive` notifies the application. A client that reads nothing is cut off."""
        if self._is_ending:
            return
        self.cycle.end(code, reason)
        self._protocol.send_close(code, reason)
        self._write_protocol()
        self.state = State.CLOSING
        self.reader.take = None
        self._keepalive.stop()
        self.reader.end_wait(Wait.KEY)
        self._close_timer = self.loop.call_later(CLOSE_SECONDS_MAX, self.transport.abort)

    # The end.

    def check_deadlines(self, now: float) -> None:
        """Enforce the deadlines of the handshake and of unread bytes."""
        if self.in_handshake:
            if now - self._opened > HANDSHAKE_SECONDS_MAX:
                self.transport.abort()
        elif self._unread.seconds(self.transport, now) > UNREAD_SECONDS_MAX:
            if self.transport.is_closing():
                self.transport.abort()
            elif self.state is not State.CLOSING:  # else a timer runs
                self.finish(CLOSE_TOO_SLOW, "nothing is read")

    def shutdown(self) -> None:
        """The server stops. It must not raise: others are called after this one."""
        self._keepalive.stop()
        self.loop.call_later(STOP_SECONDS_MAX, self.transport.abort)
        if self._is_ending:
            return
        if self.in_handshake:
            self.transport.close()
        elif self.on_stop is not None:
            self.on_stop()
        else:
            self.finish(CLOSE_STOPPING, "the server is shutting down")

    def connection_lost(self, exc: Exception | None) -> None:
        self.sweep.leave(self)
        self._server_state.connections.discard(self)
        self._keepalive.stop()
        self.cycle.lost()
        self.state = State.ENDED
        self._reads.set()  # wakes waiting writers
        if self._close_timer is not None:
            self._close_timer.cancel()
        if exc is None:
            self.transport.close()
        self.reader.close()
        self.on_stop = None
        self.on_lost()


def _text_headers(headers: list[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def connection_of(scope: Scope) -> WebSocketConnection:
    """The connection that a scope belongs to. Raises KeyError under another server."""
    found = scope["extensions"][EXTENSION]
    assert isinstance(found, WebSocketConnection)
    return found
