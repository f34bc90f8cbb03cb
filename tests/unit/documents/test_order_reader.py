"""The order reader finds orders and executions where the engine has put them, and no others."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents.order_reader import FILLS_SHOWN_MAX, OrderReader
from app.engine.capacity import SLOT_BITS, SMALL_CAPACITY
from app.engine.records import CLIENT_ORDER_ID_BYTES
from app.engine.types import OrderStatus, ReportKind
from tests.support.engine import BUY, SELL, Desk, desk, place, report, trade, working

EVERY_ID = 1 << 63


def reader_of(made: Desk) -> OrderReader:
    return OrderReader(made.engine.state)


def named(account: int, name: str, made: Desk) -> int:
    return made.one(place(account, 0, BUY, 1, 990, client_order_id=name.encode())).order_id


def newest(
    made: Desk,
    accounts: list[int] | None = None,
    symbol: int | None = None,
    open_only: bool = False,
    before: int = EVERY_ID - 1,
    count: int = 100,
) -> list[int]:
    """Ids, newest first."""
    reader = reader_of(made)
    among = None if accounts is None else np.array(accounts, np.int32)
    slots = asyncio.run(reader.newest(among, symbol, open_only, before, count))
    return [reader.order_id(slot) for slot in slots]


def test_an_order_is_found_by_its_id_and_only_by_it() -> None:
    made = desk()
    order_id = working(made, place(1, 0, BUY, 5, 990))
    reader = reader_of(made)
    slot = reader.slot(order_id)
    assert slot is not None
    assert reader.order_id(slot) == order_id
    assert reader.owner(slot) == (1, 0)
    for wrong in (0, -1, -order_id, order_id + 1, order_id + (1 << SLOT_BITS), EVERY_ID, EVERY_ID | order_id):
        assert reader.slot(wrong) is None
    assert reader.slot((order_id >> SLOT_BITS << SLOT_BITS) | (1 << SLOT_BITS) - 1) is None, "no such slot"


def test_a_view_is_the_event_of_the_last_change() -> None:
    made = desk()
    order_id = working(made, place(1, 0, SELL, 5, 1_010, client_order_id=b"mine"))
    made.ts += 9
    (event,) = made.send(trade(order_id, 77, 2, 1_010))
    reader = reader_of(made)
    slot = reader.slot(order_id)
    assert slot is not None
    view = reader.view(slot)
    of_the_order = (
        *("seq", "ts", "account", "symbol", "status", "side", "type", "time_in_force", "flags", "order_id"),
        *("price", "stop_price", "quantity", "filled_quantity", "filled_notional", "created_ts", "expire_ts"),
        "client_order_id",
    )
    assert {name: getattr(view, name) for name in of_the_order} == {
        name: getattr(event, name) for name in of_the_order
    }
    assert (view.execution_id, view.last_quantity, view.fee) == (0, 0, 0), (
        "of the order, not of its execution"
    )
    assert reader.last_change(slot) == (made.seq, made.ts)
    assert reader.view_of(made.engine.state.orders[slot].copy()) == view


names = st.text("abcXYZ019._:/-", min_size=1, max_size=36)


@settings(max_examples=50, deadline=None)
@given(st.lists(names, min_size=1, max_size=8, unique=True), names)
def test_client_order_ids_are_found_by_account(given_names: list[str], other: str) -> None:
    made = desk()
    ids = {
        name: made.one(place(0, 0, BUY, 1, 990, client_order_id=name.encode())).order_id
        for name in given_names
    }
    reader = reader_of(made)
    for name, order_id in ids.items():
        slot = reader.slot_of_client_id(0, name)
        assert slot is not None and reader.order_id(slot) == order_id
        assert reader.slot_of_client_id(1, name) is None, "another account's"
    assert (reader.slot_of_client_id(0, other) is None) == (other not in ids)


def test_the_longest_client_order_id_is_found() -> None:
    made = desk()
    name = "x" * (CLIENT_ORDER_ID_BYTES - 1)
    order_id = named(0, name, made)
    slot = reader_of(made).slot_of_client_id(0, name)
    assert slot == order_id & ((1 << SLOT_BITS) - 1)
    assert reader_of(made).slot_of_client_id(0, name[:-1]) is None


def test_executions_come_oldest_first_and_as_of_the_view() -> None:
    made = desk()
    order_id = working(made, place(0, 0, BUY, 10, 990))
    other = working(made, place(1, 0, BUY, 10, 990))
    for number, quantity in enumerate((2, 3, 4), 1):
        made.send(
            trade(order_id, number, quantity, 990 - number, fee=number), trade(other, 10 + number, 1, 990)
        )
    reader = reader_of(made)
    slot = reader.slot(order_id)
    assert slot is not None
    found = reader.fills(slot, 9)
    assert [(fill.execution_id, fill.quantity, fill.price, fill.fee) for fill in found] == [
        (1, 2, 989, 1),
        (2, 3, 988, 2),
        (3, 4, 987, 3),
    ]
    assert {fill.order_id for fill in found} == {order_id}
    assert [fill.execution_id for fill in reader.fills(slot, 5)] == [1, 2], "as it was before the last"
    assert reader.fills(slot, 0) == []


def test_executions_that_newer_ones_have_displaced_are_left_out() -> None:
    made = desk(capacity=replace(SMALL_CAPACITY, fills=4))
    order_id = working(made, place(0, 0, BUY, 10, 990))
    for number in range(1, 7):
        made.send(trade(order_id, number, 1, 990))
    slot = reader_of(made).slot(order_id)
    assert slot is not None
    assert [fill.execution_id for fill in reader_of(made).fills(slot, 6)] == [3, 4, 5, 6]


def test_no_more_than_the_newest_thousand_executions() -> None:
    made = desk(capacity=replace(SMALL_CAPACITY, fills=1 << 12))
    count = FILLS_SHOWN_MAX + 1
    order_id = working(made, place(0, 0, BUY, count, 990))
    for first in range(1, count + 1, 100):
        made.send(*(trade(order_id, number, 1, 990) for number in range(first, min(first + 100, count + 1))))
    slot = reader_of(made).slot(order_id)
    assert slot is not None
    found = [fill.execution_id for fill in reader_of(made).fills(slot, count)]
    assert found == list(range(2, count + 1))


@pytest.fixture(scope="module")
def many() -> Desk:
    """Of two accounts in two symbols by turns; every third is canceled."""
    made = desk(symbols=2)
    for number in range(24):
        order_id = working(made, place(number % 2, number // 2 % 2, BUY, 1, 990))
        if number % 3 == 0:
            made.send(report(ReportKind.CANCELED, order_id))
    return made


def test_the_newest_by_account_symbol_and_status(many: Desk) -> None:
    orders = many.engine.state.orders
    orders = orders[orders["order_id"] != 0]
    every = sorted(orders["order_id"].tolist(), reverse=True)
    assert newest(many) == every
    are_open = orders["status"] < OrderStatus.FILLED
    are_first = orders["account"] + orders["symbol"] == 0
    for chosen, mask in (
        (newest(many, accounts=[1]), orders["account"] == 1),
        (newest(many, symbol=1), orders["symbol"] == 1),
        (newest(many, open_only=True), are_open),
        (newest(many, [0], 0, True), are_first & are_open),
    ):
        assert chosen == sorted(orders["order_id"][mask].tolist(), reverse=True)
        assert 0 < len(chosen) < len(every)
    assert newest(many, accounts=[]) == []


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 30))
def test_pages_join_to_all(many: Desk, count: int) -> None:
    found: list[int] = []
    before = EVERY_ID - 1
    while page := newest(many, before=before, count=count):
        assert 0 < len(page) <= count and page[0] < before
        found += page
        before = page[-1]
    assert found == newest(many)
