"""The paper venue's kernels and its plain-Python twin give the same reports, byte for byte."""

import random
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.codes import Code
from app.engine.types import EventKind, InstrumentStatus, OrderType, Scope, Side
from app.market.types import LEVEL_UPDATE, LevelKind
from app.venues.paper import PaperVenue
from app.venues.paper.state import PaperLimits
from tests.models.paper import PaperTwin
from tests.models.paper_checks import check_book
from tests.models.paper_desk import (
    MAKER_PPM,
    MULTIPLIER,
    TAKER_PPM,
    collect,
    event_records,
    make_venue,
    order_id,
    small_capacity,
)
from tests.models.paper_records import Event, Report, report_bytes

SYMBOLS = 2
LIMITS = PaperLimits(ladder_levels=4, depth_levels=5)

prices = st.integers(95, 106)
quantities = st.integers(1, 9)
sides = st.sampled_from([0, 1])
symbols = st.integers(0, SYMBOLS - 1)
flags = st.sampled_from([0, 0, 0, 1, 2, 2, 3])


@dataclass(frozen=True)
class Order:
    symbol: int
    side: int
    account: int
    type: int
    time_in_force: int
    flags: int
    self_trade_prevention: int
    price: int
    quantity: int
    protected: bool
    triggered: bool


@dataclass(frozen=True)
class Cancel:
    of: int  # counted back from the newest order
    code: int = 0


@dataclass(frozen=True)
class Replace:
    of: int
    price: int
    quantity: int
    flags: int = 0
    code: int = 0


@dataclass(frozen=True)
class Note:
    """An event that sends no order."""

    kind: EventKind
    account: int
    symbol: int
    scope: int
    value: int = 0  # what it sets
    status: int = 0


levels = st.lists(
    st.tuples(prices, st.integers(0, 9), symbols, sides, st.sampled_from([0] * 12 + [1])),
    min_size=1,
    max_size=6,
)
orders = st.builds(
    Order,
    symbol=symbols,
    side=sides,
    account=st.integers(0, 2),
    type=st.sampled_from([OrderType.LIMIT] * 5 + list(OrderType)),
    time_in_force=st.sampled_from([0, 0, 0, 1, 2, 3]),
    flags=flags,
    self_trade_prevention=st.integers(0, 3),
    price=prices,
    quantity=quantities,
    protected=st.booleans(),
    triggered=st.booleans(),
)
codes = st.sampled_from([0, 0, int(Code.REDUCE_ONLY), int(Code.REDUCING_ONLY)])
cancels = st.builds(Cancel, st.integers(0, 12), codes)
replaces = st.builds(Replace, st.integers(0, 12), prices, quantities, flags, codes)
accounts = st.integers(0, 2)
notes = st.one_of(
    st.builds(
        Note, st.just(EventKind.TRADING_STATE_SET), accounts, symbols, st.integers(0, 3),
        st.sampled_from([0, 0, 1, 2]),
    ),
    st.builds(
        Note,
        st.just(EventKind.PERMISSION_SET),
        accounts,
        symbols,
        st.sampled_from([2, 4]),
        st.integers(0, 2),
    ),
    st.builds(Note, st.just(EventKind.POSITION_SETTLED), accounts, symbols, st.just(0)),
    st.builds(
        Note, st.just(EventKind.INSTRUMENT_SET), accounts, symbols, st.just(0), st.integers(99, 110),
        st.sampled_from([1, 1, 2, 3]),
    ),
)  # fmt: skip
requests = st.one_of(orders, orders, orders, cancels, replaces, notes)
steps = st.lists(st.one_of(orders, orders, orders, cancels, replaces, notes, levels, levels), max_size=60)

# By kind, what the value of a note is.
_NAMES = {
    EventKind.TRADING_STATE_SET: "state",
    EventKind.PERMISSION_SET: "permission",
    EventKind.INSTRUMENT_SET: "max_price",
}

Request = Order | Cancel | Replace | Note
Step = Request | list[tuple[int, int, int, int, int]]


@dataclass
class Stream:
    """Turns steps into events, with order ids as the engine would give them."""

    sent: list[Event] = field(default_factory=list)

    def event(self, step: Request) -> Event | None:
        if isinstance(step, Note):
            event = Event(step.kind, 0, step.account, step.symbol, scope=step.scope, status=step.status)
            return replace(event, **{_NAMES[step.kind]: step.value}) if step.kind in _NAMES else event
        if isinstance(step, Order):
            return self.place(step)
        if step.of >= len(self.sent):
            return None
        order = self.sent[-1 - step.of]
        if isinstance(step, Cancel):
            return replace(order, kind=EventKind.CANCEL_REQUESTED, code=step.code)
        return replace(
            order,
            kind=EventKind.REPLACE_REQUESTED,
            replace_price=step.price,
            replace_quantity=step.quantity,
            flags=step.flags,
            code=step.code,
        )

    def place(self, step: Order) -> Event:
        number = len(self.sent)
        market = step.type in (OrderType.MARKET, OrderType.STOP, OrderType.TAKE_PROFIT)
        event = Event(
            EventKind.ORDER_TRIGGERED if step.triggered else EventKind.ORDER_ACCEPTED,
            order_id(number),
            step.account,
            step.symbol,
            step.side,
            step.type,
            step.time_in_force,
            step.flags,
            step.self_trade_prevention,
            0 if market else step.price,
            step.quantity,
            protection_price=step.price if market and step.protected else 0,
        )
        self.sent.append(event)
        return event


def make_twin() -> PaperTwin:
    return PaperTwin(MULTIPLIER, MAKER_PPM, TAKER_PPM, LIMITS.ladder_levels, LIMITS.depth_levels)


def check_same_depth(venue: PaperVenue, twin: PaperTwin) -> None:
    for symbol in range(SYMBOLS):
        for side, found in zip(Side, venue.depth(symbol, 20), strict=True):
            assert [tuple(row) for row in found.tolist()] == twin.market_depth(symbol, side)


_RESTRICTING = (EventKind.TRADING_STATE_SET, EventKind.PERMISSION_SET)


def executed(twin: PaperTwin, events: list[Event]) -> list[Report]:
    """What a batch leads to: what restricts holds for all of it, everything else goes by its order."""
    ordered = sorted(events, key=lambda event: event.kind not in _RESTRICTING)
    return [report for event in ordered for report in twin.execute(event)]


@settings(max_examples=60, deadline=None)
@given(steps)
def test_every_step_as_the_twin(stream: list[Step]) -> None:
    venue, twin, source = make_venue(small_capacity(), LIMITS), make_twin(), Stream()
    for step in stream:
        if isinstance(step, list):
            found = collect(venue.apply_levels(np.array(step, LEVEL_UPDATE)))
            assert found == report_bytes(twin.apply_levels(step))
        elif (event := source.event(step)) is not None:
            assert collect(venue.execute(event_records([event]))) == report_bytes(twin.execute(event))
        check_book(venue)
        check_same_depth(venue, twin)


@settings(max_examples=60, deadline=None)
@given(levels, st.lists(requests, max_size=40), levels, st.integers(2, 5))
def test_a_small_buffer_changes_nothing(
    before: list[tuple[int, int, int, int, int]],
    stream: list[Request],
    after: list[tuple[int, int, int, int, int]],
    room: int,
) -> None:
    large = make_venue(small_capacity(256), LIMITS)
    small = make_venue(small_capacity(room), LIMITS)
    twin, source = make_twin(), Stream()
    expected: list[Report] = list(twin.apply_levels(before))
    events = [event for step in stream if (event := source.event(step)) is not None]
    expected += executed(twin, events)
    expected += twin.apply_levels(after)
    for venue in (large, small):
        found = collect(venue.apply_levels(np.array(before, LEVEL_UPDATE)))
        array = event_records(events)
        for batch in venue.execute(array):
            found += batch.tobytes()
            array["order_id"] = -1  # the engine's buffer is used again meanwhile
        found += collect(venue.apply_levels(np.array(after, LEVEL_UPDATE)))
        assert found == report_bytes(expected)
        check_book(venue)
        check_same_depth(venue, twin)


def random_order(chance: random.Random) -> Order:
    return Order(
        symbol=chance.randrange(SYMBOLS),
        side=chance.randrange(2),
        account=chance.randrange(4),
        type=chance.choice([OrderType.LIMIT] * 6 + list(OrderType)),
        time_in_force=chance.choice([0, 0, 0, 0, 1, 2, 3]),
        flags=chance.choice([0, 0, 0, 1, 2, 2, 3]),
        self_trade_prevention=chance.randrange(4),
        price=chance.randint(95, 106),
        quantity=chance.randint(1, 9),
        protected=chance.random() < 0.5,
        triggered=chance.random() < 0.2,
    )


def random_request(chance: random.Random) -> Request:
    kind = chance.random()
    if kind < 0.62:
        return random_order(chance)
    if kind < 0.72:
        return Cancel(chance.randint(0, 20), chance.choice([0, 0, int(Code.REDUCE_ONLY)]))
    if kind < 0.77:
        return random_note(chance)
    return Replace(
        chance.randint(0, 20), chance.randint(95, 106), chance.randint(1, 9), chance.choice([0, 0, 1, 2])
    )


def random_note(chance: random.Random) -> Note:
    account, symbol = chance.randrange(4), chance.randrange(SYMBOLS)
    kind = chance.choice([EventKind.TRADING_STATE_SET, EventKind.PERMISSION_SET, EventKind.INSTRUMENT_SET])
    if kind == EventKind.TRADING_STATE_SET:
        scope = chance.choice([Scope.FIRM, Scope.ACCOUNT, Scope.SYMBOL])
        return Note(kind, account, symbol, scope, chance.choice([0, 0, 0, 1, 2]))
    if kind == EventKind.PERMISSION_SET:
        scope = chance.choice([Scope.ACCOUNT, Scope.ACCOUNT_SYMBOL])
        return Note(kind, account, symbol, scope, chance.choice([0, 1, 2]))
    status = chance.choice([InstrumentStatus.TRADING] * 4 + [InstrumentStatus.HALTED])
    return Note(kind, account, symbol, 0, chance.randint(104, 110), status)


def random_levels(chance: random.Random) -> list[tuple[int, int, int, int, int]]:
    """Bids mostly below asks, so that there is depth on both sides."""
    updates = []
    for _ in range(chance.randint(1, 8)):
        side = chance.randrange(2)
        price = chance.randint(94, 101) if side == Side.BUY else chance.randint(100, 107)
        kind = LevelKind.CLEAR if chance.random() < 0.02 else LevelKind.SET
        updates.append((price, chance.choice([0, 1, 2, 3, 5, 9]), chance.randrange(SYMBOLS), side, int(kind)))
    return updates


@pytest.mark.parametrize("seed", range(30))
def test_a_long_random_stream_in_batches(seed: int) -> None:
    chance = random.Random(seed)
    limits = PaperLimits(ladder_levels=chance.choice([4, 12]), depth_levels=chance.choice([5, 32]))
    venue = make_venue(small_capacity(chance.choice([2, 3, 64]), 4096), limits)
    twin = PaperTwin(MULTIPLIER, MAKER_PPM, TAKER_PPM, limits.ladder_levels, limits.depth_levels)
    source = Stream()
    for _ in range(60):
        updates = random_levels(chance)
        found = collect(venue.apply_levels(np.array(updates, LEVEL_UPDATE)))
        assert found == report_bytes(twin.apply_levels(updates))
        requests = [random_request(chance) for _ in range(chance.choice([1, 3, 15, 30]))]
        events = [event for request in requests if (event := source.event(request)) is not None]
        expected = executed(twin, events)
        assert collect(venue.execute(event_records(events))) == report_bytes(expected)
        check_book(venue)
        check_same_depth(venue, twin)
