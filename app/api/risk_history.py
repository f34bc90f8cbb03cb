"""Changes and breaches as the API shows them."""

from typing import Any

from pydantic import BaseModel, Field

from app.api.errors import code_name
from app.api.limit_scopes import LimitScope
from app.api.limit_table import limit_text
from app.api.refusals import measure, scope_text
from app.api.services import Services
from app.engine.types import EventKind, Limit, OverrideEnd, Permission, Policy, Scope, TradingState
from app.runtime.risk_log import Change
from app.runtime.views import EventView

HISTORY_PAGE_MAX = 1_000

_OF_LIMITS = frozenset(
    (EventKind.LIMIT_SET, EventKind.OVERRIDE_SET, EventKind.OVERRIDE_ENDED, EventKind.CHANGE_PROPOSED)
)
_OF_REQUESTS = frozenset((EventKind.CHANGE_PROPOSED, EventKind.CHANGE_APPROVED, EventKind.CHANGE_REJECTED))
_OF_OVERRIDES = frozenset((EventKind.OVERRIDE_SET, EventKind.OVERRIDE_ENDED))


class RiskChange(BaseModel):
    """Something that a person, or the engine by itself (`actor` 0), has changed."""

    kind: str = Field(examples=["LIMIT_SET"])
    seq: int
    ts: int
    scope: str | None
    limit: str | None
    old: str | int | None
    new: str | int | None
    code: str | None = Field(description="of a breaker that tripped: the cause")
    version: int | None = Field(description="of the scope's limits, after the change")
    expires_at: int | None
    override_id: str | None
    change_id: str | None
    ended: str | None = Field(description="of an override: EXPIRED or REMOVED")
    actor: int = Field(description="number of the key; 0 is the system")
    actor_name: str | None
    reason: str | None


class RiskHistory(BaseModel):
    items: list[RiskChange]
    next_cursor: str | None
    complete_since_ts: int


def is_of_scope(event: EventView, scope: LimitScope) -> bool:
    """Whether an event is about the limits or the state of exactly this scope."""
    if event.scope != scope.kind:
        return False
    account, symbol = scope.indexes
    return (account < 0 or event.account == account) and (symbol < 0 or event.symbol == symbol)


def _values(event: EventView) -> tuple[str | int | None, str | int | None]:
    """Old and new."""
    kind = event.kind
    if kind in _OF_LIMITS:
        limit = Limit(event.code)
        return limit_text(limit, event.observed), limit_text(limit, event.limit)
    if kind == EventKind.TRADING_STATE_SET:
        return TradingState(event.observed).name, TradingState(event.limit).name
    if kind == EventKind.BREAKER_TRIPPED:
        return TradingState(event.liquidity).name, TradingState(event.status).name
    if kind == EventKind.PERMISSION_SET:
        return Permission(event.observed).name, Permission(event.limit).name
    if kind == EventKind.POLICY_SET:
        return event.observed, event.limit
    return None, None


def change_content(services: Services, change: Change) -> dict[str, Any]:
    event = change.event
    kind = event.kind
    old, new = _values(event)
    limit = None
    if kind in _OF_LIMITS:
        limit = Limit(event.code).name
    elif kind == EventKind.POLICY_SET:
        limit = Policy(event.code).name
    scope = event.scope
    if kind == EventKind.PERMISSION_SET:
        scope = Scope.ACCOUNT if event.symbol < 0 else Scope.ACCOUNT_SYMBOL
    cause = event.code if kind in (EventKind.BREAKER_TRIPPED, EventKind.TRADING_STATE_SET) else 0
    return {
        "kind": EventKind(kind).name,
        "seq": event.seq,
        "ts": event.ts,
        "scope": scope_text(services.reference, scope, event.account, event.symbol),
        "limit": limit,
        "old": old,
        "new": new,
        "code": code_name(cause),
        "version": event.last_quantity if kind in _OF_LIMITS and event.last_quantity else None,
        "expires_at": event.expire_ts or None,
        "override_id": str(event.execution_id) if kind in _OF_OVERRIDES else None,
        "change_id": str(event.execution_id) if kind in _OF_REQUESTS else None,
        "ended": OverrideEnd(event.status).name if kind == EventKind.OVERRIDE_ENDED else None,
        "actor": event.fee,
        "actor_name": services.keys.name_of(event.fee),
        "reason": change.reason or None,
    }


class Refusal(BaseModel):
    ts: int
    seq: int
    account: str | None
    symbol: str | None
    order_id: str | None
    code: str
    limit: str | int | None
    observed: str | int | None
    scope: str | None


def refusal_content(services: Services, event: EventView) -> dict[str, Any]:
    reference = services.reference
    found = measure(
        reference, event.code, event.account, event.symbol, event.scope, event.limit, event.observed
    )
    return {
        "ts": event.ts,
        "seq": event.seq,
        "account": reference.account_names[event.account] if event.account >= 0 else None,
        "symbol": reference.instruments[event.symbol].symbol if event.symbol >= 0 else None,
        "order_id": str(event.order_id) if event.order_id else None,
        "code": code_name(event.code),
        **found._asdict(),
    }
