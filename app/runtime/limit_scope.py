"""Scopes of limits: the firm, an account, a symbol, an account in a symbol."""

from typing import NamedTuple

from app.engine.types import Scope


def scope_of(account: int | None, symbol: int | None) -> Scope:
    """The kind of scope of these indexes; None: all accounts, all symbols."""
    if account is None:
        return Scope.FIRM if symbol is None else Scope.SYMBOL
    return Scope.ACCOUNT if symbol is None else Scope.ACCOUNT_SYMBOL


class LimitScope(NamedTuple):
    """One scope by the engine's indexes; None: all accounts, all symbols."""

    account: int | None = None
    symbol: int | None = None

    @property
    def kind(self) -> Scope:
        return scope_of(self.account, self.symbol)

    @property
    def indexes(self) -> tuple[int, int]:
        """Account and symbol as the engine's records have them: -1 for None."""
        return (
            -1 if self.account is None else self.account,
            -1 if self.symbol is None else self.symbol,
        )

    def wider(self) -> "list[LimitScope]":
        """The scopes whose limits also apply to an order in this one, the widest first, this one last."""
        scopes = [LimitScope(), LimitScope(self.account), LimitScope(None, self.symbol), self]
        return list(dict.fromkeys(scopes))
