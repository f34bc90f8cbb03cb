"""Raw events: events as tuples, and the field positions and constants that documents share."""

from app.codec.stream_json import WRITTEN_KINDS
from app.engine.types import EventKind
from app.runtime.views import EventView

# The places of fields in a RawEvent.
_place = EventView._fields.index
SEQ, INDEX, KIND = map(_place, ("seq", "index", "kind"))
ACCOUNT, SYMBOL, SCOPE = map(_place, ("account", "symbol", "scope"))
ORDER_ID, STATUS, CODE = map(_place, ("order_id", "status", "code"))

# Each shows a whole order as it was after the event.
ORDER_KINDS = frozenset((*WRITTEN_KINDS, EventKind.CANCEL_REJECTED, EventKind.REPLACE_REJECTED))

# In the place of an account or symbol: all of them.
EVERY_INDEX = -1


class SnapshotTooLarge(Exception):
    """A snapshot would hold more than it may; the message says what to do instead."""
