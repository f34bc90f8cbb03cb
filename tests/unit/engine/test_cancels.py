"""Cancels: what comes of one, and that a mass cancel reaches exactly what is open in its scope."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.capacity import EVENTS_PER_COMMAND_MAX, SMALL_CAPACITY
from app.engine.codes import Code
from app.engine.types import EventKind, OrderStatus, OrderType, ReportKind, Scope
from app.runtime.event_views import CancelAllEvent, event_as
from tests.support.engine import (
    BUY,
    Command,
    Desk,
    cancel,
    cancel_all,
    desk,
    place,
    report,
    trade,
    working,
)

TIGHT = replace(SMALL_CAPACITY, events=4 * EVENTS_PER_COMMAND_MAX)


def stop(account: int = 0, symbol: int = 0) -> Command:
    return place(account, symbol, BUY, 1, type=OrderType.STOP, stop_price=2_000)


def test_one_at_the_venue_is_asked_for_there() -> None:
    made = desk()
    order_id = working(made, place(0, 0, BUY, 1, 900))
    event = made.one(cancel(order_id))
    assert (event.kind, event.status) == (EventKind.CANCEL_REQUESTED, OrderStatus.PENDING_CANCEL)
    assert made.one(report(ReportKind.CANCELED, order_id)).kind == EventKind.ORDER_CANCELED


def test_a_stop_that_waits_here_ends_at_once() -> None:
    made = desk()
    event = made.one(cancel(made.one(stop()).order_id))
    assert (event.kind, event.status) == (EventKind.ORDER_CANCELED, OrderStatus.CANCELED)
    assert made.account(0)["open_orders"] == 0


def test_why_not() -> None:
    made = desk()
    pending = working(made, place(0, 0, BUY, 1, 900))
    made.one(cancel(pending))
    filled = working(made, place(0, 0, BUY, 1, 900))
    made.send(trade(filled, 1, 1, 900))
    for order_id, code in [
        (pending, Code.ORDER_PENDING),
        (filled, Code.ORDER_CLOSED),
        (12_345, Code.UNKNOWN_ORDER),
    ]:
        event = made.one(cancel(order_id))
        assert (event.kind, event.code, event.order_id) == (EventKind.CANCEL_REJECTED, code, order_id)
    assert made.order(pending)["status"] == OrderStatus.PENDING_CANCEL, "as it was"


def test_cancels_count_as_messages_of_whose_order_it_is() -> None:
    made = desk()
    order_id = working(made, place(1, 0, BUY, 1, 900))
    before = made.account(1)["messages"]
    made.send(cancel(order_id), cancel(order_id), cancel(77))
    assert made.account(1)["messages"] == before + 2
    assert made.account(0)["messages"] == 0


@settings(max_examples=60, deadline=None)
@given(
    orders=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.booleans()), max_size=30),
    scope=st.sampled_from([Scope.FIRM, Scope.ACCOUNT, Scope.SYMBOL, Scope.ACCOUNT_SYMBOL]),
    account=st.integers(0, 1),
    symbol=st.integers(0, 1),
    tight=st.booleans(),
)
def test_all_of_a_scope_and_no_other(
    orders: list[tuple[int, int, bool]], scope: Scope, account: int, symbol: int, tight: bool
) -> None:
    """Account by account, each from its oldest order on, whatever room there is for events."""
    made = desk(symbols=2, capacity=TIGHT if tight else SMALL_CAPACITY)
    wanted = []
    for owner, of, waits in orders:
        order_id = made.one(stop(owner, of) if waits else place(owner, of, BUY, 1, 900)).order_id
        by_account = scope in (Scope.FIRM, Scope.SYMBOL) or owner == account
        if by_account and (scope in (Scope.FIRM, Scope.ACCOUNT) or of == symbol):
            kind = EventKind.ORDER_CANCELED if waits else EventKind.CANCEL_REQUESTED
            wanted.append((owner, order_id, kind))
    *canceled, done = made.send(cancel_all(scope, account, symbol))
    assert [(event.account, event.order_id, event.kind) for event in canceled] == sorted(wanted)
    assert done.kind == EventKind.CANCEL_ALL_DONE
    assert event_as(CancelAllEvent, done).requested == len(wanted)


@pytest.mark.parametrize(
    ("scope", "account", "symbol"),
    [
        (Scope.NONE, 0, 0),
        (Scope.ACCOUNT_SYMBOL + 1, 0, 0),
        (Scope.ACCOUNT, -1, -1),
        (Scope.ACCOUNT, 2, -1),
        (Scope.SYMBOL, -1, -1),
        (Scope.SYMBOL, -1, 1),
        (Scope.ACCOUNT_SYMBOL, 0, 1),
        (Scope.ACCOUNT_SYMBOL, 2, 0),
    ],
)
def test_a_scope_that_is_not_there(scope: int, account: int, symbol: int) -> None:
    made: Desk = desk(accounts=2, symbols=1)
    order_id = working(made, place(0, 0, BUY, 1, 900))
    event = made.one(cancel_all(scope, account, symbol))
    assert (event.kind, event.code) == (EventKind.COMMAND_REJECTED, Code.INVALID_VALUE)
    assert made.order(order_id)["status"] == OrderStatus.NEW
