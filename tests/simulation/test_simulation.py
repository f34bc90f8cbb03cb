"""Engine and paper venue under random traffic from one seed, checked after each batch, and replayed.

A failure prints its seed: `BOT4_TEST_SEEDS=1234 make test ARGS=tests/simulation` runs it again.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from app.engine.capacity import Capacity
from app.engine.codes import Code
from app.engine.engine import Engine
from app.engine.records import COMMAND, EVENT
from app.engine.state import state_hash
from app.engine.types import EventKind
from app.runtime.views import event_views
from app.venues.paper import PaperVenue
from tests.models.paper_checks import check_book
from tests.models.simulation_ledger import Ledger
from tests.models.simulation_rules import RuleBook
from tests.simulation.checks import check_engine, check_venue
from tests.simulation.operators import MULTIPLIERS, STEPS_E8, opening
from tests.simulation.traffic import Traffic
from tests.support.engine import FIRST_TS

Records = NDArray[np.void]

_SIZES = {"accounts": 8, "symbols": 4, "orders": 1 << 12, "open_orders": 1 << 11, "fills": 1 << 12}
_SIZES |= {"overrides": 12, "limit_changes": 16}
_BATCH_MAX = 240
_EACH_MIN = 20  # of each kind of event in one run
_REFUSED = EventKind.COMMAND_REJECTED
# No VENUE_REJECTIONS: what the paper venue refuses here are clients' own instructions, which do not count.
_CAUSES = (Code.DAILY_LOSS, Code.MAX_DRAWDOWN, Code.REPEATED_ORDER, Code.MARKET_DATA_STALE)
_REFUSALS = (
    Code.STALE_VERSION, Code.WRONG_SCOPE, Code.LIMIT_CONTRADICTION, Code.OVERRIDE_EXISTS,
    Code.UNKNOWN_OVERRIDE, Code.SECOND_PERSON_REQUIRED, Code.UNKNOWN_CHANGE, Code.CHANGE_STALE,
    Code.MAKER_CANNOT_APPROVE,
)  # fmt: skip
_COMMANDS = 100_000


def seeds(default: Iterable[int]) -> list[int]:
    given = os.environ.get("BOT4_TEST_SEEDS")
    return [int(seed) for seed in given.split(",")] if given else list(default)


class World:
    """One engine and one venue under a virtual clock; it ticks as the engine's loop does."""

    def __init__(self, seed: int, commands: int = 256, events: int = 512) -> None:
        capacity = Capacity(**_SIZES, commands=commands, events=events)
        self.engine = Engine(capacity)
        self.venue = PaperVenue(self.engine.state, capacity)
        self.traffic = Traffic(seed)
        self.random = np.random.default_rng([seed, 1])
        self.ledger = Ledger(MULTIPLIERS)
        self.rules = RuleBook(STEPS_E8)
        self.ts = FIRST_TS
        self.seq = 0
        self.requested = 0
        self.kinds: dict[int, int] = {}
        self.journal: list[bytes] = []
        self.events: list[bytes] = []

    def run(self, commands: int) -> None:
        self.tick(opening())
        while self.requested < commands:
            count = int(self.random.integers(1, _BATCH_MAX + 1))
            fills = [
                (e.order_id, e.execution_id, e.last_price, e.last_quantity) for e in self.ledger.fills[-500:]
            ]
            self.tick(self.traffic.commands(count, list(self.ledger.open), fills, self.rules, self.ts))
            self.ts += int(
                self.random.choice(
                    [0, 1_000, 50_000, 1_500_000, 40_000_000_000], p=[0.3, 0.3, 0.3, 0.09, 0.01]
                )
            )

    def tick(self, commands: Records) -> None:
        """Depth, then each command with whatever the venue makes of it; then everything is checked."""
        self._reported(self.venue.apply_levels(self.traffic.levels()))
        self.requested += len(commands)
        injected = set()
        for index in range(len(commands)):
            injected.add(self.seq + 1)
            self._reported(self.venue.execute(self._apply(commands[index : index + 1])))
        self._check(injected)

    def _apply(self, commands: Records) -> Records:
        count = len(commands)
        commands["seq"] = np.arange(self.seq + 1, self.seq + 1 + count)
        commands["ts"] = self.ts
        self.kinds.update(zip(commands["seq"].tolist(), commands["kind"].tolist(), strict=True))
        self.seq += count
        self.journal.append(commands.tobytes())
        events = self.engine.process(commands).tobytes()
        self.events.append(events)
        self.ledger.take(event_views(events), self.kinds)
        self.rules.take(event_views(events), self.kinds)
        self.venue.note(events)
        return np.frombuffer(bytearray(events), EVENT)

    def _reported(self, reports: Iterator[Records]) -> None:
        while True:
            caused = [self._apply(batch) for batch in reports]
            if not caused:
                return
            reports = self.venue.execute(np.concatenate(caused))

    def _check(self, injected: set[int]) -> None:
        check_engine(self.engine.state, self.ledger)
        self.rules.check(self.engine.state)
        check_venue(self.venue, self.ledger)
        if len(self.journal) % 16 == 0:
            check_book(self.venue)
        for anomaly in self.ledger.anomalies:
            assert anomaly.seq in injected, f"the venue's own report was refused: {anomaly}"
            assert anomaly.code in (Code.DUPLICATE_EXECUTION, Code.OVERFILL, Code.UNKNOWN_ORDER)
        self.ledger.anomalies.clear()
        self.kinds = {}

    def replay(self, commands: int, events: int) -> tuple[bytes, str]:
        """The journaled commands through a fresh engine, in other batches and buffers."""
        engine = Engine(Capacity(**_SIZES, commands=commands, events=events))
        records = np.frombuffer(bytearray(b"".join(self.journal)), COMMAND)
        pieces = [engine.process(records[at : at + 777]).tobytes() for at in range(0, len(records), 777)]
        return b"".join(pieces), state_hash(engine.state)


def simulate(seed: int) -> World:
    print(f"seed {seed}: BOT4_TEST_SEEDS={seed} runs it again")
    world = World(seed)
    world.run(_COMMANDS)
    events, fingerprint = b"".join(world.events), state_hash(world.engine.state)
    assert world.replay(512, 4_096) == (events, fingerprint)
    assert world.replay(100, 17) == (events, fingerprint)
    return world


def rules_seen(world: World) -> dict[str, int]:
    """How often operators and breakers did each thing that should be in the traffic."""
    seen = world.rules.seen
    codes = Counter(e.code for e in event_views(b"".join(world.events)) if e.kind == _REFUSED)
    names = ["resumed", "override expired", "override removed", "limits set together", "tightened alone"]
    return {name: seen[name] for name in names + [f"tripped by {cause.name}" for cause in _CAUSES]} | {
        code.name: codes[code] for code in _REFUSALS
    }


@pytest.mark.parametrize("seed", seeds([1, 2]))
def test_simulation(seed: int) -> None:
    world = simulate(seed)
    kinds = Counter(event.kind for event in event_views(b"".join(world.events)))
    never = {EventKind.NONE, EventKind.ORDER_UNKNOWN}  # the paper venue knows all outcomes
    seldom = {kind.name: kinds[kind] for kind in set(EventKind) - never if kinds[kind] < _EACH_MIN}
    assert set(seldom) <= {EventKind.DAY_STARTED.name}, f"too seldom to matter: {seldom}"
    assert not {name: count for name, count in rules_seen(world).items() if count == 0}
    assert kinds[EventKind.ORDER_FILLED] > _COMMANDS // 20, "too few fills to be worth anything"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 140))
def test_many_seeds(seed: int) -> None:
    simulate(seed)


def test_a_seed_gives_the_same_run_again() -> None:
    one, other = World(5), World(5)
    one.run(1_000)
    other.run(1_000)
    assert one.journal == other.journal and one.events == other.events
