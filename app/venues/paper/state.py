"""State of the paper venue, and how kernels reach it (see `app.engine.directory`)."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.engine.capacity import Capacity
from app.engine.directory import define_view
from app.engine.records import COMMAND, REPORT_COMMAND
from app.engine.state import aligned_zeros, zeros
from app.engine.state_records import INSTRUMENT
from app.venues.paper.records import (
    BOOK_SIDE,
    DEPTH,
    DEPTH_LEVELS_MAX,
    HOLDER,
    HOLDING,
    INCOMING,
    LADDER_LEVELS_MAX,
    LEVEL,
    LISTING,
    NOWHERE,
    RESTING,
    RUNG,
    VENUE,
)

WORDS_PER_REPORT = COMMAND.itemsize // 8
SYMBOL_NUMBER = np.dtype("i8")
ACCOUNT_NUMBER = np.dtype("i8")
SEQ = np.dtype("i8")
LEVEL_ENTRY = np.dtype("i8")
WORD = np.dtype("i8")

Array = NDArray[np.void]


@dataclass(frozen=True)
class PaperLimits:
    """Price levels of one symbol and side."""

    ladder_levels: int = LADDER_LEVELS_MAX
    depth_levels: int = DEPTH_LEVELS_MAX


class PaperState(NamedTuple):
    venue: Array  # one record
    incoming: Array  # one record
    sides: Array  # [symbol * 2 + side]
    rungs: Array  # [(symbol * 2 + side) * ladder_levels + place]
    levels: Array  # pool
    level_index: NDArray[np.int64]  # see `app.venues.paper.level_index`
    resting: Array  # [slot]
    depth: Array  # [(symbol * 2 + side) * depth_levels + place]
    touched: NDArray[np.int64]
    reports: Array
    words: NDArray[np.int64]  # the bytes of `reports`
    instruments: Array  # the engine's
    holdings: Array  # [symbol * accounts + account]
    holders: Array  # [account]
    listings: Array  # [symbol]
    spenders: NDArray[np.int64]  # accounts whose `HOLDER.spent` is not 0
    inbox: Array  # commands of a turn
    seqs: NDArray[np.int64]  # that they were given


DTYPES: dict[str, np.dtype[Any]] = {
    "venue": VENUE,
    "incoming": INCOMING,
    "sides": BOOK_SIDE,
    "rungs": RUNG,
    "levels": LEVEL,
    "level_index": LEVEL_ENTRY,
    "resting": RESTING,
    "depth": DEPTH,
    "touched": SYMBOL_NUMBER,
    "reports": REPORT_COMMAND,
    "words": WORD,
    "instruments": INSTRUMENT,
    "holdings": HOLDING,
    "holders": HOLDER,
    "listings": LISTING,
    "spenders": ACCOUNT_NUMBER,
    "inbox": COMMAND,
    "seqs": SEQ,
}
assert tuple(DTYPES) == PaperState._fields

attach = define_view(PaperState, DTYPES)


def allocate(capacity: Capacity, limits: PaperLimits, instruments: Array) -> PaperState:
    """Empty books for as many symbols and orders as the engine holds."""
    sides = 2 * capacity.symbols
    reports = aligned_zeros(capacity.commands, COMMAND)
    state = PaperState(
        venue=aligned_zeros(1, VENUE),
        incoming=aligned_zeros(1, INCOMING),
        sides=aligned_zeros(sides, BOOK_SIDE),
        rungs=aligned_zeros(sides * limits.ladder_levels, RUNG),
        levels=zeros(capacity.orders, LEVEL),  # none is without an order, so they suffice
        level_index=zeros(2 * capacity.orders, LEVEL_ENTRY),
        resting=zeros(capacity.orders, RESTING),
        depth=aligned_zeros(sides * limits.depth_levels, DEPTH),
        touched=aligned_zeros(capacity.symbols, SYMBOL_NUMBER),
        reports=reports.view(REPORT_COMMAND),
        words=reports.view(WORD),
        instruments=instruments,
        holdings=aligned_zeros(capacity.symbols * capacity.accounts, HOLDING),
        holders=aligned_zeros(capacity.accounts, HOLDER),
        listings=aligned_zeros(capacity.symbols, LISTING),
        spenders=aligned_zeros(capacity.accounts, ACCOUNT_NUMBER),
        inbox=aligned_zeros(capacity.commands, COMMAND),
        seqs=aligned_zeros(capacity.commands, SEQ),
    )
    state.venue[0]["free_level"] = NOWHERE
    return state
