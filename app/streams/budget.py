"""Budget of watchers: their share of the event loop's time. Orders come first."""

import time
from collections.abc import Callable

# The share of the loop's time, and how much of it may be spent at once after a pause.
SHARE = 0.07
BURST_SECONDS = 0.005
# However expensive it is, messages are sent by then: work that is put off is not saved.
WAIT_SECONDS_MAX = 0.02


class Budget:
    """A bucket of seconds that fills with a share of the time that passes."""

    __slots__ = ("_at", "_clock", "_seconds")

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._seconds = BURST_SECONDS
        self._at = clock()

    def spend(self, seconds: float) -> None:
        self._fill()
        self._seconds = max(self._seconds - seconds, -WAIT_SECONDS_MAX * SHARE)

    def wait_seconds(self) -> float:
        """Seconds until there is something to spend; 0 if there is now."""
        self._fill()
        return 0.0 if self._seconds > 0 else -self._seconds / SHARE

    def _fill(self) -> None:
        now = self._clock()
        self._seconds = min(self._seconds + (now - self._at) * SHARE, BURST_SECONDS)
        self._at = now
