"""Items of the channel `risk`: refusals by limits, and who has changed what, in which scope, and why."""

from collections import OrderedDict
from collections.abc import Callable

import orjson

from app.documents.changes import changed_values
from app.documents.content import Content
from app.documents.problems import code_name
from app.documents.raw_events import CODE, KIND, RawEvent
from app.documents.refusals import is_shared, measure, scope_text
from app.engine.records import NOTE_EVENT
from app.engine.types import EventKind, OverrideEnd, TradingState
from app.runtime.breaches import REFUSED_REQUESTS, is_breach
from app.runtime.reference import Reference, money_text
from app.runtime.views import EVENT_LAYOUT, EventView, field_names, layout

NOTES_REMEMBERED = 1_024

_OF_LIMITS = {
    int(EventKind.LIMIT_SET): "limit",
    int(EventKind.OVERRIDE_SET): "override_set",
    int(EventKind.OVERRIDE_ENDED): "override_ended",
    int(EventKind.CHANGE_PROPOSED): "change_proposed",
}
_OF_REQUESTS = {
    int(EventKind.CHANGE_APPROVED): "change_approved",
    int(EventKind.CHANGE_REJECTED): "change_rejected",
}
_NOTE_LAYOUT = layout(NOTE_EVENT)
_NOTE_SEQ, _NOTE_LENGTH, _NOTE_TEXT = map(field_names(NOTE_EVENT).index, ("seq", "length", "text"))


class RiskItems:
    """Events in the order in which they happened: the text that explains a change comes before it."""

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._notes: OrderedDict[int, bytes] = OrderedDict()  # text by seq
        self._content_of: dict[int, Callable[[EventView], Content]] = {
            **dict.fromkeys(map(int, REFUSED_REQUESTS), self._breach),
            **dict.fromkeys(_OF_LIMITS, self._limit),
            **dict.fromkeys(_OF_REQUESTS, self._decision),
            int(EventKind.BREAKER_TRIPPED): self._breaker,
            int(EventKind.TRADING_STATE_SET): self._state_set,
            int(EventKind.PERMISSION_SET): self._permission,
            int(EventKind.POLICY_SET): self._policy,
            int(EventKind.RISK_MODEL_SET): self._model,
            int(EventKind.CASH_TRANSFERRED): self._transfer,
            int(EventKind.ACCOUNT_SET): self._account,
            int(EventKind.SYMBOL_SETTLED): self._settlement,
        }

    def note(self, event: RawEvent) -> None:
        """Remember a NOTE_RECORDED for the change that it explains."""
        note = _NOTE_LAYOUT.unpack(EVENT_LAYOUT.pack(*event))
        self._notes[note[_NOTE_SEQ]] = note[_NOTE_TEXT][: note[_NOTE_LENGTH]]
        if len(self._notes) > NOTES_REMEMBERED:
            self._notes.popitem(last=False)

    def item(self, event: RawEvent, shows_shared: bool) -> bytes | None:
        """None where an event says nothing about limits, rules and states."""
        kind = event[KIND]
        content_of = self._content_of.get(kind)
        if content_of is None or (kind in REFUSED_REQUESTS and not is_breach(kind, event[CODE])):
            return None
        view = EventView._make(event)
        content = content_of(view) | {"ts": view.ts}
        if kind in REFUSED_REQUESTS and not shows_shared and is_shared(view.code, view.scope):
            content |= {"limit": None, "observed": None}
        return orjson.dumps(content)

    def _reason(self, event: EventView) -> str | None:
        parts = [self._notes.get(seq) for seq in range(event.seq - event.notes, event.seq)]
        known = [part for part in parts if part is not None]
        if not parts or len(known) < len(parts):
            return None
        return b"".join(known).decode(errors="replace")

    def _who(self, event: EventView) -> Content:
        """`actor` is the number of a key, 0 the engine itself."""
        return {"actor": event.fee, "reason": self._reason(event)}

    def _scope(self, event: EventView) -> str | None:
        return scope_text(self._reference, event.scope, event.account, event.symbol)

    def _measured(self, event: EventView) -> Content:
        found = measure(
            self._reference, event.code, event.account, event.symbol, event.scope, event.limit, event.observed
        )
        return {"code": code_name(event.code), **found._asdict()}

    def _breach(self, event: EventView) -> Content:
        reference = self._reference
        return {
            "event": "breach",
            **self._measured(event),
            "account": reference.account_names[event.account] if event.account >= 0 else None,
            "symbol": reference.instruments[event.symbol].symbol if event.symbol >= 0 else None,
            "order_id": str(event.order_id),
        }

    def _limit(self, event: EventView) -> Content:
        """What a limit is, is to be for a while, or is proposed to be. Numbers of 0 do not apply."""
        ended = event.kind == EventKind.OVERRIDE_ENDED
        return {
            "event": _OF_LIMITS[event.kind],
            "scope": self._scope(event),
            **_changed(event, "limit"),
            "version": event.last_quantity or None,
            "number": event.execution_id or None,
            "expires_ts": event.expire_ts or None,
            "ended": OverrideEnd(event.status).name if ended else None,
            **self._who(event),
        }

    def _decision(self, event: EventView) -> Content:
        return {"event": _OF_REQUESTS[event.kind], "number": event.execution_id, **self._who(event)}

    def _breaker(self, event: EventView) -> Content:
        return {
            "event": "breaker",
            **self._measured(event),
            "state": TradingState(event.status).name,
            "previous": TradingState(event.liquidity).name,
            **_orders_left(event),
        }

    def _state_set(self, event: EventView) -> Content:
        return {
            "event": "trading_state",
            "scope": self._scope(event),
            **_changed(event, value="state"),
            "cause": code_name(event.code),
            **_orders_left(event),
            **self._who(event),
        }

    def _permission(self, event: EventView) -> Content:
        return {
            "event": "permission",
            "scope": self._scope(event),
            **_changed(event, value="permission"),
            **self._who(event),
        }

    def _policy(self, event: EventView) -> Content:
        return {
            "event": "policy",
            **_changed(event, "policy"),
            **self._who(event),
        }

    def _settlement(self, event: EventView) -> Content:
        return {
            "event": "settlement",
            "scope": self._scope(event),
            "price": self._reference.instruments[event.symbol].price_text(event.last_price),
            "accounts": event.last_quantity,
            **self._who(event),
        }

    def _model(self, event: EventView) -> Content:
        """One parameter of the risk figures; all of them come with what is measured."""
        return {
            "event": "risk_parameters_set",
            **_changed(event, "parameter"),
            "version": event.last_quantity,
            **self._who(event),
        }

    def _transfer(self, event: EventView) -> Content:
        return {
            "event": "transfer",
            "account": self._reference.account_names[event.account],
            "amount": money_text(event.limit),
            **self._who(event),
        }

    def _account(self, event: EventView) -> Content:
        return {
            "event": "account",
            "account": self._reference.account_names[event.account],
            **_changed(event, value="leverage"),
            **self._who(event),
        }


def _orders_left(event: EventView) -> dict[str, int]:
    """Open orders of the scope: how many rest, and how many were asked to end with the restriction."""
    return {"resting": event.quantity, "ending": event.last_quantity}


def _changed(event: EventView, name: str | None = None, value: str = "value") -> Content:
    """What has changed, as over HTTP, under these names; null where this version does not know it."""
    found = changed_values(event.kind, event.code, event.observed, event.limit)
    named = {} if name is None else {name: found and found.name}
    return {**named, value: found and found.new, "previous": found and found.old}
