"""Backoff: how long to wait before the next try."""

import random


class Backoff:
    """Doubles from `first_s` to `max_s`; each wait is drawn from the upper half.

    So those who lost the same server at the same moment do not come back at the same moment.
    """

    def __init__(self, first_s: float, max_s: float, rng: random.Random) -> None:
        if not 0 < first_s <= max_s:
            raise ValueError(f"a first wait of {first_s} s up to {max_s} s is not possible")
        self._first_s = first_s
        self._max_s = max_s
        self._rng = rng
        self.failures = 0  # in a row

    def reset(self) -> None:
        self.failures = 0

    def next_s(self) -> float:
        """Note a failure; how long to wait now."""
        # Beyond 2**32 the longest wait has long been reached.
        wait_s = min(self._max_s, self._first_s * 2 ** min(self.failures, 32))
        self.failures += 1
        return wait_s * self._rng.uniform(0.5, 1.0)
