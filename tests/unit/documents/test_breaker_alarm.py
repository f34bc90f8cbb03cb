"""The breaker alarm: one line in the log for each breaker that trips, and none for anything else."""

import logging

import numpy as np
import pytest

from app.documents.breaker_alarm import BreakerAlarm
from app.engine.records import EVENT
from app.engine.types import EventKind, Limit, Scope
from app.runtime.reference import Reference
from tests.support.engine import BUY, Desk, bought, desk, limit, mark, pack, place, working


@pytest.fixture
def losing() -> Desk:
    """Two accounts, each long ten at 1,000, that may lose 500 a day."""
    made = desk()
    for account in range(2):
        bought(made, 10, 1_000, account=account)
        made.send(limit(Limit.DAILY_LOSS, 500, Scope.ACCOUNT, account))
    return made


def alarmed(made: Desk, events: bytes, caplog: pytest.LogCaptureFixture) -> list[str]:
    with caplog.at_level(logging.WARNING):
        BreakerAlarm(Reference.from_state(made.engine.state)).observe(events)
    return [record.getMessage() for record in caplog.records]


def test_each_breaker_that_trips_is_told(losing: Desk, caplog: pytest.LogCaptureFixture) -> None:
    working(losing, place(0, 0, BUY, 5, 990))
    events = losing.engine.process(pack(losing.stamp([mark(0, 940)]))).tobytes()
    first, second = alarmed(losing, events, caplog)
    assert first.startswith("breaker tripped: account:account-0 ")
    assert "by DAILY_LOSS, observed 0.000006, limit 0.000005" in first
    assert f"seq {losing.seq}" in first
    assert second.startswith("breaker tripped: account:account-1 ")
    assert "open orders: 0 rest, 0 to end" in second
    assert "open orders: 0 rest, 0 to end" not in first, "its order is told of"


def test_breakers_that_trip_one_after_the_other_are_all_told(
    losing: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    events = losing.engine.process(pack(losing.stamp([mark(0, 940)])))
    tripped = events[events["kind"] == EventKind.BREAKER_TRIPPED]
    assert len(alarmed(losing, tripped.tobytes(), caplog)) == 2


def test_a_tick_without_a_breaker_is_silent(losing: Desk, caplog: pytest.LogCaptureFixture) -> None:
    events = losing.engine.process(pack(losing.stamp([mark(0, 950), place(0, 0, BUY, 1, 900)])))
    assert len(events) >= 2
    assert alarmed(losing, events.tobytes(), caplog) == []
    assert alarmed(losing, b"", caplog) == []


def test_only_the_kind_is_looked_at(caplog: pytest.LogCaptureFixture) -> None:
    events = np.full(3 * EVENT.itemsize, EventKind.BREAKER_TRIPPED, np.uint8).view(EVENT)
    events["kind"] = EventKind.ORDER_OPENED
    assert alarmed(desk(), events.tobytes(), caplog) == []
