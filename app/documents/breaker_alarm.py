"""Breaker alarm: one log line for each circuit breaker that trips, so that monitoring can page people."""

import logging

from app.documents.problems import code_name
from app.documents.refusals import measure
from app.engine.records import EVENT, field_offset
from app.engine.types import EventKind, TradingState
from app.runtime.event_views import BreakerEvent, event_as
from app.runtime.reference import Reference
from app.runtime.views import EVENT_BYTES, event_view

logger = logging.getLogger(__name__)

_KIND_OFFSET = field_offset(EVENT, "kind")
_TRIPPED = int(EventKind.BREAKER_TRIPPED)


class BreakerAlarm:
    """An observer of the engine's loop."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference

    def observe(self, events: bytes) -> None:
        """EVENT records of a tick, durable."""
        kinds = events[_KIND_OFFSET::EVENT_BYTES]
        index = kinds.find(_TRIPPED)
        while index >= 0:
            self._warn(events[index * EVENT_BYTES : (index + 1) * EVENT_BYTES])
            index = kinds.find(_TRIPPED, index + 1)

    def _warn(self, record: bytes) -> None:
        event = event_as(BreakerEvent, event_view(record))
        found = measure(
            self._reference,
            event.cause,
            event.account,
            event.symbol,
            event.scope,
            event.limit,
            event.observed,
        )
        logger.warning(
            "breaker tripped: %s %s by %s, observed %s, limit %s, open orders: %d rest, %d to end, seq %d",
            found.scope,
            TradingState(event.state).name,
            code_name(event.cause),
            found.observed,
            found.limit,
            event.resting,
            event.ending,
            event.seq,
        )
