"""Market inbox: displayed depth and marks that wait for the next tick.

Depth enters with the next tick, every change of it as long as there is room. Marks are conflated:
the newest of each symbol enters, and only once marks are released.
"""

import numpy as np
from numpy.typing import NDArray

from app.market.conflation import newest_levels
from app.market.types import LEVEL_UPDATE

PENDING_LEVELS_MAX = 1 << 16


class MarketInbox:
    """Nothing is refused here: market data cannot be requested again.

    `due`: something waits for the next tick.
    """

    def __init__(self) -> None:
        self.due = False
        self._levels: list[NDArray[np.void]] = []
        self._level_count = 0
        self._marks: dict[int, int] = {}
        self._marks_released = False

    def add_levels(self, levels: NDArray[np.void]) -> bool:
        """Add a copy of LEVEL_UPDATE records; returns whether the inbox is full."""
        self._levels.append(np.frombuffer(bytearray(levels.tobytes()), LEVEL_UPDATE))
        self._level_count += len(levels)
        self.due = True
        return self._level_count >= PENDING_LEVELS_MAX

    def conflate_levels(self) -> None:
        """Keep only the levels that still count."""
        self._levels = [newest_levels(np.concatenate(self._levels))]
        self._level_count = len(self._levels[0])

    def add_mark(self, symbol: int, mark: int) -> None:
        """Keep the mark until marks are released, unless a newer one replaces it."""
        self._marks[symbol] = mark

    def release_marks(self) -> bool:
        """Let the marks that are waiting by then into the next tick; whether there are any."""
        if self._marks:
            self._marks_released = self.due = True
        return self._marks_released

    def take(self) -> tuple[list[NDArray[np.void]], dict[int, int]]:
        """All levels, in batches as they came; the newest mark of each symbol, if they have been released."""
        marks: dict[int, int] = {}
        if self._marks_released:
            marks, self._marks, self._marks_released = self._marks, {}, False
        levels, self._levels, self._level_count = self._levels, [], 0
        self.due = False
        return levels, marks
