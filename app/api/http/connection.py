"""HTTP/1.1 connections with bounds: in time, in what is kept, and in what is done at once.

uvicorn waits for the rest of a head or a body for ever, keeps a head of any size,
starts on everything that is pipelined, and says what it cannot read before it has
answered what it could. Here:

1. The parser gets a connection's bytes in small pieces, and none beyond the request
   that is under way: what follows waits with whoever feeds it (`feed` gives it back).
2. Bytes of a head and of trailers are counted as they come, before they are kept.
   Beyond `HEAD_BYTES_MAX` or `HEADERS_MAX` the answer is 431.
3. A body is kept only where the head has a valid key. Else it is dropped as it comes,
   and where it is long an answer that goes out before its end ends the connection.
4. What cannot be read has its answer in its turn: requests before it are answered
   first. A body that breaks off takes its own request's turn, which has had no effect:
   the application acts on whole bodies only.
5. A handshake in its turn becomes a `app.api.websocket.connection`, or is refused.
6. Deadlines are kept by the sweep of all connections (`app.api.http.sweep`).
"""

import asyncio
import math
from typing import Any

from httptools import HttpParserError, HttpParserUpgrade
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.api.auth import KeyStore
from app.api.http.head_reader import HEADERS_MAX
from app.api.http.lingering import LingeringConnection, PoliteTransport
from app.api.http.sweep import ConnectionSweep, UnreadWatch
from app.api.websocket.handshake_rules import handshake_problem
from app.documents.problems import (
    Problem,
    header_fields_too_large,
    overloaded,
    request_timeout,
    unreadable_request,
)

# From the first byte of a request, or from the opening of a connection, to the end of the head.
HEAD_SECONDS_MAX = 10.0
# To the end of the body.
BODY_SECONDS_MAX = 30.0
# An answer of which nothing more is read for so long is given up.
UNREAD_SECONDS_MAX = 30.0
# For what is under way when the server is told to stop.
STOP_SECONDS_MAX = 8.0

# Of one head, and again of what is no content within a body: trailers, extensions of chunks.
HEAD_BYTES_MAX = 64 << 10
# A body without a valid key is passed over as it comes; one of more, or without a length, is not waited for.
UNKNOWN_BYTES_MAX = 16 << 10

# For the parser at once: so much may be kept beyond what is counted.
_PIECE_BYTES = 4_096
_FIELD_BYTES = 4  # a header's colon, blank and line end


class _HeadTooLarge(Exception):
    """Stops the parser."""


class _Flow(FlowControl):
    """Whether the transport reads. `full`: more is held than may be, whatever uvicorn makes of it."""

    full = False

    def hold(self) -> None:
        self.full = True
        self.pause_reading()

    def release(self) -> None:
        self.full = False
        self.resume_reading()

    def resume_reading(self) -> None:
        if not self.full:
            super().resume_reading()


class WatchedProtocol(HttpToolsProtocol):
    """`sweep` and `keys` are those of the server. Times are the event loop's.

    `since`: when a request was begun of which the rest is still to come, else 0. `active`: when the
    connection was opened, or something was answered last. `in_message`: uvicorn's parser has begun a
    message and waits for the rest of it. `ending`: the parser gets nothing more.
    """

    sweep: ConnectionSweep
    keys: KeyStore
    flow: _Flow

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.since = 0.0
        self.active = 0.0
        self.in_message = False
        self.ending = False
        self._in_head = False
        self._open = 0  # requests that are begun or in turn, and not answered
        self._opened = 0.0
        self._unread = UnreadWatch()
        self._fresh = True  # a message that begins in this piece begins where the piece does
        self._quiet = True  # the whole piece is of a head or of trailers
        self._quiet_bytes = 0  # of such pieces
        self._field_bytes = 0  # of the target and of headers
        self._fields = 0
        self._keyless = False  # whose body is not kept
        self._kept_alive = True
        self._last_word: Problem | None = None  # for when the requests before it are answered
        self._frames: bytes | None = None  # behind a handshake that waits for its turn

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self._polite: Any = PoliteTransport(self)
        self.active = self._opened = self.loop.time()
        self.sweep.join(self)
        if len(self.connections) > self.sweep.connections_max:
            self._say(overloaded())
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.sweep.leave(self)
        super().connection_lost(exc)

    # What comes in.

    def feed(self, data: bytes) -> bytes:
        """Give the parser what belongs to the request that is under way; what is left is not read yet."""
        at = 0
        while at < len(data) and not (self.ending or self.waits):
            at = self._feed_piece(data, at)
        return data[at:]

    @property
    def waits(self) -> bool:
        """Whether a whole request is under way, so that the next one has to wait."""
        return self._open > (1 if self.in_message else 0)

    def _feed_piece(self, data: bytes, at: int) -> int:
        """Where the next piece begins."""
        piece = data[at : at + _PIECE_BYTES]
        self._fresh = not self.in_message
        self._quiet = True
        try:
            self.parser.feed_data(piece)
        except HttpParserUpgrade as upgrade:
            self._upgrade(data[at + upgrade.args[0] :])
            return len(data)
        except HttpParserError:
            too_large = self._fields > HEADERS_MAX or self._field_bytes > HEAD_BYTES_MAX
            self._refuse(_head_too_large() if too_large else unreadable_request())
        else:
            if self.in_message and self._quiet:
                self._quiet_bytes += len(piece)
                if self._quiet_bytes > HEAD_BYTES_MAX:
                    self._refuse(_head_too_large())
        return at + len(piece)

    def _upgrade(self, rest: bytes) -> None:
        """Another protocol was asked for, and the parser has stopped at the end of the head."""
        self.ending = True
        if not self._should_upgrade():  # answered as any request, and the last
            if self.in_cycle:
                self.cycle.keep_alive = False
            return
        self._frames = rest
        if self._open:
            self.flow.hold()
        else:
            self.handle_websocket_upgrade()

    def handle_websocket_upgrade(self) -> None:
        """Hand the transport over, and what came behind the handshake."""
        problem = handshake_problem(self.scope["method"], self.scope["http_version"], self.url, self.headers)
        if problem is not None:
            self._end_with(problem)
            return
        frames = self._frames or b""
        self._frames = None
        self.sweep.leave(self)
        self.flow.release()
        self.connections.discard(self)
        self.ending = True
        head = [b"GET %b HTTP/1.1\r\n" % self.url]
        head += [b"%b: %b\r\n" % header for header in self.headers]
        protocol: Any = self.config.ws_protocol_class(  # type: ignore[misc, call-arg]  # it is DirectSocket
            config=self.config, server_state=self.server_state, app_state=self.app_state
        )
        protocol.sweep = self.sweep
        protocol.connection_made(self.transport)
        self.transport.set_protocol(protocol)
        if self.flow.write_paused:
            protocol.pause_writing()
        protocol.begin(b"%b\r\n" % b"".join(head), frames + self.take_held())

    def take_held(self) -> bytes:
        """What came behind the request that is under way, if anything holds it."""
        return b""

    # What uvicorn's parser finds.

    def on_message_begin(self) -> None:
        self.in_message = self._in_head = True
        self.since = self.loop.time()
        self._quiet, self._fresh = self._fresh, False
        self._quiet_bytes = self._field_bytes = self._fields = 0
        self._keyless = False
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        self._count(len(name) + len(value) + _FIELD_BYTES)
        if self._in_head:  # trailers are nobody's
            super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._field_bytes += size
        if self._field_bytes > HEAD_BYTES_MAX or self._fields > HEADERS_MAX:
            raise _HeadTooLarge

    def on_headers_complete(self) -> None:
        self._quiet = False
        self._quiet_bytes = 0
        cycle: Any = self.cycle
        transport = self.transport
        self.transport = self._polite  # what the request's answer is written to
        try:
            super().on_headers_complete()
        finally:
            self.transport = transport
        self._in_head = False
        if self.cycle is cycle:  # a handshake
            return
        self._open += 1
        size = self._announced()
        if size and not self._has_key():
            self._keyless = True
            self._kept_alive = self.cycle.keep_alive
            self.cycle.keep_alive = self._kept_alive and size <= UNKNOWN_BYTES_MAX

    def _announced(self) -> float:
        """Bytes of the body that the head announces; without end where it is chunked."""
        for name, value in self.headers:
            if name == b"content-length":
                return int(value)
            if name == b"transfer-encoding":
                return math.inf
        return 0

    def _has_key(self) -> bool:
        for name, value in self.headers:
            if name == b"authorization":
                return self.keys.of_header(value) is not None
        return False

    def on_body(self, body: bytes) -> None:
        self._quiet = False
        self._quiet_bytes = 0
        if not self._keyless:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self.in_message = False
        self.since = 0.0
        if self._keyless and not self.cycle.response_started:
            self.cycle.keep_alive = self._kept_alive
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._open -= 1
        super().on_response_complete()
        self._unset_keepalive_if_required()  # idle connections are found by the sweep
        self.active = self.loop.time()
        if not self.transport.is_closing():
            self.loop.call_soon(self.go_on)

    def go_on(self) -> None:
        """A request is answered: what waits for that is next."""
        if self.transport.is_closing() or self._open:
            return
        if self._last_word is not None:
            self._end_with(self._last_word)
        elif self._frames is not None:
            self.handle_websocket_upgrade()

    # What the sweep finds.

    @property
    def in_cycle(self) -> bool:
        """Whether uvicorn has a request under way; its types do not say that there may be none yet."""
        cycle: Any = self.cycle
        return cycle is not None and not cycle.response_complete

    @property
    def busy(self) -> bool:
        """Whether the next thing to happen is up to this side."""
        return self.in_cycle

    def look(self, now: float) -> None:
        """Act on what is overdue."""
        if self.transport.is_closing() or self.flow.write_paused:
            if self._unread.seconds(self.transport, now) > UNREAD_SECONDS_MAX:
                self.transport.abort()
        elif self.since:
            self._look_whether_sent(now)
        elif not self.busy and now - self.active > self._idle_seconds_max:
            self.transport.close()

    @property
    def _idle_seconds_max(self) -> float:
        return self.timeout_keep_alive if self.active > self._opened else HEAD_SECONDS_MAX

    def _look_whether_sent(self, now: float) -> None:
        behind_another = self._in_head and self.in_cycle  # its time begins when that one is answered
        if behind_another or self.flow.read_paused:
            self.since = now
        elif now - self.since > (HEAD_SECONDS_MAX if self._in_head else BODY_SECONDS_MAX):
            self._refuse(request_timeout())

    # What is wrong.

    def _refuse(self, problem: Problem) -> None:
        """Read nothing more; say why when what came whole before it is answered."""
        self.ending = True
        self.since = 0.0
        if not self.in_message or self._in_head:  # a head: it has no turn among the others yet
            if not self._open:
                self._end_with(problem)
                return
        elif self.pipeline:  # a body: its request, the newest, was not begun
            self.pipeline.popleft()
            self._open -= 1
        else:
            self._end_with(problem)
            return
        self._last_word = problem
        self.flow.hold()

    def _end_with(self, problem: Problem) -> None:
        """Say what is wrong, unless an answer has begun already, and close."""
        cycle: Any = self.cycle if self.in_cycle and not self._last_word else None
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        if cycle is None or not cycle.response_started:
            self._say(problem)
        self.linger()

    def _say(self, problem: Problem) -> None:
        body = problem.body()
        headers = {"connection": "close", **problem.headers, "content-length": str(len(body))}
        lines = [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
        lines += [b"%b: %b\r\n" % header for header in self.server_state.default_headers]
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[problem.status], b"".join(lines), body))

    def linger(self) -> None:
        """Close, but let the client read first what it was told, even if it is still sending."""
        self.ending = True
        self.take_held()
        if not self.transport.is_closing():
            self.sweep.leave(self)
            lingering = LingeringConnection(self, self.transport, self.loop)
            self.flow.release()
            self.transport.set_protocol(lingering)
            self.sweep.join(lingering)
            self.transport.write_eof()

    # The end.

    def shutdown(self) -> None:
        """The server stops: what is under way is answered, within `STOP_SECONDS_MAX`."""
        self.loop.call_later(STOP_SECONDS_MAX, self.transport.abort)
        if self._last_word is not None or self._frames is not None:  # it ends when its turn comes
            self._frames = None
            self._last_word = self._last_word or overloaded()
        else:
            super().shutdown()


def _head_too_large() -> Problem:
    return header_fields_too_large(
        f"a request's head may have at most {HEAD_BYTES_MAX} bytes and {HEADERS_MAX} headers"
    )
