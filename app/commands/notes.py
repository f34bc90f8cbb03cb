"""Reasons of commands: NOTE commands with the text, directly before the command that they explain."""

from app.commands.records import Value, command
from app.engine.records import NOTE_BYTES
from app.engine.types import CommandKind

# Of one reason; more is refused before it comes here.
NOTES_MAX = 12
REASON_BYTES_MAX = NOTES_MAX * NOTE_BYTES


def note_parts(reason: str, actor: int) -> list[bytes]:
    """NOTE commands with the text of a reason; an empty one needs none."""
    text = reason.encode()
    assert len(text) <= REASON_BYTES_MAX
    chunks = [text[first : first + NOTE_BYTES] for first in range(0, len(text), NOTE_BYTES)]
    return [command(CommandKind.NOTE, length=len(chunk), text=chunk, actor=actor) for chunk in chunks]


def explained(kind: CommandKind, actor: int, reason: str, **fields: Value) -> list[bytes]:
    """The notes, then the command that they explain; the last record has the outcome."""
    notes = note_parts(reason, actor)
    return [*notes, command(kind, actor=actor, notes=len(notes), **fields)]
