"""Alarms are raised once, cleared once, and what changed can be read afterwards."""

import logging

import pytest

from app.runtime.alarms import CHANGES_MAX, Alarms


def test_only_changes_count(caplog: pytest.LogCaptureFixture) -> None:
    moments = iter(range(100, 200))
    alarms = Alarms(lambda: next(moments))
    seen: list[list[str]] = []
    alarms.observe(lambda: seen.append(list(alarms.active)))
    with caplog.at_level(logging.INFO):
        alarms.set("lag", False, "nothing is wrong")
        alarms.set("lag", True, "40 s behind")
        alarms.set("lag", True, "41 s behind")
        alarms.set("disk", True, "full")
        alarms.set("lag", False, "0 s behind")
    assert seen == [["lag"], ["lag", "disk"], ["disk"]]
    assert [(change.number, change.name, change.raised, change.ts) for change in alarms.changes] == [
        (1, "lag", True, 100),
        (2, "disk", True, 101),
        (3, "lag", False, 102),
    ]
    assert alarms.active["disk"].text == "full"
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("ERROR", "alarm lag raised: 40 s behind"),
        ("ERROR", "alarm disk raised: full"),
        ("INFO", "alarm lag cleared: 0 s behind"),
    ]


def test_few_are_remembered() -> None:
    alarms = Alarms(lambda: 0)
    for number in range(2 * CHANGES_MAX):
        alarms.set("lag", number % 2 == 0, "")
    assert [change.number for change in alarms.changes][:: CHANGES_MAX - 1] == [
        CHANGES_MAX + 1,
        2 * CHANGES_MAX,
    ]
