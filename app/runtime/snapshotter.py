"""Snapshotter: makes snapshots beside a running server: `python -m app.runtime.snapshotter DATA_DIR`.

It has its own engine, at low priority, and reads sealed segments only. So the server's engine never
waits for a snapshot, and each one is checked against the journaled events before it is saved.
"""

import sys
from pathlib import Path

from app.engine.capacity import DEFAULT_CAPACITY
from app.engine.engine import Engine
from app.runtime.background import to_background
from app.runtime.folder_lock import FolderLock, FolderLocked
from app.runtime.journal_reader import JournalReader
from app.runtime.recovery import Replayable, replay_into
from app.runtime.snapshots import load_newest_snapshot, save_snapshot


def snapshot_sealed(folder: Path, engine: Replayable) -> int | None:
    """Bring a new engine to the end of the sealed segments and save it.

    Returns the sequence number of the snapshot, or None if the newest one covers all of them already. Raises
    JournalError, RecoveryError, OSError, and FolderLocked if another process is doing the same.
    """
    with FolderLock(folder, "snapshotter.lock"):
        snapshot_seq = load_newest_snapshot(engine, folder)
        reader = JournalReader(
            folder, snapshot_seq + 1, sealed_only=True, batch_commands=len(engine.state.commands)
        )
        if not replay_into(engine, reader).commands:
            return None
        save_snapshot(engine, folder)
        return int(engine.state.firm[0]["seq"])


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m app.runtime.snapshotter JOURNAL_DIR", file=sys.stderr)
        return 2
    to_background()
    try:
        seq = snapshot_sealed(Path(arguments[0]), Engine(DEFAULT_CAPACITY))
    except FolderLocked as error:
        print(error, file=sys.stderr)
        return 1
    print("no sealed segment is without a snapshot" if seq is None else f"snapshot of seq {seq}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
