"""The engine's kernels and their plain-Python twin: the same events, field by field, and the same state."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.capacity import Capacity
from app.engine.codes import Code
from app.engine.engine import Engine
from app.engine.records import EVENT
from app.engine.state import state_hash
from app.engine.types import CommandKind, EventKind
from app.runtime.views import EventView
from tests.engine_streams import Stream, opening
from tests.engine_support import Command, Desk, events_of, pack
from tests.twins.engine import EngineTwin
from tests.twins.engine_compare import check_same

# Small, so that slots and executions are used again and command and event buffers overflow.
SIZES = {"accounts": 4, "symbols": 3, "orders": 64, "open_orders": 40, "fills": 16}
SIZES |= {"overrides": 3, "limit_changes": 4}
CAPACITY = Capacity(**SIZES, commands=256, events=64)

# Checks that are still to come, and what takes more than a few accounts and symbols.
_NOT_HERE = {
    # Too rare in random streams: tests/unit/test_engine_breakers.py has them.
    Code.REPEATED_ORDER, Code.MAX_ORDER_TO_TRADE_RATIO, Code.VENUE_REJECTIONS, Code.MAX_LEVERAGE,
    Code.UNKNOWN_EXECUTION, Code.VENUE_CAPACITY, Code.ACCOUNT_CAPACITY, Code.SYMBOL_CAPACITY,
    Code.ORDER_CAPACITY, Code.LIMITS_NOT_SET, Code.STALE_VERSION, Code.OVERRIDE_EXISTS,
    Code.OVERRIDE_CAPACITY, Code.UNKNOWN_OVERRIDE, Code.SECOND_PERSON_REQUIRED, Code.CHANGE_CAPACITY,
    Code.UNKNOWN_CHANGE, Code.CHANGE_CLOSED, Code.CHANGE_STALE, Code.MAKER_CANNOT_APPROVE,
}  # fmt: skip


class Pair:
    """Engine and twin under the same commands."""

    def __init__(self, random: Random, check: bool = True) -> None:
        self.random = random
        self.check = check
        self.desk = Desk(CAPACITY)
        self.twin = EngineTwin(CAPACITY)
        self.stream = Stream(random, self.twin)
        self.events: list[EventView] = []
        self.send(opening(random))

    def send(self, commands: list[Command]) -> None:
        stamped = self.desk.stamp(commands)
        expected = [event for command in stamped for event in self.twin.apply(command)]
        found = events_of(self.desk.engine.process(pack(stamped)))
        for one, other in zip(found, expected, strict=False):
            assert one._asdict() == other._asdict()
        assert len(found) == len(expected)
        if self.check:
            check_same(self.desk.engine, self.twin)
        self.events += found

    def go_on(self, commands: int) -> None:
        while commands > 0:
            batch = self.random.randint(1, min(commands, 8))
            commands -= batch
            self.send([self.stream.next() for _ in range(batch)])
            self.desk.ts += self.stream.pause()

    def check_explanations(self, count: int) -> None:
        """What `explain` says of random orders, and that it changes nothing."""
        engine, before = self.desk.engine, state_hash(self.desk.engine.state)
        for _ in range(count):
            command = self.stream.place()
            found = engine.explain(pack([command]), self.desk.ts)
            expected = self.twin.explain(command, self.desk.ts)
            assert {(int(v.code), int(v.scope)): tuple(v) for v in found} == {
                key: tuple(verdict) for key, verdict in expected.items()
            }
        assert state_hash(engine.state) == before


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_short_streams(random: Random, commands: int) -> None:
    pair = Pair(random)
    pair.go_on(commands)
    pair.check_explanations(2)


@pytest.mark.parametrize("seed", range(8))
def test_long_streams(seed: int) -> None:
    pair = Pair(Random(seed))
    for _ in range(10):
        pair.go_on(50)
        pair.check_explanations(5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160))
def test_very_long_streams(seed: int) -> None:
    pair = Pair(Random(seed))
    for _ in range(60):
        pair.go_on(50)
        pair.check_explanations(5)


def test_streams_reach_everything() -> None:
    """The random streams are worth something only if every refusal and event that there is occurs in them."""
    codes: set[int] = set()
    kinds: Counter[int] = Counter()
    for seed in range(20):
        pair = Pair(Random(1_000 + seed), check=False)
        pair.go_on(500)
        codes |= {event.code for event in pair.events}
        kinds.update(event.kind for event in pair.events)
    assert {code.name for code in Code if code not in codes} <= {code.name for code in _NOT_HERE}
    # Samples of marks have a twin of their own.
    others = {EventKind.NONE, EventKind.MARKS_SAMPLED, EventKind.RISK_MODEL_SET}
    assert not {kind.name: kinds[kind] for kind in set(EventKind) - others if kinds[kind] < 5}


def run(log: list[Command], capacity: Capacity, cuts: list[int]) -> tuple[bytes, str]:
    """Events and state hash of a log, cut into batches of these sizes, again and again."""
    engine = Engine(capacity)
    records = pack(log)
    events = b""
    first = number = 0
    while first < len(records):
        size = cuts[number % len(cuts)]
        batch = engine.process(records[first : first + size])
        assert batch.dtype == EVENT
        events += batch.tobytes()
        first, number = first + size, number + 1
    return events, state_hash(engine.state)


@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(st.integers(1, 90), min_size=1, max_size=6),
    st.sampled_from([16, 17, 19, 32, 1024]),
    st.sampled_from([1, 3, 64, 512]),
)
def test_any_cut_and_any_buffer(seed: int, cuts: list[int], events: int, commands: int) -> None:
    """Batches and buffers are no part of what is decided."""
    pair = Pair(Random(seed))
    pair.go_on(150)
    if seed % 2:
        pair.send([Command(CommandKind.CANCEL_ALL, scope=1)])
    usual = run(pair.desk.log, CAPACITY, [len(pair.desk.log)])
    assert usual == run(pair.desk.log, Capacity(**SIZES, events=events, commands=commands), cuts)
    assert usual[1] == state_hash(pair.desk.engine.state)
