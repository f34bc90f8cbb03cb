"""A journal and a snapshot of an earlier build are read by this one, to the same state and the same events.

They are of revision 92a87c7: 1,800 commands of the simulation's traffic, of every kind, with what the paper
venue reported, and a snapshot in the middle. A change of a record or of a rule that cannot read them has to
bring a migration.
"""

import json
import lzma
from pathlib import Path

import pytest

from app.engine.capacity import Capacity
from app.engine.engine import Engine
from app.engine.state import state_hash
from app.runtime.recovery import recover
from app.runtime.snapshots import load_newest_snapshot

OLD = Path(__file__).parents[2] / "data" / "journal_before_the_house"
CAPACITY = Capacity(
    accounts=8,
    symbols=4,
    orders=1 << 12,
    open_orders=1 << 11,
    fills=1 << 12,
    overrides=12,
    limit_changes=16,
    commands=256,
    events=512,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for packed in OLD.glob("*.xz"):
        (tmp_path / packed.stem).write_bytes(lzma.decompress(packed.read_bytes()))
    return tmp_path


def expected() -> dict[str, str | int]:
    content: dict[str, str | int] = json.loads((OLD / "expected.json").read_text())
    return content


def test_an_old_snapshot_is_loaded(folder: Path) -> None:
    engine = Engine(CAPACITY)
    assert load_newest_snapshot(engine, folder) == expected()["snapshot_seq"]
    assert state_hash(engine.state) == expected()["snapshot_hash"]


@pytest.mark.parametrize("with_snapshot", [True, False], ids=["behind a snapshot", "from the beginning"])
def test_an_old_journal_is_replayed_event_by_event(folder: Path, with_snapshot: bool) -> None:
    if not with_snapshot:
        for snapshot in folder.glob("snapshot-*"):
            snapshot.unlink()
    engine = Engine(CAPACITY)
    recovered = recover(folder, engine)
    assert recovered.last_seq == expected()["last_seq"]
    begin = expected()["snapshot_seq"] if with_snapshot else 0
    assert recovered.commands == int(recovered.last_seq) - int(begin)
    assert state_hash(engine.state) == expected()["state_hash"]
