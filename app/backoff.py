"""Backoff: the wait before the next try."""

import random


class Backoff:
    """Doubles from `first_seconds` to `seconds_max`; each wait is drawn from the upper half.

    So clients that lost the same server at the same moment do not all return at the same moment.
    """

    def __init__(self, first_seconds: float, seconds_max: float, rng: random.Random | None = None) -> None:
        if not 0 < first_seconds <= seconds_max:
            raise ValueError(f"a first wait of {first_seconds} s up to {seconds_max} s is not possible")
        self._first = first_seconds
        self._max = seconds_max
        # Of its own: whoever seeds or watches the global one, as tests do, is not disturbed.
        self._rng = rng or random.Random()  # noqa: S311  # spreads waits, keeps no secret
        self.failures = 0  # in a row

    def reset(self) -> None:
        self.failures = 0

    def next_seconds(self) -> float:
        """Count a failure; returns how long to wait now."""
        # Beyond 2**32 the longest wait has long been reached.
        seconds = min(self._max, self._first * 2.0 ** min(self.failures, 32))
        self.failures += 1
        return seconds * self._rng.uniform(0.5, 1.0)
