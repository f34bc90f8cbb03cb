"""A venue outside: it keeps what it is given, and what it says to that is in a script."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from app.engine.types import EventKind, ReportKind
from app.runtime.event_views import NewOrderEvent, ReplaceEvent, event_as
from app.runtime.views import EventView, event_views
from app.venues.paper.records import PRICE_LEVEL
from tests.support.engine import Command, pack, report, trade

Records = NDArray[np.void]

ROUTES = (
    EventKind.ORDER_ACCEPTED,
    EventKind.ORDER_TRIGGERED,
    EventKind.CANCEL_REQUESTED,
    EventKind.REPLACE_REQUESTED,
)


def _price(event: EventView) -> int:
    if event.kind == EventKind.REPLACE_REQUESTED:
        return event_as(ReplaceEvent, event).replace_price
    return event.price or event_as(NewOrderEvent, event).protection_price


class ScriptedVenue:
    """See `app.venues.base.Venue`. `routed`: the route events that it was given.

    It answers a TRADE with one fill of the whole order.
    """

    name = "scripted"

    def __init__(self, script: dict[EventKind, list[ReportKind]]) -> None:
        self._script = script
        self.routed: list[EventView] = []

    def execute(self, events: Records) -> Iterator[Records]:
        """The reports to each route event, in a batch."""
        for event in event_views(events.tobytes()):
            if event.kind in ROUTES:
                self.routed.append(event)
                yield pack(self._report(kind, event) for kind in self._script[EventKind(event.kind)])

    def _report(self, kind: ReportKind, event: EventView) -> Command:
        if kind == ReportKind.TRADE:
            return trade(event.order_id, 1_000 + len(self.routed), event.quantity, _price(event))
        if kind == ReportKind.REPLACED:
            asked = event_as(ReplaceEvent, event)
            return report(kind, event.order_id, price=asked.replace_price, quantity=asked.replace_quantity)
        return report(kind, event.order_id)

    def note(self, events: bytes) -> None:
        """Whatever is restricted meanwhile is not known outside."""

    def apply_levels(self, levels: Records) -> Iterator[Records]:
        """What is displayed fills nothing here."""
        return iter(())

    def resume(self, orders: Records) -> Iterator[Records]:
        """Nothing is asked."""
        return iter(())

    def depth(self, symbol: int, levels: int) -> tuple[Records, Records]:
        """An empty book."""
        return np.zeros(0, PRICE_LEVEL), np.zeros(0, PRICE_LEVEL)
