"""HTTP/1.1 connections with bounds: in time, in what is kept, and in what is done at once.

A connection has a parser (`app.api.http.request_parser`), and for each request one of
uvicorn's cycles, which lets an ASGI application answer it. Its rules:

1. The parser gets a connection's bytes in pieces, and none beyond the request that is
   under way: what follows waits with whoever feeds it (`feed` gives it back).
2. A head of more than `HEAD_BYTES_MAX` or `HEADERS_MAX` is answered with 431.
3. A body is kept only where the head has a valid key. Else it is dropped as it comes,
   and where it is long an answer that goes out before its end ends the connection.
4. What cannot be read has its answer in its turn: requests before it are answered
   first. A body that breaks off takes its own request's turn, which has had no effect:
   the application acts on whole bodies only.
5. A handshake in its turn becomes a `app.api.websocket.connection`, or is refused.
6. Deadlines are kept by the sweep of all connections (`app.api.http.sweep`).

Its states, of which only OPEN feeds the parser:

    OPEN       reads and answers requests
    ANSWERING  answers a request itself (`app.api.http.order_connection`)
    LAST       answers what is under way, then closes
    REFUSING   answers what is under way, then says what is wrong and closes
    UPGRADING  answers what is under way, then takes the handshake behind it
    ENDED      closes, or another protocol has the transport

    OPEN <-> ANSWERING            a request is recognised; it is answered
    OPEN, ANSWERING -> LAST       the client, or a server that stops, asks for no more requests
    OPEN -> REFUSING, UPGRADING   something cannot be read or is late; a handshake: behind others
    UPGRADING -> REFUSING         the server stops
    any -> ENDED                  its turn has come, or the peer is gone
"""

import asyncio
import logging
from collections import deque
from enum import Enum, auto
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl
from uvicorn.server import ServerState

from app.api.auth import KeyStore
from app.api.http.asgi import request_scope
from app.api.http.flow import Flow
from app.api.http.lingering import LingeringConnection, PoliteTransport, last_response
from app.api.http.request_parser import ProtocolChange, RequestHead, RequestParser, Stage, UnreadableRequest
from app.api.http.sweep import ConnectionSweep, UnreadWatch
from app.api.websocket.handshake_rules import handshake_problem
from app.documents.problems import Problem, overloaded, request_timeout

# From the first byte of a request, or from the opening of a connection, to the end of the head.
HEAD_SECONDS_MAX = 10.0
# To the end of the body.
BODY_SECONDS_MAX = 30.0
# An answer of which nothing more is read for this long is given up.
UNREAD_SECONDS_MAX = 30.0
# For what is under way when the server stops.
STOP_SECONDS_MAX = 8.0

# A body without a valid key is passed over as it comes; one of more, or without a length, is not waited for.
UNKNOWN_BYTES_MAX = 16 << 10

logger = logging.getLogger("uvicorn.error")


class State(Enum):
    """See the module."""

    OPEN = auto()
    ANSWERING = auto()
    LAST = auto()
    REFUSING = auto()
    UPGRADING = auto()
    ENDED = auto()


class HttpConnection(asyncio.Protocol):
    """`sweep` and `keys` are those of the server. Times are the event loop's.

    `since`: when a request was begun of which the rest is still to come, else 0. `active`: when the
    connection was opened, or something was answered last. `cycle`: of the newest request; `pipeline`:
    of those that wait for their turn, the newest first.
    """

    sweep: ConnectionSweep
    keys: KeyStore
    transport: asyncio.Transport
    flow: Flow
    _head: RequestHead  # of the newest request, once it is read
    _last_word: Problem  # where the state is REFUSING

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = _loop or asyncio.get_running_loop()
        self.config = config
        self.server_state = server_state
        self.app_state = app_state
        self.timeout_keep_alive: float = config.timeout_keep_alive
        self.state = State.OPEN
        self.parser = RequestParser(self)
        self.cycle: RequestResponseCycle | None = None
        self.pipeline: deque[RequestResponseCycle] = deque()
        self.since = 0.0
        self.active = 0.0
        self._opened = 0.0
        self._unread = UnreadWatch()
        self._unanswered = 0  # requests that are begun or in turn
        self._drops_content = False  # of the newest request: its key is not valid
        self._frames = b""  # behind a handshake that waits for its turn

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.server_state.connections.add(self)  # type: ignore[arg-type]  # it asks for `shutdown` alone
        self.transport = transport  # type: ignore[assignment]  # uvloop's are no subclasses
        self.flow = Flow(self.transport)
        self._polite: Any = PoliteTransport(self)
        self._addresses = {
            "server": get_local_addr(self.transport),
            "client": get_remote_addr(self.transport),
            "scheme": "https" if is_ssl(self.transport) else "http",
        }
        self.active = self._opened = self.loop.time()
        self.sweep.join(self)
        if len(self.server_state.connections) > self.sweep.connections_max:
            self.state = State.ENDED
            self._say(overloaded())
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.state = State.ENDED
        self.sweep.leave(self)
        self.server_state.connections.discard(self)
        if self.cycle is not None:
            self.cycle.disconnected = self.cycle.disconnected or not self.cycle.response_complete
            self.cycle.message_event.set()
        self.flow.resume_writing()
        if exc is None:
            self.transport.close()

    def pause_writing(self) -> None:
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        self.flow.resume_writing()

    # Incoming.

    def feed(self, data: bytes) -> bytes:
        """Give the parser the bytes of the current request; returns those that are not read yet."""
        at = 0
        while at < len(data) and self.state is State.OPEN and not self.waits:
            try:
                at = self.parser.feed(data, at)
            except ProtocolChange as change:
                self._change_protocol(data[change.at :])
                return b""
            except UnreadableRequest as error:
                self._refuse(error.problem)
        return data[at:]

    @property
    def waits(self) -> bool:
        """Whether a whole request is under way, so that the next one has to wait."""
        return self._unanswered > (1 if self.parser.in_request else 0)

    def _change_protocol(self, rest: bytes) -> None:
        """The parser has stopped at the end of the head."""
        if not self._head.is_handshake:  # answered as any request, and the last
            self.state = State.LAST
            if self.cycle is not None and self.in_cycle:
                self.cycle.keep_alive = False
            return
        self.state = State.UPGRADING
        self._frames = rest
        if self._unanswered:
            self.flow.hold()
        else:
            self._upgrade()

    def _upgrade(self) -> None:
        """Hand the transport over, with the bytes after the handshake."""
        head, frames = self._head, self._frames + self.take_held()
        problem = handshake_problem(head.method, head.http_version, head.target, head.headers)
        if problem is not None:
            self._end_with(problem)
            return
        self.state = State.ENDED
        self._frames = b""
        self.sweep.leave(self)
        self.flow.release()
        self.server_state.connections.discard(self)
        protocol: Any = self.config.ws_protocol_class(  # type: ignore[misc, call-arg]  # it is WebSocketConnection
            config=self.config, server_state=self.server_state, app_state=self.app_state
        )
        protocol.sweep = self.sweep
        protocol.connection_made(self.transport)
        self.transport.set_protocol(protocol)
        if self.flow.write_paused:
            protocol.pause_writing()
        protocol.begin(head, frames)

    def take_held(self) -> bytes:
        """The held bytes after the current request, if any."""
        return b""

    # Called by the parser.

    def request_begun(self) -> None:
        self.since = self.loop.time()
        self._drops_content = False

    def head_read(self, head: RequestHead) -> None:
        self._head = head
        if head.is_handshake:
            return
        self._begin_cycle(head)
        self._unanswered += 1

    def _begin_cycle(self, head: RequestHead) -> None:
        """Start a request, or let it wait behind earlier ones. Raises if its target is invalid."""
        scope: Any = request_scope(head, self._addresses, self.app_state)
        size = head.content_bytes
        self._drops_content = size > 0 and not self._has_key(head)
        is_waited_for = not self._drops_content or size <= UNKNOWN_BYTES_MAX
        waits = self.in_cycle
        self.cycle = RequestResponseCycle(
            scope=scope,
            transport=self._polite,
            flow=self.flow,
            logger=logger,
            access_logger=logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=(head.header(b"expect") or b"").lower() == b"100-continue",
            keep_alive=head.keeps_alive and is_waited_for,
            on_response=self.response_sent,
        )
        if waits:
            self.flow.pause_reading()
            self.pipeline.appendleft(self.cycle)
        else:
            self._start(self.cycle)

    def _start(self, cycle: RequestResponseCycle) -> None:
        task = self.loop.create_task(cycle.run_asgi(self.config.loaded_app))
        task.add_done_callback(self.server_state.tasks.discard)
        self.server_state.tasks.add(task)

    def _has_key(self, head: RequestHead) -> bool:
        return self.keys.of_header(head.header(b"authorization") or b"") is not None

    @property
    def _receiving(self) -> RequestResponseCycle | None:
        """The cycle that receives the content, unless it has answered without it."""
        if self._head.is_handshake or self.cycle is None or self.cycle.response_complete:
            return None
        return self.cycle

    def content_read(self, content: bytes) -> None:
        cycle = self._receiving
        if cycle is None or self._drops_content:
            return
        cycle.body += content
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def request_read(self) -> None:
        self.since = 0.0
        cycle = self._receiving
        if cycle is None:
            return
        if self._drops_content and not cycle.response_started:
            cycle.keep_alive = self._head.keeps_alive
        cycle.more_body = False
        cycle.message_event.set()

    # Outgoing.

    def response_sent(self) -> None:
        self._unanswered -= 1
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start(self.pipeline.pop())
        self.active = self.loop.time()
        self.loop.call_soon(self.go_on)

    def go_on(self) -> None:
        """A request is answered: continue with what waits for that."""
        if self.transport.is_closing() or self._unanswered:
            return
        if self.state is State.REFUSING:
            self._end_with(self._last_word)
        elif self.state is State.UPGRADING:
            self._upgrade()

    # Called by the sweep.

    @property
    def in_cycle(self) -> bool:
        """Whether the application has a request under way."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def busy(self) -> bool:
        """Whether the next step is this side's."""
        return self.in_cycle

    def check_deadlines(self, now: float) -> None:
        """Enforce the deadlines."""
        if self.transport.is_closing() or self.flow.write_paused:
            if self._unread.seconds(self.transport, now) > UNREAD_SECONDS_MAX:
                self.transport.abort()
        elif self.since:
            self._check_whether_sent(now)
        elif not self.busy:
            seconds_max = self.timeout_keep_alive if self.active > self._opened else HEAD_SECONDS_MAX
            if now - self.active > seconds_max:
                self.transport.close()

    def _check_whether_sent(self, now: float) -> None:
        in_head = self.parser.stage is Stage.HEAD
        behind_another = in_head and self.in_cycle  # its time begins when that one is answered
        if behind_another or self.flow.read_paused:
            self.since = now
        elif now - self.since > (HEAD_SECONDS_MAX if in_head else BODY_SECONDS_MAX):
            self._refuse(request_timeout())

    # Errors.

    def _refuse(self, problem: Problem) -> None:
        """Read nothing more; report the error when whole requests before it are answered."""
        self.since = 0.0
        if self._has_turn and self.pipeline:  # its request, the newest, was not begun
            self.pipeline.popleft()
            self._unanswered -= 1
        elif self._has_turn or not self._unanswered:
            self._end_with(problem)
            return
        self.state = State.REFUSING
        self._last_word = problem
        self.flow.hold()

    @property
    def _has_turn(self) -> bool:
        """Whether the newest request has a place among the others: only once its head is read."""
        return self.parser.stage is Stage.BODY and not self._head.is_handshake

    def _end_with(self, problem: Problem) -> None:
        """Report the error, unless an answer has begun already, and close."""
        cycle = None if self.state is State.REFUSING or not self.in_cycle else self.cycle
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        if cycle is None or not cycle.response_started:
            self._say(problem)
        self.linger()

    def _say(self, problem: Problem) -> None:
        self.transport.write(last_response(problem, self.server_state.default_headers))

    def linger(self) -> None:
        """Close, but let the client read the answer first, even if it is still sending."""
        self.state = State.ENDED
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
        """The server stops: requests under way are answered, within `STOP_SECONDS_MAX`."""
        self.loop.call_later(STOP_SECONDS_MAX, self.transport.abort)
        if self.state is State.UPGRADING:
            self.state = State.REFUSING
            self._last_word = overloaded()
        elif self.state is State.REFUSING:  # it ends when its turn comes
            return
        elif self.cycle is not None and self.in_cycle:
            self.cycle.keep_alive = False
        else:
            self.transport.close()
