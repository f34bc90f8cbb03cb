"""Paper stepper: engine and paper book in one kernel, as the loop uses them."""

import numpy as np

from app.engine.engine import Engine, stamp
from app.engine.records import COMMAND, EVENT
from app.venues.paper.run_to_quiescence import COUNT_BITS, reporting_into, run_to_quiescence
from app.venues.paper.venue import PaperVenue
from app.venues.stepper import Applied
from app.venues.steps import Steps

_EVENT_COUNT = (1 << COUNT_BITS) - 1
_COMMAND_BYTES, _EVENT_BYTES, _SEQ_BYTES = COMMAND.itemsize, EVENT.itemsize, 8


class PaperStepper:
    """See `app.venues.stepper.Stepper`. The venue must have been made for this engine's state."""

    def __init__(self, engine: Engine, venue: PaperVenue) -> None:
        self._engine = engine
        self._venue = venue
        self._directory = engine.directory
        self._book = venue.state
        self._book_directory = reporting_into(engine.state, venue.state)
        self._inbox = venue.state.inbox.view(np.uint8).data.cast("B")
        self._seqs = venue.state.seqs.view(np.uint8).data.cast("B")

    def step(self, commands: bytes | memoryview, first_seq: int, ts: int) -> Applied:
        """See `Stepper.step`."""
        size = len(commands)
        if size <= len(self._inbox):
            self._inbox[:size] = commands
            count = size // _COMMAND_BYTES
            found = run_to_quiescence(self._directory, self._book_directory, 0, count, first_seq, ts)
            if found >= 0:
                return Applied(
                    bytes(self._engine.input[: (found >> COUNT_BITS) * _COMMAND_BYTES]),
                    bytes(self._engine.output[: (found & _EVENT_COUNT) * _EVENT_BYTES]),
                    bytes(self._seqs[: count * _SEQ_BYTES]),
                )
            parts = Steps(self._engine, self._venue, first_seq - 1, ts)
            self._go_on(parts, found, count, ts)
            seqs = bytes(self._seqs[: count * _SEQ_BYTES])
        else:
            parts = Steps(self._engine, self._venue, first_seq - 1, ts)
            seqs = b"".join(
                self._step_part(parts, commands[start : start + len(self._inbox)], ts)
                for start in range(0, size, len(self._inbox))
            )
        return Applied(b"".join(parts.commands), b"".join(parts.events), seqs)

    def _step_part(self, parts: Steps, commands: bytes | memoryview, ts: int) -> bytes:
        """Apply as many commands as the inbox holds; returns their numbers."""
        size = len(commands)
        self._inbox[:size] = commands
        count = size // _COMMAND_BYTES
        found = run_to_quiescence(self._directory, self._book_directory, 0, count, parts.seq + 1, ts)
        self._go_on(parts, found, count, ts)
        return bytes(self._seqs[: count * _SEQ_BYTES])

    def _go_on(self, parts: Steps, found: int, count: int, ts: int) -> None:
        """Collect what the kernel `found`; if a buffer was used up, go on until all are applied."""
        while found < 0:
            self._gather(parts, -1 - found, ts)
            taken = int(self._book.venue[0]["taken"])
            if taken == count:
                return
            found = run_to_quiescence(self._directory, self._book_directory, taken, count, parts.seq + 1, ts)
        self._gather(parts, found, ts)

    def _gather(self, parts: Steps, found: int, ts: int) -> None:
        """Take over the commands and events of a run; if its last command is not done, finish it."""
        engine, venue = self._engine, self._book.venue[0]
        count, events = found >> COUNT_BITS, found & _EVENT_COUNT
        applied, carried_out = int(venue["applied"]), int(venue["cursor"])
        done = bytes(engine.output[: events * _EVENT_BYTES])
        under_way = venue["matching"] or venue["reopened"]
        if applied == count and carried_out == events and not under_way:
            parts.add(bytes(engine.input[: count * _COMMAND_BYTES]), done)
            return
        stamp(engine.state.commands[:count], parts.seq + 1, ts)
        done += engine.go_on(applied, count)
        parts.add(bytes(engine.input[: count * _COMMAND_BYTES]), done)
        parts.carry_out(done[carried_out * _EVENT_BYTES :])
