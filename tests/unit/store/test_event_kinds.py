"""Kinds of events by what the database shows of them: none is lost, and none is shown as two things."""

import numpy as np
import pytest

from app.documents.changes import LIMIT_KINDS
from app.documents.raw_events import ORDER_KINDS
from app.engine.types import EventKind
from app.store import event_kinds
from app.store.event_kinds import IS_AUDITED, IS_LIMIT, IS_ORDER, IS_PROPOSAL, IS_RISK, MOVES_ACCOUNT

# What the engine tells of itself, the clock and the market; nobody has decided it.
UNSEEN = {
    EventKind.NONE,
    EventKind.ORDER_REPLAYED,
    EventKind.MARK_UPDATED,
    EventKind.DAY_STARTED,
    EventKind.TIME_ADVANCED,
    EventKind.NOTE_RECORDED,
    EventKind.MARKS_SAMPLED,
    EventKind.LIMIT_STAGED,
    EventKind.POSITION_SETTLED,
}


def kinds(table: np.ndarray) -> set[EventKind]:
    return {kind for kind in EventKind if table[kind]}


def test_each_kind_is_an_orders_an_administrators_or_not_shown() -> None:
    assert not kinds(IS_ORDER) & kinds(IS_AUDITED)
    assert set(EventKind) - kinds(IS_ORDER) - kinds(IS_AUDITED) == UNSEEN


def test_whatever_shows_a_whole_order_is_an_orders() -> None:
    assert kinds(IS_ORDER) == ORDER_KINDS | {EventKind.EXECUTION_ANOMALY}


def test_what_has_a_table_of_its_own_is_audited_too() -> None:
    assert kinds(IS_PROPOSAL) < kinds(IS_LIMIT) < kinds(IS_AUDITED)
    assert kinds(IS_RISK) < kinds(IS_AUDITED)
    assert not kinds(IS_RISK) & kinds(IS_LIMIT)


def test_limits_are_what_the_documents_say() -> None:
    assert kinds(IS_LIMIT) >= LIMIT_KINDS


@pytest.mark.parametrize("name", ["IS_ORDER", "IS_AUDITED", "IS_LIMIT", "IS_RISK", "MOVES_ACCOUNT"])
def test_each_byte_of_a_kind_can_be_looked_up(name: str) -> None:
    table = getattr(event_kinds, name)
    assert table[np.arange(256, dtype=np.uint8)].dtype == np.bool_


def test_a_kind_that_is_not_known_yet_is_audited_rather_than_lost() -> None:
    unknown = max(EventKind) + 1
    assert IS_AUDITED[unknown]
    assert not IS_ORDER[unknown] and not MOVES_ACCOUNT[unknown]
