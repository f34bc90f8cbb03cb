"""What operators see of a journal."""

import csv
import io
from itertools import pairwise
from pathlib import Path

import pytest

from app.cli import main
from app.engine.capacity import SMALL_CAPACITY
from app.engine.engine import Engine
from app.engine.types import EventKind
from app.runtime.journal_tools import export_csv, inspect
from app.runtime.segments import JournalCorrupt, list_segments
from app.runtime.snapshots import save_snapshot
from tests.support.journals import TradingHistory, write_ticks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    engine = Engine(SMALL_CAPACITY)
    history = TradingHistory(engine)
    ticks = [history.reference_data(), *(history.tick(12) for _ in range(20))]
    write_ticks(tmp_path, iter(ticks), 1, 20_000)
    save_snapshot(engine, tmp_path)
    return tmp_path


def test_inspect_counts_what_is_there(folder: Path) -> None:
    summary = inspect(folder)
    assert len(summary.segments) > 2
    assert summary.segments[0].first_seq == 1
    for before, after in pairwise(summary.segments):
        assert after.first_seq == before.last_seq + 1
    assert summary.segments[-1].last_seq == summary.snapshots[0][0]
    assert summary.torn is None
    assert summary.events >= summary.segments[-1].last_seq


def test_a_torn_tail_is_told_and_damage_is_refused(folder: Path) -> None:
    newest = list_segments(folder)[-1].path
    content = newest.read_bytes()
    newest.write_bytes(content[:-10])
    torn = inspect(folder).torn
    assert torn is not None
    assert torn.path == newest
    newest.write_bytes(content)
    oldest = list_segments(folder)[0].path
    damaged = bytearray(oldest.read_bytes())
    damaged[200] ^= 1
    oldest.write_bytes(damaged)
    with pytest.raises(JournalCorrupt, match=oldest.name):
        inspect(folder)
    assert main(["journal", "verify", str(folder)]) == 1


@pytest.mark.parametrize("kind", ["events", "commands"])
def test_export_has_every_record_once(folder: Path, kind: str) -> None:
    output = io.StringIO()
    rows = export_csv(folder, kind, 1, 1 << 60, output)
    found = list(csv.DictReader(io.StringIO(output.getvalue())))
    summary = inspect(folder)
    last_seq = summary.segments[-1].last_seq
    assert rows == len(found) == (summary.events if kind == "events" else last_seq)
    assert sorted({int(row["seq"]) for row in found}) == list(range(1, last_seq + 1))
    assert not any(row["kind"].isdigit() for row in found)
    if kind == "events":
        assert {row["kind"] for row in found} >= {EventKind.ORDER_ACCEPTED.name, EventKind.ORDER_FILLED.name}


def test_export_of_a_part_into_a_file(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "part.csv"
    arguments = ["journal", "export", str(folder), "--records", "commands", "--output", str(target)]
    assert main([*arguments, "--from-seq", "50", "--to-seq", "59"]) == 0
    assert "10 commands" in capsys.readouterr().out
    with target.open() as file:
        assert [int(row["seq"]) for row in csv.DictReader(file)] == list(range(50, 60))
    assert main([*arguments]) == 1  # never over a file that is there


def test_inspect_and_verify_on_the_command_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["journal", "inspect", str(folder)]) == 0
    shown = capsys.readouterr().out
    for segment in list_segments(folder):
        assert segment.path.name in shown
    assert main(["journal", "verify", str(folder)]) == 0
    assert capsys.readouterr().out.startswith("sound: ")
