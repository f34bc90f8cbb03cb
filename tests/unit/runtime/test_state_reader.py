"""The state reader finds what the engine has written, of every account and symbol."""

import pytest

from app.engine.limits import UNLIMITED
from app.engine.types import CommandKind, Limit, Permission, Scope
from app.runtime import state_reader as reader
from app.runtime.limit_scope import LimitScope
from app.runtime.reference import Reference
from tests.support.engine import BUY, Command, Desk, bought, desk, limit, place


@pytest.fixture(scope="module")
def traded() -> Desk:
    """Three accounts, two symbols: account 1 is long in symbol 1, account 2 buys in symbol 0."""
    made = desk(accounts=3, symbols=2)
    bought(made, 7, 1_000, account=1, symbol=1)
    made.send(place(2, 0, BUY, 3, 990))
    made.send(limit(Limit.MAX_POSITION, 500, Scope.ACCOUNT_SYMBOL, 1, 1))
    made.send(limit(Limit.MAX_ORDER_QUANTITY, 50, Scope.SYMBOL, symbol=1))
    made.send(Command(CommandKind.SET_PERMISSION, 2, 1, state=Permission.DENIED))
    return made


@pytest.fixture(scope="module")
def reference(traded: Desk) -> Reference:
    return Reference.from_state(traded.engine.state)


def test_positions(traded: Desk, reference: Reference) -> None:
    state = traded.engine.state
    quantities = {
        (account, symbol): int(reader.position_of(state, account, symbol)["quantity"])
        for account in range(3)
        for symbol in range(2)
    }
    assert quantities == {**dict.fromkeys(quantities, 0), (1, 1): 7}
    assert reader.positions_of(state, 1, 2)["quantity"].tolist() == [0, 7]
    table = reader.by_symbol_and_account(state, state.positions, reference)
    assert table["quantity"].tolist() == [[0, 0, 0], [0, 7, 0]]
    assert reader.held_positions(state, reference, -1) == [(2, 0), (1, 1)]
    assert reader.held_positions(state, reference, 1) == [(1, 1)]
    assert reader.held_positions(state, reference, 0) == []
    assert reader.holders_of(state, reference, 1) == [1]
    assert reader.holders_of(state, reference, 0) == []


def test_equity_of_an_account_and_of_the_firm(traded: Desk) -> None:
    state = traded.engine.state
    assert reader.equity_of(state, 1) == traded.equity(1)
    assert reader.equity_of(state, -1) == sum(traded.equity(account) for account in range(3))
    assert reader.holder_of(state, 1)["cash"] == state.accounts[1]["cash"]
    assert reader.holder_of(state, -1)["equity"] == state.firm[0]["equity"]


def test_limits_by_scope(traded: Desk, reference: Reference) -> None:
    state = traded.engine.state
    pair, symbol = LimitScope(1, 1), LimitScope(None, 1)
    assert reader.set_limits(reader.limits_of(state, pair)) == {Limit.MAX_POSITION: 500}
    assert reader.set_limits(reader.limits_of(state, symbol)) == {Limit.MAX_ORDER_QUANTITY: 50}
    assert reader.set_limits(reader.limits_of(state, LimitScope())) == {}
    assert reader.limit_value(reader.limits_of(state, pair), Limit.MAX_POSITION) == 500
    assert reader.limit_value(reader.limits_of(state, pair), Limit.MAX_OPEN_ORDERS) == UNLIMITED
    accounts = [LimitScope(account) for account in range(3)]  # the tests' market gives each a limit
    assert reader.limited_scopes(state, reference) == [LimitScope(), *accounts, symbol, pair]
    assert reader.limited_scopes(state, reference, 1) == [LimitScope(1), pair]
    assert reader.limited_scopes(state, reference, 0) == [LimitScope(0)]


def test_permissions_of_symbols(traded: Desk, reference: Reference) -> None:
    state = traded.engine.state
    assert reader.restricted_pairs(state, reference) == [(2, 1)]
    assert reader.restricted_pairs(state, reference, 2) == [(2, 1)]
    assert reader.restricted_pairs(state, reference, 1) == []


def test_what_has_no_name_yet_is_not_listed(traded: Desk) -> None:
    state = traded.engine.state
    unnamed = Reference()
    assert reader.limited_scopes(state, unnamed) == [LimitScope()]
    assert reader.held_positions(state, unnamed, -1) == []
    assert reader.restricted_pairs(state, unnamed) == []
