"""What a venue is to the engine's loop.

Orders reach a venue as route events (ORDER_ACCEPTED, ORDER_TRIGGERED,
CANCEL_REQUESTED, REPLACE_REQUESTED) and what becomes of them comes back as
EXECUTION_REPORT commands: the engine learns of an outcome in no other way. A
venue never runs the engine: that is a stepper's part (`app.venues.stepper`).

The paper venue answers at once: it lives in the process and dies with it, so a
tick's commands, reports and events are one journal frame and nothing has left
the house before that frame is on disk. Its stepper lets engine and book go back
and forth without a stop in between, command by command.

A live venue differs in two ways. Its adapter is given events only after the
journal has them on disk, because what has been sent cannot be taken back; and
its reports come later, as commands of some other tick. So its stepper is the
engine alone, and the adapter is fed from the bus of durable events: `execute`
sends and yields nothing, `apply_levels` keeps what is displayed and yields
nothing, `note` has nothing to do, and `resume` asks the venue about every open
order instead of rebuilding a book.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Records = NDArray[np.void]


class Venue(Protocol):
    """Arrays that are yielded hold COMMAND records with seq = ts = 0, each valid until the next step.

    An iterator must be run to its end before the next call.
    """

    name: str

    def execute(self, events: Records) -> Iterator[Records]:
        """Carry out the route events among these EVENT records, in order. It is given all events that
        there are, as others may tell it what it has to know."""

    def note(self, events: bytes) -> None:
        """EVENT records that are to be executed later: what they restrict holds from now on."""

    def apply_levels(self, levels: Records) -> Iterator[Records]:
        """Displayed depth has changed: LEVEL_UPDATE records."""

    def resume(self, orders: Records) -> Iterator[Records]:
        """After a restart: these ORDER records are open and at the venue."""

    def depth(self, symbol: int, levels: int) -> tuple[Records, Records]:
        """Bids and asks, best first, at most `levels` of each: (price, quantity) records."""
