"""Backoff: the wait before the next try, longer each time and never the same for all clients."""

import random

FIRST_SECONDS = 0.1
SECONDS_MAX = 10.0


class Backoff:
    def __init__(self, first_seconds: float = FIRST_SECONDS, seconds_max: float = SECONDS_MAX) -> None:
        self._first = first_seconds
        self._max = seconds_max
        self._next = first_seconds

    def next(self) -> float:
        """Half of it is random, so that clients of a server that comes back do not all come at once."""
        seconds = self._next
        self._next = min(2 * seconds, self._max)
        return seconds * random.uniform(0.5, 1.0)  # noqa: S311  # no secret

    def reset(self) -> None:
        self._next = self._first
