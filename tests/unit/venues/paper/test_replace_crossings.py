"""Replaces and fills that cross on their way: whatever the order of the reports, the venue is right."""

from itertools import permutations

import pytest

from app.engine.codes import Code
from app.engine.types import EventKind, OrderStatus, ReportKind
from tests.support.engine import BUY, Desk, amend, cancel, desk, place, report, trade, working


def asked_for(quantity: int) -> tuple[Desk, int]:
    """An order to buy 10, and a replace of it that the venue has not answered."""
    made = desk()
    order_id = working(made, place(0, 0, BUY, 10, 900))
    made.one(amend(order_id, quantity=quantity))
    return made, order_id


def test_a_fill_of_the_old_quantity_leaves_the_rest_open() -> None:
    made, order_id = asked_for(25)
    event = made.one(trade(order_id, 1, 10, 900))
    order = made.order(order_id)
    assert (event.kind, event.status) == (EventKind.ORDER_FILLED, OrderStatus.PARTIALLY_FILLED)
    assert (order["reserved"], made.account(0)["open_orders"]) == (15, 1)


def test_the_replace_goes_on_behind_the_fill() -> None:
    made, order_id = asked_for(25)
    made.one(trade(order_id, 1, 4, 900))
    made.one(trade(order_id, 2, 6, 900))
    event = made.one(report(ReportKind.REPLACED, order_id, price=900, quantity=25))
    assert (event.kind, event.status, event.quantity) == (
        EventKind.ORDER_REPLACED,
        OrderStatus.PARTIALLY_FILLED,
        25,
    )
    assert made.order(order_id)["reserved"] == 15
    assert made.one(trade(order_id, 3, 15, 900)).status == OrderStatus.FILLED


@pytest.mark.parametrize(
    ("kind", "shown", "status"),
    [
        (ReportKind.REPLACE_REJECTED, EventKind.REPLACE_REJECTED, OrderStatus.FILLED),
        (ReportKind.CANCELED, EventKind.ORDER_CANCELED, OrderStatus.CANCELED),
        (ReportKind.EXPIRED, EventKind.ORDER_EXPIRED, OrderStatus.EXPIRED),
    ],
)
def test_what_ends_it(kind: ReportKind, shown: EventKind, status: OrderStatus) -> None:
    made, order_id = asked_for(25)
    made.one(trade(order_id, 1, 10, 900))
    event = made.one(report(kind, order_id))
    assert (event.kind, event.status, event.filled_quantity) == (shown, status, 10)
    assert (made.order(order_id)["reserved"], made.account(0)["open_orders"]) == (0, 0)


@pytest.mark.parametrize("order_of_reports", list(permutations(range(4))))
def test_every_order_of_the_reports(order_of_reports: tuple[int, ...]) -> None:
    """The venue has filled 4 and 6, replaced 10 by 25, then filled 15; ids are those of its executions."""
    made, order_id = asked_for(25)
    reports = [
        trade(order_id, 1, 4, 900),
        trade(order_id, 2, 6, 900),
        report(ReportKind.REPLACED, order_id, price=900, quantity=25),
        trade(order_id, 3, 15, 900),
    ]
    events = [made.one(reports[number]) for number in order_of_reports]
    assert EventKind.EXECUTION_ANOMALY not in [event.kind for event in events]
    order = made.order(order_id)
    assert (order["status"], order["filled_quantity"], order["reserved"]) == (OrderStatus.FILLED, 25, 0)
    assert (made.position(0, 0)["quantity"], made.account(0)["open_orders"]) == (25, 0)


@pytest.mark.parametrize("order_of_reports", list(permutations(range(3))))
def test_a_replace_to_less_in_every_order(order_of_reports: tuple[int, ...]) -> None:
    """The venue has filled 2, replaced 10 by 6, then filled 4."""
    made, order_id = asked_for(6)
    reports = [
        trade(order_id, 1, 2, 900),
        report(ReportKind.REPLACED, order_id, price=900, quantity=6),
        trade(order_id, 2, 4, 900),
    ]
    events = [made.one(reports[number]) for number in order_of_reports]
    assert EventKind.EXECUTION_ANOMALY not in [event.kind for event in events]
    order = made.order(order_id)
    assert (order["status"], order["quantity"], order["reserved"]) == (OrderStatus.FILLED, 6, 0)


def test_a_replaced_price_that_a_fill_has_overtaken() -> None:
    made = desk()
    order_id = working(made, place(0, 0, BUY, 10, 900))
    made.one(amend(order_id, 950))
    assert made.one(trade(order_id, 1, 10, 950)).status == OrderStatus.FILLED
    event = made.one(report(ReportKind.REPLACED, order_id, price=950, quantity=10))
    assert (event.kind, event.status) == (EventKind.ORDER_REPLACED, OrderStatus.FILLED)


def test_the_earlier_answer_keeps_what_the_later_request_asks_for() -> None:
    made, order_id = asked_for(12)
    made.one(trade(order_id, 1, 3, 900))
    made.one(amend(order_id, quantity=30))
    made.one(trade(order_id, 2, 3, 900))
    made.one(report(ReportKind.REPLACED, order_id, price=900, quantity=12))
    order = made.order(order_id)
    assert (order["status"], order["reserved"]) == (OrderStatus.PENDING_REPLACE, 24)
    made.one(report(ReportKind.REPLACED, order_id, price=900, quantity=30))
    order = made.order(order_id)
    assert (order["status"], order["reserved"]) == (OrderStatus.PARTIALLY_FILLED, 24)


def test_a_refused_cancel_leaves_the_replace_on_its_way() -> None:
    made, order_id = asked_for(25)
    made.one(cancel(order_id))
    made.one(report(ReportKind.CANCEL_REJECTED, order_id, code=Code.VENUE_REJECTED))
    order = made.order(order_id)
    assert (order["status"], order["reserved"]) == (OrderStatus.PENDING_REPLACE, 25)
    event = made.one(report(ReportKind.REPLACED, order_id, price=900, quantity=25))
    assert (event.kind, event.status) == (EventKind.ORDER_REPLACED, OrderStatus.NEW)


def test_what_is_filled_and_not_known_any_more_is_filled() -> None:
    made, order_id = asked_for(25)
    made.one(trade(order_id, 1, 10, 900))
    made.one(cancel(order_id))
    event = made.one(report(ReportKind.CANCEL_REJECTED, order_id, code=Code.UNKNOWN_ORDER))
    assert (event.kind, event.status) == (EventKind.CANCEL_REJECTED, OrderStatus.FILLED)
