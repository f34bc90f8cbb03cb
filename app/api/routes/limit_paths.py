"""The scopes of limits: the firm, an account, a symbol, an account in a symbol; and what stands there."""

from collections.abc import Callable
from typing import Any, NamedTuple

from pydantic import BaseModel, Field

from app.api.auth import Principal
from app.api.routes.access import Provided, Viewer, account_index, symbol_index
from app.api.routes.limit_values import LIMITS, limit_text
from app.api.services import Services
from app.commands.orders import scope_of
from app.documents.problems import forbidden
from app.documents.refusals import scope_text
from app.engine.limit_rules import RULES
from app.engine.limits import UNLIMITED
from app.engine.types import Limit, Scope

_PERCENT_DECIMALS = 2


class LimitState(BaseModel):
    """One limit of one scope. Null: there is none, or it measures single orders."""

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


class LimitScope(NamedTuple):
    """A scope that a path names; None: all accounts, all symbols."""

    account: int | None = None
    symbol: int | None = None

    @property
    def kind(self) -> Scope:
        return scope_of(self.account, self.symbol)

    @property
    def indexes(self) -> tuple[int, int]:
        """Account and symbol as the engine has them: -1 for None."""
        return (
            -1 if self.account is None else self.account,
            -1 if self.symbol is None else self.symbol,
        )

    def record(self, services: Services) -> Any:
        """The LIMITS record."""
        state = services.state
        if self.account is None:
            return state.firm_limits[0] if self.symbol is None else state.symbol_limits[self.symbol]
        if self.symbol is None:
            return state.account_limits[self.account]
        return state.account_symbol_limits[self.symbol * len(state.accounts) + self.account]

    def text(self, services: Services) -> str:
        return scope_text(services.reference, self.kind, *self.indexes) or ""

    def wider(self) -> "list[LimitScope]":
        """The scopes whose limits an order in this one meets too, the widest first, itself last."""
        scopes = [LimitScope(), LimitScope(self.account), LimitScope(None, self.symbol), self]
        return list(dict.fromkeys(scopes))


def _firm_scope(principal: Viewer) -> LimitScope:
    check_readable(principal, LimitScope())
    return LimitScope()


def _account_scope(services: Provided, principal: Viewer, account: str) -> LimitScope:
    return LimitScope(account_index(services, principal, account))


def _symbol_scope(services: Provided, principal: Viewer, symbol: str) -> LimitScope:
    scope = LimitScope(None, symbol_index(services, symbol))
    check_readable(principal, scope)
    return scope


def _account_symbol_scope(services: Provided, principal: Viewer, account: str, symbol: str) -> LimitScope:
    return LimitScope(account_index(services, principal, account), symbol_index(services, symbol))


# Below /v1/limits, and what finds the scope.
PATHS: dict[str, Callable[..., LimitScope]] = {
    "/firm": _firm_scope,
    "/accounts/{account}": _account_scope,
    "/symbols/{symbol}": _symbol_scope,
    "/accounts/{account}/symbols/{symbol}": _account_symbol_scope,
}


def check_readable(principal: Principal, scope: LimitScope) -> None:
    """Raises Problem: traders read what concerns their accounts alone."""
    if scope.account is None and principal.accounts is not None:
        raise forbidden("a trader reads the limits of its accounts")


def override_at(services: Services, scope: LimitScope, limit: Limit) -> Any | None:
    """The OVERRIDE record that is in force for one limit of one scope."""
    if not int(scope.record(services)["override_mask"]) >> limit & 1:
        return None
    account, symbol = scope.indexes
    overrides = services.state.overrides
    found = (overrides["number"] != 0) & (overrides["scope"] == scope.kind) & (overrides["limit"] == limit)
    if account >= 0:
        found &= overrides["account"] == account
    if symbol >= 0:
        found &= overrides["symbol"] == symbol
    return overrides[found.argmax()]


def applied_value(record: Any, limit: Limit) -> int:
    """What the checks see in a LIMITS record; UNLIMITED where it says nothing."""
    return int(record["value"][limit]) if int(record["set_mask"]) >> limit & 1 else UNLIMITED


def limit_content(services: Services, scope: LimitScope, limit: Limit, now: int) -> dict[str, Any]:
    """One limit of one scope: its own value, what applies and whose it is, and how much of it is used."""
    facts = LIMITS[limit]
    record = scope.record(services)
    effective, source = applied_value(record, limit), scope
    override = override_at(services, scope, limit)
    own = effective if override is None else int(override["own_value"])
    if facts.tightest:
        effective = UNLIMITED
        for other in scope.wider():
            value = applied_value(other.record(services), limit)
            if value < effective:
                effective, source = value, other
    used = None
    if facts.used is not None:
        used = facts.used(services.state, *scope.indexes, now)
    percent = None
    if used is not None and used < UNLIMITED and 0 < effective < UNLIMITED:
        percent = round(100 * used / effective, _PERCENT_DECIMALS)
    return {
        "value": limit_text(limit, own),
        "effective": limit_text(limit, effective),
        "source": source.text(services) if effective < UNLIMITED else None,
        "override_id": None if override is None else str(override["number"]),
        "used": None if used is None else limit_text(limit, used),
        "used_percent": percent,
        "unit": facts.unit.value,
    }


def scope_content(services: Services, scope: LimitScope) -> dict[str, Any]:
    """All limits that the scope may carry."""
    now = services.clock.now()
    return {
        "scope": scope.text(services),
        "version": int(scope.record(services)["version"]),
        "limits": {
            limit.name: limit_content(services, scope, limit, now)
            for limit in LIMITS
            if scope.kind in RULES[limit].scopes
        },
    }
