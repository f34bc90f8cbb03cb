"""Limit paths: the scope that each path names, and the check of who may read it."""

from collections.abc import Callable

from app.api.auth import Principal
from app.api.routes.access import Provided, Viewer, account_index, symbol_index
from app.documents.problems import forbidden
from app.runtime.limit_scope import LimitScope

FindScope = Callable[..., LimitScope]  # a dependency of a route


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


# Paths below /v1/limits, with the dependency that finds the scope.
PATHS: dict[str, FindScope] = {
    "/firm": _firm_scope,
    "/accounts/{account}": _account_scope,
    "/symbols/{symbol}": _symbol_scope,
    "/accounts/{account}/symbols/{symbol}": _account_symbol_scope,
}


def check_readable(principal: Principal, scope: LimitScope) -> None:
    """Raises Problem: a trader reads only what concerns its accounts."""
    if scope.account is None and principal.accounts is not None:
        raise forbidden("a trader reads the limits of its accounts")
