"""Conflation of displayed depth: a reader who is behind gets only what counts now."""

import numpy as np
from numpy.typing import NDArray

from app.market.types import LevelKind


def newest_levels(levels: NDArray[np.void]) -> NDArray[np.void]:
    """Of LEVEL_UPDATE records the last of each price, in order, from the last CLEAR of its symbol on.

    The result is no longer than the displayed books are deep, however long the reader waits.
    """
    kept: dict[tuple[int, int, int, int], int] = {}
    for index, (price, _, symbol, side, kind) in enumerate(levels.tolist()):
        if kind == LevelKind.CLEAR:
            kept = {key: at for key, at in kept.items() if key[0] != symbol}
            kept[symbol, 0, 0, int(kind)] = index
        else:
            key = (symbol, side, price, int(kind))
            kept.pop(key, None)
            kept[key] = index
    return levels[list(kept.values())]
