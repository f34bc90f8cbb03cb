"""Contents protocol: what the hub asks of those who know how things are shown, as JSON, item by item."""

from collections.abc import Collection, Hashable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.codec.stream_json import Written
from app.documents.raw_events import RawEvent
from app.market.types import Candle


class Contents(Protocol):
    """Items are JSON documents. `account` and `symbol` are the engine's numbers, -1 for all.

    Iterators hold copies: they show the moment at which they were asked for, however long they are read.
    """

    def write(self, events: bytes, wanted: NDArray[np.uint8]) -> Written:
        """Orders and fills of at most BLOCK_EVENTS events at once, for accounts that are `wanted`.

        What is not written there is for `order` and `fill` to tell.
        """

    def order(self, event: RawEvent) -> bytes | None:
        """The order that an event of ORDER_KINDS shows; None where it has not changed."""

    def fill(self, event: RawEvent) -> bytes:
        """The execution of an ORDER_FILLED event."""

    def note(self, event: RawEvent) -> None:
        """A NOTE_RECORDED: `risk` of an event soon after may have to quote it."""

    def risk(self, event: RawEvent, *, shows_shared: bool) -> bytes | None:
        """What an event says about limits and states; None where it says nothing.

        `shows_shared`: with the numbers of scopes that more than one account is in.
        """

    def open_orders(self, account: int) -> Iterator[bytes]:
        """Raises SnapshotTooLarge."""

    def recent_fills(self, account: int) -> Iterator[bytes]: ...

    def risk_state(self, account: int) -> Iterator[bytes]:
        """Raises SnapshotTooLarge."""

    def risk_measures(self, accounts: Collection[int]) -> dict[int, list[bytes]]:
        """What is measured of each, not told by events; EVERY_INDEX is the firm."""

    def held_positions(self, account: int) -> list[tuple[int, int]]:
        """(account, symbol) of all that is worth showing."""

    def position(self, account: int, symbol: int) -> bytes: ...

    def holders(self, symbol: int) -> list[int]:
        """Accounts with a position in the symbol."""

    def accounts(self) -> int:
        """How many there are."""

    def account(self, account: int) -> bytes: ...

    def symbols(self) -> int: ...

    def book(self, symbol: int) -> bytes: ...

    def system(self) -> bytes: ...

    def mark(self, symbol: int) -> bytes:
        """Prices of the market outside."""

    def trade(self, symbol: int, price: int, quantity: int, ts: int) -> bytes: ...

    def candle(self, candle: Candle) -> bytes: ...

    def recent_trades(self, symbol: int) -> list[tuple[Hashable, bytes]]:
        """Each under a name of its own, oldest first."""

    def recent_candles(self, symbol: int, interval: str) -> list[tuple[Hashable, bytes]]:
        """By their start."""
