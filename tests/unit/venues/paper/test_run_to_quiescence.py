"""Engine and book in turns: each command meets all that the ones before it have led to."""

from collections.abc import Sequence

import numpy as np
import pytest

from app.engine.capacity import SMALL_CAPACITY, Capacity
from app.engine.codes import Code
from app.engine.engine import Engine
from app.engine.records import COMMAND
from app.engine.state import state_hash
from app.engine.types import CommandKind, EventKind, Limit, OrderStatus, OrderType, Scope, TimeInForce
from app.runtime.views import EventView, event_views
from app.venues.paper import PaperStepper, PaperVenue
from app.venues.stepper import Applied
from tests.support.engine import BUY, FIRST_TS, SELL, Command, cancel, limit, mark, market, pack, place

TIGHT = Capacity(accounts=8, symbols=8, orders=64, open_orders=32, fills=64, commands=4, events=16)
E = EventKind


class Desk:
    def __init__(self, capacity: Capacity = SMALL_CAPACITY) -> None:
        self.engine = Engine(capacity)
        self.stepper = PaperStepper(self.engine, PaperVenue(self.engine.state, capacity))
        self.seq = 1
        self.step(market(cash=10**6))

    def step(self, commands: Sequence[Command]) -> Applied:
        applied = self.stepper.step(pack(commands).tobytes(), self.seq, FIRST_TS)
        self.seq += len(applied.commands) // COMMAND.itemsize
        return applied

    def events(self, *commands: Command) -> list[EventView]:
        return list(event_views(self.step(commands).events))


def ioc(account: int, side: int, quantity: int, price: int) -> Command:
    return place(account, 0, side, quantity, price, time_in_force=TimeInForce.IOC)


def test_the_next_command_comes_when_all_is_quiet() -> None:
    """The second buys what the first offers, the third finds nothing left."""
    events = Desk().events(place(0, 0, SELL, 5, 1_000), ioc(1, BUY, 5, 1_000), ioc(1, BUY, 1, 1_000))
    assert [(event.kind, event.account) for event in events] == [
        (E.ORDER_ACCEPTED, 0),
        (E.ORDER_OPENED, 0),
        (E.ORDER_ACCEPTED, 1),
        (E.ORDER_FILLED, 1),
        (E.ORDER_FILLED, 0),
        (E.ORDER_ACCEPTED, 1),
        (E.ORDER_CANCELED, 1),
    ]


def test_a_cancel_meets_the_fill_that_came_before() -> None:
    made = Desk()
    (accepted, _) = made.events(place(0, 0, SELL, 5, 1_000))
    *_, refused = made.events(ioc(1, BUY, 5, 1_000), cancel(accepted.order_id))
    assert (refused.kind, refused.code) == (E.CANCEL_REJECTED, Code.ORDER_CLOSED)


def test_a_breaker_that_a_trade_trips_stops_the_rest_of_the_match() -> None:
    """Ten offers far above the mark: the first that is bought loses more than the day may."""
    made = Desk()
    made.step([place(0, 0, SELL, 1, 2_000) for _ in range(10)])
    made.step([limit(Limit.DAILY_LOSS, 500, Scope.ACCOUNT, 1)])
    events = made.events(ioc(1, BUY, 10, 2_000))
    fills = [event for event in events if event.kind == E.ORDER_FILLED and event.account == 1]
    assert len(fills) == 1
    assert E.BREAKER_TRIPPED in [event.kind for event in events]
    last = [event for event in events if event.account == 1 and event.kind == E.ORDER_CANCELED]
    assert [(event.status, event.code, event.filled_quantity) for event in last] == [
        (OrderStatus.CANCELED, Code.REDUCING_ONLY, 1)
    ]


def test_a_stop_that_fires_trades_before_the_next_command() -> None:
    made = Desk()
    made.step([place(0, 0, BUY, 5, 950), ioc(1, SELL, 5, 950), place(0, 0, BUY, 5, 940)])
    made.step([place(1, 0, BUY, 5, 960), place(0, 0, SELL, 5, type=OrderType.STOP, stop_price=980)])
    events = made.events(mark(0, 970), ioc(1, SELL, 1, 960))
    assert [event.kind for event in events][:4] == [
        E.MARK_UPDATED,
        E.ORDER_TRIGGERED,
        E.ORDER_FILLED,
        E.ORDER_FILLED,
    ]
    assert events[-1].kind == E.ORDER_CANCELED, "it has taken what was bid at 960"


@pytest.mark.parametrize("at_once", [1, 7, 50])
@pytest.mark.parametrize("capacity", [TIGHT, SMALL_CAPACITY], ids=["tight", "roomy"])
def test_room_and_batches_change_nothing(capacity: Capacity, at_once: int) -> None:
    commands = []
    for number in range(48):
        side = BUY if number % 3 else SELL
        commands.append(place(number % 2, 0, side, 1 + number % 5, 995 + number * 7 % 11))
        if number % 8 == 7:
            commands.append(mark(0, 990 + number % 20))
    whole, parted = Desk(), Desk(capacity)
    expected = whole.step(commands)
    found = [parted.step(commands[at : at + at_once]) for at in range(0, len(commands), at_once)]
    assert b"".join(each.commands for each in found) == expected.commands
    assert b"".join(each.events for each in found) == expected.events
    assert b"".join(each.seqs for each in found) == expected.seqs
    kinds = np.frombuffer(expected.commands, COMMAND)["kind"]
    seqs = np.frombuffer(expected.seqs, np.int64)
    numbered = np.frombuffer(expected.commands, COMMAND)["seq"][kinds != CommandKind.EXECUTION_REPORT]
    assert numbered.tolist() == seqs.tolist()
    if capacity is SMALL_CAPACITY:
        assert state_hash(parted.engine.state) == state_hash(whole.engine.state)
