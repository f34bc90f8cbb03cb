"""The market's inbox: displayed depth and marks that wait for the next tick.

Depth enters with the next tick, every change of it for as long as there is room. Marks
are conflated: the newest of each symbol, and only once they are released.
"""

import numpy as np
from numpy.typing import NDArray

from app.market.conflation import newest_levels
from app.market.types import LEVEL_UPDATE

PENDING_LEVELS_MAX = 1 << 16


class MarketInbox:
    """Nothing is refused here: what the market says cannot be asked for again."""

    def __init__(self) -> None:
        self._levels: list[NDArray[np.void]] = []
        self._level_count = 0
        self._marks: dict[int, int] = {}
        self._marks_due = False

    def is_due(self) -> bool:
        """Whether anything waits that is to enter with the next tick."""
        return self._marks_due or bool(self._levels)

    def add_levels(self, levels: NDArray[np.void]) -> bool:
        """Add a copy of LEVEL_UPDATE records; whether as many wait as there may be."""
        self._levels.append(np.frombuffer(bytearray(levels.tobytes()), LEVEL_UPDATE))
        self._level_count += len(levels)
        return self._level_count >= PENDING_LEVELS_MAX

    def conflate_levels(self) -> None:
        """Keep of all levels only what counts now."""
        self._levels = [newest_levels(np.concatenate(self._levels))]
        self._level_count = len(self._levels[0])

    def take_levels(self) -> list[NDArray[np.void]]:
        """All levels that wait, in batches as they came."""
        levels, self._levels, self._level_count = self._levels, [], 0
        return levels

    def add_mark(self, symbol: int, mark: int) -> None:
        """Keep the mark until it is released, unless a newer one comes."""
        self._marks[symbol] = mark

    def release_marks(self) -> bool:
        """Let the marks that there are, and what comes until then, into the next tick; whether any are."""
        if self._marks:
            self._marks_due = True
        return self._marks_due

    def take_marks(self) -> dict[int, int]:
        """The newest mark of each symbol, if marks have been released."""
        if not self._marks_due:
            return {}
        self._marks_due = False
        marks, self._marks = self._marks, {}
        return marks
