"""The journal on disk: what is written comes back, and what cannot be written is not shown."""

import errno
import os
import resource
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.engine.records import EVENT
from app.runtime import journal, segments
from app.runtime.folder_lock import FolderLock
from app.runtime.journal import JournalWriter
from app.runtime.journal_reader import JournalReader, TornTail, cut
from app.runtime.segments import (
    SEGMENT_HEADER,
    JournalCorrupt,
    JournalError,
    JournalIncompatible,
    list_segments,
    segment_path,
)
from tests.support.journals import Journaled, SummingEngine, commands_from, fail, write_journal

ROOT = Path(__file__).parents[3]


def read(folder: Path, from_seq: int = 1, batch: int = 4_096) -> tuple[bytes, bytes, JournalReader]:
    reader = JournalReader(folder, from_seq, batch_commands=batch)
    batches = [(commands.tobytes(), events.tobytes()) for commands, events in reader.batches()]
    return b"".join(batch[0] for batch in batches), b"".join(batch[1] for batch in batches), reader


def frame_offsets(folder: Path, ticks: list[int]) -> list[int]:
    """The sizes of the only segment after each tick, written one by one; the first is the header's."""
    path = segment_path(folder, 1)
    engine, offsets = SummingEngine(), [SEGMENT_HEADER.size]
    for count in ticks:
        write_journal(folder, [count], engine)
        offsets.append(path.stat().st_size)
    return offsets


def test_what_is_appended_is_durable_after_close_and_read_back(tmp_path: Path) -> None:
    journaled = Journaled(tmp_path)
    ticks = [journaled.tick(count) for count in (1, 5, 2, 100)]
    journaled.writer.close()
    journaled.writer.close()
    assert journaled.durable[-1] == journaled.writer.durable_seq == 108
    assert journaled.durable == sorted(set(journaled.durable))
    assert journaled.writer.backlog_bytes == 0
    for batch in (1, 7, 4_096):
        commands, events, reader = read(tmp_path, batch=batch)
        assert commands == b"".join(tick[0] for tick in ticks)
        assert events == b"".join(tick[1] for tick in ticks)
        assert (reader.last_seq, reader.torn) == (108, None)


@pytest.mark.parametrize("from_seq", range(1, 13))
def test_reading_begins_at_any_command_even_inside_a_frame(tmp_path: Path, from_seq: int) -> None:
    write_journal(tmp_path, [2, 5, 4], segment_bytes_max=1)
    commands, events, reader = read(tmp_path, from_seq)
    whole, whole_events, _ = read(tmp_path)
    assert commands == whole[(from_seq - 1) * segments.COMMAND_BYTES :]
    assert whole_events.endswith(events)
    first = np.frombuffer(events, EVENT)["seq"][:1].tolist()
    assert first == ([from_seq] if from_seq <= 11 else [])
    assert reader.last_seq == 11


def test_an_empty_folder_has_no_commands(tmp_path: Path) -> None:
    commands, events, reader = read(tmp_path / "none")
    assert (commands, events, reader.last_seq, reader.torn) == (b"", b"", 0, None)


def test_a_tick_may_have_more_buffers_than_one_writev_takes(tmp_path: Path) -> None:
    journaled = Journaled(tmp_path)
    ticks = [journaled.tick(1) for _ in range(3 * journal.FRAME_TICKS_MAX)]
    journaled.writer.close()
    assert read(tmp_path)[0] == b"".join(tick[0] for tick in ticks)


def test_segments_rotate_between_frames(tmp_path: Path) -> None:
    write_journal(tmp_path, [10] * 6, segment_bytes_max=12_000)
    found = list_segments(tmp_path)
    assert len(found) > 2
    assert [segment.path.name for segment in found] == [f"journal-{s.first_seq:020d}.b4j" for s in found]
    assert read(tmp_path)[2].last_seq == 60
    sealed = JournalReader(tmp_path, sealed_only=True)
    assert sum(len(commands) for commands, _ in sealed.batches()) == found[-1].first_seq - 1


def test_the_writer_rotates_and_shows_it(tmp_path: Path) -> None:
    step = threading.Event()
    writer = JournalWriter(tmp_path, 1, lambda _: step.set(), fail, segment_bytes_max=4_096)
    engine = SummingEngine()
    for seq in range(1, 61, 6):
        commands = commands_from(seq, 6)
        step.clear()
        writer.append(commands.tobytes(), engine.process(commands).tobytes(), seq, seq + 5)
        assert step.wait(30)
    writer.close()
    assert len(list_segments(tmp_path)) == 10
    assert writer.segment_first_seq == 55
    assert read(tmp_path)[2].last_seq == 60


def test_a_frame_larger_than_a_segment_gets_one_for_itself(tmp_path: Path) -> None:
    write_journal(tmp_path, [1, 200, 1], segment_bytes_max=4_096)
    assert [segment.first_seq for segment in list_segments(tmp_path)] == [1, 2, 202]
    assert read(tmp_path)[2].last_seq == 202


@pytest.mark.parametrize(
    ("commands", "events", "first_seq", "last_seq"),
    [(3, 3, 2, 4), (3, 3, 1, 2), (3, 3, 1, 4), (0, 0, 1, 0), (3, 0.5, 1, 3)],
)
def test_numbers_that_do_not_fit_are_refused(
    tmp_path: Path, commands: int, events: float, first_seq: int, last_seq: int
) -> None:
    journaled = Journaled(tmp_path)
    with pytest.raises(ValueError, match="journal"):
        journaled.writer.append(
            bytes(commands * segments.COMMAND_BYTES),
            bytes(int(events * segments.EVENT_BYTES)),
            first_seq,
            last_seq,
        )
    journaled.tick()
    journaled.writer.close()
    assert read(tmp_path)[2].last_seq == 3


def test_the_queue_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def slow(descriptor: int) -> None:
        released.wait(30)
        os.fsync(descriptor)

    journaled = Journaled(tmp_path, queue_bytes_max=5_000)
    monkeypatch.setattr(journal, "sync_data", slow)  # not before: a new segment is synced at once
    while not journaled.writer.full:
        journaled.tick()
    assert journaled.writer.backlog_bytes >= 5_000
    with pytest.raises(BufferError, match="full"):
        journaled.tick()
    assert journaled.durable == []
    released.set()
    journaled.writer.close()
    assert journaled.writer.backlog_bytes == 0
    seq = journaled.writer.durable_seq + 1
    with pytest.raises(BufferError, match="closed"):
        journaled.writer.append(bytes(segments.COMMAND_BYTES), b"", seq, seq)


def test_torn_at_every_byte_of_the_last_frame(tmp_path: Path) -> None:
    offsets = frame_offsets(tmp_path, [2, 3, 1])
    path = segment_path(tmp_path, 1)
    whole = path.read_bytes()
    for size in range(offsets[-2] + 1, offsets[-1]):
        path.write_bytes(whole[:size])
        commands, _, reader = read(tmp_path)
        assert len(commands) == 5 * segments.COMMAND_BYTES
        assert reader.torn == TornTail(path, offsets[-2], size - offsets[-2])
    cut(TornTail(path, offsets[-2], 1))
    assert path.read_bytes() == whole[: offsets[-2]]


@pytest.mark.parametrize("filler", [b"\0", b"\xff", b"B4FR", b"garbage!"])
def test_a_tail_of_anything_but_frames_is_torn(tmp_path: Path, filler: bytes) -> None:
    write_journal(tmp_path, [2, 3])
    path = segment_path(tmp_path, 1)
    end = path.stat().st_size
    with path.open("ab") as file:
        file.write(filler * 5_000)
    reader = read(tmp_path)[2]
    assert (reader.last_seq, reader.torn) == (5, TornTail(path, end, 5_000 * len(filler)))


@pytest.mark.parametrize("content", [b"", b"BOT4", bytes(64), bytes(10_000)])
def test_a_segment_that_was_just_being_created_is_torn(tmp_path: Path, content: bytes) -> None:
    engine = write_journal(tmp_path, [2, 3])
    path = segment_path(tmp_path, 6)
    path.write_bytes(content)
    reader = read(tmp_path)[2]
    assert reader.last_seq == 5
    assert reader.torn == TornTail(path, 0, len(content))
    cut(reader.torn)
    assert not path.exists()
    write_journal(tmp_path, [4], engine)
    assert read(tmp_path)[2].last_seq == 9


def test_damage_in_the_middle_is_refused_with_file_and_offset(tmp_path: Path) -> None:
    offsets = frame_offsets(tmp_path, [2, 3, 1])
    path = segment_path(tmp_path, 1)
    whole = bytearray(path.read_bytes())
    whole[offsets[1] + 40] ^= 1
    path.write_bytes(whole)
    with pytest.raises(JournalCorrupt, match=rf"{path.name}: offset {offsets[1]}: .* offset {offsets[2]}"):
        read(tmp_path)


def test_a_torn_segment_before_another_is_refused(tmp_path: Path) -> None:
    write_journal(tmp_path, [2, 3], segment_bytes_max=1)
    path = segment_path(tmp_path, 1)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(JournalCorrupt, match=rf"{path.name}: offset 64: .*later segments"):
        read(tmp_path)


def test_missing_commands_are_refused(tmp_path: Path) -> None:
    write_journal(tmp_path, [2, 3, 4], segment_bytes_max=1)
    segment_path(tmp_path, 3).unlink()
    with pytest.raises(JournalCorrupt, match="a segment is missing"):
        read(tmp_path)
    segment_path(tmp_path, 1).unlink()
    with pytest.raises(JournalError, match="begins at seq 6"):
        JournalReader(tmp_path)


def test_a_missing_frame_is_refused(tmp_path: Path) -> None:
    offsets = frame_offsets(tmp_path, [2, 3, 1])
    path = segment_path(tmp_path, 1)
    whole = path.read_bytes()
    path.write_bytes(whole[: offsets[1]] + whole[offsets[2] :])
    with pytest.raises(JournalCorrupt, match="commands are missing"):
        read(tmp_path)


def test_a_renamed_segment_is_refused(tmp_path: Path) -> None:
    write_journal(tmp_path, [2])
    segment_path(tmp_path, 1).rename(segment_path(tmp_path, 3))
    with pytest.raises(JournalCorrupt, match="first seq 1"):
        read(tmp_path, from_seq=3)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("FORMAT_VERSION", 2, "format 1, this build reads format 2"),
        ("COMMANDS_FINGERPRINT", bytes(16), "COMMAND records differ"),
        ("EVENTS_FINGERPRINT", bytes(16), "EVENT records differ"),
    ],
)
def test_a_journal_of_another_build_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: object, message: str
) -> None:
    write_journal(tmp_path, [2])
    monkeypatch.setattr(segments, name, value)
    with pytest.raises(JournalIncompatible, match=message):
        read(tmp_path)
    with pytest.raises(JournalIncompatible, match=message):
        JournalWriter(tmp_path, 3, lambda _: None, fail)
    FolderLock(tmp_path).release()


def test_the_fingerprint_sees_names_types_and_places() -> None:
    layouts: list[list[Any]] = [
        [("a", "i8"), ("b", "i8")],
        [("b", "i8"), ("a", "i8")],
        [("a", "i8"), ("b", "u8")],
        [("a", "i8"), ("b", "u8", (2,))],
        [("a", "i4"), ("b", "i8")],
    ]
    assert len({segments.fingerprint(np.dtype(layout, align=True)) for layout in layouts}) == len(layouts)


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real file takes everything at once, so the system calls here take less than they are given."""
    real_write = os.write

    def short_writev(descriptor: int, buffers: list[bytes]) -> int:
        return real_write(descriptor, b"".join(buffers)[:37])

    def short_write(descriptor: int, data: bytes) -> int:
        return real_write(descriptor, data[:1_000])

    monkeypatch.setattr(os, "writev", short_writev)
    monkeypatch.setattr(os, "write", short_write)
    journaled = Journaled(tmp_path)
    ticks = [journaled.tick(20) for _ in range(5)]
    journaled.writer.close()
    monkeypatch.undo()
    assert read(tmp_path)[:2] == (b"".join(t[0] for t in ticks), b"".join(t[1] for t in ticks))


def test_a_failing_sync_takes_the_frame_back_and_ends_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journaled = Journaled(tmp_path)
    journaled.tick(4)
    journaled.writer.close()
    size = segment_path(tmp_path, 1).stat().st_size

    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    journaled = Journaled(tmp_path, next_seq=5)
    monkeypatch.setattr(journal, "sync_data", broken)
    for _ in range(5):
        journaled.tick(2)
    journaled.writer.close()
    assert [error.errno for error in journaled.errors] == [errno.EIO]
    assert journaled.writer.failed
    assert (journaled.durable, journaled.writer.durable_seq) == ([], 4)
    assert segment_path(tmp_path, 1).stat().st_size == size


def test_a_segment_that_cannot_be_created_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journaled = Journaled(tmp_path, segment_bytes_max=1)
    journaled.tick(4)
    journaled.writer.close()

    def broken(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    journaled = Journaled(tmp_path, next_seq=5, segment_bytes_max=1 << 20)
    monkeypatch.setattr(journal, "sync_folder", broken)
    journaled.writer._segment_bytes_max = 1
    journaled.tick(2)
    journaled.writer.close()
    assert [error.errno for error in journaled.errors] == [errno.ENOSPC]
    assert [segment.first_seq for segment in list_segments(tmp_path)] == [1]
    assert read(tmp_path)[2].last_seq == 4


def _fill_up(folder: Path) -> None:
    """Runs in a process whose files may not grow past 100,000 bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    journaled = Journaled(folder)
    while not journaled.errors:
        journaled.tick(10)
    for _ in range(10):
        journaled.tick(10)
    journaled.writer.close()
    assert [error.errno for error in journaled.errors] == [errno.EFBIG], journaled.errors
    print(journaled.writer.durable_seq)


def test_a_full_disk_halts_and_a_restart_goes_on(tmp_path: Path) -> None:
    program = """
        from pathlib import Path
        from tests.unit.runtime.test_journal import _fill_up
        _fill_up(Path({folder!r}))
    """
    code = textwrap.dedent(program).format(folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    acknowledged = int(done.stdout)
    reader = read(tmp_path)[2]
    assert (reader.last_seq, reader.torn) == (acknowledged, None)
    journaled = Journaled(tmp_path, next_seq=acknowledged + 1)
    journaled.tick(7)
    journaled.writer.close()
    assert journaled.errors == []
    assert read(tmp_path)[2].last_seq == acknowledged + 7
