"""Accounts and positions as shown: figures in decimals that add up, rounded against the account."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents.accounts import (
    Account,
    Position,
    account_content,
    position_content,
    position_contents,
)
from app.engine.types import Scope, TradingState
from app.runtime.reference import Reference
from tests.support.engine import BUY, SELL, Desk, bought, desk, instrument, mark, trading_state, working
from tests.support.engine import place as order


def account_of(made: Desk, account: int = 0) -> dict[str, Any]:
    state = made.engine.state
    return account_content(state, Reference.from_state(state), account)


def position_of(made: Desk, account: int = 0, symbol: int = 0) -> dict[str, Any]:
    state = made.engine.state
    return position_content(state, Reference.from_state(state), account, symbol)


def positions_of(made: Desk, account: int = 0) -> list[dict[str, Any]]:
    state = made.engine.state
    return list(position_contents(state, Reference.from_state(state), account))


@pytest.fixture
def long() -> Desk:
    """Account 0 is long ten, bought at 1,000 ticks of 1e-8, and the mark is 1,100."""
    made = desk(symbols=2)
    bought(made, 10, 1_000)
    made.send(mark(0, 1_100))
    return made


def test_a_position_is_worth_its_mark_and_cost_its_entry(long: Desk) -> None:
    assert position_of(long) == {
        "account": "account-0",
        "symbol": "S0-USDT",
        "quantity": "10",
        "entry_price": "0.00001",
        "mark": "0.00001100",
        "value": "0.00011",
        "realised_pnl": "0",
        "unrealised_pnl": "0.00001",
        "fees": "0",
        "open_buy": "0",
        "open_sell": "0",
        "open_orders": 0,
    }


def test_an_account_sums_up_its_positions(long: Desk) -> None:
    shown = account_of(long)
    wanted = {
        "account": "account-0",
        "leverage": 10,
        "trading_state": "ACTIVE",
        "cash": "9999.9999",
        "equity": "10000.00001",
        "initial_margin": "0.000011",
        "unrealised_pnl": "0.00001",
        "peak_equity": "10000.00001",
        "open_orders": 0,
    }
    assert {name: shown[name] for name in wanted} == wanted


def test_what_is_realised_is_no_longer_unrealised(long: Desk) -> None:
    bought(long, -4, 1_100)
    shown = position_of(long)
    assert (shown["quantity"], shown["realised_pnl"], shown["unrealised_pnl"]) == (
        "6",
        "0.000004",
        "0.000006",
    )
    assert shown["entry_price"] == "0.00001"


def test_an_average_entry_has_four_decimals_more_than_the_tick() -> None:
    made = desk()
    bought(made, 1, 1_000)
    bought(made, 2, 1_001)
    assert position_of(made)["entry_price"] == "0.000010006667"
    bought(made, -3, 1_000)
    assert position_of(made)["entry_price"] is None, "nothing is held"


def test_a_short_position_has_a_negative_quantity_and_value() -> None:
    made = desk()
    bought(made, -10, 1_000)
    made.send(mark(0, 1_100))
    shown = position_of(made)
    assert (shown["quantity"], shown["value"], shown["entry_price"]) == ("-10", "-0.00011", "0.00001")
    assert shown["unrealised_pnl"] == "-0.00001"
    assert account_of(made)["initial_margin"] == "0.000011", "by its absolute value"


def test_margins_are_rounded_up() -> None:
    made = desk(price=1_001)
    bought(made, 1, 1_001)
    assert account_of(made)["initial_margin"] == "0.00000101"


def test_open_orders_reserve_margin_and_stand_by_their_side() -> None:
    made = desk()
    working(made, order(0, 0, BUY, 20, 990))
    working(made, order(0, 0, SELL, 30, 1_010))
    shown = position_of(made)
    assert (shown["open_buy"], shown["open_sell"], shown["open_orders"]) == ("20", "30", 2)
    account = account_of(made)
    assert (account["open_orders"], account["exposure"], account["initial_margin"]) == (2, "0.0003", "0")
    assert Decimal(account["reserved_margin"]) >= Decimal("0.00003"), "the worse side at a tenth"


def test_without_a_mark_there_is_none_to_show() -> None:
    made = desk()
    made.send(instrument(1))
    assert position_of(made, symbol=1)["mark"] is None


def test_only_what_was_used_is_listed(long: Desk) -> None:
    assert [each["symbol"] for each in positions_of(long)] == ["S0-USDT"]
    assert positions_of(long, 1) == []
    working(long, order(1, 1, BUY, 1, 990))
    assert [each["symbol"] for each in positions_of(long, 1)] == ["S1-USDT"]
    bought(long, -10, 1_100)
    assert [each["quantity"] for each in positions_of(long)] == ["0"], "it was traded"


def test_a_restricted_account_says_so(long: Desk) -> None:
    long.send(trading_state(TradingState.REDUCING, Scope.ACCOUNT, 0))
    assert account_of(long)["trading_state"] == "REDUCING"
    assert account_of(long, 1)["trading_state"] == "ACTIVE"


MONEY = (
    *("cash", "equity", "peak_equity", "realised_pnl", "unrealised_pnl"),
    *("free_margin", "reserved_margin"),
)
trades = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-50, 50).filter(bool), st.integers(900, 1_100)), max_size=6
)


@settings(max_examples=60, deadline=None)
@given(trades, st.integers(900, 1_100))
def test_the_figures_add_up(done: list[tuple[int, int, int]], price: int) -> None:
    made = desk(symbols=2)
    for symbol, quantity, at in done:
        bought(made, quantity, at, symbol=symbol)
    made.send(mark(0, price))
    account, positions = account_of(made), positions_of(made)
    assert account.keys() == Account.model_fields.keys()
    assert all(each.keys() == Position.model_fields.keys() for each in positions)

    def total(name: str) -> Decimal:
        return sum((Decimal(each[name]) for each in positions), Decimal(0))

    figure = {name: Decimal(account[name]) for name in MONEY}
    assert figure["equity"] == figure["cash"] + total("value")
    assert figure["unrealised_pnl"] == total("unrealised_pnl")
    assert figure["realised_pnl"] == total("realised_pnl")
    assert figure["equity"] == 10_000 + figure["realised_pnl"] + figure["unrealised_pnl"]
    assert figure["free_margin"] == figure["equity"] - figure["reserved_margin"]
    assert figure["peak_equity"] >= figure["equity"]
