"""Whatever happens to a journal's bytes, a command is never read that was not written so."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from app.runtime.journal_reader import JournalReader
from app.runtime.segments import FRAME_MAGIC, JournalError, list_segments
from tests.support.journals import write_journal

TICKS = st.lists(st.integers(1, 6), min_size=1, max_size=6)


@contextmanager
def journal_of(ticks: list[int], segment_bytes_max: int) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        write_journal(Path(name), ticks, segment_bytes_max=segment_bytes_max)
        yield Path(name)


def read(folder: Path) -> tuple[bytes, bytes, JournalReader]:
    reader = JournalReader(folder)
    commands, events = bytearray(), bytearray()
    for batch in reader.batches():
        commands += batch[0].tobytes()
        events += batch[1].tobytes()
    return bytes(commands), bytes(events), reader


def is_refused_or_cut(folder: Path, whole: tuple[bytes, bytes], last_tick: int) -> bool:
    """Refused, or all but the last frame comes back and that one is reported as torn."""
    try:
        commands, events, reader = read(folder)
    except JournalError:
        return True
    kept = len(whole[0]) // 128 - last_tick
    return (
        reader.torn is not None
        and len(commands) == kept * 128
        and whole[0].startswith(commands)
        and whole[1].startswith(events)
        and reader.last_seq == kept
    )


def test_every_single_bit_matters() -> None:
    with journal_of([1, 2, 1, 1], 2_000) as folder:
        whole = read(folder)[:2]
        assert len(list_segments(folder)) == 2
        for segment in list_segments(folder):
            content = bytearray(segment.path.read_bytes())
            for bit in range(8 * len(content)):
                if bit % 83 and bit // 8 > 64 + 32:
                    continue  # of the payload a sample is enough
                content[bit // 8] ^= 1 << bit % 8
                segment.path.write_bytes(content)
                assert is_refused_or_cut(folder, whole, 1), (segment.path.name, bit)
                content[bit // 8] ^= 1 << bit % 8
            segment.path.write_bytes(content)
        assert read(folder)[:2] == whole


@settings(max_examples=60, deadline=None)
@given(TICKS, st.integers(1, 6_000), st.data())
def test_overwritten_bytes_are_refused_or_cut(
    ticks: list[int], segment_bytes_max: int, data: st.DataObject
) -> None:
    with journal_of(ticks, segment_bytes_max) as folder:
        whole = read(folder)[:2]
        segment = data.draw(st.sampled_from(list_segments(folder)))
        content = bytearray(segment.path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        noise = data.draw(st.binary(min_size=1, max_size=40))[: len(content) - at]
        if content[at : at + len(noise)] == noise:
            return
        last_frame = content.rfind(FRAME_MAGIC)
        content[at : at + len(noise)] = noise
        segment.path.write_bytes(content)
        try:
            commands, events, reader = read(folder)
        except JournalError:
            return
        # Only what reaches into the last frame can look as if a crash had torn it.
        assert at + len(noise) > last_frame
        assert segment == list_segments(folder)[-1]
        assert reader.torn is not None
        assert reader.torn.path == segment.path and reader.torn.offset <= at
        assert len(commands) < len(whole[0]) and whole[0].startswith(commands)
        assert whole[1].startswith(events)


@settings(max_examples=60, deadline=None)
@given(TICKS, st.integers(1, 6_000), st.data())
def test_a_shortened_journal_is_refused_or_a_prefix(
    ticks: list[int], segment_bytes_max: int, data: st.DataObject
) -> None:
    with journal_of(ticks, segment_bytes_max) as folder:
        whole = read(folder)[:2]
        segments = list_segments(folder)
        segment = data.draw(st.sampled_from(segments))
        content = segment.path.read_bytes()
        segment.path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
        try:
            commands, events, _ = read(folder)
        except JournalError:
            assert segment is not segments[-1]
            return
        assert segment is segments[-1]
        assert len(commands) // 128 in {sum(ticks[:count]) for count in range(len(ticks))}
        assert whole[0].startswith(commands)
        assert whole[1].startswith(events)


@settings(max_examples=40, deadline=None)
@given(TICKS, st.integers(1, 6_000), st.integers(1, 30), st.data())
def test_every_cut_into_batches_reads_the_same(
    ticks: list[int], segment_bytes_max: int, batch: int, data: st.DataObject
) -> None:
    with journal_of(ticks, segment_bytes_max) as folder:
        whole = read(folder)[:2]
        from_seq = data.draw(st.integers(1, sum(ticks) + 1))
        reader = JournalReader(folder, from_seq, batch_commands=batch)
        batches = list(reader.batches())
        commands = b"".join(commands.tobytes() for commands, _ in batches)
        assert commands == whole[0][(from_seq - 1) * 128 :]
        assert whole[1].endswith(b"".join(events.tobytes() for _, events in batches))
        for commands_of_batch, events in batches:
            assert set(commands_of_batch["seq"].tolist()) == set(events["seq"].tolist())
