"""The journal's folder is looked after for ever, whatever the system refuses meanwhile."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.runtime import housekeeping
from app.runtime.housekeeping import keep_journal_folder
from app.runtime.retention import DiskBudget

SECONDS_MAX = 30.0


@asynccontextmanager
async def _keeping(folder: Path, journal: Any, budget: DiskBudget) -> AsyncIterator[None]:
    task = asyncio.ensure_future(keep_journal_folder(folder, journal, budget, lambda: 0))
    yield
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _wait_for(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not condition():  # noqa: ASYNC110  # what it waits for has no event
            await asyncio.sleep(0.01)


def test_a_folder_that_is_away_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(housekeeping, "_CHECK_SECONDS", 0.01)
    folder, elsewhere = tmp_path / "journal", tmp_path / "elsewhere"
    folder.mkdir()
    budget = DiskBudget(folder, 0, lambda _: None)

    async def run() -> None:
        async with _keeping(folder, SimpleNamespace(segment_first_seq=1), budget):
            (folder / "file").write_bytes(b"12345")
            await _wait_for(lambda: budget.used_bytes == 5)
            folder.rename(elsewhere)
            await _wait_for(lambda: "could not be looked after" in caplog.text)
            (elsewhere / "file").write_bytes(b"1234567")
            elsewhere.rename(folder)
            await _wait_for(lambda: budget.used_bytes == 7)

    asyncio.run(run())


def test_a_snapshotter_that_cannot_be_started_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(housekeeping, "_CHECK_SECONDS", 0.01)
    caplog.set_level(logging.INFO)
    journal = SimpleNamespace(segment_first_seq=1)
    budget = DiskBudget(tmp_path, 0, lambda _: None)
    python = sys.executable

    async def run() -> None:
        monkeypatch.setattr(sys, "executable", str(tmp_path / "no-such-python"))
        async with _keeping(tmp_path, journal, budget):
            await asyncio.sleep(0.05)
            journal.segment_first_seq = 100
            await _wait_for(lambda: caplog.text.count("could not be looked after") > 1)
            monkeypatch.setattr(sys, "executable", python)
            await _wait_for(lambda: "no sealed segment is without a snapshot" in caplog.text)

    asyncio.run(run())
