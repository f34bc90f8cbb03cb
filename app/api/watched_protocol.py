"""HTTP/1.1 connections with deadlines: who sends half a request, or reads nothing, is not waited for.

uvicorn waits for the rest of a head or a body for ever. Here one sweep for all
connections looks at a part of them every fifty milliseconds, at each about once a
second, so that a request costs no timer. Connections are bounded in number, those
that have become WebSockets included.
"""

import asyncio
import resource
from collections.abc import Iterator
from itertools import islice
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.api.errors import Problem, overloaded, request_timeout

CONNECTIONS_MAX = 4_096
_OTHER_FILES = 512  # of this process: journal, database, cache, feed

# From the first byte of a request, or from the opening of a connection, to the end of the head.
HEAD_SECONDS_MAX = 10.0
# To the end of the body.
BODY_SECONDS_MAX = 30.0
# An answer of which nothing more is read for so long is given up.
UNREAD_SECONDS_MAX = 30.0

_ROUND_SECONDS = 1.0
_PARTS = 20


def allowed_connections() -> int:
    """How many connections there may be: fewer where the system allows the process fewer files."""
    wanted = CONNECTIONS_MAX + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    else:
        soft = wanted
    return max(soft - _OTHER_FILES, 1)


class ConnectionSweep:
    """The connections of a server, looked at in turns; nothing is done where there are none."""

    def __init__(self, connections_max: int) -> None:
        self.connections_max = connections_max
        self._connections: set[WatchedProtocol] = set()
        self._round: Iterator[WatchedProtocol] = iter(())
        self._timer: asyncio.TimerHandle | None = None

    def join(self, connection: "WatchedProtocol") -> None:
        self._connections.add(connection)
        if self._timer is None:
            self._timer = connection.loop.call_later(_ROUND_SECONDS / _PARTS, self._look, connection.loop)

    def leave(self, connection: "WatchedProtocol") -> None:
        self._connections.discard(connection)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        if not self._connections:
            self._round = iter(())
            return
        now = loop.time()
        part = list(islice(self._round, -(-len(self._connections) // _PARTS)))
        if not part:
            self._round = iter(list(self._connections))
        for connection in part:
            if connection in self._connections:
                connection.look(now)
        self._timer = loop.call_later(_ROUND_SECONDS / _PARTS, self._look, loop)


class WatchedProtocol(HttpToolsProtocol):
    """`sweep` is that of the server. Times are the event loop's.

    `since`: when a request was begun of which the rest is still to come, else 0. `active`: when the
    connection was opened, or something was answered last. `in_message`: uvicorn's parser has begun a
    message and waits for the rest of it.
    """

    sweep: ConnectionSweep

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.since = 0.0
        self.active = 0.0
        self.in_message = False
        self._in_head = False
        self._opened = 0.0
        self._unread = (0, 0.0)  # bytes of answers, and since when there are so many

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn
        super().connection_made(transport)
        self.active = self._opened = self.loop.time()
        self.sweep.join(self)
        if len(self.connections) > self.sweep.connections_max:
            self._end_with(overloaded())

    def connection_lost(self, exc: Exception | None) -> None:
        self.sweep.leave(self)
        super().connection_lost(exc)

    def handle_websocket_upgrade(self) -> None:
        self.sweep.leave(self)
        super().handle_websocket_upgrade()

    # What uvicorn's parser finds.

    def on_message_begin(self) -> None:
        self.in_message = self._in_head = True
        self.since = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.in_message = False
        self.since = 0.0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._unset_keepalive_if_required()  # idle connections are found by the sweep
        self.active = self.loop.time()

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
            self._look_whether_read(now)
        elif self.since:
            self._look_whether_sent(now)
        elif not self.busy and now - self.active > self._idle_seconds_max:
            self.transport.close()

    @property
    def _idle_seconds_max(self) -> float:
        return self.timeout_keep_alive if self.active > self._opened else HEAD_SECONDS_MAX

    def _look_whether_read(self, now: float) -> None:
        unread, since = self._unread
        size = self.transport.get_write_buffer_size()
        if size != unread:
            self._unread = size, now
        elif size and now - since > UNREAD_SECONDS_MAX:
            self.transport.abort()

    def _look_whether_sent(self, now: float) -> None:
        behind_another = self._in_head and self.in_cycle  # its time begins when that one is answered
        if behind_another or self.flow.read_paused:
            self.since = now
        elif now - self.since > (HEAD_SECONDS_MAX if self._in_head else BODY_SECONDS_MAX):
            self._end_with(request_timeout())

    def _end_with(self, problem: Problem) -> None:
        """Say what is wrong, unless an answer has begun already, and close."""
        cycle: Any = self.cycle if self.in_cycle else None
        if cycle is not None:
            cycle.disconnected = True
            cycle.message_event.set()
        if not self.pipeline and not (cycle is not None and cycle.response_started):
            body = problem.body()
            headers = {**problem.headers, "connection": "close", "content-length": str(len(body))}
            lines = [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
            lines += [b"%b: %b\r\n" % header for header in self.server_state.default_headers]
            self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[problem.status], b"".join(lines), body))
        self.transport.close()
