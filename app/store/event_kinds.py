"""Event kinds: lookup tables by kind, of what the database shows of an event."""

import numpy as np
from numpy.typing import NDArray

from app.engine.types import EventKind

_KINDS = 256  # a kind is a byte

_ORDER_KINDS = (
    EventKind.ORDER_ACCEPTED,
    EventKind.ORDER_REJECTED,
    EventKind.ORDER_OPENED,
    EventKind.ORDER_FILLED,
    EventKind.ORDER_CANCELED,
    EventKind.ORDER_EXPIRED,
    EventKind.ORDER_TRIGGERED,
    EventKind.CANCEL_REQUESTED,
    EventKind.CANCEL_REJECTED,
    EventKind.REPLACE_REQUESTED,
    EventKind.ORDER_REPLACED,
    EventKind.REPLACE_REJECTED,
    EventKind.ORDER_UNKNOWN,
    EventKind.EXECUTION_ANOMALY,
)
# All kinds that are not an order's, the market's or the clock's are an administrator's.
_SILENT_KINDS = (
    EventKind.NONE,
    EventKind.ORDER_REPLAYED,
    EventKind.MARK_UPDATED,
    EventKind.DAY_STARTED,
    EventKind.TIME_ADVANCED,
    EventKind.NOTE_RECORDED,
    EventKind.MARKS_SAMPLED,
    EventKind.LIMIT_STAGED,
    EventKind.POSITION_SETTLED,  # it is among the fills
)
_PROPOSAL_KINDS = (EventKind.CHANGE_PROPOSED, EventKind.CHANGE_APPROVED, EventKind.CHANGE_REJECTED)
_LIMIT_KINDS = (EventKind.LIMIT_SET, EventKind.OVERRIDE_SET, EventKind.OVERRIDE_ENDED, *_PROPOSAL_KINDS)
_RISK_KINDS = (EventKind.TRADING_STATE_SET, EventKind.BREAKER_TRIPPED)


def _lookup(members: tuple[int, ...]) -> NDArray[np.bool_]:
    table = np.zeros(_KINDS, np.bool_)
    table[list(members)] = True
    return table


IS_ORDER = _lookup(_ORDER_KINDS)
IS_AUDITED = ~_lookup((*_ORDER_KINDS, *_SILENT_KINDS))
IS_LIMIT = _lookup(_LIMIT_KINDS)
IS_PROPOSAL = _lookup(_PROPOSAL_KINDS)
IS_RISK = _lookup(_RISK_KINDS)
MOVES_ACCOUNT = _lookup(
    (
        EventKind.ORDER_FILLED,
        EventKind.ACCOUNT_SET,
        EventKind.CASH_TRANSFERRED,
        EventKind.TRADING_STATE_SET,
        EventKind.BREAKER_TRIPPED,
        EventKind.POSITION_SETTLED,
    )
)
