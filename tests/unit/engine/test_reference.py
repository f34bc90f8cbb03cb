"""Reference data, cash, limits and trading states: what is refused changes nothing."""

from typing import Any

import pytest

from app.engine.codes import Code
from app.engine.state import state_hash
from app.engine.types import CommandKind, EventKind, InstrumentStatus, Limit, Scope
from app.runtime.event_views import AccountEvent, LimitEvent, StateEvent, TransferEvent
from tests.models.engine_reference import LARGEST, PLACES
from tests.support.engine import (
    BUY,
    Command,
    Desk,
    account,
    desk,
    instrument,
    limit,
    mark,
    place,
    trading_state,
    transfer,
)

MONEY_MAX = 2**60


def check_rejected(made: Desk, command: Command, code: Code) -> None:
    names = ("accounts", "instruments", "firm_limits", "account_limits", "symbol_limits", "positions")
    before = [getattr(made.engine.state, name).tobytes() for name in names]
    event = made.one(command)
    assert (event.kind, event.code) == (EventKind.COMMAND_REJECTED, code)
    assert (event.account, event.symbol) == (command.account, command.symbol)
    assert before == [getattr(made.engine.state, name).tobytes() for name in names]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": b""},
        {"price_tick_e12": 0},
        {"price_tick_e12": -(10**4)},
        {"quantity_step_e8": 0},
        {"price_tick_e12": 10**4 + 1},  # one tick x one step is no whole money
        {"price_tick_e12": 2**62, "quantity_step_e8": 10**8},
        {"min_quantity": 0},
        {"min_quantity": 11, "max_quantity": 10},
        {"max_quantity": 2**62},
        {"max_quantity": 2**62 // 10**8 + 1},
        {"min_notional": -1},
        {"min_notional": MONEY_MAX + 1},
        {"status": InstrumentStatus.NONE},
        {"status": 4},
    ],
)
def test_instruments_that_cannot_be(wrong: dict[str, Any]) -> None:
    check_rejected(desk(), instrument(1, **wrong), Code.INVALID_VALUE)


def test_instruments_come_one_after_the_other_until_there_is_no_room() -> None:
    made = desk()
    check_rejected(made, instrument(2), Code.INVALID_VALUE)
    check_rejected(made, instrument(-1), Code.INVALID_VALUE)
    for symbol in range(1, 8):
        assert made.one(instrument(symbol)).kind == EventKind.INSTRUMENT_SET
    check_rejected(made, instrument(8), Code.SYMBOL_CAPACITY)


def test_what_positions_are_counted_in_stays() -> None:
    made = desk()
    check_rejected(made, instrument(0, name=b"OTHER"), Code.INVALID_VALUE)
    check_rejected(made, instrument(0, name=b"S0-USDT" + b"x" * 17), Code.INVALID_VALUE)
    check_rejected(made, instrument(0, price_tick_e12=2 * 10**4), Code.INVALID_VALUE)
    check_rejected(made, instrument(0, quantity_step_e8=2 * 10**8), Code.INVALID_VALUE)
    event = made.one(instrument(0, max_quantity=5, status=InstrumentStatus.HALTED))
    assert (event.kind, event.status) == (EventKind.INSTRUMENT_SET, InstrumentStatus.HALTED)
    assert made.one(place(0, 0, BUY, 1, 1_000)).code == Code.SYMBOL_NOT_TRADING


def test_accounts() -> None:
    made = desk(accounts=1)
    for wrong in (account(-1), account(2), account(1, leverage=0), account(1, leverage=1_001)):
        check_rejected(made, wrong, Code.INVALID_VALUE)
    check_rejected(made, Command(CommandKind.SET_ACCOUNT, 1, leverage=1), Code.INVALID_VALUE)
    # Names are compared to the end: these agree in their first 8 bytes.
    check_rejected(made, account(0, name=b"account-1"), Code.INVALID_VALUE)
    check_rejected(made, account(0, name=b"account-0" + b"x" * 30), Code.INVALID_VALUE)
    event = made.one_as(AccountEvent, account(0, leverage=3))
    assert (event.account, event.leverage) == (0, 3)
    assert made.account(0)["leverage"] == 3
    for index in range(1, 8):
        assert made.one(account(index)).kind == EventKind.ACCOUNT_SET
    check_rejected(made, account(8), Code.ACCOUNT_CAPACITY)


@pytest.mark.parametrize("value", [MONEY_MAX + 1, -MONEY_MAX - 1, 2**63 - 1, -(2**63), MONEY_MAX])
def test_transfers_beyond_all_money(value: int) -> None:
    made = desk(cash=1)
    check_rejected(made, transfer(0, value), Code.VALUE_RANGE)


def test_transfers() -> None:
    made = desk(cash=1_000)
    assert made.one(transfer(0, MONEY_MAX - 1_000)).kind == EventKind.CASH_TRANSFERRED
    check_rejected(made, transfer(0, 1), Code.VALUE_RANGE)
    assert made.one_as(TransferEvent, transfer(0, -MONEY_MAX)).amount == -MONEY_MAX
    assert (made.account(0)["cash"], made.account(0)["transferred"]) == (0, 0)
    for index in (-1, 2, 7, 8, 2**31 - 1, -(2**31)):
        check_rejected(made, transfer(index, 1), Code.UNKNOWN_ACCOUNT)


@pytest.mark.parametrize("which", list(Limit))
def test_values_of_limits(which: Limit) -> None:
    made = desk()
    largest = LARGEST.get(which, MONEY_MAX)
    scope = min(PLACES[which])
    where = {
        "scope": scope,
        "account": 0 if scope in (Scope.ACCOUNT, Scope.ACCOUNT_SYMBOL) else -1,
        "symbol": 0 if scope in (Scope.SYMBOL, Scope.ACCOUNT_SYMBOL) else -1,
    }
    for value in (largest + 1, -1, 2**63 - 1):
        check_rejected(made, limit(which, value, **where), Code.INVALID_VALUE)
    made.one(limit(which, 5, **where))
    event = made.one_as(LimitEvent, limit(which, largest, **where))
    assert event.kind == EventKind.LIMIT_SET
    assert (event.new_value, event.old_value, event.limit_number) == (largest, 5, which)
    assert made.one(place(0, 0, BUY, 1, 1_000)).kind == EventKind.ORDER_ACCEPTED
    version = event.version
    event = made.one_as(LimitEvent, limit(which, 1, **where))
    assert (event.new_value, event.old_value, event.version) == (1, largest, version + 1)
    event = made.one_as(LimitEvent, limit(which, 0, **where, state=0))
    assert (event.new_value, event.old_value, event.version) == (-1, 1, version + 2)


@pytest.mark.parametrize(
    ("scope", "where"),
    [
        (Scope.NONE, (0, 0)),
        (5, (0, 0)),
        (Scope.ACCOUNT, (-1, 0)),
        (Scope.ACCOUNT, (2, 0)),
        (Scope.SYMBOL, (0, -1)),
        (Scope.SYMBOL, (0, 1)),
        (Scope.ACCOUNT_SYMBOL, (0, 1)),
        (Scope.ACCOUNT_SYMBOL, (-1, 0)),
        (Scope.ACCOUNT_SYMBOL, (2**31 - 1, 0)),
    ],
)
def test_limits_and_states_of_nobody(scope: int, where: tuple[int, int]) -> None:
    made = desk()
    check_rejected(made, limit(Limit.MAX_POSITION, 1, scope, *where), Code.INVALID_VALUE)
    check_rejected(made, trading_state(2, scope, *where), Code.INVALID_VALUE)


def test_limits_and_states_that_do_not_exist() -> None:
    made = desk()
    check_rejected(made, limit(len(Limit), 1), Code.INVALID_VALUE)
    check_rejected(made, limit(65_535, 1), Code.INVALID_VALUE)
    check_rejected(made, trading_state(3), Code.INVALID_VALUE)
    check_rejected(made, trading_state(1, Scope.ACCOUNT_SYMBOL, 0, 0), Code.INVALID_VALUE)


def test_an_account_without_limits_cannot_trade() -> None:
    made = desk()
    made.send(account(2), transfer(2, 10**9))
    assert made.one(place(2, 0, BUY, 1, 1_000)).code == Code.LIMITS_NOT_SET
    made.one(limit(Limit.MAX_POSITION, 10**18, Scope.ACCOUNT_SYMBOL, 2, 0))
    assert made.one(place(2, 0, BUY, 1, 1_000)).code == Code.LIMITS_NOT_SET
    made.one(limit(Limit.MAX_ORDER_NOTIONAL, 10**9, Scope.ACCOUNT, 2))
    assert made.one(place(2, 0, BUY, 1, 1_000)).kind == EventKind.ORDER_ACCEPTED
    made.one(limit(Limit.MAX_ORDER_NOTIONAL, 0, Scope.ACCOUNT, 2, state=0))
    assert made.one(place(2, 0, BUY, 1, 1_000)).code == Code.LIMITS_NOT_SET


def test_trading_states_tell_what_was_before() -> None:
    made = desk()
    for state, before in ((2, 0), (1, 2), (1, 1), (0, 1)):
        event = made.one_as(StateEvent, trading_state(state, Scope.SYMBOL, symbol=0))
        assert (event.state, event.old_state) == (state, before)


def test_marks_that_cannot_be() -> None:
    made = desk()
    made.one(instrument(0, max_quantity=2**35))
    largest = 2**25
    for price in (0, -1, largest + 1, 2**63 - 1):
        check_rejected(made, mark(0, price), Code.INVALID_VALUE)
    for symbol in (-1, 1, 8, 2**31 - 1, -(2**31)):
        check_rejected(made, mark(symbol, 1_000), Code.UNKNOWN_SYMBOL)
    assert made.one(mark(0, largest)).kind == EventKind.MARK_UPDATED


@pytest.mark.parametrize("kind", [0, 99, 255])
def test_commands_of_no_kind(kind: int) -> None:
    made = desk()
    before = made.engine.state.orders.tobytes()
    event = made.one(Command(kind))
    assert (event.kind, event.code) == (EventKind.COMMAND_REJECTED, Code.INVALID_VALUE)
    assert made.engine.state.orders.tobytes() == before


def test_the_hash_tells_states_apart() -> None:
    one, other = desk(), desk()
    assert state_hash(one.engine.state) == state_hash(other.engine.state)
    one.one(limit(Limit.MAX_GROSS_EXPOSURE, 1))
    other.one(limit(Limit.MAX_GROSS_EXPOSURE, 2))
    assert state_hash(one.engine.state) != state_hash(other.engine.state)


@pytest.mark.parametrize(("account_index", "symbol", "code"), [
    (-1, 0, Code.UNKNOWN_ACCOUNT), (2, 0, Code.UNKNOWN_ACCOUNT), (2**31 - 1, 0, Code.UNKNOWN_ACCOUNT),
    (-(2**31), 0, Code.UNKNOWN_ACCOUNT), (0, -1, Code.UNKNOWN_SYMBOL), (0, 1, Code.UNKNOWN_SYMBOL),
    (0, 2**31 - 1, Code.UNKNOWN_SYMBOL), (0, -(2**31), Code.UNKNOWN_SYMBOL), (-1, -1, Code.UNKNOWN_ACCOUNT),
])  # fmt: skip
def test_orders_of_nobody_and_for_nothing(account_index: int, symbol: int, code: Code) -> None:
    """Each number by itself: a compiled check of a sign is easily lost (see `risk._check_reference`)."""
    made = desk()
    event = made.one(place(account_index, symbol, BUY, 1, 1_000, client_order_id=b"x"))
    assert (event.kind, event.code) == (EventKind.ORDER_REJECTED, code)
    assert event.account == (account_index if account_index == 0 else -1)
    assert event.symbol == (symbol if symbol == 0 else -1)
