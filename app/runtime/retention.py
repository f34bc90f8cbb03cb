"""Retention: how long the journal's files are kept, and how much disk they may take.

A segment is removed when nothing can need it again: the second newest snapshot covers it (the
newest alone might turn out damaged) and every projection has passed it. A projection that restarts
brings an engine of its own to its position, so the newest snapshot before that position, and the
segments since, are kept too.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

from app.runtime.segments import list_segments, sync_folder
from app.runtime.snapshots import list_snapshots

logger = logging.getLogger(__name__)

SNAPSHOTS_KEPT = 2
ALARM_SHARE = 0.8


@dataclass(frozen=True)
class Pruned:
    segments: int
    snapshots: int
    bytes: int


def prune(folder: Path, passed_seq: int) -> Pruned:
    """Remove what neither recovery nor any projection needs; all have passed command `passed_seq`.

    Snapshots go first, then segments from the oldest on: an interruption leaves a journal that begins later
    than it must, never one with a hole. Raises OSError.
    """
    snapshots = list_snapshots(folder)
    spare = [entry for entry in snapshots[SNAPSHOTS_KEPT - 1 :] if entry[0] <= passed_seq]
    base_seq = spare[0][0] if spare else 0
    old_snapshots = [path for seq, path in snapshots[SNAPSHOTS_KEPT:] if seq != base_seq]
    segments = list_segments(folder)
    old_segments = [
        segment.path for segment, following in pairwise(segments) if following.first_seq - 1 <= base_seq
    ]
    freed = 0
    for path in (*old_snapshots, *old_segments):
        freed += path.stat().st_size
        path.unlink()
    if old_snapshots or old_segments:
        sync_folder(folder)
    return Pruned(len(old_segments), len(old_snapshots), freed)


class DiskState(StrEnum):
    """The consequence of the folder's size for trading."""

    OK = "ok"
    ALARM = "alarm"  # from ALARM_SHARE of the budget on: still served, an operator should look
    REACHED = "reached"  # nothing that adds risk is accepted any more; cancels and reports go on


class DiskBudget:
    """Watches a folder's size against a number of bytes; `changed` is called with each new state.

    `used_bytes` and `state` are as of the last `look`. A budget of 0 is none: always OK.
    """

    def __init__(self, folder: Path, bytes_max: int, changed: Callable[[DiskState], None]) -> None:
        self.bytes_max = bytes_max
        self.used_bytes = 0
        self.state = DiskState.OK
        self._folder = folder
        self._changed = changed

    def look(self) -> DiskState:
        """Measure again."""
        self.used_bytes = _size_of(self._folder)
        state = self._state_at(self.used_bytes)
        if state != self.state:
            self.state = state
            level = logging.INFO if state == DiskState.OK else logging.ERROR
            logger.log(
                level, "journal disk budget: %s, %d of %d bytes", state, self.used_bytes, self.bytes_max
            )
            self._changed(state)
        return state

    def _state_at(self, used: int) -> DiskState:
        if not self.bytes_max or used < ALARM_SHARE * self.bytes_max:
            return DiskState.OK
        return DiskState.ALARM if used < self.bytes_max else DiskState.REACHED


def _size_of(folder: Path) -> int:
    total = 0
    for path in folder.iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # removed meanwhile
            continue
    return total
