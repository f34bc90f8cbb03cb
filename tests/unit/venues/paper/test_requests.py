"""Cancel and replace requests, and what a restart leaves to do."""

import numpy as np

from app.engine.codes import Code
from app.engine.state_records import ORDER
from app.engine.types import Liquidity, OrderFlag, OrderStatus, OrderType
from app.venues.paper.state import PaperLimits
from tests.models.paper_desk import BUY, SELL, Desk, Records, brief, order_id


def test_cancel() -> None:
    desk = Desk()
    desk.place(0, BUY, 100, 1)
    assert brief(desk.cancel(0)) == [("CANCELED", 0)]
    assert brief(desk.cancel(0)) == [("CANCEL_REJECTED", 0, Code.UNKNOWN_ORDER)]
    assert desk.depth() == ([], [])


def test_cancel_in_the_middle_of_a_queue() -> None:
    desk = Desk()
    for number in range(3):
        desk.place(number, SELL, 100, 1, account=1)
    desk.cancel(1)
    assert [row[1] for row in brief(desk.place(9, BUY, 100, 3))[1::2]] == [0, 2]


def test_less_at_the_same_price_keeps_its_place() -> None:
    desk = Desk()
    desk.place(0, SELL, 100, 5, account=1)
    desk.place(1, SELL, 100, 5, account=1)
    assert brief(desk.replace(0, SELL, 100, 3, account=1)) == [("REPLACED", 0, 100, 3)]
    assert brief(desk.place(9, BUY, 100, 4))[1::2] == [("TRADE", 0, 100, 3), ("TRADE", 1, 100, 1)]


def test_more_at_the_same_price_goes_to_the_end_of_the_queue() -> None:
    desk = Desk()
    desk.place(0, SELL, 100, 5, account=1)
    desk.place(1, SELL, 100, 5, account=1)
    assert brief(desk.replace(0, SELL, 100, 6, account=1)) == [("REPLACED", 0, 100, 6)]
    assert brief(desk.place(9, BUY, 100, 6))[1::2] == [("TRADE", 1, 100, 5), ("TRADE", 0, 100, 1)]


def test_a_replaced_order_may_trade_at_its_new_price() -> None:
    desk = Desk()
    desk.place(0, BUY, 99, 5, account=1)
    desk.show(SELL, (101, 2))
    reports = desk.replace(0, BUY, 101, 5, account=1)
    assert brief(reports) == [("REPLACED", 0, 101, 5), ("TRADE", 0, 101, 2)]
    assert reports[1].liquidity == Liquidity.TAKER
    assert desk.depth() == ([(101, 3)], [])


def test_a_replaced_quantity_is_the_total() -> None:
    desk = Desk()
    desk.place(0, BUY, 100, 5, account=1)
    desk.market(1, SELL, 3)
    desk.replace(0, BUY, 99, 7, account=1)
    assert desk.depth() == ([(99, 4)], [])
    assert brief(desk.replace(0, BUY, 99, 3, account=1)) == [("CANCELED", 0)]
    assert brief(desk.replace(0, BUY, 99, 9)) == [("REPLACE_REJECTED", 0, Code.UNKNOWN_ORDER)]


def test_a_replace_that_is_refused_leaves_the_order_where_it_was() -> None:
    desk = Desk(limits=PaperLimits(ladder_levels=2))
    desk.show(SELL, (101, 2))
    desk.place(0, BUY, 99, 5)
    desk.place(1, BUY, 99, 5)
    desk.place(2, BUY, 98, 5)
    refused = brief(desk.replace(0, BUY, 101, 5, flags=OrderFlag.POST_ONLY))
    assert refused == [("REPLACE_REJECTED", 0, Code.POST_ONLY_WOULD_TAKE)]
    assert brief(desk.replace(0, BUY, 97, 5)) == [("REPLACE_REJECTED", 0, Code.VENUE_CAPACITY)]
    assert brief(desk.market(9, SELL, 5, account=1))[1::2] == [("TRADE", 0, 99, 5)]
    # Alone at its price it makes the room that it needs.
    assert brief(desk.replace(2, BUY, 97, 5)) == [("REPLACED", 2, 97, 5)]


def stored(number: int, status: int, side: int, price: int, quantity: int, **fields: int) -> Records:
    """An ORDER record, sequenced by its number unless told otherwise."""
    record = np.zeros(1, ORDER)
    values = {"type": OrderType.LIMIT, "seq": number, "priority": number, **fields}
    values |= {"order_id": order_id(number), "status": status, "side": side}
    values |= {"price": price, "quantity": quantity}
    for name, value in values.items():
        record[name] = value
    return record


def test_working_orders_rest_again_by_priority() -> None:
    desk = Desk()
    orders = [
        stored(0, OrderStatus.NEW, SELL, 100, 2, account=1, priority=7),
        stored(1, OrderStatus.PARTIALLY_FILLED, SELL, 100, 5, account=1, filled_quantity=3, priority=6),
        stored(2, OrderStatus.NEW, SELL, 100, 9, waiting=1),
        stored(3, OrderStatus.FILLED, SELL, 100, 9),
    ]
    assert desk.resume(np.concatenate(orders)) == []
    assert desk.depth() == ([], [(100, 4)])
    assert brief(desk.place(9, BUY, 100, 3))[1::2] == [("TRADE", 1, 100, 2), ("TRADE", 0, 100, 1)]


def test_pending_orders_are_finished_in_order() -> None:
    desk = Desk()
    orders = [
        stored(1, OrderStatus.PENDING_NEW, BUY, 101, 1, account=1, seq=20),
        stored(2, OrderStatus.NEW, SELL, 105, 1, account=2),
        stored(3, OrderStatus.PENDING_CANCEL, SELL, 100, 1, account=2, seq=30),
        stored(
            4, OrderStatus.PENDING_REPLACE, SELL, 104, 1, account=2, seq=21, replace_price=101,
            replace_quantity=3,
        ),
        stored(5, OrderStatus.TRIGGERED, BUY, 101, 1, account=3, seq=22, type=OrderType.STOP_LIMIT),
        stored(6, OrderStatus.UNKNOWN, BUY, 90, 1, account=3, seq=1),
    ]  # fmt: skip
    assert brief(desk.resume(np.concatenate(orders))) == [
        ("CANCELED", 6),
        ("CANCELED", 3),
        ("NEW", 1),
        ("REPLACED", 4, 101, 3),
        ("TRADE", 4, 101, 1),
        ("TRADE", 1, 101, 1),
        ("TRADE", 5, 101, 1),
        ("TRADE", 4, 101, 1),
    ]
    assert desk.depth() == ([], [(101, 1), (105, 1)])


def test_execution_ids_go_on_after_a_restart() -> None:
    desk = Desk()
    desk.venue._engine_state.firm[0]["last_execution_id"] = 70
    desk.resume(stored(0, OrderStatus.NEW, SELL, 100, 2, account=1))
    assert [report.execution_id for report in desk.market(1, BUY, 1)] == [71, 72]
