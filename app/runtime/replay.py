"""Replay of a journal from its first command: the function behind `bot4 replay`.

If the first segments have been removed, it begins at the oldest snapshot that the rest continues.
"""

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.engine.capacity import DEFAULT_CAPACITY, SMALL_CAPACITY, Capacity
from app.engine.engine import Engine
from app.engine.records import COMMAND
from app.engine.state import state_hash
from app.engine.types import CommandKind
from app.runtime.durable_watermark import check_end, marked_seq
from app.runtime.journal_reader import JournalReader
from app.runtime.recovery import check_whole, replay_into
from app.runtime.segments import list_segments
from app.runtime.snapshots import SnapshotUnusable, list_snapshots, load_newest_snapshot, load_snapshot


@dataclass(frozen=True)
class ReplayResult:
    from_seq: int  # 1, unless older segments have been removed
    commands: int
    events: int
    seconds: float
    rate: float  # commands per second: reading, CRC, engine and comparison of every event
    state_hash: str
    events_hash: str  # of all event bytes, in order


def replay(
    folder: Path,
    capacity: Capacity = DEFAULT_CAPACITY,
    progress: Callable[[int, int], None] | None = None,
) -> ReplayResult:
    """Replay the whole journal; changes nothing on disk.

    A torn tail is left out, as recovery would. Raises JournalError, RecoveryError.
    """
    _load_kernels()
    marked = marked_seq(folder)
    engine = Engine(capacity)
    digest = blake2b(digest_size=16)
    from_seq = _load_beginning(engine, folder) + 1
    reader = JournalReader(folder, from_seq, batch_commands=capacity.commands, progress=progress)
    # Hashing needs no interpreter lock, so it goes on beside the engine.
    with ThreadPoolExecutor(max_workers=1) as hasher:
        pending = hasher.submit(digest.update, b"")

        def add(events: NDArray[np.void]) -> None:
            nonlocal pending
            pending.result()
            pending = hasher.submit(digest.update, events.view(np.uint8).data)

        replayed = replay_into(engine, reader, add)
        pending.result()
    check_end(folder, reader.last_seq, marked)
    return ReplayResult(
        from_seq=from_seq,
        commands=replayed.commands,
        events=replayed.events,
        seconds=replayed.seconds,
        rate=replayed.commands / replayed.seconds if replayed.commands else 0.0,
        state_hash=state_hash(engine.state),
        events_hash=digest.hexdigest(),
    )


@dataclass(frozen=True)
class StartRehearsed:
    """Result of a rehearsed start: the snapshot it began at (0: none), and what was replayed after it."""

    snapshot_seq: int
    commands: int
    events: int


def rehearse_start(folder: Path, capacity: Capacity = DEFAULT_CAPACITY) -> StartRehearsed:
    """Start a new engine as a server would: load the newest usable snapshot, replay the rest, compare events.

    Changes nothing on disk. Raises JournalError, RecoveryError, OSError.
    """
    _load_kernels()
    marked = marked_seq(folder)
    engine = Engine(capacity)
    snapshot_seq = load_newest_snapshot(engine, folder)
    reader = JournalReader(folder, snapshot_seq + 1, batch_commands=capacity.commands)
    replayed = replay_into(engine, reader)
    check_whole(folder, reader.last_seq, snapshot_seq, marked)
    return StartRehearsed(snapshot_seq, replayed.commands, replayed.events)


def _load_beginning(engine: Engine, folder: Path) -> int:
    """Load the oldest usable snapshot if the journal does not begin at its first command; its seq, or 0."""
    segments = list_segments(folder)
    if not segments or segments[0].first_seq == 1:
        return 0
    for seq, path in reversed(list_snapshots(folder)):
        if seq >= segments[0].first_seq - 1:
            with contextlib.suppress(SnapshotUnusable):
                load_snapshot(engine.state, path, seq)
                return seq
    return 0  # the reader will report what is missing


def _load_kernels() -> None:
    """Compile them or load them from the cache now: that is not part of the rate."""
    command = np.zeros(1, COMMAND)
    command["kind"] = CommandKind.ADVANCE_TIME
    Engine(SMALL_CAPACITY).process(command)
