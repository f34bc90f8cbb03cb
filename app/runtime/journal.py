"""Journal writer: it appends ticks and makes them durable, in a thread of its own.

Everything that waits is written as one frame with one write and one fdatasync;
the loop goes on meanwhile and what it adds makes the next frame. The thread
shares the interpreter lock with a busy loop, so it does little Python per group
and nothing per record.
"""

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import NamedTuple

from app.runtime.durable_watermark import DurableWatermark
from app.runtime.folder_lock import FolderLock
from app.runtime.segments import (
    COMMAND_BYTES,
    EVENT_BYTES,
    FRAME_FIELDS,
    FRAME_HEADER,
    FRAME_MAGIC,
    FRAME_PREFIX,
    SEGMENT_HEADER,
    JournalError,
    check_segment_header,
    encode_segment_header,
    list_segments,
    segment_path,
    sync_data,
    sync_folder,
)

SEGMENT_BYTES_MAX = 256 << 20
QUEUE_BYTES_MAX = 64 << 20
FRAME_BYTES_MAX = 8 << 20  # most of what one group takes from the queue; a single tick may be larger
FRAME_TICKS_MAX = 500  # each tick is two buffers, and one writev takes at most 1,024
_CRC_SLICE_BYTES = 5 << 10  # longer ones make zlib release the interpreter lock


class _Tick(NamedTuple):
    commands: bytes
    events: bytes
    last_seq: int


class JournalWriter:
    """The one writer of a folder; see `append`. Call everything from one thread.

    `durable_seq`: the last command on disk. `segment_first_seq`: where the newest
    segment begins; when it changes, another one has been sealed. `failed`: writing
    has failed, and nothing is written any more.
    """

    def __init__(
        self,
        folder: Path,
        next_seq: int,
        on_durable: Callable[[int], None],
        on_failure: Callable[[OSError], None],
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
        queue_bytes_max: int = QUEUE_BYTES_MAX,
    ) -> None:
        """Opens the journal behind its last command, `next_seq - 1`, as recovery left it.

        The callbacks run in the writer's thread and must not raise: `on_durable(last_seq)`
        after each group, `on_failure(error)` at most once.
        Raises FolderLocked, JournalError, OSError.
        """
        self._folder = folder
        self._on_durable = on_durable
        self._on_failure = on_failure
        self._segment_bytes_max = segment_bytes_max
        self.queue_bytes_max = queue_bytes_max
        self._queue: SimpleQueue[_Tick | None] = SimpleQueue()
        # Each counter is written by one thread only; their difference is what waits.
        self._bytes_in = 0
        self._bytes_out = 0
        self._appended_seq = next_seq - 1
        self.durable_seq = next_seq - 1
        self.failed = False
        self._closed = False
        self._lock = FolderLock(folder)
        try:
            self._open_newest(next_seq)
            sync_data(self._descriptor)  # what recovery found may have been written only, not synced
            self._durable_watermark = DurableWatermark(folder, next_seq - 1)
        except BaseException:
            self._lock.release()
            raise
        self._thread = Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def backlog_bytes(self) -> int:
        """Bytes handed over and not yet on disk."""
        return self._bytes_in - self._bytes_out

    @property
    def full(self) -> bool:
        """The loop must not apply another tick now: `append` would refuse it."""
        return self._bytes_in - self._bytes_out >= self.queue_bytes_max

    def append(self, commands: bytes, events: bytes, first_seq: int, last_seq: int) -> None:
        """Hand over one tick: whole records, sequence numbers without a gap. Never blocks.

        The bytes must not change afterwards. What is handed over after a failure is
        dropped. Raises ValueError where the numbers do not fit, BufferError where
        the queue is `full`; both are mistakes of the caller.
        """
        if self.failed:
            return
        if (
            first_seq != self._appended_seq + 1
            or len(commands) != (last_seq - first_seq + 1) * COMMAND_BYTES
            or last_seq < first_seq
            or len(events) % EVENT_BYTES
        ):
            raise ValueError(
                f"journal: seq {first_seq} to {last_seq} with {len(commands)} + {len(events)} bytes "
                f"after seq {self._appended_seq}"
            )
        if self._closed or self.full:
            raise BufferError("journal is closed" if self._closed else "journal queue is full")
        self._appended_seq = last_seq
        self._bytes_in += len(commands) + len(events)
        self._queue.put(_Tick(commands, events, last_seq))

    def close(self) -> None:
        """Write the queue, wait until it is durable, end the thread; may be called twice."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        os.close(self._descriptor)
        self._durable_watermark.close()
        self._lock.release()

    def _open_newest(self, next_seq: int) -> None:
        segments = list_segments(self._folder)
        newest = segments[-1] if segments else None
        if newest is None or newest.path.stat().st_size >= self._segment_bytes_max:
            self._create_segment(next_seq)
            return
        if newest.first_seq > next_seq:
            raise JournalError(f"{newest.path}: begins after seq {next_seq}, the next one to write")
        descriptor = os.open(newest.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:
            check_segment_header(newest, os.pread(descriptor, SEGMENT_HEADER.size, 0))
        except JournalError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self.segment_first_seq = newest.first_seq

    def _create_segment(self, first_seq: int) -> None:
        """On failure everything is as it was before."""
        path = segment_path(self._folder, first_seq)
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_CREAT | os.O_EXCL
        descriptor = os.open(path, flags, 0o644)
        try:
            _write_all(descriptor, [encode_segment_header(first_seq)], SEGMENT_HEADER.size)
            os.fsync(descriptor)
            sync_folder(self._folder)
        except OSError:
            os.close(descriptor)
            path.unlink()
            raise
        self._descriptor = descriptor
        self._size = SEGMENT_HEADER.size
        self.segment_first_seq = first_seq

    def _run(self) -> None:
        queue, last = self._queue, False
        while not last:
            tick = queue.get()
            ticks, size = [], 0
            while True:
                if tick is None:
                    last = True
                    break
                ticks.append(tick)
                size += len(tick.commands) + len(tick.events)
                if size >= FRAME_BYTES_MAX or len(ticks) >= FRAME_TICKS_MAX or not queue.qsize():
                    break
                tick = queue.get()
            if ticks and not self.failed:
                try:
                    self._write(ticks, size)
                except OSError as error:
                    self._fail(error)
                else:
                    self._bytes_out += size
                    self.durable_seq = ticks[-1].last_seq
                    self._durable_watermark.set(self.durable_seq)
                    self._on_durable(self.durable_seq)

    def _write(self, ticks: list[_Tick], size: int) -> None:
        commands = [tick.commands for tick in ticks]
        events = [tick.events for tick in ticks]
        command_bytes = sum(map(len, commands))
        fields = FRAME_FIELDS.pack(
            self.durable_seq + 1,
            ticks[-1].last_seq,
            command_bytes // COMMAND_BYTES,
            (size - command_bytes) // EVENT_BYTES,
        )
        crc = zlib.crc32(fields)
        for buffer in commands:
            crc = _crc32(buffer, crc)
        for buffer in events:
            crc = _crc32(buffer, crc)
        frame_bytes = FRAME_HEADER.size + size
        if SEGMENT_HEADER.size < self._size and self._size + frame_bytes > self._segment_bytes_max:
            self._rotate()
        header = FRAME_PREFIX.pack(FRAME_MAGIC, crc) + fields
        _write_all(self._descriptor, [header, *commands, *events], frame_bytes)
        sync_data(self._descriptor)
        self._size += frame_bytes

    def _rotate(self) -> None:
        sealed = self._descriptor
        self._create_segment(self.durable_seq + 1)
        os.close(sealed)

    def _fail(self, error: OSError) -> None:
        """Cut off what is not durable, so that refused commands do not return with a restart."""
        self.failed = True
        try:
            os.ftruncate(self._descriptor, self._size)
            sync_data(self._descriptor)
        except OSError as second:  # the first error is the one to report; recovery finds what is there
            error.add_note(f"and the incomplete frame could not be cut off: {second}")
        self._on_failure(error)


def _crc32(buffer: bytes, crc: int) -> int:
    """zlib.crc32 in slices so short that it keeps the interpreter lock.

    To release the lock for microseconds is expensive: beside a busy loop it takes up to 5 ms, the
    interpreter's switch interval, to get it back.
    """
    if len(buffer) <= _CRC_SLICE_BYTES:
        return zlib.crc32(buffer, crc)
    with memoryview(buffer) as view:
        for start in range(0, len(view), _CRC_SLICE_BYTES):
            crc = zlib.crc32(view[start : start + _CRC_SLICE_BYTES], crc)
    return crc


def _write_all(descriptor: int, buffers: list[bytes], size: int) -> None:
    written = os.writev(descriptor, buffers)
    if written < size:
        rest = memoryview(b"".join(buffers))[written:]
        while rest:
            rest = rest[os.write(descriptor, rest) :]
