"""Risk items of the channel `risk`: refusals by limits; changes: by whom, in which scope, and why."""

from collections import OrderedDict

import orjson

from app.documents.changes import changed
from app.documents.content import Content
from app.documents.problems import code_name
from app.documents.raw_events import CODE, KIND
from app.documents.refusals import is_shared, measure, scope_text
from app.engine.types import EventKind, OverrideEnd, TradingState
from app.runtime.breaches import is_breach
from app.runtime.event_views import (
    CHANGE_KINDS,
    AccountEvent,
    BreakerEvent,
    ChangeEvent,
    LimitEvent,
    PermissionEvent,
    PolicyEvent,
    ProposalEvent,
    RiskModelEvent,
    SettlementEvent,
    StateEvent,
    TransferEvent,
    event_as,
    note_event,
)
from app.runtime.reference import Reference, money_text
from app.runtime.views import EVENT_LAYOUT, EventView, RawEvent

NOTES_REMEMBERED = 1_024

_OF_LIMITS = {
    int(EventKind.LIMIT_SET): "limit",
    int(EventKind.OVERRIDE_SET): "override_set",
    int(EventKind.OVERRIDE_ENDED): "override_ended",
}
_OF_DECISIONS = {
    int(EventKind.CHANGE_APPROVED): "change_approved",
    int(EventKind.CHANGE_REJECTED): "change_rejected",
}


class RiskItems:
    """Call it with events in order: the text that explains a change comes before it."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._notes: OrderedDict[int, bytes] = OrderedDict()  # text by seq

    def note(self, event: RawEvent) -> None:
        """Remember a NOTE_RECORDED for the change that it explains."""
        note = note_event(EVENT_LAYOUT.pack(*event))
        self._notes[note.seq] = note.text
        if len(self._notes) > NOTES_REMEMBERED:
            self._notes.popitem(last=False)

    def item(self, event: RawEvent, shows_shared: bool) -> bytes | None:
        """None if an event concerns no limits, rules or states."""
        kind = event[KIND]
        if kind in CHANGE_KINDS:
            change = event_as(ChangeEvent, event)
            return orjson.dumps(self._change(change) | {"ts": change.ts})
        if not is_breach(kind, event[CODE]):
            return None
        refusal = EventView._make(event)
        content = self._breach(refusal) | {"ts": refusal.ts}
        if not shows_shared and is_shared(refusal.code, refusal.scope):
            content |= {"limit": None, "observed": None}
        return orjson.dumps(content)

    def _change(self, event: ChangeEvent) -> Content:
        match event:
            case LimitEvent():
                return self._limit(event)
            case ProposalEvent():
                return self._proposal(event)
            case BreakerEvent():
                return self._breaker(event)
            case StateEvent():
                return self._state_set(event)
            case PermissionEvent():
                return self._permission(event)
            case PolicyEvent():
                return self._policy(event)
            case RiskModelEvent():
                return self._model(event)
            case TransferEvent():
                return self._transfer(event)
            case AccountEvent():
                return self._account(event)
            case SettlementEvent():
                return self._settlement(event)
        raise AssertionError(event)

    def _reason(self, event: ChangeEvent) -> str | None:
        parts = [self._notes.get(seq) for seq in range(event.seq - event.notes, event.seq)]
        known = [part for part in parts if part is not None]
        if not parts or len(known) < len(parts):
            return None
        return b"".join(known).decode(errors="replace")

    def _who(self, event: ChangeEvent) -> Content:
        """`actor` is the number of a key; 0 is the engine itself."""
        return {"actor": event.actor, "reason": self._reason(event)}

    def _scope(self, event: ChangeEvent) -> str | None:
        return scope_text(self._reference, event.scope, event.account, event.symbol)

    def _measured(self, event: EventView | BreakerEvent, code: int) -> Content:
        found = measure(
            self._reference, code, event.account, event.symbol, event.scope, event.limit, event.observed
        )
        return {"code": code_name(code), **found._asdict()}

    def _breach(self, event: EventView) -> Content:
        reference = self._reference
        return {
            "event": "breach",
            **self._measured(event, event.code),
            "account": reference.account_names[event.account] if event.account >= 0 else None,
            "symbol": reference.instruments[event.symbol].symbol if event.symbol >= 0 else None,
            "order_id": str(event.order_id),
        }

    def _limit(self, event: LimitEvent) -> Content:
        """The value of a limit, also of an override. Numbers of 0 do not apply."""
        ended = event.kind == EventKind.OVERRIDE_ENDED
        return {
            "event": _OF_LIMITS[event.kind],
            "scope": self._scope(event),
            **_changed(event, "limit"),
            "version": event.version or None,
            "number": event.override_id or None,
            "expires_ts": event.expires_ts or None,
            "ended": OverrideEnd(event.end).name if ended else None,
            **self._who(event),
        }

    def _proposal(self, event: ProposalEvent) -> Content:
        """The proposed value of a limit, or the decision on the request."""
        number, who = {"number": event.request_id}, self._who(event)
        if event.kind in _OF_DECISIONS:
            return {"event": _OF_DECISIONS[event.kind], **number, **who}
        return {
            "event": "change_proposed",
            "scope": self._scope(event),
            **_changed(event, "limit"),
            "version": None,
            **number,
            "expires_ts": event.expires_ts or None,
            "ended": None,
            **who,
        }

    def _breaker(self, event: BreakerEvent) -> Content:
        return {
            "event": "breaker",
            **self._measured(event, event.cause),
            "state": TradingState(event.state).name,
            "previous": TradingState(event.old_state).name,
            **_orders_left(event),
        }

    def _state_set(self, event: StateEvent) -> Content:
        return {
            "event": "trading_state",
            "scope": self._scope(event),
            **_changed(event, value="state"),
            "cause": code_name(event.cause),
            **_orders_left(event),
            **self._who(event),
        }

    def _permission(self, event: PermissionEvent) -> Content:
        return {
            "event": "permission",
            "scope": self._scope(event),
            **_changed(event, value="permission"),
            **self._who(event),
        }

    def _policy(self, event: PolicyEvent) -> Content:
        return {
            "event": "policy",
            **_changed(event, "policy"),
            **self._who(event),
        }

    def _settlement(self, event: SettlementEvent) -> Content:
        return {
            "event": "settlement",
            "scope": self._scope(event),
            "price": self._reference.instruments[event.symbol].price_text(event.settlement_price),
            "accounts": event.accounts,
            **self._who(event),
        }

    def _model(self, event: RiskModelEvent) -> Content:
        """One parameter of the risk figures. The item `risk_parameters` has all of them."""
        return {
            "event": "risk_parameters_set",
            **_changed(event, "parameter"),
            "version": event.version,
            **self._who(event),
        }

    def _transfer(self, event: TransferEvent) -> Content:
        return {
            "event": "transfer",
            "account": self._reference.account_names[event.account],
            "amount": money_text(event.amount),
            **self._who(event),
        }

    def _account(self, event: AccountEvent) -> Content:
        return {
            "event": "account",
            "account": self._reference.account_names[event.account],
            **_changed(event, value="leverage"),
            **self._who(event),
        }


def _orders_left(event: StateEvent | BreakerEvent) -> dict[str, int]:
    """Open orders of the scope: how many rest, and how many were asked to end with the restriction."""
    return {"resting": event.resting, "ending": event.ending}


def _changed(event: ChangeEvent, name: str | None = None, value: str = "value") -> Content:
    """The change, under the same names as over HTTP; null where this version does not know it."""
    found = changed(event)
    named = {} if name is None else {name: found and found.name}
    return {**named, value: found and found.new, "previous": found and found.old}
