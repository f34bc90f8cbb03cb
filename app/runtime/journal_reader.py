"""Journal reader: frames in order, fully checked.

Bytes that cannot be read are either a torn tail (the last frame of the last segment, interrupted by
a crash and never acknowledged) or damage. After a torn frame nothing is valid, because each frame
is on disk before the next is written. So if anything valid follows the bad place, it is damage and
is refused.
"""

import mmap
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.engine.records import COMMAND, EVENT
from app.runtime.segments import (
    COMMAND_BYTES,
    EVENT_BYTES,
    FRAME_ALIGNMENT,
    FRAME_HEADER,
    FRAME_MAGIC,
    SEGMENT_HEADER,
    JournalCorrupt,
    JournalError,
    JournalIncompatible,
    Segment,
    check_segment_header,
    list_segments,
    sync_data,
    sync_folder,
)

Records = NDArray[np.void]

# The size of a batch; small enough to stay in the processor's cache.
BATCH_COMMANDS = 4_096
_CRC_FROM = 8  # of a frame: its magic and CRC themselves are not in it


@dataclass(frozen=True)
class TornTail:
    """The end of the last segment that a crash left incomplete."""

    path: Path
    offset: int  # 0: not even the segment's header is whole
    size: int


class Frame(NamedTuple):
    """The place of a frame's records in a buffer."""

    first_seq: int
    last_seq: int
    commands_at: int
    events_at: int
    end: int

    @property
    def command_bytes(self) -> int:
        return self.events_at - self.commands_at


def frame_at(view: memoryview, offset: int) -> Frame | None:
    """The frame that begins at `offset`, or None if there is no whole and sound one."""
    commands_at = offset + FRAME_HEADER.size
    if commands_at > len(view):
        return None
    magic, crc, first_seq, last_seq, commands, events = FRAME_HEADER.unpack_from(view, offset)
    events_at: int = commands_at + commands * COMMAND_BYTES
    end: int = events_at + events * EVENT_BYTES
    if magic != FRAME_MAGIC or end > len(view) or zlib.crc32(view[offset + _CRC_FROM : end]) != crc:
        return None
    return Frame(first_seq, last_seq, commands_at, events_at, end)


class JournalReader:
    """One pass over the commands from `from_seq` on; read-only.

    After `batches` has ended, `last_seq` is the journal's last command (`from_seq`
    or not) and `torn` the tail to cut, if there is one.
    """

    def __init__(
        self,
        folder: Path,
        from_seq: int = 1,
        *,
        sealed_only: bool = False,
        batch_commands: int = BATCH_COMMANDS,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """`sealed_only` leaves out the newest segment, to which a server may be writing.

        `progress` is called with the bytes done and the bytes there are.
        Raises JournalError where `from_seq` is older than the oldest segment.
        """
        segments = list_segments(folder)
        self._last_segment = segments[-1] if segments else None
        if segments and from_seq < segments[0].first_seq:
            raise JournalError(
                f"{folder}: the journal begins at seq {segments[0].first_seq}, "
                f"but it is needed from seq {from_seq}, and no usable snapshot covers the rest"
            )
        later = [index for index, segment in enumerate(segments) if segment.first_seq <= from_seq]
        self._segments = segments[later[-1] if later else 0 : len(segments) - sealed_only]
        self._from_seq = from_seq
        self._batch_commands = batch_commands
        self._progress = progress
        self._bytes_total = sum(segment.path.stat().st_size for segment in self._segments)
        self._bytes_done = 0
        self._commands: list[memoryview] = []
        self._events: list[memoryview] = []
        self.last_seq = self._segments[0].first_seq - 1 if self._segments else 0
        self.torn: TornTail | None = None

    def batches(self) -> Iterator[tuple[Records, Records]]:
        """Commands and the events they caused, many frames at a time; whole frames each time.

        Raises JournalCorrupt (names file and offset) or JournalIncompatible.
        """
        for segment in self._segments:
            if segment.first_seq != self.last_seq + 1:
                raise JournalCorrupt(
                    f"{segment.path}: begins at seq {segment.first_seq}, "
                    f"but the journal before it ends at seq {self.last_seq}: a segment is missing"
                )
            size = segment.path.stat().st_size
            if size == 0:
                self._bad(segment, memoryview(b""), 0, "is empty")
                continue
            with (
                segment.path.open("rb") as file,
                mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages,
                memoryview(pages) as view,
            ):
                yield from self._segment(segment, view)
            self._bytes_done += size

    def _segment(self, segment: Segment, view: memoryview) -> Iterator[tuple[Records, Records]]:
        try:
            check_segment_header(segment, bytes(view[: SEGMENT_HEADER.size]))
        except JournalIncompatible:
            raise
        except JournalCorrupt as error:
            self._bad(segment, view, 0, str(error))
            return
        offset, waiting, last_seq = SEGMENT_HEADER.size, 0, self.last_seq
        try:
            while offset < len(view):
                frame = frame_at(view, offset)
                if frame is None:
                    self._bad(segment, view, offset, "frame incomplete or damaged")
                    break
                count = frame.last_seq - frame.first_seq + 1
                if frame.first_seq != last_seq + 1 or count * COMMAND_BYTES != frame.command_bytes:
                    raise JournalCorrupt(
                        f"{segment.path}: offset {offset}: frame of seq {frame.first_seq} to "
                        f"{frame.last_seq} follows seq {last_seq}: commands are missing"
                    )
                last_seq, offset = frame.last_seq, frame.end
                if last_seq >= self._from_seq:
                    self._commands.append(view[frame.commands_at : frame.events_at])
                    self._events.append(view[frame.events_at : offset])
                    waiting += count
                    if waiting >= self._batch_commands:
                        self.last_seq, waiting = last_seq, 0
                        yield self._take(offset)
            self.last_seq = last_seq
            if waiting:
                yield self._take(offset)
        finally:  # the pages cannot be unmapped while a view of them is held
            self._release()

    def _take(self, offset: int) -> tuple[Records, Records]:
        commands = np.frombuffer(bytearray().join(self._commands), COMMAND)
        events = np.frombuffer(bytearray().join(self._events), EVENT)
        self._release()
        if commands["seq"][0] < self._from_seq:  # only the first frame can begin before it
            commands = commands[np.searchsorted(commands["seq"], self._from_seq) :]
            events = events[np.searchsorted(events["seq"], self._from_seq) :]
        if self._progress is not None:
            self._progress(self._bytes_done + offset, self._bytes_total)
        return commands, events

    def _release(self) -> None:
        for view in self._commands:
            view.release()
        for view in self._events:
            view.release()
        self._commands.clear()
        self._events.clear()

    def _bad(self, segment: Segment, view: memoryview, offset: int, reason: str) -> None:
        """Note a torn tail; raise on damage."""
        if segment is not self._last_segment:
            raise JournalCorrupt(f"{segment.path}: offset {offset}: {reason}, and later segments follow")
        valid = _next_valid_frame(view, offset)
        if valid is not None:
            raise JournalCorrupt(
                f"{segment.path}: offset {offset}: {reason}, but a sound frame follows at offset {valid}: "
                "the journal is damaged in the middle"
            )
        self.torn = TornTail(segment.path, offset, len(view) - offset)


def _next_valid_frame(view: memoryview, offset: int) -> int | None:
    """The offset of the next sound frame after the bad place at `offset`."""
    rest = bytes(view[offset:])
    found = rest.find(FRAME_MAGIC, 1)
    while found >= 0:
        at = offset + found
        if (at - SEGMENT_HEADER.size) % FRAME_ALIGNMENT == 0 and frame_at(view, at) is not None:
            return at
        found = rest.find(FRAME_MAGIC, found + 1)
    return None


def cut(torn: TornTail) -> None:
    """Remove a torn tail, durably. A segment without a whole header goes altogether."""
    if torn.offset < SEGMENT_HEADER.size:
        torn.path.unlink()
        sync_folder(torn.path.parent)
        return
    descriptor = os.open(torn.path, os.O_RDWR)
    try:
        os.ftruncate(descriptor, torn.offset)
        sync_data(descriptor)
    finally:
        os.close(descriptor)
