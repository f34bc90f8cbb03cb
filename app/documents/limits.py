"""Documents of limits: the scope's own value, the effective value, and the usage."""

from pydantic import BaseModel, Field

from app.documents.content import Content
from app.documents.limit_usage import USAGES
from app.documents.refusals import scope_text
from app.engine.limit_rules import RULES, LimitUnit
from app.engine.limits import UNLIMITED
from app.engine.state import State
from app.engine.types import Limit
from app.runtime.limit_scope import LimitScope
from app.runtime.reference import Reference, money_text
from app.runtime.state_reader import Record, limit_value, limits_of

_PERCENT_DECIMALS = 2


class LimitState(BaseModel):
    """One limit of one scope. Null: not set, or the limit measures single orders."""

    value: str | int | None = Field(description="the scope's own")
    effective: str | int | None = Field(description="what applies: overrides and wider scopes counted in")
    source: str | None = Field(description="the scope whose value applies")
    override_id: str | None = Field(description="the override that is in force")
    used: str | int | None
    used_percent: float | None
    unit: str


class ScopeLimits(BaseModel):
    """The limits that a scope may carry. `version` counts its changes and is the ETag."""

    scope: str = Field(examples=["account:alpha"])
    version: int
    limits: dict[str, LimitState]


AMOUNTS = (LimitUnit.BASE, LimitUnit.QUOTE)


def limit_text(limit: Limit, value: int) -> str | int | None:
    """A value as decimal text; None if there is no limit."""
    if value < 0 or value >= UNLIMITED:
        return None
    return money_text(value) if RULES[limit].unit in AMOUNTS else value


def scope_name(reference: Reference, scope: LimitScope) -> str:
    """ "firm", "account:a", "symbol:s", "account:a/symbol:s"."""
    return scope_text(reference, scope.kind, *scope.indexes) or ""


def override_at(state: State, scope: LimitScope, limit: Limit) -> Record | None:
    """The OVERRIDE record that is in force for one limit of one scope."""
    if not int(limits_of(state, scope)["override_mask"]) >> limit & 1:
        return None
    account, symbol = scope.indexes
    overrides = state.overrides
    found = (overrides["number"] != 0) & (overrides["scope"] == scope.kind) & (overrides["limit"] == limit)
    if account >= 0:
        found &= overrides["account"] == account
    if symbol >= 0:
        found &= overrides["symbol"] == symbol
    record: Record = overrides[found.argmax()]
    return record


def limit_content(state: State, reference: Reference, scope: LimitScope, limit: Limit, now: int) -> Content:
    """One limit of one scope: its own value, the effective value and its scope, and the usage."""
    effective, source = limit_value(limits_of(state, scope), limit), scope
    override = override_at(state, scope, limit)
    own = effective if override is None else int(override["own_value"])
    if RULES[limit].tightest:
        effective = UNLIMITED
        for other in scope.wider():
            value = limit_value(limits_of(state, other), limit)
            if value < effective:
                effective, source = value, other
    used = USAGES[limit](state, *scope.indexes, now) if limit in USAGES else None
    percent = None
    if used is not None and used < UNLIMITED and 0 < effective < UNLIMITED:
        percent = round(100 * used / effective, _PERCENT_DECIMALS)
    return {
        "value": limit_text(limit, own),
        "effective": limit_text(limit, effective),
        "source": scope_name(reference, source) if effective < UNLIMITED else None,
        "override_id": None if override is None else str(override["number"]),
        "used": None if used is None else limit_text(limit, used),
        "used_percent": percent,
        "unit": RULES[limit].unit.value,
    }


def scope_content(state: State, reference: Reference, scope: LimitScope, now: int) -> Content:
    """All limits that the scope may carry."""
    return {
        "scope": scope_name(reference, scope),
        "version": int(limits_of(state, scope)["version"]),
        "limits": {
            limit.name: limit_content(state, reference, scope, limit, now)
            for limit, rule in RULES.items()
            if scope.kind in rule.scopes
        },
    }
