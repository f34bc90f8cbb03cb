"""Folder lock: one writer per folder, by an advisory lock that the system releases when its process dies."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

_held: dict[Path, tuple[int, int]] = {}  # file -> (descriptor, how many hold it in this process)


class FolderLocked(Exception):
    """Another process works on this folder."""


class FolderLock:
    """Holds `folder` for this process until released; may be taken again inside the same process.

    Recovery cuts torn tails and the journal appends: a second server on the same
    folder would destroy what the first one writes. So both take the lock, and a
    server keeps it from before its recovery until its journal is closed.
    """

    def __init__(self, folder: Path, name: str = "lock") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path: Path | None = folder.resolve() / name
        descriptor, count = _held.get(self._path) or (_acquire(self._path), 0)
        _held[self._path] = descriptor, count + 1

    def release(self) -> None:
        """Release the lock; a second call does nothing."""
        if self._path is None:
            return
        descriptor, count = _held.pop(self._path)
        if count > 1:
            _held[self._path] = descriptor, count - 1
        else:
            os.close(descriptor)
        self._path = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _acquire(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        raise FolderLocked(f"{path.parent} is in use by another process (pid {owner})") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor
