"""Orders as clients see them: placing, repeating, canceling, amending, and how long the engine remembers."""

from dataclasses import replace

import numpy as np
import pytest

from app.engine.capacity import SLOT_BITS, SMALL_CAPACITY, Capacity
from app.engine.codes import Code
from app.engine.records import COMMAND
from app.engine.state import state_hash
from app.engine.types import EventKind, OrderFlag, OrderStatus, OrderType, ReportKind, Scope, TimeInForce
from app.runtime.event_views import CancelAllEvent, ReplaceEvent, event_as
from tests.support.engine import (
    BUY,
    SELL,
    Command,
    Desk,
    amend,
    bought,
    cancel,
    cancel_all,
    desk,
    events_of,
    market,
    pack,
    place,
    report,
    trade,
    working,
)

NAMED = place(0, 0, BUY, 10, 1_000, client_order_id=b"a" * 36)
TINY = Capacity(accounts=2, symbols=2, orders=16, open_orders=4, fills=16, commands=64, events=64)


def test_no_commands_no_events() -> None:
    made = desk()
    before = state_hash(made.engine.state)
    assert len(made.engine.process(np.zeros(0, COMMAND))) == 0
    assert state_hash(made.engine.state) == before


def test_an_accepted_order_is_on_its_way_to_the_venue() -> None:
    made = desk()
    event = made.one(NAMED)
    assert event.kind == EventKind.ORDER_ACCEPTED
    assert event.status == OrderStatus.PENDING_NEW
    assert event.order_id == made.seq << SLOT_BITS
    assert (event.seq, event.ts, event.index) == (made.seq, made.ts, 0)
    assert (event.side, event.price, event.quantity) == (BUY, 1_000, 10)
    assert event.client_order_id == b"a" * 36 + bytes(4)
    assert made.position(0, 0)["open_buy"] == 10
    assert made.account(0)["open_orders"] == 1


# --- Client order ids.


def test_the_same_request_again_returns_the_order_as_it_is_now() -> None:
    made = desk()
    first = made.one(NAMED)
    made.one(trade(first.order_id, 1, 4, 1_000))
    before = made.order(first.order_id)
    again = made.one(NAMED)
    assert (again.kind, again.order_id) == (EventKind.ORDER_REPLAYED, first.order_id)
    assert (again.status, again.filled_quantity) == (OrderStatus.PARTIALLY_FILLED, 4)
    assert made.order(first.order_id) == before
    assert made.account(0)["open_orders"] == 1


def test_a_refused_order_is_a_first_result_too() -> None:
    made = desk()
    too_small = replace(NAMED, quantity=0)
    first = made.one(too_small)
    again = made.one(too_small)
    assert (again.kind, again.order_id) == (EventKind.ORDER_REPLAYED, first.order_id)
    assert (again.code, again.limit, again.observed) == (Code.QUANTITY_MIN, 1, 0)
    assert made.one(NAMED).code == Code.DUPLICATE_CLIENT_ORDER_ID


@pytest.mark.parametrize(
    "other",
    [
        {"quantity": 11},
        {"price": 1_001},
        {"side": SELL},
        {"symbol": 1},
        {"type": OrderType.STOP_LIMIT},
        {"stop_price": 1},
        {"time_in_force": TimeInForce.IOC},
        {"flags": OrderFlag.POST_ONLY},
        {"self_trade_prevention": 1},
        {"expire_ts": 1},
        {"fault": 1},
    ],
)
def test_other_content_under_the_same_id_is_refused(other: dict[str, int]) -> None:
    made = desk(symbols=2)
    first = made.one(NAMED)
    refused = made.one(replace(NAMED, **other))  # type: ignore[arg-type]
    assert refused.kind == EventKind.ORDER_REJECTED
    assert refused.order_id != first.order_id
    assert made.one(NAMED).order_id == first.order_id, "the id stays with the first"


def test_ids_belong_to_accounts() -> None:
    made = desk()
    assert made.one(NAMED).kind == EventKind.ORDER_ACCEPTED
    assert made.one(replace(NAMED, account=1)).kind == EventKind.ORDER_ACCEPTED
    assert made.one(replace(NAMED, client_order_id=b"a" * 35)).kind == EventKind.ORDER_ACCEPTED


def test_symbol_and_side_do_not_stand_for_each_other_in_the_content() -> None:
    made = desk(symbols=2)
    made.one(place(0, 0, SELL, 10, 1_000, client_order_id=b"same"))
    other = made.one(place(0, 1, BUY, 10, 1_000, client_order_id=b"same"))
    assert (other.kind, other.code) == (EventKind.ORDER_REJECTED, Code.DUPLICATE_CLIENT_ORDER_ID)


def test_orders_without_an_id_are_never_repeats() -> None:
    made = desk()
    order = place(0, 0, BUY, 1, 1_000)
    assert made.one(order).kind == made.one(order).kind == EventKind.ORDER_ACCEPTED


# --- How long orders are remembered.


def test_an_id_is_forgotten_exactly_when_its_slot_is_used_again() -> None:
    made = Desk(TINY)
    made.send(*market())
    orders = [replace(NAMED, client_order_id=b"%d" % number, quantity=0) for number in range(17)]
    ids = [made.one(order).order_id for order in orders[:16]]
    assert [order_id & 15 for order_id in ids] == list(range(16))
    assert [made.one(order).order_id for order in orders[:16]] == ids  # the window is full: all are known
    last = made.one(orders[16])
    assert last.kind == EventKind.ORDER_REJECTED and last.order_id & 15 == 0  # takes the oldest one's place
    assert made.one(orders[1]).kind == EventKind.ORDER_REPLAYED
    assert made.one(cancel(ids[0])).code == Code.UNKNOWN_ORDER
    assert made.one(cancel(ids[1])).code == Code.ORDER_CLOSED
    again = made.one(orders[0])
    assert again.kind == EventKind.ORDER_REJECTED and again.order_id & 15 == 1
    assert made.one(orders[1]).kind == EventKind.ORDER_REJECTED, "its slot was just taken"


def test_open_orders_keep_their_slots_however_many_come_and_go() -> None:
    made = Desk(TINY)
    made.send(*market())
    kept = working(made, replace(NAMED, client_order_id=b"kept"))
    for number in range(100):
        made.one(replace(NAMED, client_order_id=b"%d" % number, quantity=0))
    again = made.one(replace(NAMED, client_order_id=b"kept"))
    assert (again.kind, again.order_id) == (EventKind.ORDER_REPLAYED, kept)
    made.one(trade(kept, 1, 10, 1_000))
    for number in range(15):
        made.one(replace(NAMED, client_order_id=b"later %d" % number, quantity=0))
    assert made.one(replace(NAMED, client_order_id=b"kept")).kind == EventKind.ORDER_REPLAYED
    made.one(replace(NAMED, client_order_id=b"last", quantity=0))
    assert made.one(cancel(kept)).code == Code.UNKNOWN_ORDER


def test_order_capacity() -> None:
    made = Desk(TINY)
    made.send(*market())
    order = place(0, 0, BUY, 1, 1_000)
    ids = [made.one(order).order_id for _ in range(4)]
    refused = made.one(order)
    assert (refused.code, refused.limit, refused.observed) == (Code.ORDER_CAPACITY, 4, 5)
    assert refused.scope == Scope.FIRM
    assert made.one(replace(order, quantity=0)).code == Code.QUANTITY_MIN, "checks of a smaller code go first"
    made.one(report(ReportKind.CANCELED, ids[2]))
    assert made.one(order).kind == EventKind.ORDER_ACCEPTED


# --- Cancel.


def test_cancel_asks_the_venue() -> None:
    made = desk()
    order_id = working(made, NAMED)
    event = made.one(cancel(order_id))
    assert (event.kind, event.status) == (EventKind.CANCEL_REQUESTED, OrderStatus.PENDING_CANCEL)
    assert made.position(0, 0)["open_buy"] == 10, "reserved until the venue says that it has ended"
    assert made.one(cancel(order_id)).code == Code.ORDER_PENDING
    event = made.one(report(ReportKind.CANCELED, order_id))
    assert (event.kind, event.status) == (EventKind.ORDER_CANCELED, OrderStatus.CANCELED)
    assert made.position(0, 0)["open_buy"] == 0
    event = made.one(cancel(order_id))
    assert (event.kind, event.code, event.status) == (
        EventKind.CANCEL_REJECTED, Code.ORDER_CLOSED, OrderStatus.CANCELED,
    )  # fmt: skip


@pytest.mark.parametrize("order_id", [0, -1, 1, 2**63 - 1, -(2**63), 5 << SLOT_BITS, SMALL_CAPACITY.orders])
@pytest.mark.parametrize("kind", [EventKind.CANCEL_REJECTED, EventKind.REPLACE_REJECTED])
def test_unknown_orders(order_id: int, kind: EventKind) -> None:
    made = desk()
    command = cancel(order_id) if kind == EventKind.CANCEL_REJECTED else amend(order_id, 1_000, 5)
    event = made.one(command)
    assert (event.kind, event.code, event.order_id) == (kind, Code.UNKNOWN_ORDER, order_id)
    assert (event.account, event.symbol) == (-1, -1)


# --- Amend.


@pytest.mark.parametrize(
    ("price", "quantity", "code"),
    [
        (0, 0, Code.NOTHING_TO_AMEND),
        (1_000, 10, Code.NOTHING_TO_AMEND),
        (0, 4, Code.QUANTITY_BELOW_FILLED),
        (0, 3, Code.QUANTITY_BELOW_FILLED),
        (0, -5, Code.QUANTITY_BELOW_FILLED),
        (-1, 0, Code.PRICE_INVALID),
        (0, 10**6 + 1, Code.QUANTITY_MAX),
    ],
)
def test_amends_that_cannot_be(price: int, quantity: int, code: Code) -> None:
    made = desk()
    order_id = working(made, NAMED)
    made.one(trade(order_id, 1, 4, 1_000))
    before = made.order(order_id)
    event = made.one(amend(order_id, price, quantity))
    assert (event.kind, event.code) == (EventKind.REPLACE_REJECTED, code)
    assert made.order(order_id) == before


@pytest.mark.parametrize(
    ("price", "quantity", "keeps_its_place"),
    [(0, 9, True), (0, 11, False), (1_001, 0, False), (999, 5, False), (1_000, 9, True)],
)
def test_time_priority_is_kept_only_by_less_at_the_same_price(
    price: int, quantity: int, keeps_its_place: bool
) -> None:
    made = desk()
    order_id = working(made, NAMED)
    place_before = made.order(order_id)["priority"]
    event = made.one(amend(order_id, price, quantity))
    asked = event_as(ReplaceEvent, event)
    assert (asked.replace_price, asked.replace_quantity) == (price or 1_000, quantity or 10)
    assert (event.price, event.quantity) == (1_000, 10)
    event = made.one(report(ReportKind.REPLACED, order_id, price=price or 1_000, quantity=quantity or 10))
    assert (event.kind, event.price, event.quantity) == (
        EventKind.ORDER_REPLACED, price or 1_000, quantity or 10,
    )  # fmt: skip
    assert event.order_id == order_id
    assert (made.order(order_id)["priority"] == place_before) == keeps_its_place


def test_a_stop_that_waits_here_is_amended_at_once() -> None:
    made = desk()
    stop = made.one(place(0, 0, BUY, 10, 1_150, type=OrderType.STOP_LIMIT, stop_price=1_100)).order_id
    event = made.one(amend(stop, 1_160, 7))
    assert (event.kind, event.price, event.quantity) == (EventKind.ORDER_REPLACED, 1_160, 7)
    assert made.position(0, 0)["open_buy"] == 7


def test_a_replace_answered_after_a_fill() -> None:
    """A fill between request and answer: either answer is understood, and nothing stays reserved."""
    made = desk()
    for answer, price, reserved in ((ReportKind.REPLACED, 990, 16), (ReportKind.REPLACE_REJECTED, 1_000, 6)):
        order_id = working(made, place(0, 0, BUY, 10, 1_000))
        made.one(amend(order_id, 990, 20))
        filled = made.one(trade(order_id, made.seq, 4, 1_000))
        assert filled.status == OrderStatus.PARTIALLY_FILLED
        event = made.one(report(answer, order_id, price=990, quantity=20))
        assert event.kind != EventKind.EXECUTION_ANOMALY
        assert (event.status, event.price) == (OrderStatus.PARTIALLY_FILLED, price)
        assert made.order(order_id)["reserved"] == reserved
        made.one(report(ReportKind.CANCELED, order_id))
        assert made.position(0, 0)["open_buy"] == 0


# --- Cancel all.


def test_cancel_all_by_scope() -> None:
    wanted = {
        Scope.FIRM: {(0, 0), (0, 1), (1, 0), (1, 1)},
        Scope.ACCOUNT: {(1, 0), (1, 1)},
        Scope.SYMBOL: {(0, 1), (1, 1)},
        Scope.ACCOUNT_SYMBOL: {(1, 1)},
    }
    for scope, canceled in wanted.items():
        made = desk(symbols=2)
        for account in range(2):
            for symbol in range(2):
                working(made, place(account, symbol, BUY, 1, 1_000))
        events = made.send(cancel_all(scope, 1, 1))
        assert {(event.account, event.symbol) for event in events[:-1]} == canceled
        assert [event.kind for event in events[:-1]] == [EventKind.CANCEL_REQUESTED] * len(canceled)
        done = events[-1]
        assert event_as(CancelAllEvent, done).requested == len(canceled)
        assert [event.index for event in events] == list(range(len(events)))


def test_cancel_all_skips_what_is_already_on_its_way_out() -> None:
    made = desk()
    first = working(made, place(0, 0, BUY, 1, 1_000))
    stop = made.one(place(0, 0, BUY, 1, type=OrderType.STOP, stop_price=1_100)).order_id
    made.one(cancel(first))
    events = made.send(cancel_all(Scope.FIRM))
    assert [(event.kind, event.order_id) for event in events] == [
        (EventKind.ORDER_CANCELED, stop),
        (EventKind.CANCEL_ALL_DONE, 0),
    ]


@pytest.mark.parametrize(
    ("scope", "account", "symbol"),
    [(0, 0, 0), (5, 0, 0), (2, -1, 0), (2, 2, 0), (3, 0, -1), (3, 0, 1), (4, 0, 1)],
)
def test_cancel_all_of_nothing_that_there_is(scope: int, account: int, symbol: int) -> None:
    made = desk()
    working(made, NAMED)
    event = made.one(cancel_all(scope, account, symbol))
    assert (event.kind, event.code) == (EventKind.COMMAND_REJECTED, Code.INVALID_VALUE)
    assert made.account(0)["open_orders"] == 1


@pytest.mark.parametrize("events", [16, 17, 18, 19, 20, 23, 64])
def test_more_events_than_fit_into_the_buffer(events: int) -> None:
    """Mass cancels, firing stops, expiries and trimmed orders go on in the next round, and nobody sees it."""

    def run(capacity: Capacity) -> tuple[list[tuple[object, ...]], str]:
        made = Desk(capacity)
        made.send(*market(symbols=2))
        bought(made, 200, 1_000)
        for number in range(60):
            working(made, place(number % 2, 1, BUY, 1, 900))
            made.one(place(0, 0, SELL, 3, 1_100, flags=OrderFlag.REDUCE_ONLY))
            made.one(place(1, 0, BUY, 1, type=OrderType.STOP, stop_price=1_100 + number % 7))
        made.ts += 1
        for _ in range(40):
            made.one(place(1, 1, BUY, 1, 900, time_in_force=TimeInForce.GTD, expire_ts=made.ts + 5))
        made.ts += 10
        log = pack(
            made.stamp(
                [
                    trade(made.one(place(0, 0, SELL, 190, 1_000)).order_id, 9**9, 190, 1_000),
                    Command(6, symbol=0, price=1_105),
                    Command(7),
                    cancel_all(Scope.FIRM),
                    place(0, 0, BUY, 1, 1_000),
                ]
            )
        )
        found = [tuple(event) for event in events_of(made.engine.process(log))]
        return found, state_hash(made.engine.state)

    sizes = {"accounts": 2, "symbols": 2, "orders": 512, "open_orders": 400, "fills": 512, "commands": 64}
    small, large = run(Capacity(**sizes, events=events)), run(Capacity(**sizes, events=1 << 12))
    assert small == large
    assert len(large[0]) > 200
