"""What is kept of refusals and changes: by observing, and read back from a journal, the same."""

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from app.engine.codes import Code
from app.engine.reference import DAY_US
from app.engine.types import EventKind, Limit, Scope, TradingState
from app.runtime import risk_log
from app.runtime.event_views import LimitEvent
from app.runtime.risk_log import RiskLog
from app.runtime.segments import FRAME_HEADER, SEGMENT_HEADER, JournalCorrupt, list_segments
from tests.support.engine import BUY, Desk, desk, limit, note, pack, place, trading_state
from tests.support.journals import write_ticks

ACTOR = 7


def _observed() -> tuple[Desk, RiskLog]:
    """A tightened limit with a reason of two notes, and three refusals by it."""
    made, log = desk(), RiskLog()
    change = limit(Limit.MAX_ORDER_QUANTITY, 10**8, Scope.ACCOUNT, 0)
    commands = [note(b"w" * 88), note(b"hy"), replace(change, notes=2, actor=ACTOR)]
    commands += [place(0, 0, BUY, 2, 1_000), place(0, 0, BUY, 3, 1_000), place(0, 0, BUY, 1, 1_000)]
    commands.append(place(0, 0, BUY, 2, -5))  # a mistake, no breach
    log.observe(made.engine.process(pack(made.stamp(commands))).tobytes())
    made.ts += DAY_US
    log.observe(made.engine.process(pack(made.stamp([place(0, 0, BUY, 9, 1_000)]))).tobytes())
    return made, log


def test_changes_with_reasons_and_refusals_by_day() -> None:
    made, log = _observed()
    (change,) = log.changes()
    assert (change.event.kind, change.event.actor) == (EventKind.LIMIT_SET, ACTOR)
    assert change.reason == "w" * 88 + "hy"
    assert [event.observed for event in log.refusals()] == [9 * 10**8, 3 * 10**8, 2 * 10**8]
    code = int(Code.MAX_ORDER_QUANTITY)
    assert dict(log.day(made.ts).counts) == {(0, code): 1}
    assert dict(log.day(made.ts - DAY_US).counts) == {(0, code): 2}
    assert not log.day(made.ts + DAY_US).counts
    assert log.complete_since_ts == 0


def test_read_back_from_a_journal(tmp_path: Path) -> None:
    made, log = _observed()
    records = pack(made.log)
    again = Desk()
    ticks = [(tick, again.engine.process(tick).copy()) for tick in (records[:5], records[5:])]
    write_ticks(tmp_path, iter(ticks), 1, 1 << 20)
    read = RiskLog()
    read.read_back(tmp_path / "nothing there")
    read.read_back(tmp_path)
    newest = next(log.changes())
    assert newest in list(read.changes())
    assert list(read.refusals()) == list(log.refusals())
    assert dict(read.day(made.ts).counts) == dict(log.day(made.ts).counts)
    assert read.complete_since_ts == 0


@pytest.mark.parametrize("damaged", [0, 1, 2])
def test_old_damage_costs_old_history_only(
    tmp_path: Path, damaged: int, caplog: pytest.LogCaptureFixture
) -> None:
    made, log = _observed()
    for value in range(4):
        made.ts += DAY_US
        made.send(limit(Limit.MAX_ORDER_QUANTITY, value, Scope.ACCOUNT, 0))
    records, again = pack(made.log), Desk()
    parts = [records[:5], *(records[at : at + 1] for at in range(5, len(records)))]
    write_ticks(tmp_path, ((part, again.engine.process(part).copy()) for part in parts), 1, 1)
    segments = list_segments(tmp_path)
    path = segments[damaged].path
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    log.read_back(tmp_path)
    following = segments[damaged + 1].first_seq
    newest = [cast(LimitEvent, change.event) for change in log.changes()][:4]
    assert [event.new_value for event in newest] == [3, 2, 1, 0]
    assert all(change.event.seq >= following for change in log.changes())
    assert log.complete_since_ts == int(records["ts"][following - 1])
    assert str(path) in caplog.text and f"begins with seq {following}" in caplog.text


def test_damage_in_the_newest_segment_is_not_passed_over(tmp_path: Path) -> None:
    made, log = _observed()
    records, again = pack(made.log), Desk()
    parts = [records[:5], records[5:6], records[6:]]
    write_ticks(tmp_path, ((part, again.engine.process(part).copy()) for part in parts), 1, 1 << 20)
    path = list_segments(tmp_path)[0].path
    content = bytearray(path.read_bytes())
    content[SEGMENT_HEADER.size + FRAME_HEADER.size] ^= 1
    path.write_bytes(content)
    with pytest.raises(JournalCorrupt):
        log.read_back(tmp_path)


def test_the_reason_of_a_state_outlives_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(risk_log, "CHANGES_MAX", 2)
    made, log = desk(), RiskLog()
    halt = replace(trading_state(TradingState.HALTED, Scope.ACCOUNT, 0), notes=1, actor=ACTOR)
    changes = [limit(Limit.MAX_ORDER_QUANTITY, value, Scope.ACCOUNT, 0) for value in range(5)]
    commands = pack(made.stamp([note(b"enough"), halt, *changes]))
    events = made.engine.process(commands).copy()
    log.observe(events.tobytes())
    since = int(made.engine.state.accounts[0]["state_ts"])
    assert all(change.event.kind == EventKind.LIMIT_SET for change in log.changes())
    assert log.state_reason(Scope.ACCOUNT, 0, -1, since) == "enough"
    assert log.state_reason(Scope.ACCOUNT, 0, -1, since + 1) is None, "it was set again, by whom is not known"
    assert log.state_reason(Scope.FIRM, -1, -1, since) is None


def test_windows_are_bounded_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(risk_log, "CHANGES_MAX", 3)
    monkeypatch.setattr(risk_log, "DAYS_MAX", 2)
    made, log = desk(), RiskLog()
    for value in range(5):
        made.ts += DAY_US
        commands = [limit(Limit.MAX_ORDER_QUANTITY, value, Scope.ACCOUNT, 0), place(0, 0, BUY, 2, 1_000)]
        log.observe(made.engine.process(pack(made.stamp(commands))).tobytes())
    assert [cast(LimitEvent, change.event).new_value for change in log.changes()] == [4, 3, 2]
    assert log.complete_since_ts == made.ts - 3 * DAY_US + 1
    assert log.day(made.ts).counts and log.day(made.ts - DAY_US).counts
    assert not log.day(made.ts - 2 * DAY_US).counts
