"""Reasons: texts of any length that arrive whole, directly before what they explain."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.commands.notes import NOTES_MAX, REASON_BYTES_MAX, explained, note_parts
from app.engine.records import NOTE_BYTES
from app.engine.types import CommandKind
from tests.support.command_records import read


@given(st.text(max_size=REASON_BYTES_MAX // 4))
def test_notes_hold_the_whole_text(reason: str) -> None:
    notes = [read(part) for part in note_parts(reason, 7)]
    padded = b"".join(note.get("text", b"").ljust(note["length"], b"\0") for note in notes)
    assert padded.decode() == reason
    assert [note["length"] for note in notes[:-1]] == [NOTE_BYTES] * (len(notes) - 1)
    for note in notes:
        assert note["kind"] == CommandKind.NOTE
        assert note["actor"] == 7


def test_a_reason_has_room_for_so_many_notes() -> None:
    assert len(note_parts("x" * REASON_BYTES_MAX, 0)) == NOTES_MAX
    with pytest.raises(AssertionError):
        note_parts("x" * (REASON_BYTES_MAX + 1), 0)


def test_the_explained_command_comes_last_and_counts_its_notes() -> None:
    *notes, last = explained(CommandKind.SET_POLICY, 3, "why " * 50, value=1)
    assert notes == note_parts("why " * 50, 3)
    assert read(last) == {"kind": CommandKind.SET_POLICY, "actor": 3, "notes": 3, "value": 1}
    assert explained(CommandKind.SET_POLICY, 3, "", value=1) != [last]
    (alone,) = explained(CommandKind.SET_POLICY, 3, "", value=1)
    assert read(alone) == {"kind": CommandKind.SET_POLICY, "actor": 3, "value": 1}
