"""What follows a journal sees all of it, once, and nothing that a power cut could still take away."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from app.engine.capacity import SMALL_CAPACITY
from app.engine.engine import Engine
from app.engine.records import COMMAND
from app.engine.state import state_hash
from app.runtime.durable_watermark import DurableReader, DurableWatermark, journal_identity
from app.runtime.follower import JournalBatch, JournalFollower, Replica
from app.runtime.journal import JournalWriter
from app.runtime.journal_reader import JournalReader
from app.runtime.segments import JournalCorrupt, JournalError, list_segments
from app.runtime.snapshots import save_snapshot
from tests.support.journals import (
    SummingEngine,
    TradingHistory,
    commands_from,
    fail,
    joined,
    write_journal,
    write_ticks,
)

SEGMENT_BYTES = 40_000


def drain(follower: JournalFollower) -> list[JournalBatch]:
    batches = []
    while (batch := follower.read()) is not None:
        batches.append(batch)
    return batches


def content(batches: list[JournalBatch]) -> tuple[bytes, bytes]:
    commands = b"".join(batch.commands.tobytes() for batch in batches)
    return commands, b"".join(batch.events.tobytes() for batch in batches)


def journaled(folder: Path, from_seq: int) -> tuple[bytes, bytes]:
    pairs = list(JournalReader(folder, from_seq).batches())
    return b"".join(pair[0].tobytes() for pair in pairs), b"".join(pair[1].tobytes() for pair in pairs)


@pytest.mark.parametrize("batch_bytes", [1, 5_000, 1 << 22])
def test_all_that_is_durable_once_from_anywhere(tmp_path: Path, batch_bytes: int) -> None:
    write_journal(tmp_path, [1, 7, 40, 3, 90, 2] * 4, segment_bytes_max=SEGMENT_BYTES)
    assert len(list_segments(tmp_path)) > 3
    reader = DurableReader(tmp_path)
    assert reader() == 572
    for from_seq in (1, 2, 9, 48, 49, 300, 572, 573):
        follower = JournalFollower(tmp_path, from_seq, reader, batch_bytes_max=batch_bytes)
        batches = drain(follower)
        expected = journaled(tmp_path, from_seq) if from_seq <= 572 else (b"", b"")
        assert content(batches) == expected
        seqs = [seq for batch in batches for seq in (batch.first_seq, batch.last_seq)]
        assert seqs == sorted(seqs) and follower.next_seq == 573
        follower.close()


def test_what_is_not_durable_yet_is_not_handed_out(tmp_path: Path) -> None:
    write_journal(tmp_path, [10, 10, 10], segment_bytes_max=SEGMENT_BYTES)
    durable = 0
    follower = JournalFollower(tmp_path, 1, lambda: durable)
    assert follower.read() is None
    durable = 20
    batches = drain(follower)
    assert (batches[0].first_seq, batches[-1].last_seq) == (1, 20)
    durable = 30
    batches = drain(follower)
    assert (batches[0].first_seq, batches[-1].last_seq) == (21, 30)
    follower.close()


def test_beside_a_writer_over_segments(tmp_path: Path) -> None:
    engine = SummingEngine()
    writer = JournalWriter(tmp_path, 1, lambda _: None, fail, segment_bytes_max=SEGMENT_BYTES)
    follower = JournalFollower(tmp_path, 1, DurableReader(tmp_path))

    def write() -> None:
        for first in range(1, 3_001, 10):
            commands = commands_from(first, 10)
            while writer.backlog_bytes > SEGMENT_BYTES // 4:
                time.sleep(0.001)
            writer.append(commands.tobytes(), engine.process(commands).tobytes(), first, first + 9)

    thread = threading.Thread(target=write)
    thread.start()
    batches: list[JournalBatch] = []
    while follower.next_seq <= 3_000:
        batches += drain(follower)
    thread.join()
    writer.close()
    assert content(batches) == journaled(tmp_path, 1)
    assert len(list_segments(tmp_path)) > 5
    follower.close()


def test_no_batch_spans_a_boundary_of_time(tmp_path: Path) -> None:
    write_journal(tmp_path, [50] * 6)  # the time of a command is a constant plus its number
    follower = JournalFollower(tmp_path, 1, DurableReader(tmp_path), boundary_us=37)
    batches = drain(follower)
    assert content(batches) == journaled(tmp_path, 1)
    for batch in batches:
        assert len(np.unique(batch.commands["ts"] // 37)) == 1
        assert {*batch.events["seq"].tolist()} == {*batch.commands["seq"].tolist()}
    follower.close()


@pytest.mark.parametrize("snapshots", [False, True])
def test_a_replica_is_what_the_engine_was(tmp_path: Path, snapshots: bool) -> None:
    history = TradingHistory(Engine(SMALL_CAPACITY))
    ticks = [history.reference_data()]
    hashes = {}
    for number in range(8):
        commands, events = history.tick(20)
        ticks.append((commands, events))
        last_seq = int(commands["seq"][-1])
        hashes[last_seq] = state_hash(history.engine.state)
        if snapshots and number in (2, 6):
            save_snapshot(history.engine, tmp_path)
    write_ticks(tmp_path, iter(ticks), segment_bytes_max=SEGMENT_BYTES)
    for start, expected in hashes.items():
        replica = Replica(tmp_path, start, SMALL_CAPACITY)
        assert (replica.seq, state_hash(replica.engine.state)) == (start, expected)
    start = min(hashes)
    replica = Replica(tmp_path, start, SMALL_CAPACITY)
    follower = JournalFollower(tmp_path, start + 1, DurableReader(tmp_path), batch_bytes_max=1)
    while (batch := follower.read()) is not None:
        replica.apply(batch)
        assert state_hash(replica.engine.state) == hashes[batch.last_seq]
    assert replica.seq == max(hashes)
    follower.close()


def test_a_replica_between_two_frames(tmp_path: Path) -> None:
    history = TradingHistory(Engine(SMALL_CAPACITY))
    ticks = [history.reference_data(), *(history.tick(30) for _ in range(3))]
    write_ticks(tmp_path, iter(ticks))
    commands = joined([tick[0] for tick in ticks], COMMAND)
    engine = Engine(SMALL_CAPACITY)
    engine.process(commands[:61])
    assert state_hash(Replica(tmp_path, 61, SMALL_CAPACITY).engine.state) == state_hash(engine.state)


def test_a_journal_that_begins_later_or_is_damaged_is_refused(tmp_path: Path) -> None:
    write_journal(tmp_path, [40] * 10, segment_bytes_max=SEGMENT_BYTES)
    segments = list_segments(tmp_path)
    broken = bytearray(segments[1].path.read_bytes())
    broken[500] ^= 1
    segments[1].path.write_bytes(broken)
    follower = JournalFollower(tmp_path, 1, DurableReader(tmp_path))
    with pytest.raises(JournalCorrupt, match=rf"{segments[1].path.name}: offset 64"):
        drain(follower)
    follower.close()
    segments[0].path.unlink()
    with pytest.raises(JournalError, match=f"begins at seq {segments[1].first_seq}"):
        JournalFollower(tmp_path, 1, DurableReader(tmp_path))


def test_the_mark_and_the_identity(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="no journal that a server has opened"):
        DurableReader(tmp_path)
    mark = DurableWatermark(tmp_path, 7)
    reader = DurableReader(tmp_path)
    assert reader() == 7
    mark.set(1 << 40)
    assert reader() == 1 << 40
    mark.close()
    DurableWatermark(tmp_path, 5).close()
    assert reader() == 5
    reader.close()
    identity = journal_identity(tmp_path)
    assert journal_identity(tmp_path) == identity and len(identity) == 32
    (tmp_path / "identity").write_text("no")
    with pytest.raises(JournalError, match="damaged"):
        journal_identity(tmp_path)
