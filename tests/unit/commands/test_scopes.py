"""Scopes of commands, by whether an account and a symbol are named."""

import pytest

from app.commands.scopes import scope_fields
from app.engine.types import Scope


@pytest.mark.parametrize(
    ("account", "symbol", "fields"),
    [
        (None, None, {"account": -1, "symbol": -1, "scope": Scope.FIRM}),
        (0, None, {"account": 0, "symbol": -1, "scope": Scope.ACCOUNT}),
        (None, 0, {"account": -1, "symbol": 0, "scope": Scope.SYMBOL}),
        (3, 5, {"account": 3, "symbol": 5, "scope": Scope.ACCOUNT_SYMBOL}),
    ],
)
def test_scope_fields(account: int | None, symbol: int | None, fields: dict[str, int]) -> None:
    assert scope_fields(account, symbol) == fields
