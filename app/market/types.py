"""What a market feed delivers, whatever its source."""

from enum import IntEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class LevelKind(IntEnum):
    SET = 0  # the displayed quantity at this price is now `quantity`; 0 removes the level
    CLEAR = 1  # forget both sides of this symbol: a snapshot follows


# One change of displayed depth. Prices in ticks, quantities in steps, as in `app.engine.records`.
LEVEL_UPDATE = np.dtype(
    [("price", "i8"), ("quantity", "i8"), ("symbol", "i4"), ("side", "u1"), ("kind", "u1")],
    align=True,
)


class MarketInstrument(Protocol):
    """What a feed needs to know of an instrument."""

    @property
    def index(self) -> int: ...

    @property
    def symbol(self) -> str: ...

    @property
    def base(self) -> str: ...

    @property
    def quote(self) -> str: ...

    @property
    def price_tick_e12(self) -> int: ...

    @property
    def quantity_step_e8(self) -> int: ...


class MarketSink(Protocol):
    """Where a feed delivers. All calls are made on the event loop's thread and return at once."""

    def on_levels(self, levels: NDArray[np.void]) -> None:
        """Displayed depth has changed; `LEVEL_UPDATE` records, of any symbols, in order."""

    def on_mark(self, symbol: int, mark: int) -> None:
        """The mark of a symbol (ticks) is known again; called even where it did not move."""

    def on_trade(self, symbol: int, price: int, quantity: int, ts: int) -> None:
        """A trade of the outside market: ticks, steps, microseconds."""


class Feed(Protocol):
    name: str

    async def run(self, sink: MarketSink) -> None:
        """Deliver until cancelled or at the end of what there is."""
