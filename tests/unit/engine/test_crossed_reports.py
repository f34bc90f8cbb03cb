"""Reports and requests that cross on their way: the venue is right, whatever it says in whatever order.

A small venue holds one order. Amends and a cancel reach it late, between its fills, and it takes or
refuses each; its reports reach the engine late. In the end engine and venue must agree.
"""

from collections import deque
from random import Random

import pytest

from app.engine.capacity import SLOT_BITS
from app.engine.codes import Code
from app.engine.types import EventKind, OrderStatus, ReportKind
from app.runtime.event_views import ReplaceEvent, event_as
from app.runtime.views import EventView
from tests.support import engine as build
from tests.support.engine import BUY, SELL, Command, Desk, desk
from tests.support.limit_worlds import CAPACITY, Fork

PRICE = 1_000
SCHEDULES = 1_500
HELD = 50
AMENDS = ((1_010, 12), (1_005, 8))

FORK = Fork()


def prepared(held: int) -> Desk:
    made = desk(capacity=CAPACITY)
    if held:
        build.bought(made, held, PRICE)
    return made


DESKS = {held: prepared(held) for held in (0, HELD)}


class Venue:
    """One order at a venue, and what is on its way to and from there."""

    def __init__(self, random: Random, order_id: int) -> None:
        self.random = random
        self.order_id = order_id
        self.price, self.quantity, self.filled = PRICE, 10, 0
        self.open = True
        self.paid = 0
        self.fees = 0
        self.requests: deque[EventView] = deque()
        self.reports: deque[Command] = deque()

    def tell(self, kind: ReportKind, **more: int) -> None:
        self.reports.append(build.report(kind, self.order_id, **more))

    def fill(self) -> None:
        if not self.open:
            return
        quantity = self.random.randint(1, self.quantity - self.filled)
        self.filled += quantity
        self.paid += quantity * self.price
        self.fees += 1
        self.open = self.filled < self.quantity
        self.reports.append(build.trade(self.order_id, 10**6 + self.fees, quantity, self.price, fee=1))

    def answer(self) -> None:
        """Take or refuse the oldest request."""
        request = self.requests.popleft()
        wanted = None if request.kind == EventKind.CANCEL_REQUESTED else event_as(ReplaceEvent, request)
        refused = ReportKind.REPLACE_REJECTED if wanted else ReportKind.CANCEL_REJECTED
        if not self.open:
            self.tell(refused, code=Code.UNKNOWN_ORDER)
        elif self.random.random() < 0.3:
            self.tell(refused)
        elif wanted is None:
            self.open = False
            self.tell(ReportKind.CANCELED)
        elif wanted.replace_quantity <= self.filled:
            self.tell(ReportKind.REPLACE_REJECTED)
        else:
            self.price, self.quantity = wanted.replace_price, wanted.replace_quantity
            self.tell(ReportKind.REPLACED, price=self.price, quantity=self.quantity)

    def status(self) -> OrderStatus:
        if self.open:
            return OrderStatus.PARTIALLY_FILLED if self.filled else OrderStatus.NEW
        return OrderStatus.FILLED if self.filled == self.quantity else OrderStatus.CANCELED


def order_of(venue: Venue) -> dict[str, int]:
    record = FORK.engine.state.orders[venue.order_id & ((1 << SLOT_BITS) - 1)]
    names = ("status", "price", "quantity", "filled_quantity", "filled_notional", "reserved")
    return {name: int(record[name]) for name in names}


def run(random: Random, side: int) -> None:
    held = HELD if side == SELL else 0
    FORK.reset(DESKS[held])
    cash_before = int(FORK.engine.state.accounts[0]["cash"])
    (placed,) = FORK.send([build.place(0, 0, side, 10, PRICE)])
    venue = Venue(random, placed.order_id)
    venue.tell(ReportKind.NEW)
    wishes = [build.amend(venue.order_id, *amend) for amend in AMENDS]
    wishes.insert(random.randint(0, 2), build.cancel(venue.order_id))
    fills = random.randint(0, 3)
    history: list[object] = []
    while wishes or venue.requests or venue.reports:
        step = random.choice(("wish", "answer", "fill", "report", "report"))
        if step == "wish" and wishes:
            events = FORK.send([wishes.pop(0)])
            requests = (EventKind.CANCEL_REQUESTED, EventKind.REPLACE_REQUESTED)
            venue.requests.extend(event for event in events if event.kind in requests)
            history += [(EventKind(event.kind).name, event.code) for event in events]
        elif step == "answer" and venue.requests:
            venue.answer()
        elif step == "fill" and fills:
            fills -= 1
            venue.fill()
        elif step == "report" and venue.reports:
            report = venue.reports.popleft()
            events = FORK.send([report])
            history.append((ReportKind(report.report).name, report.price, report.quantity))
            assert EventKind.EXECUTION_ANOMALY not in {event.kind for event in events}, history
    order = order_of(venue)
    assert order["status"] == venue.status(), history
    assert (order["price"], order["quantity"]) == (venue.price, venue.quantity), history
    assert (order["filled_quantity"], order["filled_notional"]) == (venue.filled, venue.paid), history
    assert order["reserved"] == (venue.quantity - venue.filled if venue.open else 0), history
    direction = 1 if side == BUY else -1
    state = FORK.engine.state
    assert int(state.positions[0]["quantity"]) == held + direction * venue.filled
    assert int(state.accounts[0]["cash"]) == cash_before - direction * venue.paid - venue.fees


@pytest.mark.parametrize("side", [BUY, SELL])
@pytest.mark.parametrize("seed", range(4))
def test_engine_and_venue_agree_in_the_end(side: int, seed: int) -> None:
    random = Random(seed)
    for _ in range(SCHEDULES):
        run(random, side)


def test_the_answer_to_the_first_amend_comes_after_a_fill_and_a_second_amend() -> None:
    made = desk()
    order_id = build.working(made, build.place(0, 0, BUY, 10, PRICE))
    made.one(build.amend(order_id, price=1_001))
    assert made.one(build.trade(order_id, 1, 2, PRICE)).status == OrderStatus.PARTIALLY_FILLED
    made.one(build.amend(order_id, price=1_002))
    first = made.one(build.report(ReportKind.REPLACED, order_id, price=1_001, quantity=10))
    assert (first.kind, first.price) == (EventKind.ORDER_REPLACED, 1_001)
    assert first.status == OrderStatus.PENDING_REPLACE
    second = made.one(build.report(ReportKind.REPLACED, order_id, price=1_002, quantity=10))
    assert (second.price, second.status) == (1_002, OrderStatus.PARTIALLY_FILLED)


@pytest.mark.parametrize("refused_first", [True, False])
def test_one_of_two_amends_is_refused(refused_first: bool) -> None:
    made = desk()
    order_id = build.working(made, build.place(0, 0, BUY, 10, PRICE))
    made.one(build.amend(order_id, price=1_001))
    made.one(build.trade(order_id, 1, 2, PRICE))
    made.one(build.amend(order_id, price=1_002))
    refused = build.report(ReportKind.REPLACE_REJECTED, order_id)
    taken = build.report(ReportKind.REPLACED, order_id, price=1_002 if refused_first else 1_001, quantity=10)
    for answer in (refused, taken) if refused_first else (taken, refused):
        assert made.one(answer).kind != EventKind.EXECUTION_ANOMALY
    order = made.order(order_id)
    assert (order["status"], order["price"]) == (OrderStatus.PARTIALLY_FILLED, taken.price)


def test_fills_beyond_the_old_quantity_show_that_the_venue_has_replaced() -> None:
    made = desk()
    order_id = build.working(made, build.place(0, 0, BUY, 10, PRICE))
    made.one(build.amend(order_id, quantity=15))
    event = made.one(build.trade(order_id, 1, 15, PRICE))
    assert (event.kind, event.status) == (EventKind.ORDER_FILLED, OrderStatus.FILLED)
    late = made.one(build.report(ReportKind.REPLACED, order_id, price=PRICE, quantity=15))
    assert (late.kind, late.status) == (EventKind.ORDER_REPLACED, OrderStatus.FILLED)
    assert made.position(0, 0)["quantity"] == 15


def test_nonsense_stays_an_anomaly() -> None:
    made = desk()
    order_id = build.working(made, build.place(0, 0, BUY, 10, PRICE))
    for report in (
        build.trade(order_id, 1, 11, PRICE),
        build.trade(order_id, 1, 1, 0),
        build.report(ReportKind.REPLACED, order_id, price=PRICE, quantity=20),
    ):
        assert made.one(report).kind == EventKind.EXECUTION_ANOMALY
