"""Engine and book in one kernel give what the separate steps give: commands, events, both states."""

import numpy as np
import pytest
from numpy.typing import NDArray

from app.engine.records import COMMAND
from app.engine.state import state_hash
from app.runtime.tick import Pieces
from app.runtime.views import event_views
from tests.simulation.test_simulation import World, seeds

# (commands, events) of the engine's buffers: which of them is full first, and how often.
_ROOM = {
    "always": (4_096, 8_192),
    "few events": (4_096, 40),
    "few commands": (250, 8_192),
    "neither": (6, 17),
}
_COMMANDS = 3_000


class TurnWorld(World):
    """Ticks as the engine's loop does it."""

    turns_not_finished = 0

    def tick(self, commands: NDArray[np.void]) -> None:
        pieces = Pieces(self.engine, self.venue, self.seq, self.ts)
        pieces.take_reports(self.venue.apply_levels(self.traffic.levels()))
        self.requested += len(commands)
        first = pieces.seq + 1
        before = len(pieces.commands)
        pieces.apply(commands.tobytes())
        self.turns_not_finished += len(pieces.commands) > before + 1
        self.seq = pieces.seq
        self.journal += pieces.commands
        self.events += pieces.events
        applied = np.frombuffer(b"".join(pieces.commands), COMMAND)
        self.kinds = dict(zip(applied["seq"].tolist(), applied["kind"].tolist(), strict=True))
        for watcher in (self.ledger, self.rules):
            watcher.take(event_views(b"".join(pieces.events)), self.kinds)
        self._check(set(range(first, first + len(commands))))


def _book(world: World) -> list[bytes]:
    """What the venue holds."""
    state = world.venue.state
    return [getattr(state, name).tobytes() for name in ("sides", "rungs", "levels", "resting", "depth")]


@pytest.mark.parametrize("room", _ROOM)
@pytest.mark.parametrize("seed", seeds([11, 12]))
def test_a_turn_is_the_separate_steps(seed: int, room: str) -> None:
    print(f"seed {seed}: BOT4_TEST_SEEDS={seed} runs it again")
    steps, turns = World(seed), TurnWorld(seed, *_ROOM[room])
    for world in (steps, turns):
        world.run(_COMMANDS)
    assert b"".join(turns.journal) == b"".join(steps.journal)
    assert b"".join(turns.events) == b"".join(steps.events)
    assert state_hash(turns.engine.state) == state_hash(steps.engine.state)
    assert turns.replay(512, 4_096) == (b"".join(steps.events), state_hash(steps.engine.state))
    assert _book(turns) == _book(steps)
    assert (turns.turns_not_finished == 0) == (room == "always"), "the buffers were not of that size"
