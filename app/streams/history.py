"""Recent history for clients that come back: the newest events in memory, older ones from the journal."""

import os
import zlib
from collections import deque
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

from app.runtime.segments import (
    COMMAND_BYTES,
    EVENT_BYTES,
    FRAME_HEADER,
    FRAME_MAGIC,
    SEGMENT_HEADER,
    JournalCorrupt,
    list_segments,
)

MEMORY_BYTES_MAX = 32 << 20
# Read from the journal at once: so little that a resume hardly takes the interpreter from orders.
STEP_BYTES = 256 << 10
STEP_FRAMES = 500

_CRC_FROM = 8  # of a frame: its magic and CRC themselves are not in it


class _Tick(NamedTuple):
    last_seq: int
    events: bytes


class Step(NamedTuple):
    """EVENT records in order: all events after the step before, up to `last_seq`."""

    last_seq: int
    events: bytes


class RecentEvents:
    """The EVENT records of the newest ticks. `after`: memory is complete after this command."""

    def __init__(self, seq: int) -> None:
        self.after = seq
        self.seq = seq
        self._ticks: deque[_Tick] = deque()
        self._bytes = 0

    def append(self, events: bytes, last_seq: int) -> None:
        self.seq = last_seq
        self._ticks.append(_Tick(last_seq, events))
        self._bytes += len(events)
        while self._bytes > MEMORY_BYTES_MAX:
            oldest = self._ticks.popleft()
            self._bytes -= len(oldest.events)
            self.after = oldest.last_seq

    def step(self, after: int, bytes_max: int) -> Step | None:
        """Whole ticks after command `after`, at least one if there are any; None if memory ends later."""
        if after < self.after:
            return None
        newer: list[_Tick] = []
        for tick in reversed(self._ticks):
            if tick.last_seq <= after:
                break
            newer.append(tick)
        taken: list[bytes] = []
        last_seq, size = after, 0
        while newer and (not taken or size + len(newer[-1].events) <= bytes_max):
            tick = newer.pop()
            taken.append(tick.events)
            size += len(tick.events)
            last_seq = tick.last_seq
        return Step(last_seq, b"".join(taken))


def journal_steps(folder: Path, after: int, upto: int) -> Generator[Step | None, None, None]:
    """Events from the journal, of commands after `after` up to `upto`, which must be on disk.

    Yields None while it only searches for its place. Frames that are handed out are checked. Raises
    JournalCorrupt, OSError, and LookupError if the journal begins later.
    """
    segments = list_segments(folder)
    starts = [index for index, segment in enumerate(segments) if segment.first_seq <= after + 1]
    if not starts:
        raise LookupError(f"the journal does not reach back to seq {after}")
    for segment in segments[starts[-1] :]:
        if segment.first_seq > upto:
            return
        descriptor = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield from _segment_steps(descriptor, segment.path, after, upto)
        finally:
            os.close(descriptor)


def _segment_steps(descriptor: int, path: Path, after: int, upto: int) -> Generator[Step | None, None, None]:
    offset = SEGMENT_HEADER.size
    taken: list[bytes] = []
    size = frames = last_seq = 0
    while len(head := os.pread(descriptor, FRAME_HEADER.size, offset)) == FRAME_HEADER.size:
        magic, crc, first, last, commands, events = FRAME_HEADER.unpack(head)
        if magic != FRAME_MAGIC:
            raise JournalCorrupt(f"{path}: offset {offset}: no frame")
        if first > upto:
            break
        frame_bytes = FRAME_HEADER.size + commands * COMMAND_BYTES + events * EVENT_BYTES
        if last > after:
            frame = os.pread(descriptor, frame_bytes, offset)
            if len(frame) < frame_bytes or zlib.crc32(memoryview(frame)[_CRC_FROM:]) != crc:
                raise JournalCorrupt(f"{path}: offset {offset}: frame incomplete or damaged")
            taken.append(frame[FRAME_HEADER.size + commands * COMMAND_BYTES :])
            size += frame_bytes
            last_seq = last
        offset += frame_bytes
        frames += 1
        if size >= STEP_BYTES or frames >= STEP_FRAMES:
            yield Step(last_seq, b"".join(taken)) if taken else None
            taken, size, frames = [], 0, 0
    if taken:
        yield Step(last_seq, b"".join(taken))
