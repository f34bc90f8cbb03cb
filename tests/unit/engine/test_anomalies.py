"""What an anomaly leaves as it was, what only a close may be, stops of an instrument that trades again."""

from app.engine.codes import Code
from app.engine.types import EventKind, InstrumentStatus, OrderFlag, OrderType, ReportKind
from tests.support.engine import (
    BUY,
    SELL,
    amend,
    bought,
    close_position,
    desk,
    instrument,
    mark,
    place,
    report,
    trade,
    working,
)


def test_an_anomaly_changes_nothing_while_a_replace_is_on_its_way() -> None:
    made = desk()
    order_id = working(made, place(0, 0, BUY, 10, 900))
    made.send(trade(order_id, 1, 2, 900))
    made.one(amend(order_id, 905, 20))
    before = made.order(order_id)
    event = made.one(trade(order_id, 1, 15, 905))
    assert (event.kind, event.code) == (EventKind.EXECUTION_ANOMALY, Code.DUPLICATE_EXECUTION)
    assert made.order(order_id) == before


def test_only_a_close_is_sliced() -> None:
    made = desk()
    bought(made, 20, 1_000)
    made.one(instrument(0, max_quantity=8))
    sell = made.one(place(0, 0, SELL, 20, flags=int(OrderFlag.REDUCE_ONLY)))
    assert sell.code == Code.QUANTITY_MAX
    assert [event.quantity for event in made.send(close_position(0, 0))] == [8, 8, 4]


def test_nothing_to_close() -> None:
    made = desk()
    assert made.one(close_position(0, 0)).code == Code.REDUCE_ONLY


def test_a_stop_is_looked_at_when_its_instrument_trades_again() -> None:
    made = desk()
    bought(made, 5, 1_000)
    made.one(place(0, 0, SELL, 5, type=OrderType.STOP, stop_price=950))
    made.one(instrument(0, status=InstrumentStatus.CANCEL_ONLY))
    made.one(mark(0, 940))
    events = made.send(instrument(0))
    assert [event.kind for event in events] == [EventKind.INSTRUMENT_SET, EventKind.ORDER_TRIGGERED]


def test_a_replace_of_an_order_without_a_price() -> None:
    made = desk()
    order_id = working(made, place(0, 0, BUY, 10))
    made.one(amend(order_id, quantity=6))
    event = made.one(report(ReportKind.REPLACED, order_id, quantity=6))
    assert (event.kind, event.quantity) == (EventKind.ORDER_REPLACED, 6)
