"""Recovery: an engine brought to the journal's end, from the newest usable snapshot and a replay of the rest.

The replay must give, byte for byte, the events in the journal. Otherwise this build does not
continue that history, and going on would contradict what clients have been sent.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.engine.state import State
from app.runtime.durable_watermark import check_end, marked_seq
from app.runtime.folder_lock import FolderLock
from app.runtime.journal_reader import JournalReader, cut
from app.runtime.segments import JournalCorrupt
from app.runtime.snapshots import load_newest_snapshot

Records = NDArray[np.void]
Progress = Callable[[int, int], None]


class RecoveryError(Exception):
    """The engine does not cause the events that are in the journal."""


class Replayable(Protocol):
    """The part of the engine that a replay needs."""

    @property
    def state(self) -> State: ...

    def process(self, commands: Records) -> Records: ...


@dataclass(frozen=True)
class Replayed:
    """The extent of a replay."""

    commands: int
    events: int
    seconds: float


@dataclass(frozen=True)
class Recovered:
    last_seq: int  # of the newest command that is in effect; 0 in an empty folder
    last_ts: int  # its time; clocks go on from here
    commands: int  # replayed, after the snapshot
    events: int
    seconds: float
    snapshot_seconds: float  # of these, until the snapshot was loaded and the kernels were there
    snapshot_seq: int  # 0: none was used
    torn_bytes: int  # cut from the end of the journal


def recover(
    folder: Path,
    engine: Replayable,
    progress: Progress | None = None,
    await_kernels: Callable[[], object] | None = None,
) -> Recovered:
    """Bring a new engine up to date and cut a torn tail off the journal.

    `progress` is called with the bytes of journal read and to be read. `await_kernels` returns
    when the engine may be used: it is called when the snapshot has been loaded.
    Raises FolderLocked, JournalError, RecoveryError, OSError.
    """
    started = perf_counter()
    with FolderLock(folder):
        marked = marked_seq(folder)
        snapshot_seq = load_newest_snapshot(engine, folder)
        if await_kernels is not None:
            await_kernels()
        loaded = perf_counter()
        batch = len(engine.state.commands)
        reader = JournalReader(folder, snapshot_seq + 1, batch_commands=batch, progress=progress)
        replayed = replay_into(engine, reader)
        check_whole(folder, reader.last_seq, snapshot_seq, marked)
        if reader.torn is not None:
            cut(reader.torn)
    firm = engine.state.firm[0]
    return Recovered(
        last_seq=int(firm["seq"]),
        last_ts=int(firm["ts"]),
        commands=replayed.commands,
        events=replayed.events,
        seconds=perf_counter() - started,
        snapshot_seconds=loaded - started,
        snapshot_seq=snapshot_seq,
        torn_bytes=reader.torn.size if reader.torn is not None else 0,
    )


def check_whole(folder: Path, last_seq: int, snapshot_seq: int, marked: int | None) -> None:
    """Raises JournalCorrupt if the journal ends, at `last_seq`, before its durable mark or a snapshot.

    `marked` is the result of `marked_seq` before the journal was read.
    """
    if last_seq < snapshot_seq:
        raise JournalCorrupt(
            f"{folder}: the journal ends at seq {last_seq}, but a snapshot holds seq {snapshot_seq}: "
            f"{max(snapshot_seq, marked or 0) - last_seq} durable commands are missing from the journal. "
            "Restore its newest segments from a copy"
        )
    check_end(folder, last_seq, marked)


def replay_into(
    engine: Replayable, reader: JournalReader, on_events: Callable[[Records], None] | None = None
) -> Replayed:
    """Apply the reader's commands, compare all events, and pass them to `on_events`.

    Raises JournalError, RecoveryError.
    """
    started = perf_counter()
    command_count = event_count = 0
    for commands, journaled in _read_ahead(reader):
        apply_checked(engine, commands, journaled)
        command_count += len(commands)
        event_count += len(journaled)
        if on_events is not None:
            on_events(journaled)
    return Replayed(command_count, event_count, perf_counter() - started)


def _read_ahead(reader: JournalReader) -> Iterator[tuple[Records, Records]]:
    """The reader's batches. While one is applied, a thread reads the next: its CRC needs no interpreter."""
    batches = reader.batches()
    with ThreadPoolExecutor(1, "journal-reader") as thread:
        pending = thread.submit(next, batches, None)
        while (batch := pending.result()) is not None:
            pending = thread.submit(next, batches, None)
            yield batch


def apply_checked(engine: Replayable, commands: Records, journaled: Records) -> None:
    """Apply commands and compare the events. Raises RecoveryError."""
    produced = engine.process(commands)
    if not _same(produced, journaled):
        raise RecoveryError(_difference(commands, produced, journaled))


def _same(produced: Records, journaled: Records) -> bool:
    return len(produced) == len(journaled) and np.array_equal(_words(produced), _words(journaled))


def _words(events: Records) -> NDArray[np.int64]:
    return events.view(np.int64).reshape(len(events), -1)


def _difference(commands: Records, produced: Records, journaled: Records) -> str:
    common = min(len(produced), len(journaled))
    differs = (_words(produced[:common]) != _words(journaled[:common])).any(axis=1)
    where = int(np.argmax(differs)) if differs.any() else common
    seqs = [int(events["seq"][where]) for events in (journaled, produced) if where < len(events)]
    seq = min(seqs)
    kind = commands["kind"][np.searchsorted(commands["seq"], seq)]
    return (
        f"replay differs from the journal at seq {seq} (command kind {kind}): "
        f"this build or its capacity is not the one that wrote the journal"
    )
