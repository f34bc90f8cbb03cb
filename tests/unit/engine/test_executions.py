"""Execution reports: fills move money exactly, and what cannot be is recorded and changes nothing."""

from random import Random
from typing import Any

import pytest

from app.engine.capacity import Capacity
from app.engine.codes import Code
from app.engine.types import EventKind, OrderFlag, OrderStatus, ReportKind, Side
from app.runtime.event_views import ReplaceEvent, event_as
from app.runtime.views import EventView
from tests.support.engine import (
    BUY,
    SELL,
    Command,
    Desk,
    bought,
    cancel,
    desk,
    market,
    place,
    report,
    trade,
    working,
)

CASH = 10**12


def check_nothing_changed(made: Desk, command: Command, code: Code) -> None:
    arrays = ("orders", "accounts", "positions", "instruments", "fills", "executions", "client_ids")
    before = [getattr(made.engine.state, name).tobytes() for name in arrays]
    event = made.one(command)
    assert (event.kind, event.code) == (EventKind.EXECUTION_ANOMALY, code)
    assert (event.order_id, event.execution_id) == (command.order_id, command.execution_id)
    assert (event.last_price, event.last_quantity) == (command.price, command.quantity)
    assert before == [getattr(made.engine.state, name).tobytes() for name in arrays]


def test_a_fill_in_two_parts() -> None:
    made = desk()
    order_id = working(made, place(0, 0, BUY, 10, 1_010))
    first = made.one(trade(order_id, 1, 4, 1_000, fee=7))
    assert (first.kind, first.status) == (EventKind.ORDER_FILLED, OrderStatus.PARTIALLY_FILLED)
    assert (first.last_price, first.last_quantity, first.fee, first.execution_id) == (1_000, 4, 7, 1)
    assert made.position(0, 0)["open_buy"] == 6
    second = made.one(trade(order_id, 2, 6, 1_010, fee=-3))
    assert (second.status, second.filled_quantity, second.filled_notional) == (OrderStatus.FILLED, 10, 10_060)
    position, account = made.position(0, 0), made.account(0)
    assert (position["quantity"], position["entry_cost"], position["open_buy"]) == (10, 10_060, 0)
    assert (account["cash"], account["fees"], account["open_orders"]) == (CASH - 10_060 - 4, 4, 0)
    assert made.equity(0) == CASH - 60 - 4


def test_the_fills_of_an_order_are_kept() -> None:
    made = desk()
    order_id = working(made, place(0, 0, BUY, 10, 1_010))
    made.send(trade(order_id, 11, 4, 1_000), trade(order_id, 12, 6, 1_010))
    number = made.order(order_id)["last_fill"]
    found = []
    while number:
        fill = made.engine.state.fills[(number - 1) % len(made.engine.state.fills)]
        found.append((int(fill["execution_id"]), int(fill["quantity"]), int(fill["price"])))
        number = int(fill["previous"])
    assert found == [(12, 6, 1_010), (11, 4, 1_000)]


# --- What cannot be.


def test_a_repeated_execution() -> None:
    made = desk(symbols=2)
    first = working(made, place(0, 0, BUY, 10, 1_000))
    other = working(made, place(1, 0, BUY, 10, 1_000))
    made.one(trade(first, 5, 4, 1_000))
    check_nothing_changed(made, trade(first, 5, 4, 1_000), Code.DUPLICATE_EXECUTION)
    check_nothing_changed(made, trade(other, 5, 1, 999), Code.DUPLICATE_EXECUTION)
    elsewhere = working(made, place(0, 1, BUY, 10, 1_000))
    assert made.one(trade(elsewhere, 5, 1, 1_000)).kind == EventKind.ORDER_FILLED, "ids are per symbol"


@pytest.mark.parametrize("quantity", [7, 2**63 - 1, 0, -1, -(2**63)])
def test_an_overfill(quantity: int) -> None:
    made = desk()
    order_id = working(made, place(0, 0, BUY, 10, 1_000))
    made.one(trade(order_id, 1, 4, 1_000))
    check_nothing_changed(made, trade(order_id, 2, quantity, 1_000), Code.OVERFILL)
    assert made.one(trade(order_id, 2, 6, 1_000)).status == OrderStatus.FILLED


@pytest.mark.parametrize("price", [0, -1, 2**62])
def test_a_fill_at_no_price(price: int) -> None:
    made = desk()
    order_id = working(made, place(0, 0, BUY, 10, 1_000))
    check_nothing_changed(made, trade(order_id, 1, 4, price), Code.ILLEGAL_TRANSITION)


@pytest.mark.parametrize("kind", list(ReportKind))
def test_an_unknown_order(kind: ReportKind) -> None:
    made = desk()
    for order_id in (0, -1, 1, 77 << 21, 2**62):
        command = report(kind, order_id, execution_id=3, price=1_000, quantity=1)
        check_nothing_changed(made, command, Code.UNKNOWN_ORDER)


@pytest.mark.parametrize("end", [ReportKind.CANCELED, ReportKind.EXPIRED, ReportKind.REJECTED])
def test_a_late_fill(end: ReportKind) -> None:
    made = desk()
    order_id = made.one(place(0, 0, BUY, 10, 1_000)).order_id
    made.one(report(end, order_id, code=Code.VENUE_REJECTED))
    check_nothing_changed(made, trade(order_id, 1, 10, 1_000), Code.ILLEGAL_TRANSITION)
    check_nothing_changed(made, trade(order_id, 1, 3, 1_000), Code.ILLEGAL_TRANSITION)


def test_a_late_fill_of_a_filled_order() -> None:
    made = desk()
    order_id = working(made, place(0, 0, BUY, 10, 1_000))
    made.one(trade(order_id, 1, 10, 1_000))
    check_nothing_changed(made, trade(order_id, 1, 10, 1_000), Code.DUPLICATE_EXECUTION)
    check_nothing_changed(made, trade(order_id, 2, 1, 1_000), Code.OVERFILL)


@pytest.mark.parametrize(("price", "quantity"), [(0, 20), (990, 0), (990, 10**6 + 1), (2**61, 20)])
def test_a_replace_that_cannot_be_asked_for(price: int, quantity: int) -> None:
    made = desk()
    order_id = working(made, place(0, 0, BUY, 10, 1_000))
    replaced = report(ReportKind.REPLACED, order_id, price=price, quantity=quantity)
    check_nothing_changed(made, replaced, Code.ILLEGAL_TRANSITION)
    made.one(Command(3, order_id=order_id, price=990, quantity=20))
    check_nothing_changed(made, replaced, Code.ILLEGAL_TRANSITION)


@pytest.mark.parametrize(("price", "quantity"), [(990, 19), (991, 20), (1_000, 10)])
def test_a_replace_by_other_numbers_than_asked_for_is_the_answer_to_an_earlier_request(
    price: int, quantity: int
) -> None:
    made = desk()
    order_id = working(made, place(0, 0, BUY, 10, 1_000))
    replaced = report(ReportKind.REPLACED, order_id, price=price, quantity=quantity)
    check_nothing_changed(made, replaced, Code.ILLEGAL_TRANSITION)  # nothing at all was asked for
    made.one(Command(3, order_id=order_id, price=990, quantity=20))
    event = made.one(replaced)
    assert (event.kind, event.price, event.quantity) == (EventKind.ORDER_REPLACED, price, quantity)
    assert event.status == OrderStatus.PENDING_REPLACE, "its own answer is still to come"
    assert made.position(0, 0)["open_buy"] == 20
    event = made.one(report(ReportKind.REPLACED, order_id, price=990, quantity=20))
    assert (event.status, event.price, event.quantity) == (OrderStatus.NEW, 990, 20)


def test_the_window_of_executions() -> None:
    """A repeat is known as long as its fill is among the newest ones; then it is an overfill at worst."""
    capacity = Capacity(accounts=2, symbols=1, orders=16, open_orders=8, fills=16, commands=64, events=64)
    made = Desk(capacity)
    made.send(*market())
    order_id = working(made, place(0, 0, BUY, 100, 1_000))
    for execution_id in range(1, 17):
        made.one(trade(order_id, execution_id, 1, 1_000))
    check_nothing_changed(made, trade(order_id, 1, 1, 1_000), Code.DUPLICATE_EXECUTION)
    made.one(trade(order_id, 17, 1, 1_000))
    check_nothing_changed(made, trade(order_id, 2, 1, 1_000), Code.DUPLICATE_EXECUTION)
    assert made.one(trade(order_id, 1, 1, 1_000)).kind == EventKind.ORDER_FILLED


# --- Requests that cross with what happens at the venue.


@pytest.mark.parametrize("command", [cancel, lambda i: Command(3, order_id=i, price=990)])
def test_a_request_refused_because_the_order_has_ended(command: Any) -> None:
    made = desk()
    order_id = working(made, place(0, 0, BUY, 10, 1_000))
    asked = made.one(command(order_id))
    canceling = asked.kind == EventKind.CANCEL_REQUESTED
    made.one(trade(order_id, 1, 10, 1_000))
    kind = ReportKind.CANCEL_REJECTED if canceling else ReportKind.REPLACE_REJECTED
    event = made.one(report(kind, order_id, code=Code.UNKNOWN_ORDER))
    assert event.kind == (EventKind.CANCEL_REJECTED if canceling else EventKind.REPLACE_REJECTED)
    assert (event.status, event.code) == (OrderStatus.FILLED, Code.UNKNOWN_ORDER)


def test_an_acknowledgement_overtaken_by_a_cancel() -> None:
    made = desk()
    order_id = made.one(place(0, 0, BUY, 10, 1_000)).order_id
    made.one(cancel(order_id))
    event = made.one(report(ReportKind.NEW, order_id))
    assert (event.kind, event.status) == (EventKind.ORDER_OPENED, OrderStatus.PENDING_CANCEL)
    assert made.one(report(ReportKind.CANCELED, order_id)).status == OrderStatus.CANCELED


def test_unknown_reserves_until_the_venue_has_been_asked() -> None:
    made = desk()
    order_id = made.one(place(0, 0, BUY, 10, 1_000)).order_id
    assert made.one(report(ReportKind.UNKNOWN, order_id)).kind == EventKind.ORDER_UNKNOWN
    assert made.position(0, 0)["open_buy"] == 10
    assert made.one(trade(order_id, 1, 4, 1_000)).status == OrderStatus.PARTIALLY_FILLED
    assert made.position(0, 0)["open_buy"] == 6


# --- Money.


def test_a_position_flips_through_zero() -> None:
    made = desk()
    bought(made, 10, 1_000)
    bought(made, -15, 1_100)
    position = made.position(0, 0)
    assert (position["quantity"], position["entry_cost"], position["realised"]) == (-5, -5_500, 1_000)
    bought(made, 5, 1_200)
    position = made.position(0, 0)
    assert (position["quantity"], position["entry_cost"], position["realised"]) == (0, 0, 500)
    assert made.account(0)["cash"] == CASH + 500


def test_costs_that_do_not_divide_leave_nothing_behind() -> None:
    made = desk()
    bought(made, 3, 1_000)
    bought(made, 4, 1_001)  # 7 for 7,004
    for _ in range(7):
        bought(made, -1, 1_000)
    position = made.position(0, 0)
    assert (position["quantity"], position["entry_cost"], position["realised"]) == (0, 0, -4)


@pytest.mark.parametrize("seed", range(6))
def test_money_reconciles_after_every_fill(seed: int) -> None:
    random = Random(seed)
    made = desk(symbols=2, cash=10**15)
    bought_for = spent_on_fees = 0
    held = [0, 0]
    for number in range(300):
        symbol, side = random.randrange(2), random.choice([BUY, SELL])
        quantity, price, fee = random.randint(1, 50), random.randint(1, 3_000), random.randint(-9, 9)
        order_id = made.one(place(0, symbol, side, quantity, 1_000)).order_id
        made.one(trade(order_id, number, quantity, price, fee))
        sign = 1 if side == Side.BUY else -1
        held[symbol] += sign * quantity
        bought_for += sign * quantity * price
        spent_on_fees += fee
        account, positions = made.account(0), [made.position(0, s) for s in range(2)]
        assert account["cash"] == 10**15 - bought_for - spent_on_fees
        assert [position["quantity"] for position in positions] == held
        costs = sum(position["entry_cost"] for position in positions)
        assert account["cash"] == account["transferred"] - costs + account["realised"] - account["fees"]
        assert made.equity(0) == account["cash"] + 1_000 * sum(held)
        assert account["peak_equity"] >= made.equity(0)


# --- Reduce-only orders follow the position.


def _reducing(made: Desk, quantity: int, price: int = 1_100) -> int:
    return working(made, place(0, 0, SELL, quantity, price, flags=OrderFlag.REDUCE_ONLY))


def _asked_for(events: list[EventView]) -> list[tuple[int, int]]:
    """Which orders the venue is asked to replace, and the quantities."""
    requests = [event_as(ReplaceEvent, event) for event in events]
    return [(request.order_id, request.replace_quantity) for request in requests]


def test_reduce_only_orders_larger_than_the_position_are_trimmed_newest_first() -> None:
    """Each is judged alone: whichever fills trims the others."""
    made = desk()
    bought(made, 10, 1_000)
    oldest, middle, newest = (_reducing(made, quantity) for quantity in (3, 5, 10))
    plain = working(made, place(0, 0, SELL, 9, 1_000))
    events = made.send(trade(plain, 1, 6, 1_000))  # 4 are left
    filled, *asked = events
    assert (filled.kind, filled.order_id, filled.last_quantity) == (EventKind.ORDER_FILLED, plain, 6)
    assert _asked_for(asked) == [(newest, 4), (middle, 4)]
    assert {event.code for event in asked} == {Code.REDUCE_ONLY}
    made.one(report(ReportKind.REPLACED, newest, price=events[1].price, quantity=4))
    assert made.order(oldest)["status"] == OrderStatus.NEW
    events = made.send(trade(plain, 2, 2, 1_000))  # 2 are left
    # What is asked for already is looked at when that is answered.
    assert _asked_for(events[1:]) == [(newest, 2), (oldest, 2)]


def test_a_position_that_is_gone_takes_its_reduce_only_orders_with_it() -> None:
    made = desk()
    bought(made, 10, 1_000)
    orders = [_reducing(made, 5), _reducing(made, 5, 1_050)]
    events = made.send(trade(orders[0], 1, 5, 1_100))
    assert len(events) == 1, "the other one is still covered"
    bought(made, -5, 1_000)
    assert made.order(orders[1])["status"] == OrderStatus.PENDING_CANCEL
