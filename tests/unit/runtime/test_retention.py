"""Files of the journal go only when recovery and every projection can do without them."""

from pathlib import Path

import pytest

from app.engine.capacity import SMALL_CAPACITY
from app.engine.engine import Engine
from app.engine.state import state_hash
from app.runtime.recovery import recover
from app.runtime.replay import replay
from app.runtime.retention import DiskBudget, DiskState, Pruned, prune
from app.runtime.segments import list_segments
from app.runtime.snapshots import list_snapshots, save_snapshot
from tests.support.journals import TradingHistory, write_ticks

SEGMENT_BYTES = 20_000


def journal_with_snapshots(folder: Path, snapshots: int) -> tuple[Engine, list[int]]:
    """Ten ticks before each snapshot and ten after the last; the engine and the snapshots' seqs."""
    engine = Engine(SMALL_CAPACITY)
    history = TradingHistory(engine)
    seq = write_ticks(folder, iter([history.reference_data()]), 1, SEGMENT_BYTES)
    seqs = []
    for part in range(snapshots + 1):
        seq = write_ticks(folder, (history.tick(12) for _ in range(10)), seq + 1, SEGMENT_BYTES)
        if part < snapshots:
            save_snapshot(engine, folder)
            seqs.append(seq)
    return engine, seqs


def first_seqs(folder: Path) -> list[int]:
    return [segment.first_seq for segment in list_segments(folder)]


def test_nothing_goes_while_one_snapshot_alone_would_stand_for_it(tmp_path: Path) -> None:
    journal_with_snapshots(tmp_path, 1)
    before = sorted(tmp_path.iterdir())
    assert prune(tmp_path, 1 << 60) == Pruned(0, 0, 0)
    assert sorted(tmp_path.iterdir()) == before


def test_what_the_second_newest_snapshot_covers_goes(tmp_path: Path) -> None:
    engine, seqs = journal_with_snapshots(tmp_path, 4)
    before = first_seqs(tmp_path)
    pruned = prune(tmp_path, 1 << 60)
    assert [seq for seq, _ in list_snapshots(tmp_path)] == [seqs[3], seqs[2]]
    left = first_seqs(tmp_path)
    assert left[0] <= seqs[2] + 1 < left[1]
    assert (pruned.snapshots, pruned.segments) == (2, len(before) - len(left))
    assert pruned.segments > 0

    # Even with the newest snapshot damaged, all is still there.
    list_snapshots(tmp_path)[0][1].write_bytes(b"damaged")
    again = Engine(SMALL_CAPACITY)
    assert recover(tmp_path, again).snapshot_seq == seqs[2]
    assert state_hash(again.state) == state_hash(engine.state)
    # And a replay begins where the journal now does.
    result = replay(tmp_path, SMALL_CAPACITY)
    assert (result.from_seq, result.state_hash) == (seqs[2] + 1, state_hash(engine.state))


@pytest.mark.parametrize("behind", [0, 1])
def test_a_projection_keeps_the_snapshot_that_it_would_begin_with(tmp_path: Path, behind: int) -> None:
    _, seqs = journal_with_snapshots(tmp_path, 5)
    passed = seqs[1] + 1 - behind  # with 1 exactly at the snapshot
    prune(tmp_path, passed)
    assert [seq for seq, _ in list_snapshots(tmp_path)] == [seqs[4], seqs[3], seqs[1]]
    assert first_seqs(tmp_path)[0] <= seqs[1] + 1 < first_seqs(tmp_path)[1]


def test_a_projection_that_is_before_all_snapshots_keeps_the_whole_journal(tmp_path: Path) -> None:
    _, seqs = journal_with_snapshots(tmp_path, 4)
    before = first_seqs(tmp_path)
    assert prune(tmp_path, seqs[0] - 1).segments == 0
    assert first_seqs(tmp_path) == before
    assert [seq for seq, _ in list_snapshots(tmp_path)] == [seqs[3], seqs[2]]


def test_the_disk_budget_tells_each_state_once(tmp_path: Path) -> None:
    told: list[DiskState] = []
    budget = DiskBudget(tmp_path, 1_000, told.append)
    steps = [(799, DiskState.OK), (800, DiskState.ALARM), (999, DiskState.ALARM), (1_000, DiskState.REACHED)]
    for size, state in [*steps, (10, DiskState.OK)]:
        (tmp_path / "file").write_bytes(bytes(size))
        assert (budget.look(), budget.used_bytes) == (state, size)
    assert told == [DiskState.ALARM, DiskState.REACHED, DiskState.OK]


def test_no_budget_is_never_reached(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(10_000))
    assert DiskBudget(tmp_path, 0, lambda _: None).look() == DiskState.OK
