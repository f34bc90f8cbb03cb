"""Journal tools for operators: a journal's contents, its soundness, and its records as CSV.

Read-only, also beside a running server: a frame that is being written at the end looks like a torn
tail and is reported as one.
"""

import csv
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from app.engine.codes import Code
from app.engine.records import COMMAND, EVENT
from app.engine.types import (
    CommandKind,
    EventKind,
    Liquidity,
    OrderStatus,
    OrderType,
    ReportKind,
    Scope,
    SelfTradePrevention,
    Side,
    TimeInForce,
)
from app.runtime.durable_watermark import check_end, marked_seq
from app.runtime.journal_reader import JournalReader, TornTail
from app.runtime.plain_text import cell
from app.runtime.segments import Segment, list_segments
from app.runtime.snapshots import list_snapshots

Records = NDArray[np.void]


_NAMES: dict[str, dict[int, str]] = {
    "side": {member: member.name for member in Side},
    "type": {member: member.name for member in OrderType},
    "status": {member: member.name for member in OrderStatus},
    "time_in_force": {member: member.name for member in TimeInForce},
    "self_trade_prevention": {member: member.name for member in SelfTradePrevention},
    "liquidity": {member: member.name for member in Liquidity},
    "scope": {member: member.name for member in Scope},
    "report": {member: member.name for member in ReportKind},
}
_KINDS = {
    "commands": {int(member): member.name for member in CommandKind},
    "events": {int(member): member.name for member in EventKind},
}
_CODES = {int(member): member.name for member in Code}


@dataclass(frozen=True)
class SegmentSummary:
    path: Path
    bytes: int
    first_seq: int
    last_seq: int  # first_seq - 1 in a segment without commands
    events: int
    first_ts: int  # microseconds since the epoch; 0 without commands
    last_ts: int


@dataclass(frozen=True)
class JournalSummary:
    segments: tuple[SegmentSummary, ...]
    snapshots: tuple[tuple[int, Path], ...]  # seq and file, newest first
    torn: TornTail | None
    marked: int | None = None  # the last command that was on disk by the mark, where there is one

    @property
    def last_seq(self) -> int:
        return self.segments[-1].last_seq if self.segments else 0

    @property
    def events(self) -> int:
        return sum(segment.events for segment in self.segments)


def segment_lines(summary: JournalSummary) -> Iterator[str]:
    """A table for people, one line a segment; times are UTC."""
    yield f"{'segment':36} {'bytes':>12} {'first seq':>14} {'last seq':>14} {'events':>12}  from, to"
    for each in summary.segments:
        numbers = f"{each.bytes:>12} {each.first_seq:>14} {each.last_seq:>14} {each.events:>12}"
        yield f"{each.path.name:36} {numbers}  {_time(each.first_ts)}, {_time(each.last_ts)}"
    if summary.torn is not None:
        yield f"incomplete tail: {summary.torn.size} bytes at offset {summary.torn.offset}"


def snapshot_lines(summary: JournalSummary) -> Iterator[str]:
    for seq, path in summary.snapshots:
        yield f"{path.name:36} {path.stat().st_size:>12} {'':>14} {seq:>14}"


def _time(ts: int) -> str:
    return datetime.fromtimestamp(ts / 1e6, UTC).isoformat(timespec="milliseconds") if ts else "-"


def inspect(folder: Path) -> JournalSummary:
    """Read every frame, checking all of it: CRC, sequence numbers, layout of the records.

    Raises JournalError, which names the file and the offset.
    """
    marked = marked_seq(folder)  # first: a server beside this one only moves it forward
    segments = list_segments(folder)
    if not segments:
        return JournalSummary((), tuple(list_snapshots(folder)), None, marked)
    found = [_Contents(segment) for segment in segments]
    first_seqs = [segment.first_seq for segment in segments]
    reader = JournalReader(folder, first_seqs[0])
    for commands, events in reader.batches():  # a batch never spans two segments
        found[bisect_right(first_seqs, int(commands["seq"][0])) - 1].add(commands, events)
    summaries = tuple(contents.summary() for contents in found)
    return JournalSummary(summaries, tuple(list_snapshots(folder)), reader.torn, marked)


def verify(folder: Path) -> JournalSummary:
    """As `inspect`, and checks that no durable command is missing at the end. Raises JournalError."""
    summary = inspect(folder)
    check_end(folder, summary.last_seq, summary.marked)
    return summary


def sound_end(folder: Path) -> int:
    """The last readable command, without a torn tail; 0 in an empty journal.

    Raises JournalError, also when durable commands are missing.
    """
    marked = marked_seq(folder)
    segments = list_segments(folder)
    reader = JournalReader(folder, segments[-1].first_seq if segments else 1)
    for _ in reader.batches():
        pass
    check_end(folder, reader.last_seq, marked)
    return reader.last_seq


class _Contents:
    """One segment's summary while it is read."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._last_seq = segment.first_seq - 1
        self._events = self._first_ts = self._last_ts = 0

    def add(self, commands: Records, events: Records) -> None:
        self._first_ts = self._first_ts or int(commands["ts"][0])
        self._last_ts = int(commands["ts"][-1])
        self._last_seq = int(commands["seq"][-1])
        self._events += len(events)

    def summary(self) -> SegmentSummary:
        path = self._segment.path
        return SegmentSummary(
            path=path,
            bytes=path.stat().st_size,
            first_seq=self._segment.first_seq,
            last_seq=self._last_seq,
            events=self._events,
            first_ts=self._first_ts,
            last_ts=self._last_ts,
        )


def export_csv(folder: Path, kind: str, from_seq: int, to_seq: int, output: TextIO) -> int:
    """Write the events or commands of `from_seq` to `to_seq` as CSV; returns the number of rows.

    Columns are the fields of EVENT or COMMAND: raw integers in the engine's units, enumerations and codes by
    name, client order ids as text. A command that carries reference data is written through the order's
    columns at the same offsets. Raises JournalError.
    """
    segments = list_segments(folder)
    begin = max(from_seq, segments[0].first_seq if segments else 1)
    columns = [name for name in ((EVENT if kind == "events" else COMMAND).names or ()) if name[0] != "_"]
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(columns)
    rows = 0
    for commands, events in JournalReader(folder, begin).batches():
        records = events if kind == "events" else commands
        records = records[records["seq"] <= to_seq]
        writer.writerows(_rows(records, columns, _KINDS[kind]))
        rows += len(records)
        if int(commands["seq"][-1]) >= to_seq:
            break
    return rows


def _rows(records: Records, columns: list[str], kinds: dict[int, str]) -> Iterator[tuple[Any, ...]]:
    return zip(*(_column(records, name, kinds) for name in columns), strict=True)


def _column(records: Records, name: str, kinds: dict[int, str]) -> list[Any]:
    if name == "client_order_id":
        raw = np.ascontiguousarray(records[name])
        size = raw.dtype.itemsize * raw.shape[1]
        texts = raw.view(np.uint8).reshape(len(records), size)
        return [_text(row.tobytes()) for row in texts]
    values: list[int] = records[name].tolist()
    if name == "kind":
        return [kinds.get(value, value) for value in values]
    if name == "code":
        return [_CODES.get(value, value) if value else "" for value in values]
    names = _NAMES.get(name)
    return values if names is None else [names.get(value, value) for value in values]


def _text(raw: bytes) -> str:
    """A client order id; empty if the record's kind has other bytes in its place."""
    text = raw.rstrip(b"\0").decode("utf-8", "replace")
    return str(cell(text)) if text.isprintable() else ""
