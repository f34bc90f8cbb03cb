"""Venue interface, as the engine's loop uses it.

Orders reach a venue as route events (ORDER_ACCEPTED, ORDER_TRIGGERED, CANCEL_REQUESTED,
REPLACE_REQUESTED), and their results come back as EXECUTION_REPORT commands: the engine learns of
an outcome in no other way. A venue never runs the engine: that is a stepper's part
(`app.venues.stepper`).

The paper venue answers at once: it lives and dies with the process, so a tick's commands, reports
and events are one journal frame, and nothing has left the process before that frame is on disk. Its
stepper lets engine and book alternate without a stop in between, command by command.

A live venue differs in two ways. Its adapter gets events only after the journal has them on disk,
because a sent order cannot be taken back; and its reports come later, as commands of some other
tick. So its stepper is the engine alone, and the adapter is fed from the bus of durable events:
`execute` sends and yields nothing, `apply_levels` keeps the displayed depth and yields nothing,
`note` has nothing to do, and `resume` asks the venue about every open order instead of rebuilding a
book.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Records = NDArray[np.void]


class Venue(Protocol):
    """Yielded arrays hold COMMAND records with seq = ts = 0, each valid until the next step.

    An iterator must be exhausted before the next call.
    """

    name: str

    def execute(self, events: Records) -> Iterator[Records]:
        """Carry out the route events among these EVENT records, in order.

        It is given all events, as others may contain data that it needs.
        """

    def note(self, events: bytes) -> None:
        """EVENT records that will be executed later: their restrictions hold from now on."""

    def apply_levels(self, levels: Records) -> Iterator[Records]:
        """Displayed depth has changed: LEVEL_UPDATE records."""

    def resume(self, orders: Records) -> Iterator[Records]:
        """After a restart: these ORDER records are open and at the venue."""

    def depth(self, symbol: int, levels: int) -> tuple[Records, Records]:
        """Bids and asks, best first, at most `levels` of each: (price, quantity) records."""
