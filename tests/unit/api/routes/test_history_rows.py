"""Rows of history as shown: names and decimals, in the same columns whatever a row has."""

from typing import Any

import pytest

from app.api.routes.history_rows import ROWS, Row, shown_row
from app.engine.codes import Code
from app.engine.types import EventKind, Limit, OrderFlag, OrderStatus, Scope, Side, TradingState
from app.runtime.reference import Reference
from tests.support.engine import desk

# A row of every table at once: what the database has of an order, an execution, a change.
ROW: dict[str, Any] = {
    "ts": 5,
    "seq": 9,
    "kind": EventKind.ORDER_FILLED,
    "account_index": 1,
    "symbol_index": 0,
    "order_id": 77,
    "client_order_id": "mine",
    "side": Side.SELL,
    "order_type": 1,
    "time_in_force": 0,
    "flags": OrderFlag.POST_ONLY,
    "status": OrderStatus.PARTIALLY_FILLED,
    "code": 0,
    "price": 1_000,
    "stop_price": 0,
    "quantity": 10,
    "filled_quantity": 3,
    "filled_notional": 3_001,
    "scope": Scope.FIRM,
    "limit_value": 0,
    "observed_value": 0,
    "created_ts": 4,
    "updated_ts": 5,
    "expire_ts": None,
    "execution_id": 8,
    "fee": -7,
    "liquidity": 1,
    "position_quantity": -3,
    "actor": 2,
    "reason": "because",
    "limit_number": int(Limit.MAX_OPEN_ORDERS),
    "old_value": -1,
    "new_value": 5,
    "version": 1,
    "number": 0,
    "expires_ts": None,
    "ended": 0,
    "equity": 10**8,
    "cash": 1,
    "position_value": 0,
    "exposure": 0,
    "realised": 0,
    "fees": 0,
    "transferred": 0,
    "open_orders": 2,
}


@pytest.fixture(scope="module")
def reference() -> Reference:
    return Reference.from_state(desk().engine.state)


def told(reference: Reference, name: str, *, shows_shared: bool = True, **values: Any) -> dict[str, Any]:
    row: Any = ROW | values
    return shown_row(ROWS[name], reference, row, shows_shared)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("kind", [EventKind.ORDER_FILLED, EventKind.LIMIT_SET, EventKind.TRADING_STATE_SET])
def test_columns_are_the_same_for_every_row(reference: Reference, row: Row, kind: EventKind) -> None:
    record: Any = ROW | {"kind": kind}
    for values in (record, record | {"code": Code.MAX_OPEN_ORDERS, "expire_ts": 6, "expires_ts": 6}):
        assert tuple(row.content(reference, values)) == row.names


def test_an_order(reference: Reference) -> None:
    shown = told(reference, "orders")
    wanted = {
        "order_id": "77",
        "account": "account-1",
        "symbol": "S0-USDT",
        "side": "SELL",
        "status": "PARTIALLY_FILLED",
        "post_only": True,
        "reduce_only": False,
        "price": "0.00001000",
        "stop_price": None,
        "quantity": "10",
        "filled_quantity": "3",
        "average_price": "0.000010003333",
        "code": None,
        "limit": None,
        "observed": None,
    }
    assert {name: shown[name] for name in wanted} == wanted


def test_an_execution_and_a_settlement_which_is_of_no_order(reference: Reference) -> None:
    fill = told(reference, "fills")
    assert (fill["fill_id"], fill["order_id"]) == ("8", "77")
    assert (fill["fee"], fill["position"]) == ("-0.00000007", "-3")
    settlement = told(reference, "fills", order_id=0, liquidity=0)
    assert (settlement["fill_id"], settlement["order_id"], settlement["liquidity"]) == (None, None, None)


def test_what_a_later_version_wrote_is_shown_by_its_number(reference: Reference) -> None:
    shown = told(reference, "order-events", kind=250, status=99, side=7, account_index=500, symbol_index=500)
    assert (shown["event"], shown["status"], shown["side"]) == (250, 99, 7)
    assert (shown["account"], shown["symbol"], shown["quantity"]) == (None, None, None)


@pytest.mark.parametrize(
    ("scope", "code", "hidden"),
    [
        (Scope.FIRM, Code.MAX_GROSS_EXPOSURE, True),
        (Scope.SYMBOL, Code.MAX_POSITION, True),
        (Scope.ACCOUNT, Code.MAX_GROSS_EXPOSURE, False),
        (Scope.SYMBOL, Code.QUANTITY_MAX, False),  # a rule of the instrument, which everybody may read
    ],
)
@pytest.mark.parametrize("name", ["orders", "risk-events"])
def test_numbers_of_scopes_that_others_are_in(
    reference: Reference, name: str, scope: Scope, code: Code, hidden: bool
) -> None:
    refusal: dict[str, Any] = {
        "kind": EventKind.ORDER_REJECTED,
        "code": code,
        "scope": scope,
        "limit_value": 5,
    }
    own = told(reference, name, shows_shared=False, **refusal)
    whole = told(reference, name, **refusal)
    assert whole["limit"] is not None
    assert (own["limit"], own["observed"]) == (
        (None, None) if hidden else (whole["limit"], whole["observed"])
    )


def test_a_state_is_told_in_words(reference: Reference) -> None:
    values: dict[str, Any] = {"limit_value": TradingState.HALTED, "observed_value": TradingState.ACTIVE}
    shown = told(reference, "risk-events", kind=EventKind.TRADING_STATE_SET, scope=Scope.ACCOUNT, **values)
    assert (shown["scope"], shown["limit"], shown["observed"]) == ("account:account-1", "HALTED", "ACTIVE")


def test_a_change_of_a_limit_and_a_decision_that_names_none(reference: Reference) -> None:
    change = told(reference, "limit-changes", kind=EventKind.LIMIT_SET)
    assert (change["limit"], change["version"]) == ("MAX_OPEN_ORDERS", 1)
    assert (change["old"], change["new"]) == (None, 5)
    decision = told(reference, "limit-changes", kind=EventKind.CHANGE_APPROVED, version=0, number=3)
    assert [decision[name] for name in ("limit", "old", "new", "version", "number")] == [None] * 4 + [3]


def test_a_settlement_in_the_audit_is_a_price(reference: Reference) -> None:
    shown = told(reference, "audit", kind=EventKind.SYMBOL_SETTLED, new_value=700)
    assert (shown["name"], shown["old"], shown["new"]) == ("price", None, "0.00000700")


def test_a_transfer(reference: Reference) -> None:
    shown = told(reference, "transfers", new_value=-(10**8), reason="")
    assert (shown["amount"], shown["transfer_id"], shown["reason"]) == ("-1", "9", None)
