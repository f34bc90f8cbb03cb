"""Sweep: all connections of a server checked in turns, so that overdue ones are found without a timer each.

One sweep checks a part of the connections every fifty milliseconds, each about once a second. A
connection is in it from its opening to its end, whatever its protocol.
"""

import asyncio
import logging
import resource
from collections.abc import Iterator
from itertools import islice
from typing import Protocol

CONNECTIONS_MAX = 4_096
# Files of this process beside connections: journal, database, cache, feed.
_OTHER_FILES = 512
_OTHER_FILES_MIN = 128

_ROUND_SECONDS = 1.0
_PARTS = 20

logger = logging.getLogger(__name__)


class TooFewFiles(OSError):
    """The system allows this process too few open files to accept connections."""


def allowed_connections() -> int:
    """How many connections there may be: fewer, with a warning, if the process may open fewer files.

    Raises:
        TooFewFiles: not even the files beside the connections may be open.
    """
    wanted = CONNECTIONS_MAX + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return connections_for(wanted if soft == resource.RLIM_INFINITY else soft)


def connections_for(files: int) -> int:
    """The connections of a process that may open this many files. Raises TooFewFiles."""
    if files >= CONNECTIONS_MAX + _OTHER_FILES:
        return CONNECTIONS_MAX
    if files < 2 * _OTHER_FILES_MIN:
        raise TooFewFiles(
            f"the system allows this process {files} open files, and it needs {2 * _OTHER_FILES_MIN} at the "
            f"least: raise the limit, `ulimit -n {CONNECTIONS_MAX + _OTHER_FILES}`"
        )
    allowed = files - min(_OTHER_FILES, files // 2)
    logger.warning(
        "the system allows this process %d open files: at most %d connections instead of %d; "
        "for all of them raise the limit, `ulimit -n %d`",
        *(files, allowed, CONNECTIONS_MAX, CONNECTIONS_MAX + _OTHER_FILES),
    )
    return allowed


class Swept(Protocol):
    """A connection. `loop`: its event loop."""

    loop: asyncio.AbstractEventLoop

    def check_deadlines(self, now: float) -> None:
        """Enforce deadlines; `now` is the event loop's time."""


class ConnectionSweep:
    """The connections of a server, checked in turns; nothing is done without connections."""

    def __init__(self, connections_max: int) -> None:
        self.connections_max = connections_max
        self._connections: set[Swept] = set()
        self._round: Iterator[Swept] = iter(())
        self._timer: asyncio.TimerHandle | None = None

    def join(self, connection: Swept) -> None:
        self._connections.add(connection)
        if self._timer is None:
            self._timer = connection.loop.call_later(
                _ROUND_SECONDS / _PARTS, self._check_some, connection.loop
            )

    def leave(self, connection: Swept) -> None:
        self._connections.discard(connection)

    def _check_some(self, loop: asyncio.AbstractEventLoop) -> None:
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
                connection.check_deadlines(now)
        self._timer = loop.call_later(_ROUND_SECONDS / _PARTS, self._check_some, loop)


class UnreadWatch:
    """Watches whether a peer reads: the bytes that wait in the transport, and since when this many."""

    __slots__ = ("_bytes", "_since")

    def __init__(self) -> None:
        self._bytes = 0
        self._since = 0.0

    def seconds(self, transport: asyncio.WriteTransport, now: float) -> float:
        """How long nothing of the waiting bytes was read; 0 if none wait."""
        size = transport.get_write_buffer_size()
        if size != self._bytes:
            self._bytes, self._since = size, now
        return now - self._since if size else 0.0
