"""What the database shows of an order is what the engine shows of it, whatever was refused meanwhile."""

import numpy as np

from app.engine.codes import Code
from app.engine.records import EVENT
from app.engine.types import EventKind, OrderStatus
from app.store.latest_orders import latest_orders

E, S = EventKind, OrderStatus
Row = tuple[int, EventKind, OrderStatus, Code]


def shown(*rows: Row) -> dict[int, tuple[int, int, int]]:
    """Status, code and observed of each order."""
    events = np.zeros(len(rows), EVENT)
    for at, row in enumerate(rows):
        for name, value in zip(("order_id", "kind", "status", "code"), row, strict=True):
            events[name][at] = value
        events["observed"][at] = 7 if row[3] else 0
    found = latest_orders(events)
    return {int(e["order_id"]): (int(e["status"]), int(e["code"]), int(e["observed"])) for e in found}


def test_a_refused_replace_leaves_the_order_as_it_was() -> None:
    assert shown(
        (1, E.REPLACE_REQUESTED, S.PENDING_REPLACE, Code.NONE),
        (1, E.REPLACE_REJECTED, S.NEW, Code.POST_ONLY_WOULD_TAKE),
        (2, E.REPLACE_REJECTED, S.PARTIALLY_FILLED, Code.MAX_POSITION),
    ) == {1: (S.NEW, 0, 0), 2: (S.PARTIALLY_FILLED, 0, 0)}


def test_what_is_asked_of_an_order_that_has_ended_changes_nothing() -> None:
    assert shown(
        (1, E.ORDER_FILLED, S.FILLED, Code.NONE),
        (1, E.CANCEL_REJECTED, S.FILLED, Code.ORDER_CLOSED),
        (2, E.ORDER_CANCELED, S.CANCELED, Code.REDUCE_ONLY),
        (2, E.REPLACE_REJECTED, S.CANCELED, Code.ORDER_CLOSED),
        (3, E.CANCEL_REJECTED, S.EXPIRED, Code.ORDER_CLOSED),  # it had ended in an earlier batch
        (4, E.ORDER_REJECTED, S.REJECTED, Code.MAX_POSITION),
    ) == {
        1: (S.FILLED, 0, 0),
        2: (S.CANCELED, Code.REDUCE_ONLY, 7),
        4: (S.REJECTED, Code.MAX_POSITION, 7),
    }


def test_nothing_is_shown_of_what_is_no_order() -> None:
    no_order = (0, E.ORDER_REJECTED, S.REJECTED, Code.UNKNOWN_ACCOUNT)
    assert shown(no_order, (9, E.NONE, S.NONE, Code.NONE)) == {}
