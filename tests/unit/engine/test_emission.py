"""Events are self-contained: each says what happened, of what, and nothing of the one before."""

import pytest

from app.engine.records import EVENT
from app.engine.types import OrderFlag, OrderType, ReportKind, Scope, TimeInForce
from app.runtime.views import field_names
from tests.support.engine import (
    BUY,
    FIRST_TS,
    SELL,
    Command,
    amend,
    cancel,
    cancel_all,
    desk,
    mark,
    place,
    report,
    trade,
    transfer,
    working,
)

ENDS = FIRST_TS + 10**6
HEAD = {"seq", "ts", "kind", "index", "account", "symbol"}
OF_ORDERS = (
    *("status", "side", "type", "time_in_force", "flags", "self_trade_prevention", "price", "stop_price"),
    *("quantity", "filled_quantity", "filled_notional", "created_ts", "expire_ts"),
)


def full(name: bytes = b"my order") -> Command:
    """An order of which no field is empty that an open one may have."""
    return place(
        *(1, 1, SELL, 7, 1_100),
        type=OrderType.STOP_LIMIT,
        stop_price=950,
        time_in_force=TimeInForce.GTD,
        expire_ts=ENDS,
        flags=OrderFlag.POST_ONLY,
        self_trade_prevention=2,
        client_order_id=name,
    )


def test_an_event_of_an_order_shows_the_order_as_it_now_is() -> None:
    made = desk(symbols=2)
    commands = [full(), mark(1, 950)]
    order_id = 0
    for command in commands:
        event = made.send(command)[-1]
        order_id = order_id or event.order_id
        assert event.order_id == order_id and (event.account, event.symbol) == (1, 1)
        order = made.order(order_id)
        assert {name: getattr(event, name) for name in OF_ORDERS} == {name: order[name] for name in OF_ORDERS}
        assert event.client_order_id.rstrip(b"\0") == b"my order"
    made.send(report(ReportKind.NEW, order_id), amend(order_id, quantity=8))
    (event,) = made.send(trade(order_id, 1, 2, 1_100, fee=3))
    order = made.order(order_id)
    assert {name: getattr(event, name) for name in OF_ORDERS} == {name: order[name] for name in OF_ORDERS}
    assert (event.filled_quantity, event.filled_notional) == (2, 2_200)


def test_each_has_the_number_and_the_time_of_its_command_and_its_place_among_them() -> None:
    made = desk()
    orders = [working(made, place(0, 0, BUY, 1, 900)) for _ in range(3)]
    made.ts += 17
    events = made.send(cancel_all(Scope.FIRM), cancel(orders[0]), cancel(99))
    assert {event.ts for event in events} == {made.ts}
    assert [(event.seq - made.seq, event.index) for event in events] == [
        *((-2, index) for index in range(4)),
        (-1, 0),
        (0, 0),
    ]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (cancel(123_456), {"order_id", "code"}),  # of nobody that is known
        (transfer(0, 5), {"limit", "scope"}),
        (mark(0, 1_000), {"price"}),
    ],
)
def test_nothing_stays_of_the_event_that_stood_there_before(command: Command, said: set[str]) -> None:
    """The buffer is used again: a transfer behind an order says nothing of the order."""
    made = desk(symbols=2)
    made.one(full())
    event = made.one(command)
    for name in field_names(EVENT):
        value = getattr(event, name)
        assert name in HEAD | said or value in (0, b"\0" * 40), name
    made.one(full(b"another one"))
    assert (made.one(cancel(123_456)).account, made.one(cancel(123_456)).symbol) == (-1, -1)
