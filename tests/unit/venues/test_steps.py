"""Engine and venue in turns until nothing is left to do, and all that they did in one pile."""

import numpy as np

from app.engine.capacity import SMALL_CAPACITY
from app.engine.engine import Engine, stamp
from app.engine.records import COMMAND, EVENT
from app.engine.types import CommandKind, EventKind, OrderFlag, OrderType, ReportKind
from app.runtime.views import EventView, event_views
from app.venues.steps import Steps
from tests.support.engine import (
    BUY,
    FIRST_TS,
    SELL,
    Command,
    market,
    pack,
    place,
    report,
)
from tests.support.scripted_venue import ScriptedVenue

E, R = EventKind, ReportKind
TS = FIRST_TS + 5

FILLS = {E.ORDER_ACCEPTED: [R.NEW, R.TRADE], E.ORDER_TRIGGERED: [R.TRADE], E.CANCEL_REQUESTED: [R.CANCELED]}


class Made:
    """An engine that has applied some commands, whose events are still to be carried out."""

    def __init__(self, *commands: Command) -> None:
        self.engine = Engine(SMALL_CAPACITY)
        self.venue = ScriptedVenue(FILLS)
        opening = pack(market())
        stamp(opening, 1, FIRST_TS)
        self.engine.process(opening)
        self.seq = len(opening)
        self.events = self.apply(*commands)
        self.steps = Steps(self.engine, self.venue, self.seq, TS)

    def apply(self, *commands: Command) -> bytes:
        records = pack(commands)
        stamp(records, self.seq + 1, TS)
        self.seq += len(records)
        return self.engine.process(records).tobytes()

    def piled(self) -> tuple[list[tuple[int, int]], list[EventView]]:
        commands = np.frombuffer(b"".join(self.steps.commands), COMMAND)
        assert set(commands["ts"].tolist()) <= {TS}
        events = list(event_views(b"".join(self.steps.events)))
        return list(zip(commands["seq"].tolist(), commands["kind"].tolist(), strict=True)), events


def test_reports_are_numbered_on_and_their_events_follow() -> None:
    made = Made(place(0, 0, BUY, 5, 1_000), place(1, 0, SELL, 3, 1_000))
    made.steps.carry_out(made.events)
    commands, events = made.piled()
    assert commands == [(made.seq + 1 + at, CommandKind.EXECUTION_REPORT) for at in range(4)]
    assert made.steps.seq == made.seq + 4
    assert [(event.kind, event.account) for event in events] == [
        (E.ORDER_OPENED, 0),
        (E.ORDER_FILLED, 0),
        (E.ORDER_OPENED, 1),
        (E.ORDER_FILLED, 1),
    ]


def test_what_reports_lead_to_is_carried_out_too() -> None:
    """A fill shrinks the position that another order reduces: that one is canceled, and the venue says so."""
    made = Made()
    bought = made.apply(place(0, 0, BUY, 5, 1_000))
    made.steps.seq = made.seq
    made.steps.carry_out(bought)
    made.seq = made.steps.seq
    resting = made.apply(place(0, 0, SELL, 5, 1_100, flags=OrderFlag.REDUCE_ONLY))
    (order,) = event_views(resting)
    closing = made.apply(report(R.NEW, order.order_id), place(0, 0, SELL, 5, 1_000))
    made.steps = Steps(made.engine, made.venue, made.seq, TS)
    made.steps.carry_out(closing)
    _, events = made.piled()
    assert [event.kind for event in events] == [
        E.ORDER_OPENED,
        E.ORDER_FILLED,
        E.CANCEL_REQUESTED,
        E.ORDER_CANCELED,
    ]
    assert {event.order_id for event in events[2:]} == {order.order_id}
    assert made.venue.routed[-1].kind == E.CANCEL_REQUESTED


def test_without_a_part_of_the_venue_nothing_is_done() -> None:
    made = Made(place(0, 0, SELL, 5, type=OrderType.STOP, stop_price=900))
    made.steps.carry_out(made.events)
    made.steps.take_reports([])
    assert made.piled() == ([], []) and made.steps.seq == made.seq


def test_what_was_applied_elsewhere_is_added_in_its_turn() -> None:
    made = Made()
    commands, events = bytes(2 * COMMAND.itemsize), bytes(EVENT.itemsize)
    made.steps.add(commands, events)
    assert (made.steps.seq, made.steps.commands, made.steps.events) == (made.seq + 2, [commands], [events])
