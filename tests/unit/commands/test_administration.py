"""Commands of administrators, as the engine reads them."""

import pytest

from app.commands.administration import (
    RISK_MODEL_FIELDS,
    set_account,
    set_instrument,
    set_permission,
    set_policy,
    set_risk_model,
    set_trading_state,
    settle_symbol,
    transfer_cash,
)
from app.commands.notes import note_parts
from app.engine.records import RISK_MODEL_COMMAND
from app.engine.types import CommandKind, InstrumentStatus, Permission, Policy, Scope, TradingState
from app.runtime.reference import Grid, InstrumentView
from app.runtime.views import field_names
from tests.support.command_records import read

ACTOR = 7
BY = {"actor": ACTOR, "notes": 1}


def explained(records: list[bytes]) -> dict[str, object]:
    """The command behind the note that says why."""
    note, record = records
    assert [note] == note_parts("why", ACTOR)
    return read(record)


def test_an_instrument_is_sent_as_its_view_has_it() -> None:
    view = InstrumentView(
        index=3,
        symbol="BTC-USDT",
        base="BTC",
        quote="USDT",
        price_tick_e12=10**10,
        quantity_step_e8=10**3,
        multiplier=1,
        min_quantity=2,
        max_quantity=10**6,
        max_price=5,
        min_notional=4,
        maker_fee_ppm=-100,
        taker_fee_ppm=500,
        status=InstrumentStatus.HALTED,
        version=8,
        prices=Grid(10**10, 12),
        quantities=Grid(10**3, 8),
        mark_spread_max_bps=50,
    )
    assert read(set_instrument(view, ACTOR)) == {
        "kind": CommandKind.SET_INSTRUMENT,
        "symbol": 3,
        "name": b"BTC-USDT",
        "base": b"BTC",
        "quote": b"USDT",
        "price_tick_e12": 10**10,
        "quantity_step_e8": 10**3,
        "min_quantity": 2,
        "max_quantity": 10**6,
        "min_notional": 4,
        "maker_fee_ppm": -100,
        "taker_fee_ppm": 500,
        "status": InstrumentStatus.HALTED,
        "mark_spread_max_bps": 50,
        "actor": ACTOR,
    }


def test_accounts_and_their_cash() -> None:
    assert explained(set_account(0, "alpha", 5, ACTOR, "why")) == {
        "kind": CommandKind.SET_ACCOUNT,
        "account": 0,
        "name": b"alpha",
        "leverage": 5,
        **BY,
    }
    transfer = {"kind": CommandKind.TRANSFER_CASH, "account": 0, "value": -9}
    assert explained(transfer_cash(0, -9, ACTOR, "why")) == {**transfer, **BY}
    (without_reason,) = transfer_cash(0, -9, 0)
    assert read(without_reason) == transfer


def test_trading_states_and_permissions() -> None:
    halted = set_trading_state(None, 4, TradingState.HALTED, ACTOR, "why")
    assert explained(halted) == {
        "kind": CommandKind.SET_TRADING_STATE,
        "symbol": 4,
        "scope": Scope.SYMBOL,
        "state": TradingState.HALTED,
        **BY,
    }
    assert explained(set_permission(2, None, Permission.DENIED, ACTOR, "why")) == {
        "kind": CommandKind.SET_PERMISSION,
        "account": 2,
        "scope": Scope.ACCOUNT,
        "state": Permission.DENIED,
        **BY,
    }


def test_settlements_and_policies() -> None:
    assert explained(settle_symbol(4, 1_000, ACTOR, "why")) == {
        "kind": CommandKind.SETTLE_SYMBOL,
        "symbol": 4,
        "value": 1_000,
        **BY,
    }
    assert read(set_policy(Policy.REPEAT_WINDOW_US, 60, ACTOR)) == {
        "kind": CommandKind.SET_POLICY,
        "code": Policy.REPEAT_WINDOW_US,
        "value": 60,
        "actor": ACTOR,
    }


def test_a_risk_model_is_all_of_its_parameters() -> None:
    others = ("seq", "ts", "account", "symbol", "kind", "notes", "actor")
    assert {*RISK_MODEL_FIELDS, *others} == set(field_names(RISK_MODEL_COMMAND))
    values = {name: 10 + number for number, name in enumerate(RISK_MODEL_FIELDS)}
    found = explained(set_risk_model(values, ACTOR, "why"))
    assert found == {"kind": CommandKind.SET_RISK_MODEL, **values, **BY}
    del values["z_e9"]
    with pytest.raises(KeyError):
        set_risk_model(values, ACTOR, "why")
