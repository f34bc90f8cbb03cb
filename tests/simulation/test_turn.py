"""Engine and book in one kernel give what separate steps give, command by command, in any buffers."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray

from app.engine.records import COMMAND
from app.engine.state import state_hash
from app.runtime.tick import TickBuilder
from app.runtime.views import event_views
from app.venues.paper import PaperStepper, PaperVenue
from tests.models.paper_checks import check_book
from tests.simulation.checks import check_venue
from tests.simulation.test_simulation import World, seeds

# (commands, events) of the engine's buffers: which of them is full first, and how often. The smallest is
# less than one command needs, and the inbox, which is as long as the buffer of commands, less than a batch.
_ROOM = {
    "always": (4_096, 8_192),
    "few events": (4_096, 20),
    "few commands": (12, 8_192),
    "neither": (6, 17),
    "nearly none": (2, 16),
}
_COMMANDS = 3_000


class WatchedVenue(PaperVenue):
    """Counts how often a turn had to be finished a batch at a time."""

    batches = 0

    def execute(self, events: NDArray[np.void]) -> Iterator[NDArray[np.void]]:
        self.batches += 1
        return super().execute(events)


class VenueWorld(World):
    """Only what the venue does is looked at."""

    def _check(self, injected: set[int]) -> None:
        check_venue(self.venue, self.ledger)
        check_book(self.venue)
        self.kinds = {}


class TurnWorld(VenueWorld):
    """Ticks as the engine's loop does it, in `pieces` of a batch at a time."""

    turns_not_finished = 0

    def __init__(self, seed: int, commands: int = 256, events: int = 512, pieces: int = 1 << 20) -> None:
        super().__init__(seed, commands, events)
        self.venue: WatchedVenue = WatchedVenue(self.engine.state, self.engine.capacity)
        self.stepper = PaperStepper(self.engine, self.venue)
        self.pieces = pieces

    def tick(self, commands: NDArray[np.void]) -> None:
        pieces = TickBuilder(self.engine, self.venue, self.stepper, self.seq, self.ts)
        pieces.take_reports(self.venue.apply_levels(self.traffic.levels()))
        self.requested += len(commands)
        injected: set[int] = set()
        before = self.venue.batches
        for start in range(0, len(commands), self.pieces):
            seqs = pieces.apply(commands[start : start + self.pieces].tobytes())
            injected.update(np.frombuffer(seqs, np.int64).tolist())
        self.turns_not_finished += self.venue.batches > before
        assert len(injected) == len(commands)
        self.seq = pieces.seq
        self.journal += pieces.commands
        self.events += pieces.events
        applied = np.frombuffer(b"".join(pieces.commands), COMMAND)
        self.kinds = dict(zip(applied["seq"].tolist(), applied["kind"].tolist(), strict=True))
        for watcher in (self.ledger, self.rules):
            watcher.take(event_views(b"".join(pieces.events)), self.kinds)
        assert all(
            self.kinds[seq] == kind
            for seq, kind in zip(sorted(injected), commands["kind"].tolist(), strict=True)
        )
        self._check(injected)


def _book(world: World) -> list[bytes]:
    """What the venue holds and knows."""
    state = world.venue.state
    names = ("sides", "rungs", "levels", "resting", "depth", "holdings", "holders", "listings")
    return [getattr(state, name).tobytes() for name in names]


@pytest.fixture(scope="module")
def separate() -> Callable[[int], World]:
    """The run of a seed in separate steps, made once."""
    worlds: dict[int, World] = {}

    def of(seed: int) -> World:
        if seed not in worlds:
            worlds[seed] = VenueWorld(seed)
            worlds[seed].run(_COMMANDS)
        return worlds[seed]

    return of


@pytest.mark.parametrize("pieces", [1, 7, 1 << 20])
@pytest.mark.parametrize("room", _ROOM)
@pytest.mark.parametrize("seed", seeds([11, 12]))
def test_a_turn_is_the_separate_steps(
    separate: Callable[[int], World], seed: int, room: str, pieces: int
) -> None:
    print(f"seed {seed}: BOT4_TEST_SEEDS={seed} runs it again")
    steps, turns = separate(seed), TurnWorld(seed, *_ROOM[room], pieces)
    turns.run(_COMMANDS)
    assert b"".join(turns.journal) == b"".join(steps.journal)
    assert b"".join(turns.events) == b"".join(steps.events)
    assert state_hash(turns.engine.state) == state_hash(steps.engine.state)
    assert turns.replay(512, 4_096) == (b"".join(steps.events), state_hash(steps.engine.state))
    assert _book(turns) == _book(steps)
    assert (turns.turns_not_finished == 0) == (room == "always"), "the buffers were not of that size"
