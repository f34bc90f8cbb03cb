"""Engine and book in one kernel: commands, what they route, the reports to it, and so on to the end.

The engine answers commands with events, the book answers events with reports, which
are commands again. Neither looks at the other's state, each takes its input in
order, and what comes out goes to the end of the other's input. So the streams are
the same whoever of the two goes first and however far it goes at once (G. Kahn,
"The semantics of a simple language for parallel programming", 1974): one kernel
call gives what the separate steps give. The venue's directory here is the book's
with the engine's commands for its buffer of reports, so that reports are written
where the engine reads them.
"""

import numpy as np
from numpy.typing import NDArray

from app.engine.directory import directory_of
from app.engine.engine import apply_commands, stamp_commands
from app.engine.jit import kernel
from app.engine.records import REPORT_COMMAND
from app.engine.state import State
from app.engine.state import attach as attach_engine
from app.venues.paper.execution import carry_out
from app.venues.paper.state import WORD, PaperState
from app.venues.paper.state import attach as attach_venue

COUNT_BITS = 32


def reporting_into(engine: State, venue: PaperState) -> NDArray[np.int64]:
    """The directory of a venue that writes its reports behind the engine's commands."""
    commands = engine.commands
    return directory_of(venue._replace(reports=commands.view(REPORT_COMMAND), words=commands.view(WORD)))


@kernel
def take_turn(
    directory: NDArray[np.int64], venue_directory: NDArray[np.int64], count: int, first_seq: int, ts: int
) -> int:
    """Stamp and apply the first `count` commands and all that comes of them.

    Returns `commands << COUNT_BITS | events` of the engine's buffers. Where one of
    them is too small, -1 - the number of commands that were applied; `VENUE.reports` is then how
    many commands there are and `VENUE.cursor` how many events the book has carried out.
    """
    st = attach_engine(directory)
    book = attach_venue(venue_directory)
    firm = st.firm[0]
    venue = book.venue[0]
    firm.event_count = 0
    venue["reports"] = count
    venue["cursor"] = 0
    applied = 0
    room = True
    while room:
        stamp_commands(st.commands, applied, count, first_seq, ts)
        applied = apply_commands(st, applied, count)
        if applied < count:
            break
        room = carry_out(book, st.events[: firm.event_count], venue["cursor"], False)
        count = venue["reports"]
        if applied == count and room:
            return int(count << COUNT_BITS | firm.event_count)
    return -1 - int(applied)
