"""A projection's child is watched, started again, and leaves nothing open when it ends."""

import asyncio
import gc
import os
import sys
import time
from pathlib import Path

import pytest
import uvloop

from app.runtime.projections import (
    STARTING,
    UP,
    ProjectionProcess,
    ProjectionStatus,
    read_status,
    write_status,
)


def test_a_report_that_is_missing_or_damaged_says_nothing_was_passed(tmp_path: Path) -> None:
    assert read_status(tmp_path, "x").seq == 0
    status = ProjectionStatus(seq=7, error=None, reported=1.5)
    write_status(tmp_path, "x", status)
    assert read_status(tmp_path, "x") == status
    (tmp_path / "projection-x.json").write_text("{")
    assert read_status(tmp_path, "x").seq == 0


def test_one_that_does_not_move_is_behind_however_few_commands_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.runtime.projections.LAG_SECONDS_ALARM", 0.05)
    monkeypatch.setattr("app.runtime.projections.LAG_SEQ_ALARM", 100)
    projection = ProjectionProcess("x", tmp_path, [], {})
    told: list[tuple[bool, str]] = []
    projection.on_alarm = lambda alarm, text: told.append((alarm, text))

    def look(seq: int, lag_seq: int) -> bool:
        projection.status = ProjectionStatus(seq=seq, lag_seq=lag_seq)
        projection._look_at_lag(projection.status)
        return projection.alarm

    assert look(5, 101), "too many commands"
    assert not look(6, 3)
    time.sleep(0.06)
    assert look(6, 3), "three commands, for too long"
    assert not look(7, 3), "it goes on"
    time.sleep(0.06)
    assert not look(7, 0), "it is not behind at all"
    assert [alarm for alarm, _ in told] == [True, False, True, False, False]
    assert told[0][1].startswith("the x projection is 101 commands and 0.0 s behind")


def test_a_child_that_ends_is_started_again_and_one_that_runs_is_stopped(tmp_path: Path) -> None:
    told: list[str] = []
    script = "import sys, os; open('again', 'x').close() if not os.path.exists('again') else sys.stdin.read()"
    child = [sys.executable, "-c", f"import os; os.chdir({str(tmp_path)!r}); {script}"]

    async def run() -> None:
        projection = ProjectionProcess("x", tmp_path, child, dict(os.environ), told.append)
        running = asyncio.ensure_future(projection.run())
        while not projection.restarts:  # noqa: ASYNC110  # it has no event
            await asyncio.sleep(0.05)
        write_status(tmp_path, "x", ProjectionStatus(seq=9, error=None, reported=time.time()))
        while projection.passed_seq != 9:
            projection.hand_over(b"12345678", 1)
            await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
    gc.collect()  # what was left open would be warned of here
    told = [state for state in told if state != STARTING]  # it may take longer to start than a look
    assert told[0].startswith("the x projection ended (0)")
    assert told[-1] == UP
