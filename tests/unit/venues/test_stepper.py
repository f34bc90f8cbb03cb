"""The two steppers: what they give for the same commands, and where a live venue comes in."""

from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from app.engine.capacity import SMALL_CAPACITY, Capacity
from app.engine.engine import Engine
from app.engine.records import COMMAND, EVENT
from app.engine.state import state_hash
from app.engine.types import CommandKind, EventKind, OrderStatus, OrderType, ReportKind, TradingState
from app.runtime.views import EventView, event_views
from app.venues.paper import PaperStepper, PaperVenue
from app.venues.stepper import Applied, EngineStepper, Stepper
from tests.support.engine import (
    BUY,
    FIRST_TS,
    SELL,
    Command,
    amend,
    cancel,
    cancel_all,
    mark,
    market,
    pack,
    place,
    report,
    trading_state,
    transfer,
)
from tests.support.scripted_venue import ROUTES, ScriptedVenue

Records = NDArray[np.void]

_SETUP = market()
# So few that a batch is more than the inbox and the engine's buffers hold.
_TIGHT = Capacity(accounts=8, symbols=8, orders=64, open_orders=32, fills=64, commands=4, events=16)


def _stop(price: int) -> Command:
    return place(0, 0, SELL, 5, type=OrderType.STOP, stop_price=price)


# Nothing of this is routed: stops wait in the engine, and the rest is refused or no order at all.
_UNROUTED = [
    _stop(900),
    place(0, 0, BUY, 0, 990),
    place(1, 0, BUY, 10**7, 990),
    cancel(77 << 21),
    amend(77 << 21, price=980),
    _stop(910),
    transfer(0, 5),
    cancel_all(1, account=0),
    mark(0, 1_001),
    trading_state(TradingState.HALTED),
    place(0, 0, BUY, 5, 990),
    trading_state(TradingState.ACTIVE),
    _stop(920),
]


def _alone(capacity: Capacity = SMALL_CAPACITY) -> tuple[Engine, Stepper]:
    engine = Engine(capacity)
    return engine, EngineStepper(engine)


def _fused(capacity: Capacity = SMALL_CAPACITY) -> tuple[Engine, Stepper]:
    engine = Engine(capacity)
    return engine, PaperStepper(engine, PaperVenue(engine.state, capacity))


def _step(stepper: Stepper, commands: Iterable[Command], first_seq: int, ts: int = FIRST_TS) -> Applied:
    return stepper.step(pack(commands).tobytes(), first_seq, ts)


def _commands(applied: Applied) -> Records:
    return np.frombuffer(applied.commands, COMMAND)


def _routed(events: Iterable[EventView]) -> list[EventView]:
    return [event for event in events if event.kind in ROUTES]


@pytest.mark.parametrize("at_once", [1, 3, len(_UNROUTED)])
@pytest.mark.parametrize("capacity", [SMALL_CAPACITY, _TIGHT], ids=["roomy", "tight"])
def test_without_a_venues_part_both_give_the_same(capacity: Capacity, at_once: int) -> None:
    (alone, engine_stepper), (fused, paper_stepper) = _alone(capacity), _fused(capacity)
    batches = [_SETUP] + [_UNROUTED[at : at + at_once] for at in range(0, len(_UNROUTED), at_once)]
    kinds: set[int] = set()
    seq = 1
    for number, batch in enumerate(batches):
        applied = _step(engine_stepper, batch, seq, FIRST_TS + number)
        assert applied == _step(paper_stepper, batch, seq, FIRST_TS + number)
        assert np.frombuffer(applied.seqs, np.int64).tolist() == list(range(seq, seq + len(batch)))
        kinds.update(event.kind for event in event_views(applied.events))
        seq += len(batch)
    assert state_hash(alone.state) == state_hash(fused.state)
    assert kinds >= {EventKind.ORDER_OPENED, EventKind.ORDER_REJECTED, EventKind.CANCEL_ALL_DONE}
    assert kinds.isdisjoint(ROUTES)


def test_the_engine_alone_stamps_what_it_is_given_and_adds_nothing() -> None:
    _, stepper = _alone()
    _step(stepper, _SETUP, 1)
    given = pack([place(0, 0, BUY, 5, 990), place(1, 0, SELL, 5, 990)])
    applied = stepper.step(memoryview(given.tobytes()), 40, FIRST_TS + 7)
    given["seq"], given["ts"] = [40, 41], FIRST_TS + 7
    assert applied.commands == given.tobytes()
    assert np.frombuffer(applied.seqs, np.int64).tolist() == [40, 41]
    assert [(event.seq, event.status) for event in event_views(applied.events)] == [
        (40, OrderStatus.PENDING_NEW),
        (41, OrderStatus.PENDING_NEW),
    ]


def test_the_paper_stepper_numbers_reports_among_the_commands() -> None:
    _, stepper = _fused()
    _step(stepper, _SETUP, 1)
    applied = _step(stepper, [place(0, 0, BUY, 5, 990), place(1, 0, SELL, 5, 990)], 40)
    order, reported = CommandKind.PLACE_ORDER, CommandKind.EXECUTION_REPORT
    assert _commands(applied)["kind"].tolist() == [order, reported, order, reported, reported]
    assert _commands(applied)["seq"].tolist() == [40, 41, 42, 43, 44]
    assert np.frombuffer(applied.seqs, np.int64).tolist() == [40, 42]


def test_route_events_of_the_engine_alone_come_out_in_order() -> None:
    _, stepper = _alone()
    _step(stepper, _SETUP, 1)
    first, second = (
        event.order_id
        for event in event_views(
            _step(stepper, [place(0, 0, BUY, 5, 990), place(1, 0, BUY, 5, 980)], 40).events
        )
    )
    _step(stepper, [report(ReportKind.NEW, first), report(ReportKind.NEW, second)], 42)
    requests = [amend(second, price=970), _stop(900), cancel(first), place(1, 0, BUY, 1, 960), mark(0, 890)]
    routed = _routed(event_views(_step(stepper, requests, 44).events))
    assert [event.kind for event in routed] == [
        EventKind.REPLACE_REQUESTED,
        EventKind.CANCEL_REQUESTED,
        EventKind.ORDER_ACCEPTED,
        EventKind.ORDER_TRIGGERED,
    ]
    assert [event.seq for event in routed] == [44, 46, 47, 48]


class _Outside:
    """The engine alone and a venue outside: each report comes by a step of its own."""

    def __init__(self, venue: ScriptedVenue) -> None:
        self.engine, self._stepper = _alone()
        self._venue = venue
        self._seq = 0
        self.commands: list[int] = []  # their kinds, in order

    def send(self, *commands: Command) -> list[EventView]:
        """The events of the commands, then those of the reports, in the order in which they come."""
        events = self._step(pack(commands))
        seen = list(event_views(events))
        for reports in self._venue.execute(np.frombuffer(events, EVENT)):
            seen += event_views(self._step(reports))
        return seen

    def _step(self, commands: Records) -> bytes:
        applied = self._stepper.step(commands.tobytes(), self._seq + 1, FIRST_TS + self._seq)
        self.commands += _commands(applied)["kind"].tolist()
        self._seq += len(commands)
        return applied.events


def test_reports_of_a_venue_outside_come_back_as_commands() -> None:
    venue = ScriptedVenue(
        {
            EventKind.ORDER_ACCEPTED: [ReportKind.NEW],
            EventKind.REPLACE_REQUESTED: [ReportKind.REPLACED, ReportKind.TRADE],
            EventKind.CANCEL_REQUESTED: [ReportKind.CANCELED],
        }
    )
    outside = _Outside(venue)
    outside.send(*_SETUP)
    opened = outside.send(place(0, 0, BUY, 5, 990), place(1, 0, BUY, 7, 980))
    first, second = (event.order_id for event in opened[:2])
    assert [(event.order_id, event.status) for event in opened] == [
        (first, OrderStatus.PENDING_NEW),
        (second, OrderStatus.PENDING_NEW),
        (first, OrderStatus.NEW),
        (second, OrderStatus.NEW),
    ]
    done = outside.send(amend(second, price=970), cancel(first))
    assert [(event.order_id, event.status) for event in done] == [
        (second, OrderStatus.PENDING_REPLACE),
        (first, OrderStatus.PENDING_CANCEL),
        (second, OrderStatus.NEW),
        (second, OrderStatus.FILLED),
        (first, OrderStatus.CANCELED),
    ]
    assert [(event.kind, event.order_id) for event in venue.routed] == [
        (EventKind.ORDER_ACCEPTED, first),
        (EventKind.ORDER_ACCEPTED, second),
        (EventKind.REPLACE_REQUESTED, second),
        (EventKind.CANCEL_REQUESTED, first),
    ]
    asked, reported = [CommandKind.PLACE_ORDER] * 2, [CommandKind.EXECUTION_REPORT]
    assert outside.commands[len(_SETUP) :] == [
        *asked,
        *reported * 2,
        CommandKind.AMEND_ORDER,
        CommandKind.CANCEL_ORDER,
        *reported * 3,
    ]
