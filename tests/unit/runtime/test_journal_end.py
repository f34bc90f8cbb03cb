"""A journal that ends before what was durable is refused: at the start, and by whoever looks at it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.cli import main
from app.engine.capacity import SMALL_CAPACITY
from app.engine.engine import Engine
from app.runtime.durable_watermark import DurableWatermark, marked_seq
from app.runtime.journal_tools import inspect, sound_end, verify
from app.runtime.recovery import RecoveryError, recover
from app.runtime.replay import rehearse_start, replay
from app.runtime.segments import JournalCorrupt, list_segments
from app.runtime.snapshots import save_snapshot, snapshot_path
from tests.support.journals import TradingHistory, write_ticks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Some segments, and the mark at their end, as a server leaves them."""
    history = TradingHistory(Engine(SMALL_CAPACITY))
    write_ticks(tmp_path, iter([history.reference_data(), *(history.tick(12) for _ in range(20))]), 1, 20_000)
    assert marked_seq(tmp_path) == inspect(tmp_path).last_seq
    return tmp_path


def _cut_the_last_segment(folder: Path) -> None:
    with list_segments(folder)[-1].path.open("r+b") as file:
        file.truncate(10)


def _cut_the_last_frame(folder: Path) -> None:
    path = list_segments(folder)[-1].path
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 1)


def _remove_the_last_segment(folder: Path) -> None:
    list_segments(folder)[-1].path.unlink()


def _remove_all_segments(folder: Path) -> None:
    for segment in list_segments(folder):
        segment.path.unlink()


def _cut_the_only_segment(folder: Path) -> None:
    for segment in list_segments(folder)[1:]:
        segment.path.unlink()
    _cut_the_last_segment(folder)


def _move_the_mark(folder: Path) -> None:
    DurableWatermark(folder, inspect(folder).last_seq + 7).close()


@pytest.mark.parametrize(
    "harm",
    [
        _cut_the_last_segment,
        _cut_the_last_frame,
        _remove_the_last_segment,
        _remove_all_segments,
        _cut_the_only_segment,
        _move_the_mark,
    ],
)
def test_durable_commands_that_are_missing(
    folder: Path, harm: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    harm(folder)
    marked = marked_seq(folder)
    assert marked is not None
    missing = marked - inspect(folder).last_seq
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    for look in (
        lambda: recover(folder, Engine(SMALL_CAPACITY)),
        lambda: verify(folder),
        lambda: rehearse_start(folder, SMALL_CAPACITY),
        lambda: replay(folder, SMALL_CAPACITY),
        lambda: sound_end(folder),
    ):
        with pytest.raises(JournalCorrupt, match=f"{missing} durable commands are missing") as error:
            look()
        assert "\n" not in str(error.value) and "Restore" in str(error.value)
    assert main(["journal", "verify", "--no-replay", str(folder)]) == 1
    told = capsys.readouterr()
    assert "durable commands are missing" in told.err and "sound" not in told.out
    assert {path.name: path.read_bytes() for path in folder.iterdir()} | files == files, "nothing is cut"


def test_without_a_mark_the_end_is_taken_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A copy file by file has none; a crash at the very first start can leave it empty."""
    _remove_the_last_segment(folder)
    for content in (None, b""):
        (folder / "durable").unlink(missing_ok=True)
        if content is not None:
            (folder / "durable").write_bytes(content)
        assert main(["journal", "verify", "--no-replay", str(folder)]) == 0
        assert "no durable mark" in capsys.readouterr().out
        assert recover(folder, Engine(SMALL_CAPACITY)).last_seq == inspect(folder).last_seq


@pytest.mark.parametrize("content", [b"\x01", b"\0" * 16, b"\xff" * 8])
def test_a_damaged_mark_is_refused(folder: Path, content: bytes) -> None:
    (folder / "durable").write_bytes(content)
    for look in (lambda: recover(folder, Engine(SMALL_CAPACITY)), lambda: verify(folder)):
        with pytest.raises(JournalCorrupt, match="durable is damaged"):
            look()


def test_a_torn_tail_that_nobody_was_told_of_is_cut_as_ever(folder: Path) -> None:
    with list_segments(folder)[-1].path.open("ab") as file:
        file.write(b"B4FR half a frame")
    assert recover(folder, Engine(SMALL_CAPACITY)).torn_bytes == 17


def test_verify_replays_and_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["journal", "verify", str(folder)]) == 0
    commands = inspect(folder).last_seq
    assert f"replayed: {commands} commands from the first on" in capsys.readouterr().out
    assert main(["journal", "verify", "--no-replay", str(folder)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("sound: ") and "not replayed" in told


def test_a_journal_that_a_start_would_refuse_is_not_sound(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every byte is sound, but this build says something else: the events are those of other prices."""
    other = tmp_path_factory.mktemp("other")
    history = TradingHistory(Engine(SMALL_CAPACITY))
    ticks = [history.reference_data(), *(history.tick(12) for _ in range(5))]
    commands, events = ticks[-1]
    changed = events.copy()
    changed["ts"][-1] += 1
    ticks[-1] = (commands, changed)
    write_ticks(other, iter(ticks), 1, 1 << 20)
    with pytest.raises(RecoveryError, match="replay differs"):
        rehearse_start(other, SMALL_CAPACITY)
    assert main(["journal", "verify", str(other)]) == 1
    told = capsys.readouterr()
    assert "replay differs" in told.err and "sound" not in told.out


def test_folders_named_like_files_of_the_journal(folder: Path) -> None:
    snapshot_path(folder, 999_999).mkdir()
    (folder / "journal-00000000000000999999.b4j").mkdir()
    assert recover(folder, Engine(SMALL_CAPACITY)).last_seq == inspect(folder).last_seq
    assert verify(folder).snapshots == ()


def test_a_snapshot_that_cannot_be_read_is_none(folder: Path) -> None:
    engine = Engine(SMALL_CAPACITY)
    end = recover(folder, engine).last_seq
    path = save_snapshot(engine, folder)
    path.unlink()
    path.symlink_to(path)  # a loop: not even root can open it
    assert recover(folder, Engine(SMALL_CAPACITY)).last_seq == end
