"""Level batch: changes of displayed depth, collected until they are passed to the sink."""

import struct
from itertools import starmap

import numpy as np
from numpy.typing import NDArray

from app.market.types import LEVEL_UPDATE, LevelKind

# The layout of LEVEL_UPDATE: packing into bytes is several times faster than into records.
_PACK = struct.Struct("=qqiBB2x").pack
assert struct.calcsize("=qqiBB2x") == LEVEL_UPDATE.itemsize

SET, CLEAR = int(LevelKind.SET), int(LevelKind.CLEAR)

# The fields of LEVEL_UPDATE: price, quantity, symbol, side, kind.
LevelChange = tuple[int, int, int, int, int]


class LevelBatch(list[LevelChange]):
    """A list, so that adding a change costs next to nothing."""

    def add_clear(self, symbol: int) -> None:
        self.append((0, 0, symbol, 0, CLEAR))

    def take(self) -> NDArray[np.void]:
        """The changes so far as LEVEL_UPDATE records of their own; the batch begins anew."""
        records = np.frombuffer(bytearray(b"".join(starmap(_PACK, self))), dtype=LEVEL_UPDATE)
        self.clear()
        return records
