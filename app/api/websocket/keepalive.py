"""Keepalive: periodic pings, and the end of a peer that does not answer one in time."""

import asyncio
import secrets
from collections.abc import Callable

_PING_BYTES = 4


class Keepalive:
    """The pings of one connection, from `start` to `stop`.

    `send` writes a ping; `fail` is called if none is answered in time. While `is_behind`, the peer does not
    read, or its answer may be here unread: then neither is called, and time goes on.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        interval: float | None,
        timeout: float | None,
        *,
        send: Callable[[bytes], None],
        fail: Callable[[], None],
        is_behind: Callable[[], bool],
    ) -> None:
        self._loop = loop
        self._interval = interval
        self._timeout = timeout
        self._send = send
        self._fail = fail
        self._is_behind = is_behind
        self._timer: asyncio.TimerHandle | None = None  # until the next ping, or for the answer to the last
        self._payload = b""  # of the ping that is not answered
        self._sent = 0.0

    def start(self) -> None:
        if self._interval:
            self._timer = self._loop.call_later(self._interval, self._ping)

    def stop(self) -> None:
        self._payload = b""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def on_pong(self, payload: bytes) -> None:
        """Pongs that answer no ping of ours are ignored."""
        if self._payload and payload == self._payload and self._interval and self._timer is not None:
            self.stop()
            passed = self._loop.time() - self._sent
            self._timer = self._loop.call_later(max(0.0, self._interval - passed), self._ping)

    def _ping(self) -> None:
        if self._is_behind():
            self.start()
            return
        self._payload = secrets.token_bytes(_PING_BYTES)
        self._sent = self._loop.time()
        self._send(self._payload)
        if self._timeout is None:
            self.start()
        else:
            self._timer = self._loop.call_later(self._timeout, self._overdue)

    def _overdue(self) -> None:
        self._payload = b""
        if self._is_behind():
            self.start()
        else:
            self._timer = None
            self._fail()
