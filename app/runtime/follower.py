"""Journal follower: it reads a journal that a server is still writing, and feeds the projections.

Only durable commands are handed out. Batches are whole frames, many at a time, in bounded memory. A
slow follower reads from the disk later, and the server never notices. A `Replica` is an engine that
follows along: fed the same commands, it holds the whole state (accounts, positions, orders, limits)
as of the last of them, and none of the engine's logic is written twice.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.engine.capacity import DEFAULT_CAPACITY, Capacity
from app.engine.engine import Engine
from app.engine.records import COMMAND, EVENT
from app.runtime.journal_reader import Frame, frame_at
from app.runtime.recovery import apply_checked
from app.runtime.segments import (
    COMMAND_BYTES,
    EVENT_BYTES,
    FRAME_HEADER,
    FRAME_MAGIC,
    SEGMENT_HEADER,
    JournalCorrupt,
    JournalError,
    Segment,
    check_segment_header,
    list_segments,
    segment_path,
)
from app.runtime.snapshots import SnapshotUnusable, list_snapshots, load_snapshot

Records = NDArray[np.void]

BATCH_BYTES_MAX = 4 << 20  # of frames; a single larger one is read whole


class JournalBatch(NamedTuple):
    """Commands `first_seq` to `last_seq` without a gap, and all events they caused; both may be kept."""

    commands: Records
    events: Records
    first_seq: int
    last_seq: int


class JournalFollower:
    """One pass over the commands from `next_seq` on, going on for ever as the journal grows.

    `next_seq`: the first command of the next batch. `batch_bytes_max` may change at any time.
    """

    def __init__(
        self,
        folder: Path,
        next_seq: int,
        durable_seq: Callable[[], int],
        *,
        boundary_us: int = 0,
        batch_bytes_max: int = BATCH_BYTES_MAX,
    ) -> None:
        """`durable_seq` returns how far may be read: a `DurableReader`.

        `boundary_us`: no batch has commands on both sides of a multiple of it, by their time.
        Raises JournalError where the journal begins after `next_seq`, OSError.
        """
        self.next_seq = next_seq
        self.durable_seq = durable_seq
        self._folder = folder
        self._boundary_us = boundary_us
        self.batch_bytes_max = batch_bytes_max
        self._descriptor = -1
        self._rest: JournalBatch | None = None
        self._open(self._segment_of(next_seq))
        self._pass_by(next_seq)

    def read(self) -> JournalBatch | None:
        """The next batch, or None where nothing more is durable yet.

        Raises JournalCorrupt (names file and offset), JournalIncompatible, OSError.
        """
        batch = self._rest or self._read_frames()
        self._rest = None
        if batch is None:
            return None
        if self._boundary_us:
            batch = self._cut(batch)
        self.next_seq = batch.last_seq + 1
        return batch

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _segment_of(self, seq: int) -> Segment:
        segments = list_segments(self._folder)
        holding = [segment for segment in segments if segment.first_seq <= seq]
        if not holding:
            begin = f"begins at seq {segments[0].first_seq}" if segments else "is empty"
            raise JournalError(f"{self._folder}: the journal {begin}, but it is needed from seq {seq}")
        return holding[-1]

    def _open(self, segment: Segment) -> None:
        self.close()
        self._descriptor = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        self._path = segment.path
        check_segment_header(segment, os.pread(self._descriptor, SEGMENT_HEADER.size, 0))
        self._offset = SEGMENT_HEADER.size
        self._read_seq = segment.first_seq - 1  # of the last command before `_offset`

    def _pass_by(self, next_seq: int) -> None:
        """Go to the frame that holds command `next_seq`, reading headers only."""
        while self._read_seq < self.durable_seq():
            header = os.pread(self._descriptor, FRAME_HEADER.size, self._offset)
            if len(header) < FRAME_HEADER.size:
                return
            magic, _, first_seq, last_seq, commands, events = FRAME_HEADER.unpack(header)
            if magic != FRAME_MAGIC or first_seq != self._read_seq + 1:
                raise self._damage("no frame begins here")
            if last_seq >= next_seq:
                return
            self._read_seq = last_seq
            self._offset += FRAME_HEADER.size + commands * COMMAND_BYTES + events * EVENT_BYTES

    def _read_frames(self) -> JournalBatch | None:
        durable_seq = self.durable_seq()
        if self._read_seq >= durable_seq:
            return None
        bytes_max = max(self.batch_bytes_max, FRAME_HEADER.size)
        content = os.pread(self._descriptor, bytes_max, self._offset)
        if not content:  # the writer has gone on to another segment
            following = Segment(segment_path(self._folder, self._read_seq + 1), self._read_seq + 1)
            try:
                self._open(following)
            except FileNotFoundError:
                raise self._damage(f"seq {following.first_seq} follows nowhere") from None
            content = os.pread(self._descriptor, bytes_max, self._offset)
        if len(content) >= FRAME_HEADER.size:
            commands, events = FRAME_HEADER.unpack_from(content)[4:]
            size = FRAME_HEADER.size + commands * COMMAND_BYTES + events * EVENT_BYTES
            if size > len(content) == bytes_max:
                content = os.pread(self._descriptor, size, self._offset)
        return self._frames_of(memoryview(content), durable_seq)

    def _frames_of(self, view: memoryview, durable_seq: int) -> JournalBatch:
        frames: list[Frame] = []
        offset, seq = 0, self._read_seq
        while seq < durable_seq:
            frame = frame_at(view, offset)
            if frame is None:
                break
            if frame.first_seq != seq + 1:
                raise self._damage(f"seq {frame.first_seq} follows seq {seq}")
            frames.append(frame)
            offset, seq = frame.end, frame.last_seq
        if not frames:  # it is on disk, so it must be sound
            raise self._damage("frame incomplete or damaged")
        self._offset += offset
        self._read_seq = seq
        commands = bytearray().join(view[frame.commands_at : frame.events_at] for frame in frames)
        events = bytearray().join(view[frame.events_at : frame.end] for frame in frames)
        batch = JournalBatch(
            np.frombuffer(commands, COMMAND), np.frombuffer(events, EVENT), frames[0].first_seq, seq
        )
        return _from(batch, self.next_seq)

    def _cut(self, batch: JournalBatch) -> JournalBatch:
        """The part of a batch before the next boundary; the rest is kept for the next call."""
        times = batch.commands["ts"]
        boundary = (int(times[0]) // self._boundary_us + 1) * self._boundary_us
        if times[-1] < boundary:
            return batch
        seq = batch.first_seq + int(np.searchsorted(times, boundary))
        self._rest = _from(batch, seq)
        count = len(batch.events) - len(self._rest.events)
        return JournalBatch(
            batch.commands[: seq - batch.first_seq], batch.events[:count], batch.first_seq, seq - 1
        )

    def _damage(self, reason: str) -> JournalCorrupt:
        return JournalCorrupt(f"{self._path}: offset {self._offset}: {reason}")


def _from(batch: JournalBatch, seq: int) -> JournalBatch:
    """The batch without the commands before `seq`."""
    if batch.first_seq >= seq:
        return batch
    events = batch.events[np.searchsorted(batch.events["seq"], seq) :]
    return JournalBatch(batch.commands[seq - batch.first_seq :], events, seq, batch.last_seq)


class Replica:
    """A second engine, as of command `seq`; its state is for reading only."""

    def __init__(self, folder: Path, seq: int, capacity: Capacity = DEFAULT_CAPACITY) -> None:
        """Begin at the newest usable snapshot that is not after `seq`, and replay up to there.

        All commands up to `seq` must be durable. Raises JournalError, RecoveryError, OSError.
        """
        self.engine = Engine(capacity)
        begin = self._load_snapshot(folder, seq)
        if begin == seq:
            return
        follower = JournalFollower(folder, begin + 1, lambda: seq)
        try:
            while self.seq < seq:
                batch = follower.read()
                if batch is None:
                    raise JournalError(f"{folder}: the journal ends before seq {seq}")
                self.apply(_until(batch, seq))
        finally:
            follower.close()

    @property
    def seq(self) -> int:
        return int(self.engine.state.firm[0]["seq"])

    @property
    def ts(self) -> int:
        """The time of the last command; 0 before the first."""
        return int(self.engine.state.firm[0]["ts"])

    def apply(self, batch: JournalBatch) -> None:
        """Apply the next batch. Raises RecoveryError if it does not cause the journaled events."""
        if batch.first_seq != self.seq + 1:
            raise ValueError(f"seq {batch.first_seq} does not follow seq {self.seq}")
        apply_checked(self.engine, batch.commands, batch.events)

    def _load_snapshot(self, folder: Path, seq: int) -> int:
        for found, path in list_snapshots(folder):
            if found <= seq:
                try:
                    load_snapshot(self.engine.state, path, found)
                except SnapshotUnusable:
                    continue  # an older one, or the journal from its beginning, gives the same state
                return found
        return 0


def _until(batch: JournalBatch, seq: int) -> JournalBatch:
    """The batch without the commands after `seq`."""
    if batch.last_seq <= seq:
        return batch
    events = batch.events[: np.searchsorted(batch.events["seq"], seq, side="right")]
    return JournalBatch(batch.commands[: seq - batch.first_seq + 1], events, batch.first_seq, seq)
