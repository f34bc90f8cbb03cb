"""Durable watermark and identity: two small files beside the journal, for the processes that follow it.

`durable` holds the sequence number of the last command that is on disk: eight
bytes of shared memory that the journal's writer sets after each `fdatasync`.
What lies behind it in a segment may still vanish in a power cut, so nobody may
act on it. What lies before it must be there: a journal that ends earlier has lost
acknowledged commands, and is refused. A mark that is missing or empty
says nothing (a copy file by file has none; a crash can leave it empty): the journal's
end is then taken as it is. Any other size is damage.

`identity` names this journal, so that what was made of another one is not continued.
"""

import contextlib
import mmap
import os
import re
import secrets
import sys
from pathlib import Path

from app.runtime.segments import JournalCorrupt, JournalError, sync_folder

_DURABLE = "durable"
_IDENTITY = "identity"
_BYTES = 8


def marked_seq(folder: Path) -> int | None:
    """The last command that was on disk by the mark; None where there is no mark, or it was never set.

    Read it before the segments, where a server may be writing. Raises JournalCorrupt, OSError.
    """
    path = folder / _DURABLE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    seq = int.from_bytes(content, sys.byteorder, signed=True)
    if content and (len(content) != _BYTES or seq < 0):
        raise JournalCorrupt(
            f"{path} is damaged ({len(content)} bytes, value {seq}; it must hold {_BYTES} bytes and no "
            "negative number): restore it with the journal from a copy; or remove it to take the journal's "
            "end as it is, without knowing whether durable commands are missing"
        )
    return seq if content else None


def check_end(folder: Path, last_seq: int, marked: int | None) -> None:
    """Raises JournalCorrupt where the journal ends, at `last_seq`, before what its mark says was on disk."""
    if marked is None or marked <= last_seq:
        return
    raise JournalCorrupt(
        f"{folder}: the journal ends at seq {last_seq}, but seq {marked} was on disk: {marked - last_seq} "
        "durable commands are missing from the journal. Restore its newest segments from a copy. Only if "
        f"they are gone for good: remove {folder / _DURABLE}, and with it what was acknowledged is lost"
    )


class DurableWatermark:
    """The writer's side; see the module. Setting `value` costs as much as setting an item of a list."""

    def __init__(self, folder: Path, value: int) -> None:
        """Raises OSError."""
        descriptor = os.open(folder / _DURABLE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            if os.fstat(descriptor).st_size != _BYTES:
                os.pwrite(descriptor, bytes(_BYTES), 0)  # not a hole: on a full disk setting it would kill us
            self._pages = mmap.mmap(descriptor, _BYTES)
        finally:
            os.close(descriptor)
        self._view = memoryview(self._pages).cast("q")
        self.set(value)

    def set(self, value: int) -> None:
        self._view[0] = value

    def close(self) -> None:
        self._view.release()
        self._pages.close()


class DurableReader:
    """The follower's side."""

    def __init__(self, folder: Path) -> None:
        """Raises JournalError where no server has ever opened this journal, OSError."""
        try:
            with (folder / _DURABLE).open("rb") as file:
                self._pages = mmap.mmap(file.fileno(), _BYTES, access=mmap.ACCESS_READ)
        except (FileNotFoundError, ValueError):
            raise JournalError(f"{folder}: there is no journal that a server has opened") from None
        self._view = memoryview(self._pages).cast("q")

    def __call__(self) -> int:
        """The last command that is on disk."""
        return self._view[0]

    def close(self) -> None:
        self._view.release()
        self._pages.close()


def journal_identity(folder: Path) -> str:
    """32 hexadecimal digits, made with the first call and kept. Raises JournalError, OSError."""
    path = folder / _IDENTITY
    with contextlib.suppress(FileExistsError):
        if not path.exists():
            unfinished = folder / f"{_IDENTITY}.{os.getpid()}.tmp"
            with unfinished.open("x") as file:
                file.write(secrets.token_hex(16))
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(unfinished, path)  # unlike a rename it never replaces what another process made
            finally:
                unfinished.unlink()
            sync_folder(folder)
    identity = path.read_text().strip()
    if not re.fullmatch(r"[0-9a-f]{32}", identity):
        raise JournalError(f"{path} is damaged: it must hold 32 hexadecimal digits")
    return identity
