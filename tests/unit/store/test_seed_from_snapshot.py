"""The seed of a new database: what the oldest snapshot knows, where the journal's beginning is gone."""

from pathlib import Path

import numpy as np
import pytest

from app.engine.capacity import SMALL_CAPACITY
from app.engine.engine import Engine
from app.runtime.retention import prune
from app.runtime.segments import JournalError, list_segments
from app.runtime.snapshots import list_snapshots, save_snapshot
from app.store import seed_from_snapshot
from app.store.seed_from_snapshot import first_seq, is_out_of_reach, oldest_replica, state_of
from tests.support.copy_rows import values
from tests.support.journals import ACCOUNTS, TradingHistory, write_ticks

Kept = tuple[Path, list[int]]


def grown(folder: Path, snapshots: tuple[int, ...], ticks: int = 8) -> list[int]:
    """A journal with a segment for each tick, and snapshots after these; their seqs, the oldest first."""
    history = TradingHistory(Engine(SMALL_CAPACITY))
    next_seq, seqs = 1, []
    for number in range(ticks):
        tick = history.reference_data() if number == 0 else history.tick(30)
        next_seq = write_ticks(folder, iter([tick]), next_seq, segment_bytes_max=1) + 1
        if number in snapshots:
            save_snapshot(history.engine, folder)
            seqs.append(next_seq - 1)
    return seqs


@pytest.fixture
def pruned(tmp_path: Path) -> Kept:
    """Without the segments that two snapshots cover."""
    seqs = grown(tmp_path, (3, 5))
    prune(tmp_path, 1 << 60)
    assert list_segments(tmp_path)[0].first_seq > 1
    return tmp_path, seqs


def test_a_whole_journal_is_in_reach_from_anywhere(tmp_path: Path) -> None:
    assert first_seq(tmp_path) == 1, "where there is none yet"
    assert not is_out_of_reach(tmp_path, 0)
    grown(tmp_path, ())
    assert first_seq(tmp_path) == 1
    assert not is_out_of_reach(tmp_path, 0)
    assert not is_out_of_reach(tmp_path, 10**6)


def test_a_database_from_before_the_oldest_snapshot_is_out_of_reach(pruned: Kept) -> None:
    folder, (oldest, newest) = pruned
    assert first_seq(folder) == list_segments(folder)[0].first_seq
    assert is_out_of_reach(folder, 0)
    assert is_out_of_reach(folder, oldest - 1)
    assert not is_out_of_reach(folder, oldest)
    assert not is_out_of_reach(folder, newest)


def test_the_oldest_snapshot_that_is_usable_begins(pruned: Kept, caplog: pytest.LogCaptureFixture) -> None:
    folder, (oldest, newest) = pruned
    assert oldest_replica(folder, SMALL_CAPACITY).seq == oldest
    paths = dict(list_snapshots(folder))
    paths[oldest].write_bytes(b"damaged")
    assert oldest_replica(folder, SMALL_CAPACITY).seq == newest
    assert f"{paths[oldest]} is not used" in caplog.text
    for path in paths.values():
        path.unlink()
    with pytest.raises(JournalError, match=f"begins at seq {first_seq(folder)}, and no usable snapshot"):
        oldest_replica(folder, SMALL_CAPACITY)


@pytest.mark.parametrize("at_once", [1, 7, 10**6])
def test_the_state_is_all_that_the_engine_holds(
    pruned: Kept, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seed_from_snapshot, "ORDERS_AT_ONCE", at_once)
    folder, (oldest, _) = pruned
    replica = oldest_replica(folder, SMALL_CAPACITY)
    *parts, last = list(state_of(replica))
    assert {(part.first_seq, part.last_seq, part.last_ts) for part in (*parts, last)} == {
        (1, oldest, replica.ts)
    }
    assert not any(part.history for part in (*parts, last)), "no history"
    state = replica.engine.state
    known = state.orders["order_id"][state.orders["order_id"] != 0].tolist()
    found = [row["order_id"] for part in parts for row in values(part.new_orders)]
    assert len(known) > 30
    assert sorted(found) == sorted(known)
    held = np.flatnonzero(state.positions["fees"]).tolist()  # each fill had a fee
    assert [(row["account_index"], row["quantity"]) for row in values(last.positions)] == [
        (index, int(state.positions["quantity"][index])) for index in held
    ]
    assert [row[0] for row in last.accounts] == list(range(ACCOUNTS))
    assert len(last.instruments) == 1
