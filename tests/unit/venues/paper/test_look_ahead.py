"""Asking for memory early changes nothing, whatever the events behind hold."""

from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.capacity import SLOT_BITS, SMALL_CAPACITY
from app.engine.engine import Engine
from app.engine.records import COMMAND
from app.engine.state import state_hash
from app.engine.types import EventKind
from app.venues.paper import PaperStepper, PaperVenue
from tests.models.paper_desk import BUY, SELL, Desk, new_order, order_id
from tests.models.paper_records import Event
from tests.support.engine import FIRST_TS, Command, amend, cancel, market, pack, place

MANY = 40  # more than it looks ahead

sides = st.sampled_from([BUY, SELL])
ids = st.integers(0, 70).map(order_id) | st.sampled_from([0, -1, 2**63 - 1, -(2**63), (1 << SLOT_BITS) - 1])
prices = st.integers(1, 200) | st.sampled_from([0, 2**62])

placed = st.builds(
    new_order, st.integers(0, 70), sides, st.integers(1, 200), st.integers(1, 9), symbol=st.integers(0, 1)
)
canceled = st.builds(Event, st.just(EventKind.CANCEL_REQUESTED), ids)
others = st.builds(Event, st.just(EventKind.ORDER_OPENED), ids, price=prices, side=sides)


@settings(max_examples=60, deadline=None)
@given(st.lists(placed | canceled | others, min_size=MANY, max_size=3 * MANY))
def test_events_together_as_one_by_one(events: list[Event]) -> None:
    """One by one there is nothing ahead to look at."""
    together, single = Desk(), Desk()
    reports = together.send(*events)
    assert reports == [report for event in events for report in single.send(event)]
    assert together.depth(0) == single.depth(0) and together.depth(1) == single.depth(1)


inbox = st.one_of(
    st.builds(place, st.integers(-1, 3), st.integers(-1, 3), sides, st.integers(0, 9), prices),
    st.builds(cancel, ids),
    st.builds(amend, ids, prices, st.integers(0, 9)),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(inbox, min_size=MANY, max_size=2 * MANY))
def test_an_inbox_together_as_one_by_one(commands: list[Command]) -> None:
    """Also of accounts, symbols and orders that there are none of."""
    engines = []
    applied = []
    for batches in ([market(), commands], [market(), *([command] for command in commands)]):
        engine = Engine(SMALL_CAPACITY)
        stepper = PaperStepper(engine, PaperVenue(engine.state, SMALL_CAPACITY))
        seq, events = 1, b""
        for batch in batches:
            step = stepper.step(pack(batch).tobytes(), seq, FIRST_TS)
            seq += len(step.commands) // COMMAND.itemsize
            events += step.events
        engines.append(engine)
        applied.append(events)
    assert applied[0] == applied[1]
    assert state_hash(engines[0].state) == state_hash(engines[1].state)
