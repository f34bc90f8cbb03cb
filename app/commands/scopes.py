"""Scope of a command: the firm, an account, a symbol or an account in a symbol, as its fields give it."""

from app.runtime.limit_scope import LimitScope


def scope_fields(account: int | None, symbol: int | None) -> dict[str, int]:
    """Account, symbol and scope of a command; None: all accounts, all symbols."""
    scope = LimitScope(account, symbol)
    account_index, symbol_index = scope.indexes
    return {"account": account_index, "symbol": symbol_index, "scope": scope.kind}
