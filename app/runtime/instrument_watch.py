"""Instrument watch: reports to the feed which instruments to follow, whenever they have changed."""

from collections.abc import Iterable

from app.engine.types import InstrumentStatus
from app.market.types import Feed
from app.runtime.reference import InstrumentView, Reference

# Orders are accepted, or at least rest and can be canceled, so positions there need a price.
_FOLLOWED = (InstrumentStatus.TRADING, InstrumentStatus.CANCEL_ONLY)


def followed(instruments: Iterable[InstrumentView]) -> list[InstrumentView]:
    """Instruments whose market is followed: all but the halted ones."""
    return [each for each in instruments if each.status in _FOLLOWED]


class InstrumentWatch:
    """An observer of the engine's loop; it costs one comparison a tick."""

    def __init__(self, reference: Reference, feed: Feed) -> None:
        self._reference = reference
        self._feed = feed
        self._revision = reference.revision

    def on_events(self, _events: bytes) -> None:
        """Called after each durable tick, when the reference data are those of the tick."""
        if self._revision != self._reference.revision:
            self._revision = self._reference.revision
            self._feed.follow(followed(self._reference.instruments))
