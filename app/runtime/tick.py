"""Tick: the commands and events of one pass of the loop, until they are on disk."""

import asyncio
from typing import NamedTuple

import numpy as np

from app.engine.engine import Engine
from app.engine.records import COMMAND, field_offset
from app.engine.types import CommandKind
from app.runtime.outcomes import NO_REQUESTS, Requests, Waiter
from app.venues.base import Venue
from app.venues.stepper import Stepper
from app.venues.steps import Steps

_KIND_OFFSET = field_offset(COMMAND, "kind")


class Tick(NamedTuple):
    """A tick that waits for the disk."""

    last_seq: int
    events: bytes
    requests: Requests
    waiters: list[Waiter]
    barriers: list[asyncio.Future[None]]
    started_ns: int
    commands: int

    def pass_barriers(self) -> None:
        """The tick is on disk."""
        for barrier in self.barriers:
            if not barrier.done():
                barrier.set_result(None)

    def fail(self, error: Exception) -> None:
        """The tick will not be on disk."""
        for waiter in self.waiters:
            waiter.fail(error)
        for barrier in self.barriers:
            if not barrier.done():
                barrier.set_exception(error)


class TickBuilder(Steps):
    """The commands and events of one tick as they accumulate; all of them have the time `now`."""

    __slots__ = ("_stepper", "first_seq", "requests")

    def __init__(self, engine: Engine, venue: Venue, stepper: Stepper, seq: int, now: int) -> None:
        super().__init__(engine, venue, seq, now)
        self._stepper = stepper
        self.first_seq = seq + 1
        self.requests = NO_REQUESTS

    def apply(self, commands: bytes | memoryview) -> bytes:
        """Apply COMMAND records, each with all that follows from it in this tick; returns their seqs."""
        applied = self._stepper.step(commands, self.seq + 1, self._ts)
        self.add(applied.commands, applied.events)
        return applied.seqs

    def apply_requests(self, commands: memoryview) -> None:
        """As `apply`, for clients' commands."""
        kinds = bytes(commands[_KIND_OFFSET :: COMMAND.itemsize])
        self.requests = Requests(self.apply(commands), kinds)


def mark_commands(marks: dict[int, int]) -> bytes:
    commands = np.zeros(len(marks), COMMAND)
    commands["kind"] = CommandKind.UPDATE_MARK
    commands["account"] = -1
    commands["symbol"] = list(marks)
    commands["price"] = list(marks.values())
    commands["more"][:-1] = 1  # they are of one moment: breakers and stops are checked when all are in
    return commands.tobytes()


def _timer_command(kind: CommandKind) -> bytes:
    command = np.zeros(1, COMMAND)
    command["kind"] = kind
    command["account"] = command["symbol"] = -1
    return command.tobytes()


ADVANCE_TIME = _timer_command(CommandKind.ADVANCE_TIME)
SAMPLE_MARKS = _timer_command(CommandKind.SAMPLE_MARKS)
