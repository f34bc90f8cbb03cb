"""Run to quiescence: engine and book in one kernel: a command, its route events, their reports, to the end.

1. Commands of the inbox are applied one after the other: the next one is taken when all
   is quiet, so it meets all effects of the ones before, fills included.
2. In between engine and book alternate, in the smallest steps: the book carries out an event, or
   makes one trade of it, the engine applies the reports of that, and so on. Events and reports are
   queues: each takes its input in order, and its output goes to the end of the other's.
3. The engine's restrictions hold at once (`app.venues.paper.mirror`): a breaker that a trade trips
   stops the rest of the same match.
4. Steps do not depend on the room, so buffers change nothing. If one of them is used up between two
   commands, the next call goes on with empty ones. If that happens within a command, engine and venue
   finish it with unbounded memory (`app.venues.steps`).

The venue's directory here is the book's with the engine's commands for its buffer of reports, so
that reports are written where the engine reads them.
"""

import numpy as np
from numpy.typing import NDArray

from app.engine.capacity import EVENTS_PER_COMMAND_MAX
from app.engine.directory import directory_of
from app.engine.emission import room_for_events
from app.engine.engine import apply_commands, stamp_commands
from app.engine.jit import force_inline, kernel
from app.engine.prefetch import (
    AHEAD,
    THEN,
    prefetch_command,
    prefetch_neighbours,
    prefetch_request,
    slot_ahead,
)
from app.engine.records import REPORT_COMMAND
from app.engine.state import State
from app.engine.state import attach as attach_engine
from app.venues.paper.execution import carry_out
from app.venues.paper.look_ahead import ORDERS_AHEAD, look_at_inbox
from app.venues.paper.mirror import note_restrictions
from app.venues.paper.records import REPORTS_PER_STEP_MAX
from app.venues.paper.state import WORD, PaperState
from app.venues.paper.state import attach as attach_venue

COUNT_BITS = 32


def reporting_into(engine: State, venue: PaperState) -> NDArray[np.int64]:
    """The directory of a venue that writes its reports behind the engine's commands."""
    commands = engine.commands
    return directory_of(venue._replace(reports=commands.view(REPORT_COMMAND), words=commands.view(WORD)))


@force_inline
def _look_ahead(st: State, book: PaperState, taken: int, count: int) -> None:
    """Prefetch for the commands that follow in the inbox."""
    if taken + AHEAD < count:
        prefetch_request(st, book.inbox, taken + AHEAD)
    if taken + THEN < count:
        prefetch_neighbours(st, book.inbox, taken + THEN)
    new_slot = slot_ahead(st, ORDERS_AHEAD)
    look_at_inbox(book, taken, count, new_slot if new_slot >= 0 else st.firm[0].orders_used + ORDERS_AHEAD)


@kernel
def run_to_quiescence(
    directory: NDArray[np.int64],
    venue_directory: NDArray[np.int64],
    taken: int,
    count: int,
    first_seq: int,
    ts: int,
) -> int:
    """Apply the commands `taken` to `count - 1` of the inbox, one after the other.

    Returns `commands << COUNT_BITS | events` of the engine's buffers, and in `PaperState.seqs` the number
    given to each command of the inbox. If a buffer was used up, it returns the same as -1 - n, and
    `VENUE.taken` is the number of commands taken, the last of them perhaps unfinished: the engine has applied
    `VENUE.applied`, and the book has carried out `VENUE.cursor` events.

    All in one function: Numba compiles a called function anew for each function in between.
    """
    st = attach_engine(directory)
    book = attach_venue(venue_directory)
    firm = st.firm[0]
    venue = book.venue[0]
    firm.event_count = 0
    venue.reports = venue.cursor = 0
    applied = 0
    at = 0
    noted = 0
    quiet = True
    while applied == at and taken < count:
        full = at + 1 + REPORTS_PER_STEP_MAX > len(st.commands)
        if at > 0 and (full or room_for_events(st) < EVENTS_PER_COMMAND_MAX):
            break
        _look_ahead(st, book, taken, count)
        st.commands[at] = book.inbox[taken]
        book.seqs[taken] = first_seq + at
        at += 1
        taken += 1
        venue.reports = at
        while applied < at:
            stamp_commands(st.commands, applied, at, first_seq, ts)
            for i in range(applied + 1, min(at, applied + AHEAD)):
                prefetch_command(st, i)
            applied = apply_commands(st, applied, at)
            if applied < at:
                break
            note_restrictions(book, st.events, noted, firm.event_count)
            noted = firm.event_count
            events = st.events[: firm.event_count]
            quiet = carry_out(book, events, venue.cursor, resuming=False, ahead=False)
            at = venue.reports
        if not quiet:  # a buffer is used up
            break
    venue.taken = taken
    venue.applied = applied
    found = int(at << COUNT_BITS | firm.event_count)
    finished = taken == count and applied == at and venue.cursor == firm.event_count
    return found if finished and not (venue.matching or venue.reopened) else -1 - found
