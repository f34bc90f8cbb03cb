"""The engine's kernels and their plain-Python twin: the same events, field by field, and the same state."""

from collections import Counter
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.engine import engine as engine_module
from app.engine.capacity import Capacity
from app.engine.codes import Code
from app.engine.engine import Engine
from app.engine.records import EVENT
from app.engine.state import state_hash
from app.engine.types import (
    CommandKind,
    EventKind,
    Limit,
    OrderFlag,
    OrderType,
    Permission,
    Scope,
    StateFlag,
    TimeInForce,
)
from app.runtime.event_views import BreakerEvent, StateEvent, event_as
from app.runtime.views import EventView
from tests.models.engine import EngineTwin
from tests.models.engine_compare import check_same
from tests.support import engine as build
from tests.support.engine import Command, Desk, events_of, pack
from tests.support.engine_commands import Stream, opening
from tests.support.engine_limit_commands import ACCOUNTS, SYMBOLS

# Small, so that slots and executions are used again and command and event buffers overflow.
SIZES = {"accounts": 4, "symbols": 3, "orders": 64, "open_orders": 40, "fills": 16}
SIZES |= {"overrides": 3, "limit_changes": 4}
CAPACITY = Capacity(**SIZES, commands=256, events=64)

# Checks that are still to come, and what takes more than a few accounts and symbols.
_NOT_HERE = {
    # Too rare in random streams: tests/unit/engine/test_breakers.py has them.
    Code.REPEATED_ORDER, Code.MAX_ORDER_TO_TRADE_RATIO, Code.VENUE_REJECTIONS, Code.MAX_LEVERAGE,
    Code.UNKNOWN_EXECUTION, Code.VENUE_CAPACITY, Code.ACCOUNT_CAPACITY, Code.SYMBOL_CAPACITY,
    Code.ORDER_CAPACITY, Code.LIMITS_NOT_SET, Code.STALE_VERSION, Code.OVERRIDE_EXISTS,
    Code.OVERRIDE_CAPACITY, Code.UNKNOWN_OVERRIDE, Code.SECOND_PERSON_REQUIRED, Code.CHANGE_CAPACITY,
    Code.UNKNOWN_CHANGE, Code.CHANGE_CLOSED, Code.CHANGE_STALE, Code.MAKER_CANNOT_APPROVE,
    Code.MAX_DRAWDOWN, Code.POSITION_CAPACITY,
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
                key: tuple(verdict)[:5] for key, verdict in expected.items()
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
    for seed in range(80):
        pair = Pair(Random(1_000 + seed), check=False)
        pair.go_on(500)
        codes |= {event.code for event in pair.events}
        kinds.update(event.kind for event in pair.events)
    assert {code.name for code in Code if code not in codes} <= {code.name for code in _NOT_HERE}
    # Samples of marks have a twin of their own.
    others = {EventKind.NONE, EventKind.MARKS_SAMPLED, EventKind.RISK_MODEL_SET}
    assert not {kind.name: kinds[kind] for kind in set(EventKind) - others if kinds[kind] < 5}


def consequence(event: EventView) -> str | None:
    """What an event shows of the rules that follow from restrictions, fires and closes."""
    kind, code = EventKind(event.kind), event.code
    trims = (Code.REDUCE_ONLY, Code.REDUCING_ONLY, Code.SYMBOL_RESTRICTED)
    by_trimming = (EventKind.CANCEL_REQUESTED, EventKind.REPLACE_REQUESTED, EventKind.ORDER_REPLACED)
    if code in trims and kind in (*by_trimming, EventKind.ORDER_CANCELED):
        return f"{kind.name} {Code(code).name}"
    if kind == EventKind.ORDER_CANCELED and event.type >= OrderType.STOP and event.observed:
        return "refused when it fires"
    if kind == EventKind.ORDER_TRIGGERED and event.flags & OrderFlag.REDUCE_ONLY:
        return "fires to reduce"
    if kind == EventKind.BREAKER_TRIPPED:
        return f"breaker {Code(event_as(BreakerEvent, event).cause).name}"
    if kind == EventKind.TRADING_STATE_SET and event_as(StateEvent, event).ending:
        return "a state that ends orders"
    if kind == EventKind.ORDER_CANCELED and code == Code.UNKNOWN_ORDER:
        return "an order that the venue does not have"
    return None


def test_streams_reach_every_consequence() -> None:
    seen: Counter[str] = Counter()
    for seed in range(60):
        pair = Pair(Random(2_000 + seed), check=False)
        for _ in range(50):
            pair.go_on(10)
            seen["suspended"] += any(order.waiting == 2 for order in pair.twin.books.open_orders())
            seen["group"] += pair.twin.group_open
            seen["unsettled"] += bool(pair.twin.books.moved)
        places = Counter((event.seq, event.kind) for event in pair.events)
        seen["slices"] += sum(kind == EventKind.ORDER_ACCEPTED and n > 1 for (_, kind), n in places.items())
        seen.update(filter(None, map(consequence, pair.events)))
    wanted = {
        "suspended", "group", "unsettled", "slices", "refused when it fires", "fires to reduce",
        "a state that ends orders", "an order that the venue does not have",
        "ORDER_CANCELED REDUCE_ONLY", "ORDER_CANCELED REDUCING_ONLY", "ORDER_CANCELED SYMBOL_RESTRICTED",
        "CANCEL_REQUESTED REDUCE_ONLY", "CANCEL_REQUESTED REDUCING_ONLY",
        "CANCEL_REQUESTED SYMBOL_RESTRICTED", "REPLACE_REQUESTED REDUCE_ONLY",
        "REPLACE_REQUESTED REDUCING_ONLY", "ORDER_REPLACED REDUCE_ONLY", "ORDER_REPLACED REDUCING_ONLY",
        "breaker NEGATIVE_EQUITY", "breaker MAINTENANCE_LEVERAGE", "breaker DAILY_LOSS",
        "breaker MARKET_DATA_STALE",
    }  # fmt: skip
    assert not {name for name in wanted if not seen[name]}, seen


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


def burst(random: Random, pair: Pair) -> None:
    """Commands that leave many events each: orders of every kind, then what ends, fires or trims them."""
    desk, twin = pair.desk, pair.twin
    for account in range(ACCOUNTS):
        states = [
            (Scope.FIRM, -1, -1),
            (Scope.ACCOUNT, account, -1),
            *((Scope.SYMBOL, -1, n) for n in (0, 1)),
        ]
        pair.send([build.trading_state(0, *where) for where in states])
        for limit in list(twin.books.effective((Scope.ACCOUNT, account, -1))):
            pair.send([build.limit(limit, 0, Scope.ACCOUNT, account, state=0)])
        pair.send([build.limit(Limit.MAX_OPEN_ORDERS, 40, Scope.ACCOUNT, account)])
    for _ in range(12):
        later = desk.ts + 1_000_000
        pair.send(
            [replace(pair.stream.place(), time_in_force=TimeInForce.GTD, expire_ts=later) for _ in range(4)]
        )
        pair.send([pair.stream.protect() for _ in range(2)])
        pair.send([pair.stream.report() for _ in range(3)])
    account, symbol = random.randrange(ACCOUNTS), random.randrange(SYMBOLS)
    held = [(each, number) for each, number, _ in pair.stream.held()]
    if held and random.random() < 0.5:
        account, symbol = random.choice(held)
        pair.send([build.close_position(account, symbol, cancel_open=True)])
    if random.random() < 0.4:  # whatever moves trips firm and accounts one after the other
        loss = [build.limit(Limit.DAILY_LOSS, 0)]
        loss += [build.limit(Limit.DAILY_LOSS, 0, Scope.ACCOUNT, each) for each in range(ACCOUNTS)]
        pair.send(loss)
        pair.send([replace(build.mark(n, random.choice([80, 120])), more=1 - n) for n in range(SYMBOLS)])
    desk.ts += random.choice([0, 5_000_000, 86_400_000_000])
    ends = [
        build.cancel_all(Scope.FIRM),
        build.trading_state(1),
        replace(build.trading_state(2), flags=int(StateFlag.CANCEL_OPEN)),
        build.close_position(account, symbol, cancel_open=True),
        build.advance(),
        build.mark(symbol, random.choice([80, 120])),
        Command(CommandKind.SET_PERMISSION, account, -1, state=Permission.DENIED),
    ]
    pair.send([build.advance()] if random.random() < 0.4 else [])
    for command in random.sample(ends, len(ends)):
        pair.send([command])


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(st.integers(1, 90), min_size=1, max_size=6),
    st.one_of(st.integers(16, 40), st.just(1024)),
    st.sampled_from([1, 3, 64, 512]),
)
def test_any_cut_and_any_buffer(seed: int, cuts: list[int], events: int, commands: int) -> None:
    """Batches and buffers are no part of what is decided."""
    pair = Pair(Random(seed))
    pair.go_on(100)
    burst(pair.random, pair)
    usual = run(pair.desk.log, CAPACITY, [len(pair.desk.log)])
    assert usual == run(pair.desk.log, Capacity(**SIZES, events=events, commands=commands), cuts)
    assert usual[1] == state_hash(pair.desk.engine.state)


def test_every_function_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison is worth something only if each function that goes on after a full buffer had to."""
    cut: set[str] = set()
    process = engine_module._process

    def watched(directory: NDArray[np.int64], start: int, count: int) -> int:
        stopped = int(process(directory, start, count))
        state = engine.state
        firm = state.firm[0]
        if stopped < count and firm["progress"]:
            trims, trips = firm["trim_account"] >= 0, firm["alarm"] and not firm["group_open"]
            what = "trim" if trims else "trip" if trips else "stops" if firm["stops_due"] else ""
            carried_out = firm["progress"] >= 1 << 60
            cut.add(what if carried_out else CommandKind(state.commands[stopped]["kind"]).name)
        return stopped

    for seed in range(30):
        pair = Pair(Random(seed), check=False)
        pair.go_on(60)
        burst(pair.random, pair)
        records = pack(pair.desk.log)
        for events in (16, 17, 18, 21):
            engine = Engine(Capacity(**SIZES, commands=256, events=events))
            with monkeypatch.context() as context:
                context.setattr(engine_module, "_process", watched)
                engine.process(records)
            assert state_hash(engine.state) == state_hash(pair.desk.engine.state)
    wanted = {"CANCEL_ALL", "SET_TRADING_STATE", "CLOSE_POSITION", "ADVANCE_TIME", "trim", "trip", "stops"}
    assert wanted <= cut, cut
