"""Database and cache as the server sees them: whatever is wrong with them it is one line, told once."""

import asyncio
import logging
from pathlib import Path

import pytest

from app.embedded import EmbeddedServers
from app.runtime.projections import STARTING, UP
from app.store.dependencies import Dependencies


@pytest.fixture
def given(tmp_path: Path) -> Dependencies:
    """Of servers that are there already: nothing has to be started."""
    return Dependencies(EmbeddedServers(tmp_path, "postgresql://there/bot4", "redis://there"))


def lines(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


def test_how_they_are_is_for_the_projections_to_say(given: Dependencies) -> None:
    assert not given.started.is_set()
    asyncio.run(given.start())
    assert given.started.is_set()
    assert given.status == {"database": STARTING, "redis": STARTING}
    assert (given.database_url, given.redis_url) == ("postgresql://there/bot4", "redis://there")


def test_up_and_down_again(given: Dependencies, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        given.on_change("redis", UP)
        given.on_change("redis", "it was stopped")
        given.on_change("redis", "it was stopped")
        given.on_change("redis", "it is full")
    assert given.status == {"database": STARTING, "redis": "it is full"}
    assert lines(caplog, logging.INFO) == ["redis: up"]
    assert lines(caplog, logging.ERROR) == [
        "redis: it was stopped; orders are served without it",
        "redis: it is full; orders are served without it",
    ]


def test_servers_that_cannot_be_started_are_down_and_the_start_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    found = Dependencies(EmbeddedServers(tmp_path / "file"))
    asyncio.run(found.start())
    assert found.started.is_set()
    assert (found.database_url, found.redis_url) == (None, None)
    assert found.status["database"] == found.status["redis"]
    assert found.status["redis"].startswith("the data folder cannot be used: ")
    assert [line.partition(":")[0] for line in lines(caplog, logging.ERROR)] == ["database", "redis"]


def test_who_waits_for_the_start_is_let_go_when_it_is_broken_off(tmp_path: Path) -> None:
    class Stuck(EmbeddedServers):
        async def start(self) -> None:
            await asyncio.Event().wait()

    async def run() -> None:
        found = Dependencies(Stuck(tmp_path))
        starting = asyncio.create_task(found.start())
        await asyncio.sleep(0)
        assert not found.started.is_set()
        starting.cancel()
        await asyncio.wait_for(found.started.wait(), 10)
        await found.stop()

    asyncio.run(run())
