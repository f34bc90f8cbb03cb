"""What the channel `risk` tells: refusals by limits, and who has changed what, in which scope, and why."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import orjson

from app.api.routes.limit_paths import LimitScope, scope_content
from app.api.services import Services
from app.documents.changes import changed_values
from app.documents.problems import code_name
from app.documents.raw_events import KIND, RawEvent, SnapshotTooLarge
from app.documents.refusals import is_shared, measure, scope_text
from app.documents.risk_parameters import parameters_content
from app.engine.records import NOTE_EVENT
from app.engine.types import EventKind, OverrideEnd, Permission, Policy, Scope, TradingState
from app.runtime.breaches import REFUSED_REQUESTS, is_breach
from app.runtime.reference import money_text
from app.runtime.views import EVENT_LAYOUT, EventView, field_names, layout

SNAPSHOT_SCOPES_MAX = 2_000
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
_CODE = EventView._fields.index("code")
_NOTE_LAYOUT = layout(NOTE_EVENT)
_NOTE_SEQ, _NOTE_LENGTH, _NOTE_TEXT = map(field_names(NOTE_EVENT).index, ("seq", "length", "text"))


class RiskItems:
    """Events in the order in which they happened: the text that explains a change comes before it."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._reference = services.reference
        self._notes: OrderedDict[int, bytes] = OrderedDict()  # text by seq
        self._tell: dict[int, Callable[[EventView], dict[str, Any]]] = {
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
        tell = self._tell.get(kind)
        if tell is None or (kind in REFUSED_REQUESTS and not is_breach(kind, event[_CODE])):
            return None
        view = EventView._make(event)
        content = tell(view) | {"ts": view.ts}
        if kind in REFUSED_REQUESTS and not shows_shared and is_shared(view.code, view.scope):
            content |= {"limit": None, "observed": None}
        return orjson.dumps(content)

    def _reason(self, event: EventView) -> str | None:
        parts = [self._notes.get(seq) for seq in range(event.seq - event.notes, event.seq)]
        known = [part for part in parts if part is not None]
        if not parts or len(known) < len(parts):
            return None
        return b"".join(known).decode(errors="replace")

    def _who(self, event: EventView) -> dict[str, Any]:
        """`actor` is the number of a key, 0 the engine itself."""
        return {"actor": event.fee, "reason": self._reason(event)}

    def _scope(self, event: EventView) -> str | None:
        return scope_text(self._reference, event.scope, event.account, event.symbol)

    def _measured(self, event: EventView) -> dict[str, Any]:
        found = measure(
            self._reference, event.code, event.account, event.symbol, event.scope, event.limit, event.observed
        )
        return {"code": code_name(event.code), **found._asdict()}

    def _breach(self, event: EventView) -> dict[str, Any]:
        reference = self._reference
        return {
            "event": "breach",
            **self._measured(event),
            "account": reference.account_names[event.account] if event.account >= 0 else None,
            "symbol": reference.instruments[event.symbol].symbol if event.symbol >= 0 else None,
            "order_id": str(event.order_id),
        }

    def _limit(self, event: EventView) -> dict[str, Any]:
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

    def _decision(self, event: EventView) -> dict[str, Any]:
        return {"event": _OF_REQUESTS[event.kind], "number": event.execution_id, **self._who(event)}

    def _breaker(self, event: EventView) -> dict[str, Any]:
        return {
            "event": "breaker",
            **self._measured(event),
            "state": TradingState(event.status).name,
            "previous": TradingState(event.liquidity).name,
            **_orders_left(event),
        }

    def _state_set(self, event: EventView) -> dict[str, Any]:
        return {
            "event": "trading_state",
            "scope": self._scope(event),
            **_changed(event, value="state"),
            "cause": code_name(event.code),
            **_orders_left(event),
            **self._who(event),
        }

    def _permission(self, event: EventView) -> dict[str, Any]:
        return {
            "event": "permission",
            "scope": self._scope(event),
            **_changed(event, value="permission"),
            **self._who(event),
        }

    def _policy(self, event: EventView) -> dict[str, Any]:
        return {
            "event": "policy",
            **_changed(event, "policy"),
            **self._who(event),
        }

    def _settlement(self, event: EventView) -> dict[str, Any]:
        return {
            "event": "settlement",
            "scope": self._scope(event),
            "price": self._reference.instruments[event.symbol].price_text(event.last_price),
            "accounts": event.last_quantity,
            **self._who(event),
        }

    def _model(self, event: EventView) -> dict[str, Any]:
        """One parameter of the risk figures; all of them come with what is measured."""
        return {
            "event": "risk_parameters_set",
            **_changed(event, "parameter"),
            "version": event.last_quantity,
            **self._who(event),
        }

    def _transfer(self, event: EventView) -> dict[str, Any]:
        return {
            "event": "transfer",
            "account": self._reference.account_names[event.account],
            "amount": money_text(event.limit),
            **self._who(event),
        }

    def _account(self, event: EventView) -> dict[str, Any]:
        return {
            "event": "account",
            "account": self._reference.account_names[event.account],
            **_changed(event, value="leverage"),
            **self._who(event),
        }

    # How things are.

    def state(self, account: int) -> Iterator[bytes]:
        """Limits, states, permissions and, of all accounts (-1), policies. Raises SnapshotTooLarge.

        Each is read when it is asked for: ask when the engine is at rest.
        """
        count = self._scopes(account)
        if count > SNAPSHOT_SCOPES_MAX:
            raise SnapshotTooLarge(
                f"{count} scopes have limits or permissions, a snapshot has at most {SNAPSHOT_SCOPES_MAX}: "
                "read them with GET /v1/limits and subscribe for each account"
            )
        return map(orjson.dumps, self._items(account))

    def _items(self, account: int) -> Iterator[dict[str, Any]]:
        for scope in self._limit_scopes(account):
            yield {"event": "limits", **scope_content(self._services, scope)}
        for name, value, cause in self._trading_states(account):
            state = TradingState(value).name
            yield {"event": "trading_state", "scope": name, "state": state, "cause": cause}
        for where, permission in self._permissions(account):
            yield {"event": "permission", "scope": where, "permission": Permission(permission).name}
        if account < 0:
            values = self._services.state.firm[0]["policy"].tolist()
            for policy in Policy:
                yield {"event": "policy", "policy": policy.name, "value": values[policy]}

    def _scopes(self, account: int) -> int:
        """How many scopes have limits or permissions; without a list of them, which might be long."""
        state, reference = self._services.state, self._reference
        accounts, symbols, width = (
            len(reference.account_names),
            len(reference.instruments),
            len(state.accounts),
        )
        masks = state.account_symbol_limits["set_mask"][: symbols * width].reshape(symbols, width)
        permissions = state.positions["permission"][: symbols * width].reshape(symbols, width)
        if account >= 0:
            count = np.count_nonzero(masks[:, account]) + np.count_nonzero(permissions[:, account])
            return int(count) + 1 + bool(state.accounts[account]["permission"])
        wide = (
            state.account_limits["set_mask"][:accounts],
            state.symbol_limits["set_mask"][:symbols],
            state.accounts["permission"][:accounts],
        )
        return 1 + sum(int(np.count_nonzero(each)) for each in (masks, permissions[:, :accounts], *wide))

    def parameters(self) -> bytes:
        return orjson.dumps({"event": "risk_parameters", **parameters_content(self._services.state)})

    def _limit_scopes(self, account: int) -> list[LimitScope]:
        state = self._services.state
        accounts, symbols = len(self._reference.account_names), len(self._reference.instruments)
        if account < 0:
            scopes = [LimitScope()]
            scopes += [LimitScope(int(each)) for each in _set(state.account_limits[:accounts])]
            scopes += [LimitScope(None, int(each)) for each in _set(state.symbol_limits[:symbols])]
        else:
            scopes = [LimitScope(account)]
        width = len(state.accounts)
        masks = state.account_symbol_limits["set_mask"][: symbols * width].reshape(symbols, width)
        if account >= 0:
            return scopes + [LimitScope(account, each) for each in np.flatnonzero(masks[:, account]).tolist()]
        return scopes + [LimitScope(each, symbol) for symbol, each in np.argwhere(masks).tolist()]

    def _trading_states(self, account: int) -> Iterator[tuple[str, int, str | None]]:
        state, reference = self._services.state, self._reference
        firm = state.firm[0]
        if account < 0:
            yield "firm", int(firm["trading_state"]), code_name(int(firm["state_cause"]))
        restricted = np.flatnonzero(state.accounts["trading_state"][: len(reference.account_names)]).tolist()
        for index in restricted if account < 0 else [account]:
            record = state.accounts[index]
            name = f"account:{reference.account_names[index]}"
            yield name, int(record["trading_state"]), code_name(int(record["state_cause"]))
        if account < 0:
            for instrument, record in zip(reference.instruments, state.instruments, strict=False):
                if record["trading_state"]:
                    cause = code_name(int(record["state_cause"]))
                    yield f"symbol:{instrument.symbol}", int(record["trading_state"]), cause

    def _permissions(self, account: int) -> Iterator[tuple[str | None, int]]:
        """What differs from "as everybody"."""
        state, reference = self._services.state, self._reference
        count, symbols, width = len(reference.account_names), len(reference.instruments), len(state.accounts)
        own = state.accounts["permission"][:count]
        for index in np.flatnonzero(own).tolist():
            if account in (-1, index):
                yield scope_text(reference, Scope.ACCOUNT, index, -1), int(own[index])
        pairs = state.positions["permission"][: symbols * width].reshape(symbols, width)[:, :count]
        first = max(account, 0)
        chosen = pairs if account < 0 else pairs[:, account : account + 1]
        for symbol, place in np.argwhere(chosen).tolist():
            index = first + place
            value = int(pairs[symbol, index])
            yield scope_text(reference, Scope.ACCOUNT_SYMBOL, index, symbol), value


def _orders_left(event: EventView) -> dict[str, int]:
    """Open orders of the scope: how many rest, and how many were asked to end with the restriction."""
    return {"resting": event.quantity, "ending": event.last_quantity}


def _changed(event: EventView, name: str | None = None, value: str = "value") -> dict[str, Any]:
    """What has changed, as over HTTP, under these names; null where this version does not know it."""
    found = changed_values(event.kind, event.code, event.observed, event.limit)
    named = {} if name is None else {name: found and found.name}
    return {**named, value: found and found.new, "previous": found and found.old}


def _set(limits: Any) -> Any:
    return np.flatnonzero(limits["set_mask"])
