"""Reasons: text that explains a command: why a limit was changed, or trading stopped.

A text is one or more NOTE commands directly before the command that it explains; `notes` of that
command is their number. So the reason is as durable, and as much in order, as the command.
"""

from app.engine.emission import emit
from app.engine.jit import inline
from app.engine.records import NOTE_BYTES, NOTE_WORDS
from app.engine.state import State
from app.engine.types import EventKind


@inline
def record_note(st: State, i: int) -> None:
    note = st.note_commands[i]
    at = emit(st, EventKind.NOTE_RECORDED)
    event = st.note_events[at]
    event.length = min(note.length, NOTE_BYTES)
    for word in range(NOTE_WORDS):
        event.text[word] = note.text[word]
    event.actor = note.actor
