"""Commands of clients' orders, as the engine reads them; decimals off the grid become faults."""

import pytest

from app.commands.orders import (
    amend_order,
    cancel_all,
    cancel_order,
    close_position,
    new_order,
    place_order,
)
from app.documents.schemas import AmendOrder, PlaceOrder
from app.engine.types import (
    CommandKind,
    Fault,
    OrderFlag,
    OrderType,
    Scope,
    SelfTradePrevention,
    Side,
    StateFlag,
    TimeInForce,
)
from app.runtime.reference import Reference
from tests.support.command_records import read
from tests.support.engine import desk

ACTOR = 7


@pytest.fixture(scope="module")
def reference() -> Reference:
    """Two accounts, one symbol with a tick of 0.00000001 and a step of 1."""
    return Reference.from_state(desk().engine.state)


def test_every_field_of_a_new_order_arrives_under_its_name() -> None:
    numbers = {
        "account": 1,
        "symbol": 2,
        "side": Side.SELL,
        "type": OrderType.STOP_LIMIT,
        "time_in_force": TimeInForce.GTD,
        "flags": 4,
        "self_trade_prevention": SelfTradePrevention.CANCEL_BOTH,
        "fault": 5,
        "price": 6,
        "stop_price": 7,
        "quantity": 8,
        "expire_ts": 9,
        "actor": 10,
    }
    record = new_order(**numbers, client_order_id=b"mine")
    assert read(record) == {"kind": CommandKind.PLACE_ORDER, **numbers, "client_order_id": b"mine"}


def test_an_order_of_everything(reference: Reference) -> None:
    order: PlaceOrder = {
        "account": "account-1",
        "symbol": "S0-USDT",
        "side": "SELL",
        "type": "STOP_LIMIT",
        "quantity": "3",
        "price": "0.00000002",
        "stop_price": "0.00000001",
        "time_in_force": "GTD",
        "expire_at": 99,
        "post_only": True,
        "reduce_only": True,
        "self_trade_prevention": "CANCEL_BOTH",
        "client_order_id": "mine",
    }
    assert read(place_order(reference, order, ACTOR)) == {
        "kind": CommandKind.PLACE_ORDER,
        "account": 1,
        "symbol": 0,
        "side": Side.SELL,
        "type": OrderType.STOP_LIMIT,
        "quantity": 3,
        "price": 2,
        "stop_price": 1,
        "time_in_force": TimeInForce.GTD,
        "expire_ts": 99,
        "flags": OrderFlag.POST_ONLY | OrderFlag.REDUCE_ONLY,
        "self_trade_prevention": SelfTradePrevention.CANCEL_BOTH,
        "client_order_id": b"mine",
        "actor": ACTOR,
    }


def test_unknown_accounts_and_symbols_are_for_the_engine_to_refuse(reference: Reference) -> None:
    order: PlaceOrder = {
        "account": "nobody",
        "symbol": "NOTHING",
        "side": "BUY",
        "type": "MARKET",
        "quantity": "1",
    }
    assert read(place_order(reference, order, ACTOR)) == {"kind": CommandKind.PLACE_ORDER, "actor": ACTOR}


@pytest.mark.parametrize(
    ("numbers", "fault"),
    [
        ({"quantity": "0.5"}, Fault.QUANTITY_STEP),
        ({"quantity": "9" * 30}, Fault.QUANTITY_RANGE),
        ({"price": "0.000000001"}, Fault.PRICE_TICK),
        ({"price": "0"}, Fault.PRICE_RANGE),
        ({"stop_price": "0"}, Fault.STOP_PRICE),
        ({"quantity": "0.5", "price": "0"}, Fault.QUANTITY_STEP | Fault.PRICE_RANGE),
    ],
)
def test_numbers_off_the_grid_are_faults(reference: Reference, numbers: dict[str, str], fault: int) -> None:
    order: PlaceOrder = {
        "account": "account-0",
        "symbol": "S0-USDT",
        "side": "BUY",
        "type": "LIMIT",
        "quantity": "1",
    }
    order |= numbers  # type: ignore[typeddict-item]  # names of its fields
    assert read(place_order(reference, order, ACTOR))["fault"] == fault


def test_an_amendment_leaves_what_it_does_not_name(reference: Reference) -> None:
    instrument = reference.instruments[0]

    def amended(amend: AmendOrder) -> dict[str, object]:
        return read(amend_order(1, instrument, 1 << 40, amend, ACTOR))

    common = {
        "kind": CommandKind.AMEND_ORDER,
        "account": 1,
        "symbol": 0,
        "order_id": 1 << 40,
        "actor": ACTOR,
    }
    assert amended({}) == common
    everything: AmendOrder = {"price": "0.00000002", "stop_price": "0.00000001", "quantity": "3"}
    assert amended(everything) == common | {"price": 2, "stop_price": 1, "quantity": 3}
    zeros: AmendOrder = {"price": "0", "stop_price": "0", "quantity": "0"}
    faults = Fault.PRICE_RANGE | Fault.STOP_PRICE | Fault.QUANTITY_ZERO
    assert amended(zeros) == common | {"fault": faults}


def test_cancels() -> None:
    assert read(cancel_order(1, 0, 1 << 40, ACTOR)) == {
        "kind": CommandKind.CANCEL_ORDER,
        "account": 1,
        "symbol": 0,
        "order_id": 1 << 40,
        "actor": ACTOR,
    }
    assert read(cancel_all(None, 0, ACTOR)) == {
        "kind": CommandKind.CANCEL_ALL,
        "symbol": 0,
        "scope": Scope.SYMBOL,
        "actor": ACTOR,
    }


def test_a_position_is_closed_with_or_without_what_is_open() -> None:
    closing = {"kind": CommandKind.CLOSE_POSITION, "account": 1, "symbol": 0, "actor": ACTOR}
    assert read(close_position(1, 0, False, None, ACTOR)) == closing
    named = closing | {"flags": StateFlag.CANCEL_OPEN, "client_order_id": b"mine"}
    assert read(close_position(1, 0, True, "mine", ACTOR)) == named
