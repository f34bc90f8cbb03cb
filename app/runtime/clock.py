"""Clock: timestamps in microseconds since the epoch that never go backwards."""

import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> int:
        """Microseconds since the epoch; never less than the value before."""


class SystemClock:
    """The machine's clock; it stands still while the machine's clock is set back."""

    __slots__ = ("_last",)

    def __init__(self, not_before: int = 0) -> None:
        self._last = not_before

    def not_before(self, ts: int) -> None:
        """Go on from the time of the newest journaled command, so times stay in order across a restart."""
        self._last = max(self._last, ts)

    def now(self) -> int:
        now = time.time_ns() // 1_000
        if now > self._last:
            self._last = now
        return self._last


class VirtualClock:
    """A clock that moves only when it is advanced; for simulation and tests."""

    __slots__ = ("_now",)

    def __init__(self, now: int = 0) -> None:
        self._now = now

    def now(self) -> int:
        return self._now

    def set(self, now: int) -> None:
        if now < self._now:
            raise ValueError(f"a clock cannot go back from {self._now} to {now}")
        self._now = now

    def advance(self, microseconds: int) -> None:
        self.set(self._now + microseconds)
