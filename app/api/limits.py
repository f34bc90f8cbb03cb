"""Limits: what each scope may do. Values only; versions for `If-Match`, history and overrides come later."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel

from app.api import commands
from app.api.access import (
    ExactRoute,
    Provided,
    RiskManager,
    Viewer,
    account_index,
    is_refused,
    json_response,
    problems,
    symbol_index,
)
from app.api.auth import Principal
from app.api.decimals import JsonNumber, decimal_text
from app.api.errors import Problem, forbidden, invalid_field
from app.api.refusals import refusal, scope_text
from app.api.schemas import Limits
from app.api.services import Services
from app.engine.types import Limit
from app.runtime.reference import MONEY, money_text

router = APIRouter(prefix="/v1/limits", tags=["limits"], route_class=ExactRoute)

# In 1e-8 of a currency; the other limits are whole numbers in the unit that their name says.
AMOUNTS = (
    Limit.MAX_ORDER_QUANTITY,
    Limit.MAX_ORDER_NOTIONAL,
    Limit.MAX_POSITION,
    Limit.MAX_GROSS_EXPOSURE,
    Limit.MAX_PORTFOLIO_VAR,
    Limit.MAX_CORRELATED_EXPOSURE,
)

assert set(Limits.model_fields) == {limit.name for limit in Limit}


class ScopeLimits(BaseModel):
    """The limits of one scope; null where none is set. `version` counts the changes."""

    scope: str
    version: int
    limits: Limits


class AllLimits(BaseModel):
    items: list[ScopeLimits]
    next_cursor: str | None


def _units(limit: Limit, value: str | int | JsonNumber) -> int:
    if limit not in AMOUNTS:
        assert isinstance(value, int)
        return value
    try:
        return MONEY.parse(decimal_text(value))
    except ValueError:
        raise invalid_field(limit.name, "must have at most 8 decimals and fit") from None


def limit_values(limits: Limits) -> dict[Limit, int | None]:
    """The limits that a request names, in the engine's units; None removes one. Raises Problem."""
    values: dict[Limit, int | None] = {}
    for name in sorted(limits.model_fields_set):
        value = getattr(limits, name)
        values[Limit[name]] = None if value is None else _units(Limit[name], value)
    return values


class LimitScope:
    """A scope that a path names."""

    def __init__(self, account: int | None = None, symbol: int | None = None) -> None:
        self.account = account
        self.symbol = symbol

    def record(self, services: Services) -> Any:
        state = services.state
        if self.account is None:
            return state.firm_limits[0] if self.symbol is None else state.symbol_limits[self.symbol]
        if self.symbol is None:
            return state.account_limits[self.account]
        return state.account_symbol_limits[self.symbol * len(state.accounts) + self.account]

    def content(self, services: Services) -> dict[str, Any]:
        record = self.record(services)
        mask = int(record["set_mask"])
        limits: dict[str, str | int | None] = {}
        for limit in Limit:
            value = int(record["value"][limit])
            shown = money_text(value) if limit in AMOUNTS else value
            limits[limit.name] = shown if mask >> limit & 1 else None
        account = -1 if self.account is None else self.account
        symbol = -1 if self.symbol is None else self.symbol
        scope = commands.scope_of(self.account, self.symbol)
        return {
            "scope": scope_text(services.reference, scope, account, symbol),
            "version": int(record["version"]),
            "limits": limits,
        }


def _firm() -> LimitScope:
    return LimitScope()


def _account(services: Provided, principal: Viewer, account: str) -> LimitScope:
    return LimitScope(account_index(services, principal, account))


def _symbol(services: Provided, symbol: str) -> LimitScope:
    return LimitScope(None, symbol_index(services, symbol))


def _account_symbol(services: Provided, principal: Viewer, account: str, symbol: str) -> LimitScope:
    return LimitScope(account_index(services, principal, account), symbol_index(services, symbol))


async def _answer(services: Services, scope: LimitScope) -> Response:
    content = scope.content(services)
    await services.loop.durable()
    return json_response(content)


async def _change(services: Services, principal: Principal, scope: LimitScope, limits: Limits) -> Response:
    values = limit_values(limits)
    if not values:
        raise invalid_field("", "name at least one limit")
    records = bytearray()
    for limit, value in values.items():
        records += commands.set_limit(scope.account, scope.symbol, limit, value, principal.number)
    for outcome in await services.loop.submit_batch(records):
        if is_refused(outcome):
            content = refusal(services.reference, outcome.event)
            raise Problem(422, content["code"], content["detail"])
    return await _answer(services, scope)


_PATHS = {
    "/firm": _firm,
    "/accounts/{account}": _account,
    "/symbols/{symbol}": _symbol,
    "/accounts/{account}/symbols/{symbol}": _account_symbol,
}


def _add_routes(path: str, find_scope: Any) -> None:
    async def get_limits(
        services: Provided, principal: Viewer, scope: Annotated[LimitScope, Depends(find_scope)]
    ) -> Response:
        if scope.account is None and principal.accounts is not None:
            raise forbidden("a trader reads the limits of its accounts")
        return await _answer(services, scope)

    async def put_limits(
        limits: Limits,
        services: Provided,
        principal: RiskManager,
        scope: Annotated[LimitScope, Depends(find_scope)],
    ) -> Response:
        """Set the limits that are named, remove those that are null; the others stay."""
        return await _change(services, principal, scope, limits)

    options = {"response_model": ScopeLimits, "operation_id": None}
    router.get(path, responses=problems(404), **options)(get_limits)  # type: ignore[arg-type]
    router.put(path, responses=problems(404, 413, 422), **options)(put_limits)  # type: ignore[arg-type]


for _path, _find_scope in _PATHS.items():
    _add_routes(_path, _find_scope)


@router.get("", response_model=AllLimits, responses=problems())
async def list_limits(services: Provided, principal: Viewer) -> Response:
    """Limits of the firm, of all accounts and of all symbols; a trader sees those of its accounts."""
    scopes: list[LimitScope] = []
    if principal.accounts is None:
        scopes.append(LimitScope())
        scopes += [LimitScope(None, symbol) for symbol in range(len(services.reference.instruments))]
    for index, name in enumerate(services.reference.account_names):
        if principal.may_read(name):
            scopes.append(LimitScope(index))
    items = [scope.content(services) for scope in scopes]
    await services.loop.durable()
    return json_response({"items": items, "next_cursor": None})
