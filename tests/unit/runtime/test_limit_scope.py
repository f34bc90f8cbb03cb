"""Scopes of limits: what each is called, and which are wider."""

import pytest

from app.engine.types import Scope
from app.runtime.limit_scope import LimitScope, scope_of


@pytest.mark.parametrize(
    ("account", "symbol", "kind"),
    [
        (None, None, Scope.FIRM),
        (3, None, Scope.ACCOUNT),
        (None, 5, Scope.SYMBOL),
        (3, 5, Scope.ACCOUNT_SYMBOL),
        (0, 0, Scope.ACCOUNT_SYMBOL),  # the first of each is not none
    ],
)
def test_a_scope_has_the_kind_of_what_it_names(account: int | None, symbol: int | None, kind: Scope) -> None:
    assert scope_of(account, symbol) is LimitScope(account, symbol).kind is kind


def test_indexes_are_those_of_the_engines_records() -> None:
    assert LimitScope().indexes == (-1, -1)
    assert LimitScope(0, 7).indexes == (0, 7)


def test_wider_scopes_come_first_and_once() -> None:
    firm, account, symbol, pair = LimitScope(), LimitScope(1), LimitScope(None, 2), LimitScope(1, 2)
    assert pair.wider() == [firm, account, symbol, pair]
    assert account.wider() == [firm, account]
    assert symbol.wider() == [firm, symbol]
    assert firm.wider() == [firm]
