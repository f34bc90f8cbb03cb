"""Slots: open orders in the order of their coming, closed ones until their place is needed."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.capacity import SLOT_BITS, SMALL_CAPACITY
from app.engine.codes import Code
from app.engine.state import NO_SLOT
from app.engine.types import EventKind, OrderType
from tests.support.engine import BUY, Command, Desk, cancel, desk, place

SLOTS, OPEN_MAX = 16, 6
CAPACITY = replace(SMALL_CAPACITY, orders=SLOTS, open_orders=OPEN_MAX)


def stop(account: int, name: bytes = b"", symbol: int = 0) -> Command:
    """One that waits in the engine, so that it ends as soon as it is canceled."""
    return place(account, symbol, BUY, 1, type=OrderType.STOP, stop_price=2_000, client_order_id=name)


def open_of(made: Desk, account: int) -> list[int]:
    """Ids along the links; the way back must be the same."""
    state = made.engine.state
    for first, following in (("last_open", "previous"), ("first_open", "next")):
        found, slot = [], int(state.accounts[account][first])
        while slot != NO_SLOT:
            found.append(int(state.orders[slot]["order_id"]))
            slot = int(state.orders[slot][following])
        if first == "last_open":
            backwards = found
    assert backwards == found[::-1]
    return found


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 20)), max_size=60))
def test_like_lists(steps: list[tuple[int, int, int]]) -> None:
    """Open orders of each account as a list, closed ones as a queue that lets go of the oldest."""
    made = desk(symbols=2, capacity=CAPACITY)
    opened: list[tuple[int, int, int]] = []
    closed: list[int] = []
    forgotten: list[int] = []
    for account, symbol, which in steps:
        if which < len(opened):
            order_id, *_ = opened.pop(which)
            assert made.one(cancel(order_id)).kind == EventKind.ORDER_CANCELED
            closed.append(order_id)
        else:
            if len(opened) + len(closed) == SLOTS:
                forgotten.append(closed.pop(0))
            event = made.one(stop(account, symbol=symbol))
            if len(opened) == OPEN_MAX:
                assert event.code == Code.ORDER_CAPACITY
                closed.append(event.order_id)
            else:
                opened.append((event.order_id, account, symbol))
        for each in (0, 1):
            mine = [order_id for order_id, account, _ in opened if account == each]
            assert open_of(made, each) == mine
            assert made.account(each)["open_orders"] == len(mine)
            for number in (0, 1):
                there = sum(row[1:] == (each, number) for row in opened)
                assert made.position(each, number)["open_orders"] == there
        assert made.engine.state.firm[0]["open_orders"] == len(opened)
    assert {made.one(cancel(order_id)).code for order_id in closed} <= {Code.ORDER_CLOSED}
    assert {made.one(cancel(order_id)).code for order_id in forgotten} <= {Code.UNKNOWN_ORDER}


def test_ids_grow_and_name_their_slot() -> None:
    made = desk(capacity=CAPACITY)
    ids = []
    for _ in range(3 * SLOTS):
        ids.append(made.one(stop(0)).order_id)
        made.one(cancel(ids[-1]))
    assert ids == sorted(set(ids))
    assert [order_id & ((1 << SLOT_BITS) - 1) for order_id in ids] == [n % SLOTS for n in range(3 * SLOTS)]


def test_no_order_has_a_made_up_id() -> None:
    made = desk(capacity=CAPACITY)
    order_id = made.one(stop(0)).order_id
    strangers = [0, -1, -order_id, order_id + 1, order_id + (1 << SLOT_BITS), order_id | SLOTS, 2**63 - 1]
    assert {made.one(cancel(stranger)).code for stranger in strangers} == {Code.UNKNOWN_ORDER}


def test_a_repeat_is_recognised_until_the_slot_is_needed() -> None:
    made = desk(capacity=CAPACITY)
    first = made.one(stop(0, b"mine")).order_id
    made.one(cancel(first))
    for _ in range(SLOTS - 1):
        made.one(cancel(made.one(stop(1)).order_id))
    again = made.one(stop(0, b"mine"))
    assert (again.kind, again.order_id) == (EventKind.ORDER_REPLAYED, first)
    made.one(stop(1))
    new = made.one(stop(0, b"mine"))
    assert new.kind == EventKind.ORDER_OPENED and new.order_id > first
