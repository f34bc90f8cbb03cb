"""A journal's folder has one writer, which holds its lock."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.runtime.folder_lock import FolderLock, FolderLocked
from tests.support.journals import Journaled

ROOT = Path(__file__).parents[3]

LOCK_AND_WAIT = """
import fcntl, sys
file = open(sys.argv[1], "a")
fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
print("locked", flush=True)
sys.stdin.read()
"""


def lockable_elsewhere(folder: Path) -> bool:
    """Whether another process could take the folder's lock."""
    command = [sys.executable, "-c", LOCK_AND_WAIT, str(folder / "lock")]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "BlockingIOError" in done.stderr
    return done.returncode == 0


def test_a_writer_locks_its_folder_until_it_is_closed(tmp_path: Path) -> None:
    journaled = Journaled(tmp_path)
    with FolderLock(tmp_path):  # the same process may take it again
        assert not lockable_elsewhere(tmp_path)
    assert not lockable_elsewhere(tmp_path)
    journaled.writer.close()
    assert lockable_elsewhere(tmp_path)


def test_a_lock_is_released_once(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.release()
    first.release()
    assert not lockable_elsewhere(tmp_path)
    second.release()
    assert lockable_elsewhere(tmp_path)


def test_a_folder_that_another_process_holds_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-c", LOCK_AND_WAIT, str(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None and holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(FolderLocked, match="in use by another process"):
            Journaled(tmp_path)
        holder.stdin.close()
    Journaled(tmp_path).writer.close()
