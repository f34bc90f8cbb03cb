"""Pings in turns, with a clock that is wound by hand."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from app.api.websocket.keepalive import Keepalive

INTERVAL, TIMEOUT = 20.0, 5.0


class Timer:
    def __init__(self, due: float, call: Callable[[], None]) -> None:
        self.due = due
        self.call = call
        self.canceled = False

    def cancel(self) -> None:
        self.canceled = True


class Watch:
    """A loop's timers, and what its keepalive does."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[Timer] = []
        self.pings: list[bytes] = []
        self.failed = 0
        self.behind = False
        loop = cast(asyncio.AbstractEventLoop, self)
        self.keepalive = Keepalive(
            loop, INTERVAL, TIMEOUT, send=self.pings.append, fail=self.fail, is_behind=lambda: self.behind
        )
        self.keepalive.start()

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, call: Callable[[], None], *_arguments: Any) -> Timer:
        self.timers.append(Timer(self.now + seconds, call))
        return self.timers[-1]

    def fail(self) -> None:
        self.failed += 1

    def wait(self, seconds: float) -> None:
        """Everything that is due meanwhile."""
        end = self.now + seconds
        while due := [timer for timer in self.timers if timer.due <= end and not timer.canceled]:
            first = min(due, key=lambda timer: timer.due)
            self.timers.remove(first)
            self.now = first.due
            first.call()
        self.now = end

    @property
    def pending(self) -> int:
        return sum(not timer.canceled for timer in self.timers)


def test_who_answers_is_asked_again() -> None:
    watch = Watch()
    watch.wait(INTERVAL)
    assert len(watch.pings) == 1 and watch.pending == 1
    watch.wait(1)
    watch.keepalive.on_pong(watch.pings[0])
    watch.wait(INTERVAL - 1)
    assert len(set(watch.pings)) == 2, "from ping to ping"
    assert not watch.failed


def test_who_does_not_answer_fails_once() -> None:
    watch = Watch()
    watch.wait(INTERVAL)
    watch.keepalive.on_pong(b"another")
    watch.wait(10 * INTERVAL)
    assert (len(watch.pings), watch.failed, watch.pending) == (1, 1, 0)


def test_an_answer_to_no_ping_starts_nothing() -> None:
    watch = Watch()
    watch.keepalive.on_pong(b"")
    watch.keepalive.on_pong(b"0123")
    assert watch.pending == 1


def test_who_is_behind_is_neither_asked_nor_failed() -> None:
    watch = Watch()
    watch.wait(INTERVAL)
    watch.behind = True
    watch.wait(5 * INTERVAL)
    assert (len(watch.pings), watch.failed) == (1, 0)
    watch.behind = False
    watch.wait(INTERVAL + TIMEOUT)
    assert (len(watch.pings), watch.failed) == (2, 1)


def test_it_stops() -> None:
    watch = Watch()
    watch.keepalive.stop()
    watch.wait(INTERVAL)
    assert not watch.pings and not watch.pending
