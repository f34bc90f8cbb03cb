"""What the paper venue makes of route events, report by report."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.codes import Code
from app.engine.types import EventKind, OrderFlag, OrderType, TimeInForce
from app.venues.paper.records import REPORTS_PER_STEP_MAX
from tests.models.paper_desk import BUY, SELL, Desk, brief, new_order, order_id, small_capacity
from tests.models.paper_records import Event


def test_an_order_rests_trades_or_ends() -> None:
    desk = Desk()
    desk.show(SELL, (100, 3))
    assert brief(desk.place(0, BUY, 99, 5)) == [("NEW", 0)]
    assert brief(desk.place(1, BUY, 100, 5)) == [("TRADE", 1, 100, 3)]
    assert desk.depth()[0] == [(100, 2), (99, 5)], "what is left rests, as the trade has said"
    assert brief(desk.place(2, BUY, 101, 1, time_in_force=TimeInForce.IOC))[-1][0] == "CANCELED"
    assert brief(desk.market(3, BUY, 1))[-1][0] == "CANCELED"


@pytest.mark.parametrize("kind", [EventKind.ORDER_ACCEPTED, EventKind.ORDER_TRIGGERED])
@pytest.mark.parametrize(("price", "takes"), [(99, False), (100, True)])
def test_post_only_never_takes(kind: EventKind, price: int, takes: bool) -> None:
    """A new order is rejected, a stop that had been acknowledged can only be canceled."""
    desk = Desk()
    desk.show(SELL, (100, 3))
    rows = brief(desk.place(0, BUY, price, 1, flags=OrderFlag.POST_ONLY, kind=kind))
    if takes:
        name = "REJECTED" if kind == EventKind.ORDER_ACCEPTED else "CANCELED"
        assert rows == [(name, 0, Code.POST_ONLY_WOULD_TAKE)]
    else:
        assert rows == [("NEW", 0)]


@pytest.mark.parametrize(("worst", "trades"), [(0, [100, 101, 102]), (101, [100, 101]), (99, [])])
def test_a_market_order_takes_no_worse_a_price_than_it_says(worst: int, trades: list[int]) -> None:
    desk = Desk()
    desk.show(SELL, *((price, 1) for price in (100, 101, 102)))
    rows = brief(desk.market(0, BUY, 3, worst=worst))
    assert [row[2] for row in rows if row[0] == "TRADE"] == trades


def test_cancels() -> None:
    desk = Desk()
    desk.place(0, BUY, 99, 5)
    assert brief(desk.cancel(0)) == [("CANCELED", 0)]
    assert brief(desk.cancel(0)) == [("CANCEL_REJECTED", 0, Code.UNKNOWN_ORDER)]
    assert brief(desk.cancel(7)) == [("CANCEL_REJECTED", 7, Code.UNKNOWN_ORDER)]
    own = Event(EventKind.CANCEL_REQUESTED, order_id(0), code=Code.REDUCE_ONLY)
    assert desk.send(own) == [], "the engine trims what has ended meanwhile: nobody waits for an answer"


def queue_after(*changes: tuple[int, int, int]) -> list[int]:
    """Who fills in which order, of three at 100 of which some are replaced: (slot, price, quantity)."""
    desk = Desk()
    for number in range(3):
        desk.place(number, SELL, 100, 5, account=1)
    for number, price, quantity in changes:
        replaced = brief(desk.replace(number, SELL, price, quantity, account=1))
        assert replaced == [("REPLACED", number, price, quantity)]
    rows = brief(desk.market(9, BUY, 100, account=2))
    return [row[1] for row in rows if row[0] == "TRADE" and row[1] != 9]


@pytest.mark.parametrize(
    ("change", "queue"),
    [
        ((0, 100, 4), [0, 1, 2]),  # less at the same price keeps its place
        ((0, 100, 5), [1, 2, 0]),
        ((0, 100, 6), [1, 2, 0]),  # more loses it
        ((2, 99, 5), [2, 0, 1]),  # a better price goes in front
        ((0, 101, 5), [1, 2, 0]),
    ],
)
def test_the_place_in_the_queue_of_what_is_replaced(change: tuple[int, int, int], queue: list[int]) -> None:
    assert queue_after() == [0, 1, 2]
    assert queue_after(change) == queue


def test_replacements_that_cannot_be_or_end_the_order() -> None:
    desk = Desk()
    desk.show(BUY, (90, 9))
    desk.place(0, SELL, 100, 5, account=1)
    desk.market(1, BUY, 2, account=2)
    assert brief(desk.replace(0, SELL, 90, 5, flags=OrderFlag.POST_ONLY)) == [
        ("REPLACE_REJECTED", 0, Code.POST_ONLY_WOULD_TAKE)
    ]
    assert brief(desk.replace(7, SELL, 100, 5)) == [("REPLACE_REJECTED", 7, Code.UNKNOWN_ORDER)]
    assert desk.depth()[1] == [(100, 3)], "it is as it was"
    assert brief(desk.replace(0, SELL, 100, 2)) == [("CANCELED", 0)], "so much has traded already"


def test_a_replacement_trades_where_its_new_price_reaches() -> None:
    desk = Desk()
    desk.show(BUY, (90, 2))
    desk.place(0, SELL, 100, 5)
    assert brief(desk.replace(0, SELL, 90, 5)) == [("REPLACED", 0, 90, 5), ("TRADE", 0, 90, 2)]
    assert desk.depth() == ([], [(90, 3)])


def test_a_slot_is_one_orders() -> None:
    desk = Desk(small_capacity(orders=8))
    desk.place(0, BUY, 99, 1)
    assert brief(desk.place(0, BUY, 98, 1)) == [("REJECTED", 0, Code.VENUE_CAPACITY)]
    assert brief(desk.place(8, BUY, 98, 1)) == [("REJECTED", 8, Code.VENUE_CAPACITY)], "there is no such slot"
    assert desk.depth()[0] == [(99, 1)]


sides = st.sampled_from([BUY, SELL])
prices = st.integers(98, 102)
events = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 9),
        sides,
        prices,
        st.integers(1, 9),
    ),
    max_size=30,
)


@settings(max_examples=80, deadline=None)
@given(events, st.integers(REPORTS_PER_STEP_MAX, 6))
def test_a_buffer_of_any_size_gives_the_same_reports(
    steps: list[tuple[int, int, int, int, int]], commands: int
) -> None:
    """And events that come together the same as one by one."""
    sent = []
    for kind, number, side, price, quantity in steps:
        if kind == 0:
            sent.append(new_order(number, side, price, quantity, account=number, type=OrderType.LIMIT))
        elif kind == 1:
            sent.append(Event(EventKind.CANCEL_REQUESTED, order_id(number), account=number))
        else:
            replaced = {"side": side, "replace_price": price, "replace_quantity": quantity}
            sent.append(Event(EventKind.REPLACE_REQUESTED, order_id(number), account=number, **replaced))
    wide, narrow, single = Desk(), Desk(small_capacity(commands=commands)), Desk()
    together = wide.send(*sent)
    assert narrow.send(*sent) == together
    assert [report for event in sent for report in single.send(event)] == together
    assert narrow.depth() == wide.depth() == single.depth()
