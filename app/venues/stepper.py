"""Stepper: applies the commands of a tick, with or without a venue's part in it.

There is one for each kind of venue (`app.venues.base`):

- `EngineStepper`, the engine alone, for a live venue. Route events leave in `Applied.events` and
  go to `Venue.execute` once they are durable; reports come in as commands of some other tick.
- `app.venues.paper.stepper.PaperStepper`, engine and paper book in one kernel, before the disk.
"""

from typing import NamedTuple, Protocol

import numpy as np

from app.engine.engine import Engine, stamp
from app.engine.records import COMMAND


class Applied(NamedTuple):
    """The result of commands."""

    commands: bytes  # all COMMAND records, the venue's reports among them, in the order of their seq
    events: bytes  # all EVENT records
    seqs: bytes  # of the given commands, as int64


class Stepper(Protocol):
    """Applies commands to the engine that it was made for."""

    def step(self, commands: bytes | memoryview, first_seq: int, ts: int) -> Applied:
        """Stamp COMMAND records and apply each, with all that follows from it here, before the next."""


class EngineStepper:
    """The engine alone. Nothing is sent from here: that waits until the tick is on disk."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def step(self, commands: bytes | memoryview, first_seq: int, ts: int) -> Applied:
        """See `Stepper.step`."""
        records = np.frombuffer(bytearray(commands), COMMAND)
        stamp(records, first_seq, ts)
        events = self._engine.process(records).tobytes()
        seqs = np.arange(first_seq, first_seq + len(records), dtype=np.int64)
        return Applied(records.tobytes(), events, seqs.tobytes())
