"""After any crash the engine stands where the journal ends, and what it did is what it said."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.engine.capacity import SMALL_CAPACITY, Capacity
from app.engine.engine import Engine
from app.engine.state import PERSISTENT, allocate, state_hash
from app.runtime import snapshots
from app.runtime.clock import SystemClock, VirtualClock
from app.runtime.durable_watermark import DurableWatermark
from app.runtime.journal import JournalWriter
from app.runtime.recovery import RecoveryError, recover
from app.runtime.replay import replay
from app.runtime.segments import JournalCorrupt, JournalError, list_segments, segment_path
from app.runtime.snapshots import list_snapshots, save_snapshot, snapshot_path
from app.runtime.snapshotter import snapshot_sealed
from tests.support.journals import Records, TradingHistory, fail, write_ticks

ROOT = Path(__file__).parents[3]
SEGMENT_BYTES = 60_000


def new_engine() -> Engine:
    return Engine(SMALL_CAPACITY)


def ticks_of(history: TradingHistory, count: int) -> Iterator[tuple[Records, Records]]:
    yield history.reference_data()
    for _ in range(count - 1):
        yield history.tick(12)


def journal(folder: Path, ticks: Iterator[tuple[Records, Records]], next_seq: int = 1) -> int:
    return write_ticks(folder, ticks, next_seq, SEGMENT_BYTES)


def written(folder: Path, ticks: int = 20) -> tuple[Engine, int]:
    engine = new_engine()
    return engine, journal(folder, ticks_of(TradingHistory(engine), ticks))


def test_an_empty_folder_recovers_to_nothing(tmp_path: Path) -> None:
    recovered = recover(tmp_path / "data", new_engine())
    assert (recovered.last_seq, recovered.last_ts, recovered.commands, recovered.torn_bytes) == (0, 0, 0, 0)


def test_replay_gives_the_state_and_the_events_of_the_uninterrupted_run(tmp_path: Path) -> None:
    engine, last_seq = written(tmp_path)
    again = new_engine()
    seen: list[tuple[int, int]] = []
    recovered = recover(tmp_path, again, lambda done, total: seen.append((done, total)))
    assert recovered.last_seq == recovered.commands == last_seq
    assert recovered.last_ts == engine.state.firm[0]["ts"]
    assert state_hash(again.state) == state_hash(engine.state)
    assert seen[-1][0] == seen[-1][1] == sum(s.path.stat().st_size for s in list_segments(tmp_path))


def test_the_kernels_are_awaited_between_the_snapshot_and_the_replay(tmp_path: Path) -> None:
    engine = new_engine()
    history = TradingHistory(engine)
    middle = journal(tmp_path, ticks_of(history, 9))
    save_snapshot(engine, tmp_path)
    journal(tmp_path, (history.tick(12) for _ in range(3)), middle + 1)
    again = new_engine()
    seen: list[int] = []
    recovered = recover(tmp_path, again, None, lambda: seen.append(int(again.state.firm[0]["seq"])))
    assert seen == [recovered.snapshot_seq] == [middle]
    assert 0 <= recovered.snapshot_seconds <= recovered.seconds
    assert state_hash(again.state) == state_hash(engine.state)


def test_two_replays_are_identical_and_change_nothing(tmp_path: Path) -> None:
    _, last_seq = written(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    first, second = replay(tmp_path, SMALL_CAPACITY), replay(tmp_path, SMALL_CAPACITY)
    assert (first.state_hash, first.events_hash) == (second.state_hash, second.events_hash)
    assert first.commands == last_seq
    assert first.events > first.commands
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("after", [1, 7, 19, 20])
def test_a_snapshot_and_the_rest_of_the_journal_give_the_same_state(tmp_path: Path, after: int) -> None:
    engine = new_engine()
    ticks = ticks_of(TradingHistory(engine), 20)
    seq = journal(tmp_path, (next(ticks) for _ in range(after)))
    save_snapshot(engine, tmp_path)
    last_seq = journal(tmp_path, ticks, seq + 1)
    again = new_engine()
    recovered = recover(tmp_path, again)
    assert (recovered.snapshot_seq, recovered.commands) == (seq, last_seq - seq)
    assert recovered.last_seq == last_seq
    assert state_hash(again.state) == state_hash(engine.state)


def test_trading_goes_on_after_recovery_as_if_nothing_had_happened(tmp_path: Path) -> None:
    engine = new_engine()
    history = TradingHistory(engine)
    seq = journal(tmp_path, ticks_of(history, 10))
    save_snapshot(engine, tmp_path)
    history.engine = new_engine()
    recover(tmp_path, history.engine)
    journal(tmp_path, (history.tick(12) for _ in range(10)), seq + 1)
    assert replay(tmp_path, SMALL_CAPACITY).commands == history.engine.state.firm[0]["seq"]


@pytest.mark.parametrize("lost", [1, 100, 700])
def test_a_torn_tail_is_cut_and_the_rest_recovered(tmp_path: Path, lost: int) -> None:
    engine = new_engine()
    ticks = ticks_of(TradingHistory(engine), 20)
    durable = journal(tmp_path, (next(ticks) for _ in range(19)))
    before = state_hash(engine.state)
    last = list(ticks)
    journal(tmp_path, iter(last), durable + 1)
    newest = list_segments(tmp_path)[-1].path
    os.truncate(newest, newest.stat().st_size - lost)
    DurableWatermark(tmp_path, durable).close()  # the crash came before the sync
    cut_engine = new_engine()
    recovered = recover(tmp_path, cut_engine)
    assert recovered.last_seq == durable
    assert recovered.torn_bytes > 0
    assert state_hash(cut_engine.state) == before
    last_seq = journal(tmp_path, iter(last), durable + 1)
    again = recover(tmp_path, new_engine())
    assert (again.last_seq, again.torn_bytes) == (last_seq, 0)


def test_events_that_differ_are_refused_with_the_first_sequence_number(tmp_path: Path) -> None:
    engine = new_engine()
    ticks = list(ticks_of(TradingHistory(engine), 10))
    events = ticks[5][1]
    events["last_price"][3] += 1
    journal(tmp_path, iter(ticks))
    with pytest.raises(RecoveryError, match=rf"at seq {events['seq'][3]} "):
        recover(tmp_path, new_engine())
    with pytest.raises(RecoveryError, match=rf"at seq {events['seq'][3]} "):
        replay(tmp_path, SMALL_CAPACITY)


def test_missing_and_additional_events_are_refused(tmp_path: Path) -> None:
    ticks = list(ticks_of(TradingHistory(new_engine()), 3))
    commands, events = ticks[-1]
    journal(tmp_path / "missing", iter([*ticks[:-1], (commands, events[:-1])]))
    with pytest.raises(RecoveryError, match=rf"at seq {events['seq'][-1]} "):
        recover(tmp_path / "missing", new_engine())
    twice = events[[*range(len(events)), -1]]
    journal(tmp_path / "additional", iter([*ticks[:-1], (commands, twice)]))
    with pytest.raises(RecoveryError, match=rf"at seq {events['seq'][-1]} "):
        recover(tmp_path / "additional", new_engine())


def damaged(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "flipped":
        content[len(content) // 2] ^= 4
    elif how == "truncated":
        del content[-1]
    elif how == "header only":
        del content[10:]
    path.write_bytes(b"" if how == "empty" else content)


@pytest.mark.parametrize("how", ["flipped", "truncated", "header only", "empty"])
def test_a_damaged_snapshot_falls_back_to_the_one_before(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    engine = new_engine()
    ticks = ticks_of(TradingHistory(engine), 20)
    first = journal(tmp_path, (next(ticks) for _ in range(5)))
    save_snapshot(engine, tmp_path)
    second = journal(tmp_path, (next(ticks) for _ in range(5)), first + 1)
    newest = save_snapshot(engine, tmp_path)
    last_seq = journal(tmp_path, ticks, second + 1)
    damaged(newest, how)
    again = new_engine()
    with caplog.at_level(logging.WARNING):
        recovered = recover(tmp_path, again)
    assert newest.name in caplog.text
    assert (recovered.snapshot_seq, recovered.last_seq) == (first, last_seq)
    assert state_hash(again.state) == state_hash(engine.state)
    damaged(snapshot_path(tmp_path, first), how)
    again = new_engine()
    assert recover(tmp_path, again).snapshot_seq == 0
    assert state_hash(again.state) == state_hash(engine.state)


def test_a_snapshot_of_another_kind_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, seq = written(tmp_path, 5)
    path = save_snapshot(engine, tmp_path)
    assert recover(tmp_path, new_engine()).snapshot_seq == seq
    with monkeypatch.context() as patch:
        patch.setattr(snapshots, "FORMAT_VERSION", snapshots.FORMAT_VERSION + 1)
        assert recover(tmp_path, new_engine()).snapshot_seq == 0
    with monkeypatch.context() as patch:
        patch.setattr(snapshots, "_dtypes", lambda: "other")
        assert recover(tmp_path, new_engine()).snapshot_seq == 0
    fewer = Capacity(**{**vars(SMALL_CAPACITY), "open_orders": SMALL_CAPACITY.open_orders - 1})
    assert recover(tmp_path, Engine(fewer)).snapshot_seq == 0
    path.rename(snapshot_path(tmp_path, seq - 1))
    assert recover(tmp_path, new_engine()).snapshot_seq == 0


def test_a_snapshot_with_another_hash_leaves_the_state_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, _ = written(tmp_path, 5)
    with monkeypatch.context() as patch:
        patch.setattr(snapshots, "state_hash", lambda _: "wrong")
        path = save_snapshot(engine, tmp_path)
    again = new_engine()
    with pytest.raises(snapshots.SnapshotUnusable, match="hash"):
        snapshots.load_snapshot(again.state, path, int(engine.state.firm[0]["seq"]))
    empty = allocate(SMALL_CAPACITY)
    for name in PERSISTENT:
        assert getattr(again.state, name).tobytes() == getattr(empty, name).tobytes()


def test_a_snapshot_restores_every_byte(tmp_path: Path) -> None:
    engine, seq = written(tmp_path)
    path = save_snapshot(engine, tmp_path)
    again = new_engine()
    snapshots.load_snapshot(again.state, path, seq)
    for name in PERSISTENT:
        assert getattr(again.state, name).tobytes() == getattr(engine.state, name).tobytes(), name
    whole = sum(getattr(engine.state, name).nbytes for name in PERSISTENT)
    assert path.stat().st_size < whole / 2


def test_a_snapshot_that_cannot_be_finished_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(descriptor: int) -> None:
        raise OSError("no space")

    engine, seq = written(tmp_path, 5)
    before = sorted(tmp_path.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(OSError, match="no space"):
            save_snapshot(engine, tmp_path)
    assert sorted(tmp_path.iterdir()) == before
    save_snapshot(engine, tmp_path)
    assert recover(tmp_path, new_engine()).snapshot_seq == seq


def test_a_snapshot_is_loaded_into_a_new_engine_only(tmp_path: Path) -> None:
    engine, _ = written(tmp_path, 2)
    with pytest.raises(ValueError, match="new engine"):
        recover(tmp_path, engine)


def test_a_journal_that_ends_before_a_snapshot_is_refused_and_kept(tmp_path: Path) -> None:
    engine, seq = written(tmp_path, 10)
    save_snapshot(engine, tmp_path)
    newest = list_segments(tmp_path)[-1].path
    os.truncate(newest, newest.stat().st_size - 1)
    size = newest.stat().st_size
    with pytest.raises(JournalCorrupt, match=f"a snapshot holds seq {seq}"):
        recover(tmp_path, new_engine())
    assert newest.stat().st_size == size


def test_segments_older_than_the_snapshot_may_be_gone(tmp_path: Path) -> None:
    engine, last_seq = written(tmp_path, 20)
    segments = list_segments(tmp_path)
    assert len(segments) >= 3
    snapshot_sealed(tmp_path, new_engine())
    for segment in segments[:-1]:
        segment.path.unlink()
    again = new_engine()
    assert recover(tmp_path, again).last_seq == last_seq
    assert state_hash(again.state) == state_hash(engine.state)
    list_snapshots(tmp_path)[0][1].unlink()
    with pytest.raises(JournalError, match="no usable snapshot"):
        recover(tmp_path, new_engine())


def test_the_snapshotter_covers_sealed_segments_once(tmp_path: Path) -> None:
    written(tmp_path, 20)
    newest = list_segments(tmp_path)[-1]
    newest.path.write_bytes(newest.path.read_bytes()[:-5])  # a server may be writing there
    assert snapshot_sealed(tmp_path, new_engine()) == newest.first_seq - 1
    assert snapshot_sealed(tmp_path, new_engine()) is None
    DurableWatermark(tmp_path, newest.first_seq - 1).close()
    assert recover(tmp_path, new_engine()).snapshot_seq == newest.first_seq - 1


def test_the_snapshotter_leaves_a_newer_snapshot_alone(tmp_path: Path) -> None:
    engine, _ = written(tmp_path, 20)
    save_snapshot(engine, tmp_path)
    assert snapshot_sealed(tmp_path, new_engine()) is None
    assert snapshot_sealed(tmp_path / "nothing", new_engine()) is None


def test_the_snapshotter_works_while_a_server_holds_the_folder(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path, 1, lambda _: None, fail)
    done = subprocess.run(
        [sys.executable, "-m", "app.runtime.snapshotter", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    writer.close()
    assert done.returncode == 0, done.stderr
    assert "no sealed segment" in done.stdout


def test_a_snapshot_says_what_it_is(tmp_path: Path) -> None:
    engine, seq = written(tmp_path, 2)
    content = save_snapshot(engine, tmp_path).read_bytes()
    header = json.loads(content[24 : 24 + int.from_bytes(content[16:24], "little")])
    assert (header["seq"], header["state_hash"]) == (seq, state_hash(engine.state))


def test_a_segment_left_empty_by_a_crash_is_removed(tmp_path: Path) -> None:
    _, last_seq = written(tmp_path, 3)
    path = segment_path(tmp_path, last_seq + 1)
    path.touch()
    assert recover(tmp_path, new_engine()).last_seq == last_seq
    assert not path.exists()


def test_clocks_never_go_back(monkeypatch: pytest.MonkeyPatch) -> None:
    future = 1 << 60
    assert SystemClock(not_before=future).now() == future
    clock, times = SystemClock(), iter([5_000, 7_000, 3_000, 9_000])
    monkeypatch.setattr("time.time_ns", lambda: next(times))
    assert [clock.now() for _ in range(4)] == [5, 7, 7, 9]
    virtual = VirtualClock(10)
    virtual.advance(5)
    virtual.set(20)
    assert virtual.now() == 20
    with pytest.raises(ValueError, match="back"):
        virtual.set(19)
