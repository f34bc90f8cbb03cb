"""Steps: engine and venue alternate, a batch at a time, until nothing is left to do."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from app.engine.engine import Engine, stamp
from app.engine.records import COMMAND, EVENT
from app.venues.base import Venue


class Steps:
    """The commands and events of one tick as they accumulate; all of them have the time `ts`.

    `seq`: of the last command.
    """

    __slots__ = ("_engine", "_ts", "_venue", "commands", "events", "seq")

    def __init__(self, engine: Engine, venue: Venue, seq: int, ts: int) -> None:
        self._engine = engine
        self._venue = venue
        self._ts = ts
        self.seq = seq
        self.commands: list[bytes] = []
        self.events: list[bytes] = []

    def carry_out(self, events: bytes | bytearray) -> None:
        """Give EVENT records to the venue, and apply its reports."""
        # As an array that may be written to: what the venue's kernels are compiled for.
        self.take_reports(self._venue.execute(np.frombuffer(bytearray(events), EVENT)))

    def take_reports(self, reports: Iterable[NDArray[np.void]]) -> None:
        """Apply the venue's reports; they may lead to further orders to the venue, and so on."""
        while True:
            caused = [self._take(batch) for batch in reports]
            if not caused:
                return
            reports = self._venue.execute(np.frombuffer(bytearray().join(caused), EVENT))

    def add(self, commands: bytes, events: bytes) -> None:
        """Add applied commands and their events."""
        self.seq += len(commands) // COMMAND.itemsize
        self.commands.append(commands)
        self.events.append(events)

    def _take(self, reports: NDArray[np.void]) -> bytes:
        stamp(reports, self.seq + 1, self._ts)
        events = self._engine.process(reports).tobytes()
        self.add(reports.tobytes(), events)
        self._venue.note(events)
        return events
