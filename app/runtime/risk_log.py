"""Risk log: recent refusals, and recent changes of limits, rules, states and accounts.

A window in memory, bounded in every direction. It is filled by observing the engine's loop, and at
a start from the newest part of the journal. From `complete_since_ts` on nothing is missing. Older
records are in the database.
"""

import logging
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from app.engine.records import EVENT, field_offset
from app.engine.reference import DAY_US
from app.engine.types import EventKind
from app.runtime.breaches import REFUSED_REQUESTS, is_breach
from app.runtime.event_views import ChangeEvent, event_as, note_event
from app.runtime.journal_reader import JournalReader
from app.runtime.segments import JournalError, list_segments
from app.runtime.views import EVENT_BYTES, EventView, event_view

logger = logging.getLogger(__name__)

CHANGES_MAX = 20_000
REFUSALS_MAX = 20_000
DAYS_MAX = 31
COUNTS_MAX = 20_000  # of one day: accounts by code
READ_BACK_BYTES_MAX = 512 << 20
_NOTES_REMEMBERED = 256

CHANGES = frozenset(
    (
        EventKind.LIMIT_SET,
        EventKind.OVERRIDE_SET,
        EventKind.OVERRIDE_ENDED,
        EventKind.CHANGE_PROPOSED,
        EventKind.CHANGE_APPROVED,
        EventKind.CHANGE_REJECTED,
        EventKind.TRADING_STATE_SET,
        EventKind.BREAKER_TRIPPED,
        EventKind.PERMISSION_SET,
        EventKind.POLICY_SET,
        EventKind.RISK_MODEL_SET,
        EventKind.ACCOUNT_SET,
        EventKind.CASH_TRANSFERRED,
    )
)
_NOTE = int(EventKind.NOTE_RECORDED)

_WANTED = CHANGES | REFUSED_REQUESTS | {EventKind.NOTE_RECORDED}
_NOT_WANTED = bytes(kind for kind in range(256) if kind not in _WANTED)
_IS_WANTED = np.array([kind in _WANTED for kind in range(256)])
_TS_OFFSET = field_offset(EVENT, "ts")
_KIND_OFFSET = field_offset(EVENT, "kind")


class Change(NamedTuple):
    """An event of a kind in CHANGES, and the reason given with it."""

    event: ChangeEvent
    reason: str


def change_of(record: bytes, reason: bytes) -> Change:
    """The change in a record of `RiskLog.change_records`."""
    return Change(event_as(ChangeEvent, event_view(record)), reason.decode(errors="replace"))


def event_ts(record: bytes) -> int:
    """The time of an EVENT record."""
    return int.from_bytes(record[_TS_OFFSET : _TS_OFFSET + 8], "little")


class Day:
    """Breaches of one UTC day, by account index and code; `uncounted`: for lack of room."""

    __slots__ = ("counts", "uncounted")

    def __init__(self) -> None:
        self.counts: Counter[tuple[int, int]] = Counter()
        self.uncounted = 0

    def add(self, account: int, code: int) -> None:
        key = (account, code)
        if key in self.counts or len(self.counts) < COUNTS_MAX:
            self.counts[key] += 1
        else:
            self.uncounted += 1


class RiskLog:
    """`complete_since_ts`: older records may be missing; 0: none ever are."""

    def __init__(self) -> None:
        self._changes: deque[tuple[bytes, bytes]] = deque(maxlen=CHANGES_MAX)  # event, reason
        self._refusals: deque[bytes] = deque(maxlen=REFUSALS_MAX)
        self._days: OrderedDict[int, Day] = OrderedDict()
        # The newest TRADING_STATE_SET of each scope, however long ago, and its reason.
        self._states: dict[tuple[int, int, int], tuple[int, bytes]] = {}
        self._notes: deque[tuple[int, bytes]] = deque(maxlen=_NOTES_REMEMBERED)  # seq, text
        self.complete_since_ts = 0

    def read_back(self, folder: Path, bytes_max: int = READ_BACK_BYTES_MAX) -> None:
        """Fill from the journal's newest segments: at most this many bytes, but at least one segment.

        Damage in older segments, which recovery did not read, is left out with everything before it. Call it
        before anything is observed. Raises JournalError if the newest segment is damaged, OSError.
        """
        segments = list_segments(folder)
        if not segments:
            return
        first = len(segments) - 1
        size = segments[first].path.stat().st_size
        while first and (size := size + segments[first - 1].path.stat().st_size) <= bytes_max:
            first -= 1
        while True:
            reader = JournalReader(folder, segments[first].first_seq)
            try:
                self._read(reader, partial=segments[first].first_seq > 1)
                return
            except JournalError as error:
                # In the last segment that begins before what could not be read any more.
                first = sum(segment.first_seq <= reader.last_seq + 1 for segment in segments)
                if first >= len(segments):
                    raise
                logger.error(
                    "the history of limits begins with seq %d, for older files of the journal cannot be "
                    "read (trading has no need of them; restore them from a backup): %s",
                    segments[first].first_seq,
                    error,
                )
                self._forget()

    def _forget(self) -> None:
        for window in (self._changes, self._refusals, self._days, self._states, self._notes):
            window.clear()

    def _read(self, reader: JournalReader, *, partial: bool) -> None:
        for commands, events in reader.batches():
            if partial:
                partial = False
                self.complete_since_ts = int(commands["ts"][0])
            wanted = events[_IS_WANTED[events["kind"]]]
            data = wanted.tobytes()
            self._take(data[at : at + EVENT_BYTES] for at in range(0, len(data), EVENT_BYTES))

    def observe(self, events: bytes) -> None:
        """EVENT records of a tick, durable."""
        kinds = events[_KIND_OFFSET::EVENT_BYTES]
        if kinds.translate(None, _NOT_WANTED):
            wanted = (index * EVENT_BYTES for index, kind in enumerate(kinds) if kind in _WANTED)
            self._take(events[at : at + EVENT_BYTES] for at in wanted)

    def _take(self, records: Iterable[bytes]) -> None:
        for record in records:
            if record[_KIND_OFFSET] == _NOTE:
                note = note_event(record)
                self._notes.append((note.seq, note.text))
                continue
            event = event_view(record)
            if event.kind in CHANGES:
                if len(self._changes) == CHANGES_MAX:
                    oldest = event_view(self._changes[0][0])
                    self.complete_since_ts = max(self.complete_since_ts, oldest.ts + 1)
                reason = self._reason(event)
                self._changes.append((record, reason))
                if event.kind == EventKind.TRADING_STATE_SET:
                    self._states[event.scope, event.account, event.symbol] = (event.ts, reason)
            elif is_breach(event.kind, event.code):
                self._refusals.append(record)
                self._day(event.ts).add(event.account, event.code)

    def _reason(self, event: EventView) -> bytes:
        first = event.seq - event.notes
        return b"".join(text for seq, text in self._notes if first <= seq < event.seq)

    def _day(self, ts: int) -> Day:
        start = ts - ts % DAY_US
        day = self._days.get(start)
        if day is None:
            day = self._days[start] = Day()
            if len(self._days) > DAYS_MAX:
                self._days.popitem(last=False)
        return day

    def day(self, ts: int) -> Day:
        """The breaches of the UTC day in which `ts` lies."""
        return self._days.get(ts - ts % DAY_US) or Day()

    def changes(self) -> Iterator[Change]:
        """Newest first; a copy of the changes so far, which stays as it is while it is read."""
        return (change_of(*each) for each in self.change_records())

    def change_records(self) -> Iterator[tuple[bytes, bytes]]:
        """As `changes`, as EVENT records and reasons."""
        return iter(tuple(reversed(self._changes)))

    def changes_of_kind(self, kind: EventKind) -> Iterator[Change]:
        """Changes of one kind, newest first."""
        for record, reason in reversed(self._changes):
            if record[_KIND_OFFSET] == kind:
                yield change_of(record, reason)

    def state_reason(self, scope: int, account: int, symbol: int, ts: int) -> str | None:
        """The reason given when the scope's trading state was set at `ts`; None where none is known."""
        set_ts, reason = self._states.get((scope, account, symbol), (0, b""))
        return reason.decode(errors="replace") if reason and set_ts == ts else None

    def refusals(self) -> Iterator[EventView]:
        """Refusals of requests that are breaches, newest first.

        A copy of those so far, which stays as it is while it is read.
        """
        return map(event_view, self.refusal_records())

    def refusal_records(self) -> Iterator[bytes]:
        """As `refusals`, as EVENT records."""
        return iter(tuple(reversed(self._refusals)))
