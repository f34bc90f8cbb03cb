"""Recorded messages from files, in the order in which they were received.

A line is `<receive time, nanoseconds> <message>`, plain or gzipped. Files are read
and unzipped in a worker thread, a block at a time; lines of several files are
merged by their receive time.
"""

import asyncio
import gzip
import logging
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

logger = logging.getLogger(__name__)

BLOCK_BYTES = 1 << 16
# Far longer than any message; the rest of such a line is not read.
LINE_BYTES_MAX = 1 << 21
_GZIP_MAGIC = b"\x1f\x8b"


class RecordedMessage(NamedTuple):
    received_ns: int
    source: int  # which of the files
    raw: bytes


class _RecordedFile:
    """The lines of one file; the newest message read is `head`."""

    def __init__(self, path: Path, source: int) -> None:
        self.path = path
        self.head: RecordedMessage | None = None
        self.faults = 0
        self._source = source
        self._lines: list[bytes] = []  # next one last
        self._rest = b""
        self._stream: BinaryIO | None = None
        self._at_end = False
        # A read goes on in its thread when the feed is cancelled: closing waits for it.
        self._lock = threading.Lock()

    def advance(self) -> bool:
        """Make the next message the head; False where a block must be read first."""
        while self._lines:
            stamp, space, raw = self._lines.pop().partition(b" ")
            if space and len(stamp) <= 20 and stamp.isdigit():
                self.head = RecordedMessage(int(stamp), self._source, raw)
                return True
            self.faults += 1
        self.head = None
        return self._at_end

    async def read_block(self) -> None:
        await asyncio.to_thread(self._read_block)

    def _read_block(self) -> None:
        with self._lock:
            if self._at_end:
                return
            try:
                if self._stream is None:
                    self._stream = _open(self.path)
                block = self._stream.read(BLOCK_BYTES)
            except (OSError, EOFError, zlib.error) as error:
                logger.error("market recording %s ends early: %s", self.path, error)
                block = b""
            lines = (self._rest + block).split(b"\n")
            self._rest = lines.pop() if block else b""
            if len(self._rest) > LINE_BYTES_MAX:
                self.faults += 1
                self._rest = b""
            lines.reverse()
            self._lines = [line for line in lines if line]
            self._at_end = not block

    def close(self) -> None:
        with self._lock:
            self._at_end = True
            if self._stream is not None:
                self._stream.close()
                self._stream = None


class Recording:
    """One pass over recorded files; `close` it afterwards."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [_RecordedFile(path, source) for source, path in enumerate(paths)]

    @property
    def faults(self) -> int:
        """Lines that are no messages. A file that breaks off is logged and ends there."""
        return sum(file.faults for file in self._files)

    def close(self) -> None:
        for file in self._files:
            file.close()

    async def read(self) -> RecordedMessage | None:
        """The next message, from the disk where need be; None at the end of all files."""
        for file in self._files:
            while file.head is None and not file.advance():
                await file.read_block()
        return self.peek()

    def peek(self) -> RecordedMessage | None:
        """The next message; None if it is not in memory, or at the end: call `read` to find out."""
        earliest = None
        for file in self._files:
            if file.head is None and not file.advance():
                return None
            head = file.head
            if head is not None and (earliest is None or head.received_ns < earliest.received_ns):
                earliest = head
        return earliest

    def take(self, message: RecordedMessage) -> None:
        """Advance past the message that `read` or `peek` has returned."""
        self._files[message.source].head = None


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as stream:
        zipped = stream.read(2) == _GZIP_MAGIC
    return cast(BinaryIO, gzip.open(path, "rb") if zipped else path.open("rb"))
