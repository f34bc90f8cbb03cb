"""Tells the feed which instruments there are to follow, whenever that has changed."""

from collections.abc import Iterable

from app.engine.types import InstrumentStatus
from app.market.types import Feed
from app.runtime.reference import InstrumentView, Reference

# Where orders are taken, or at least stand and are canceled: what is held there has to have a price.
_FOLLOWED = (InstrumentStatus.TRADING, InstrumentStatus.CANCEL_ONLY)


def followed(instruments: Iterable[InstrumentView]) -> list[InstrumentView]:
    """Those whose market is of interest: all but the halted ones."""
    return [each for each in instruments if each.status in _FOLLOWED]


class InstrumentWatch:
    """An observer of the engine's loop, which costs a comparison for each tick."""

    def __init__(self, reference: Reference, feed: Feed) -> None:
        self._reference = reference
        self._feed = feed
        self._revision = reference.revision

    def on_events(self, _events: bytes) -> None:
        """Called behind each durable tick; by then the reference data are those of the tick."""
        if self._revision != self._reference.revision:
            self._revision = self._reference.revision
            self._feed.follow(followed(self._reference.instruments))
