"""Risk history: changes and breaches as the API shows them."""

from pydantic import BaseModel, Field

from app.api.services import Services
from app.documents.changes import Changed, changed
from app.documents.content import Content
from app.documents.problems import code_name
from app.documents.refusals import measure, scope_text
from app.engine.types import EventKind, OverrideEnd
from app.runtime.event_views import (
    BreakerEvent,
    ChangeEvent,
    EventHead,
    LimitEvent,
    ProposalEvent,
    RiskModelEvent,
    StateEvent,
)
from app.runtime.limit_scope import LimitScope
from app.runtime.risk_log import Change
from app.runtime.views import EventView

HISTORY_PAGE_MAX = 1_000

_NOTHING = Changed(None, None, None)
_NUMBERS = dict.fromkeys(("version", "expires_at", "override_id", "change_id", "ended"))

BREAKER = "breaker"


def actor_name(services: Services, actor: int, cause: int) -> str | None:
    """The name of the actor's key, or BREAKER if a code is the cause; None for the system itself."""
    return BREAKER if cause else services.keys.name_of(actor)


class RiskChange(BaseModel):
    """A change by a person, or by the engine itself (`actor` 0)."""

    kind: str = Field(examples=["LIMIT_SET"])
    seq: int
    ts: int
    scope: str | None
    limit: str | None = Field(description="the limit, rule or parameter")
    old: str | int | None
    new: str | int | None
    code: str | None = Field(description="of a breaker that tripped: the cause")
    version: int | None = Field(description="of the scope's limits, or of the parameters, after the change")
    expires_at: int | None
    override_id: str | None
    change_id: str | None
    ended: str | None = Field(description="of an override: EXPIRED or REMOVED")
    actor: int = Field(description="number of the key; 0 is the system")
    actor_name: str | None = Field(description="whose key; or `breaker`")
    reason: str | None


class RiskHistory(BaseModel):
    items: list[RiskChange]
    next_cursor: str | None
    complete_since_ts: int


def is_of_scope(event: EventHead, scope: LimitScope) -> bool:
    """Whether an event concerns the limits or the state of exactly this scope."""
    if event.scope != scope.kind:
        return False
    account, symbol = scope.indexes
    return (account < 0 or event.account == account) and (symbol < 0 or event.symbol == symbol)


def _numbers(event: ChangeEvent) -> Content:
    """Version, time and numbers; null if they do not apply."""
    match event:
        case LimitEvent():
            ended = event.kind == EventKind.OVERRIDE_ENDED
            return _NUMBERS | {
                "version": event.version,
                "expires_at": event.expires_ts or None,
                "override_id": str(event.override_id) if event.override_id else None,
                "ended": OverrideEnd(event.end).name if ended else None,
            }
        case ProposalEvent():
            return _NUMBERS | {"expires_at": event.expires_ts or None, "change_id": str(event.request_id)}
        case RiskModelEvent():
            return _NUMBERS | {"version": event.version}
    return _NUMBERS


def change_content(services: Services, change: Change) -> Content:
    event = change.event
    what = changed(event) or _NOTHING
    cause = event.cause if isinstance(event, StateEvent | BreakerEvent) else 0
    return {
        "kind": EventKind(event.kind).name,
        "seq": event.seq,
        "ts": event.ts,
        "scope": scope_text(services.reference, event.scope, event.account, event.symbol),
        "limit": what.name,
        "old": what.old,
        "new": what.new,
        "code": code_name(cause),
        **_numbers(event),
        "actor": event.actor,
        "actor_name": actor_name(services, event.actor, cause),
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


def refusal_content(services: Services, event: EventView) -> Content:
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
