"""Work that yields to orders: it runs while no order is on its way, or when it has waited long enough.

While a tick is being written the journal's thread needs the interpreter twice, to begin and to
report that it is done. A busy loop releases it only when it comes to rest, so any work done then
delays the order, however short its pieces.
"""

import asyncio
from collections.abc import Callable

from app.streams.budget import WAIT_SECONDS_MAX


class YieldToOrders:
    """One piece of `work`, scheduled repeatedly. `busy`: an order is on its way."""

    __slots__ = ("_busy", "_handle", "_latest", "_parked", "_work")

    def __init__(self, work: Callable[[], None], busy: Callable[[], bool]) -> None:
        self._work = work
        self._busy = busy
        self._handle: asyncio.Handle | None = None
        self._parked = False
        self._latest = 0.0

    @property
    def planned(self) -> bool:
        return self._handle is not None

    def begin(self) -> None:
        """From here on the work, in however many pieces, may be delayed by WAIT_SECONDS_MAX."""
        self._latest = asyncio.get_running_loop().time() + WAIT_SECONDS_MAX

    def plan(self, seconds: float = 0.0) -> None:
        """Do it in this many seconds, but not before the replies of now have been sent."""
        if self._handle is None:
            loop = asyncio.get_running_loop()
            self._handle = loop.call_later(seconds, self._try) if seconds else loop.call_soon(self.go_on)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._parked = False

    def passed(self) -> None:
        """A tick has been replied to."""
        if self._parked:
            self.cancel()
            self.plan()

    def go_on(self, seconds: float = 0.0) -> None:
        """Do it, or its next piece, in the next turn of the event loop, or in this many seconds.

        Replies of this turn are sent at its end.
        """
        self._handle = asyncio.get_running_loop().call_later(seconds, self._try)

    def _try(self) -> None:
        loop = asyncio.get_running_loop()
        left = self._latest - loop.time()
        if left > 0 and self._busy():
            self._parked = True
            self._handle = loop.call_later(left, self._do)
        else:
            self._do()

    def _do(self) -> None:
        self._handle = None
        self._parked = False
        self._work()
