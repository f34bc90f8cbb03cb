"""Event views: events that are not an order's, by the field names of their kind.

`app.runtime.views.EventView` shows any event as an order's. That is cheap, and right for a reader
of orders and refusals; of other kinds it shows only the head. Their other fields are read here,
through the dtypes with which the kernels wrote them.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import itemgetter
from typing import TypeVar

import numpy as np

from app.engine import records
from app.engine.types import EventKind
from app.runtime.views import EventView, RawEvent, layout


@dataclass(slots=True)
class EventHead:
    """Fields of every event. Units and meaning, here and below, are those of `app.engine.records`."""

    seq: int
    ts: int
    account: int
    symbol: int
    kind: int
    scope: int
    notes: int
    index: int


@dataclass(slots=True)
class ChangeEvent(EventHead):
    """A change by somebody: `actor` is the number of a key, 0 the system itself."""

    actor: int


@dataclass(slots=True)
class LimitEvent(ChangeEvent):
    """LIMIT_SET, OVERRIDE_SET, OVERRIDE_ENDED."""

    limit_number: int
    new_value: int
    old_value: int
    version: int
    override_id: int
    expires_ts: int
    end: int


@dataclass(slots=True)
class ProposalEvent(ChangeEvent):
    """CHANGE_PROPOSED; CHANGE_APPROVED and CHANGE_REJECTED, which name a request and no limit."""

    request_id: int
    limit_number: int
    new_value: int
    old_value: int
    expires_ts: int


@dataclass(slots=True)
class PolicyEvent(ChangeEvent):
    """POLICY_SET."""

    policy: int
    new_value: int
    old_value: int


@dataclass(slots=True)
class RiskModelEvent(ChangeEvent):
    """RISK_MODEL_SET."""

    parameter: int
    new_value: int
    old_value: int
    version: int


@dataclass(slots=True)
class PermissionEvent(ChangeEvent):
    """PERMISSION_SET."""

    permission: int
    old_permission: int


@dataclass(slots=True)
class StateEvent(ChangeEvent):
    """TRADING_STATE_SET."""

    state: int
    old_state: int
    cause: int
    resting: int
    ending: int


@dataclass(slots=True)
class BreakerEvent(ChangeEvent):
    """BREAKER_TRIPPED, always the system's own doing."""

    state: int
    old_state: int
    cause: int
    limit: int
    observed: int
    resting: int
    ending: int


@dataclass(slots=True)
class AccountEvent(ChangeEvent):
    """ACCOUNT_SET."""

    leverage: int
    old_leverage: int


@dataclass(slots=True)
class TransferEvent(ChangeEvent):
    """CASH_TRANSFERRED."""

    amount: int


@dataclass(slots=True)
class SettlementEvent(ChangeEvent):
    """SYMBOL_SETTLED."""

    settlement_price: int
    accounts: int


@dataclass(slots=True)
class SettledPositionEvent(EventHead):
    """POSITION_SETTLED."""

    settlement_price: int
    settled_quantity: int
    position_quantity: int
    realised: int


@dataclass(slots=True)
class NewOrderEvent(EventHead):
    """ORDER_ACCEPTED, ORDER_TRIGGERED: what the venue is to know; an EventView shows the whole order."""

    side: int
    type: int
    time_in_force: int
    flags: int
    self_trade_prevention: int
    order_id: int
    price: int
    quantity: int
    filled_quantity: int
    protection_price: int


@dataclass(slots=True)
class ReplaceEvent(EventHead):
    """REPLACE_REQUESTED: the requested values; an EventView shows the order as it still is."""

    code: int
    side: int
    flags: int
    self_trade_prevention: int
    order_id: int
    replace_price: int
    replace_quantity: int


@dataclass(slots=True)
class FillEvent(EventHead):
    """ORDER_FILLED: the execution, and the position after it; an EventView shows the order."""

    status: int
    side: int
    liquidity: int
    order_id: int
    last_price: int
    last_quantity: int
    fee: int
    execution_id: int
    position_quantity: int
    position_cost: int


@dataclass(slots=True)
class RejectionEvent(EventHead):
    """COMMAND_REJECTED."""

    code: int
    limit: int
    observed: int
    price_bound: int
    quantity_bound: int
    blocking_order_id: int


@dataclass(slots=True)
class CancelAllEvent(EventHead):
    """CANCEL_ALL_DONE."""

    requested: int


@dataclass(slots=True)
class InstrumentEvent(EventHead):
    """INSTRUMENT_SET."""

    status: int
    max_price: int


@dataclass(slots=True)
class MarkEvent(EventHead):
    """MARK_UPDATED."""

    mark: int


@dataclass(slots=True)
class SampleEvent(EventHead):
    """MARKS_SAMPLED."""

    samples: int


@dataclass(slots=True)
class NoteEvent:
    """NOTE_RECORDED: `text` is a part of a reason, as UTF-8 that may be cut within a character."""

    seq: int
    ts: int
    account: int
    symbol: int
    kind: int
    index: int
    text: bytes
    actor: int


View = TypeVar("View", bound=EventHead)

E = EventKind

# The kinds that an EventView shows whole.
EVENT_VIEW_KINDS = frozenset(
    (
        E.ORDER_REJECTED,
        E.ORDER_REPLAYED,
        E.ORDER_OPENED,
        E.ORDER_CANCELED,
        E.ORDER_EXPIRED,
        E.CANCEL_REQUESTED,
        E.CANCEL_REJECTED,
        E.ORDER_REPLACED,
        E.REPLACE_REJECTED,
        E.ORDER_UNKNOWN,
        E.EXECUTION_ANOMALY,
    )
)

# The others but notes: their view, the dtype by which it is written, the kinds.
VIEWS: tuple[tuple[type[EventHead], np.dtype[np.void], tuple[EventKind, ...]], ...] = (
    (EventHead, records.HEAD_EVENT, (E.NONE, E.DAY_STARTED, E.TIME_ADVANCED, E.LIMIT_STAGED)),
    (LimitEvent, records.LIMIT_EVENT, (E.LIMIT_SET, E.OVERRIDE_SET, E.OVERRIDE_ENDED)),
    (ProposalEvent, records.PROPOSAL_EVENT, (E.CHANGE_PROPOSED, E.CHANGE_APPROVED, E.CHANGE_REJECTED)),
    (PolicyEvent, records.POLICY_EVENT, (E.POLICY_SET,)),
    (RiskModelEvent, records.RISK_MODEL_EVENT, (E.RISK_MODEL_SET,)),
    (PermissionEvent, records.PERMISSION_EVENT, (E.PERMISSION_SET,)),
    (StateEvent, records.STATE_EVENT, (E.TRADING_STATE_SET,)),
    (BreakerEvent, records.BREAKER_EVENT, (E.BREAKER_TRIPPED,)),
    (AccountEvent, records.ACCOUNT_EVENT, (E.ACCOUNT_SET,)),
    (TransferEvent, records.TRANSFER_EVENT, (E.CASH_TRANSFERRED,)),
    (SettlementEvent, records.SETTLEMENT_EVENT, (E.SYMBOL_SETTLED,)),
    (SettledPositionEvent, records.SETTLED_POSITION_EVENT, (E.POSITION_SETTLED,)),
    (NewOrderEvent, records.NEW_ORDER_EVENT, (E.ORDER_ACCEPTED, E.ORDER_TRIGGERED)),
    (ReplaceEvent, records.REPLACE_EVENT, (E.REPLACE_REQUESTED,)),
    (FillEvent, records.FILL_EVENT, (E.ORDER_FILLED,)),
    (RejectionEvent, records.REJECTION_EVENT, (E.COMMAND_REJECTED,)),
    (CancelAllEvent, records.CANCEL_ALL_EVENT, (E.CANCEL_ALL_DONE,)),
    (InstrumentEvent, records.INSTRUMENT_EVENT, (E.INSTRUMENT_SET,)),
    (MarkEvent, records.MARK_EVENT, (E.MARK_UPDATED,)),
    (SampleEvent, records.SAMPLE_EVENT, (E.MARKS_SAMPLED,)),
)

CHANGE_KINDS = frozenset(
    int(kind) for view, _, kinds in VIEWS if issubclass(view, ChangeEvent) for kind in kinds
)

_KIND = EventView._fields.index("kind")
_NOTE_LAYOUT = layout(records.NOTE_EVENT)


def _reader(view: type[View], dtype: np.dtype[np.void]) -> Callable[[RawEvent], View]:
    """Makes the view of a kind: each of its fields is at the place of one of EVENT's."""
    assert dtype.names is not None
    assert records.EVENT.names is not None
    field_at = dict(zip(dtype.names, records.EVENT.names, strict=True))
    places = (EventView._fields.index(field_at[field.name]) for field in fields(view))
    pick = itemgetter(*places)
    return lambda event: view(*pick(event))


_READERS = {int(kind): _reader(view, dtype) for view, dtype, kinds in VIEWS for kind in kinds}


def typed_event(event: RawEvent) -> EventHead:
    """An event in the view of its kind. Raises KeyError for notes and for what an EventView shows whole."""
    return _READERS[event[_KIND]](event)


def event_as(view: type[View], event: RawEvent) -> View:
    """As `typed_event`, for a caller that knows the kind; any other kind is the caller's mistake."""
    found = typed_event(event)
    assert isinstance(found, view), found
    return found


def note_event(record: bytes) -> NoteEvent:
    """A NOTE_RECORDED, from its bytes: the text lies across the fields of an order."""
    seq, ts, account, symbol, kind, length, index, text, actor = _NOTE_LAYOUT.unpack(record)
    return NoteEvent(seq, ts, account, symbol, kind, index, text[:length], actor)
