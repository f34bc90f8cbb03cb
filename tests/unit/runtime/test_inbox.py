"""The inbox: what it takes, in which order it gives it back, and when it refuses."""

import time

import pytest

from app.codec.match_replies import PLAIN
from app.engine.types import CommandKind
from app.runtime.inbox import INBOX_COMMANDS_MAX, Inbox
from app.runtime.outcomes import Replies
from app.runtime.retention import DiskState
from app.runtime.unavailable import EngineHalted, Overloaded, StorageFull
from tests.support.engine import Command, pack

_MAY_ADD_RISK = {CommandKind.PLACE_ORDER, CommandKind.AMEND_ORDER}


class _Waiter:
    form = PLAIN

    def __init__(self) -> None:
        self.first = self.count = -1
        self.errors: list[Exception] = []

    def answer(self, _replies: Replies, _number: int) -> None:
        raise AssertionError("an inbox answers nobody")

    def fail(self, error: Exception) -> None:
        self.errors.append(error)


def _records(*kinds: CommandKind) -> bytes:
    return pack(Command(kind, order_id=number) for number, kind in enumerate(kinds)).tobytes()


_PLACE = _records(CommandKind.PLACE_ORDER)
_CANCEL = _records(CommandKind.CANCEL_ORDER)


def _inbox() -> Inbox:
    return Inbox(lambda: False)


def _take(inbox: Inbox) -> tuple[bytes, list[object]]:
    records, waiters = inbox.take()
    return bytes(records), list(waiters)


def test_commands_come_out_in_the_order_in_which_they_came() -> None:
    inbox, waiters = _inbox(), [_Waiter() for _ in range(3)]
    batch = _records(CommandKind.NOTE, CommandKind.SET_LIMIT)
    for waiter, records in zip(waiters, (_PLACE, batch, _CANCEL), strict=True):
        inbox.put(waiter, records)
    assert inbox.count == 4
    assert _take(inbox) == (_PLACE + batch + _CANCEL, waiters)
    assert [(waiter.first, waiter.count) for waiter in waiters] == [(0, 1), (1, 2), (3, 1)]


def test_taking_empties_it() -> None:
    inbox, waiter = _inbox(), _Waiter()
    inbox.put(_Waiter(), _PLACE)
    inbox.take()
    assert inbox.count == 0
    assert _take(inbox) == (b"", [])
    inbox.put(waiter, _CANCEL)
    assert _take(inbox) == (_CANCEL, [waiter])
    assert waiter.first == 0


def test_only_the_first_command_since_it_was_emptied_calls_for_a_tick() -> None:
    inbox = _inbox()
    assert [inbox.put(_Waiter(), _PLACE) for _ in range(3)] == [True, False, False]
    inbox.take()
    assert inbox.put(_Waiter(), _PLACE)


def test_it_knows_since_when_its_first_command_waits() -> None:
    inbox = _inbox()
    before = time.perf_counter_ns()
    inbox.put(_Waiter(), _PLACE)
    between = time.perf_counter_ns()
    inbox.put(_Waiter(), _PLACE)
    assert before <= inbox.first_ns <= between
    inbox.take()
    inbox.put(_Waiter(), _PLACE)
    assert inbox.first_ns >= between


def test_what_does_not_fit_as_a_whole_is_refused_as_a_whole() -> None:
    inbox = _inbox()
    inbox.put(_Waiter(), _PLACE * (INBOX_COMMANDS_MAX - 1))
    late = _Waiter()
    with pytest.raises(Overloaded):
        inbox.put(late, _PLACE * 2)
    assert (inbox.count, inbox.overloads, late.first) == (INBOX_COMMANDS_MAX - 1, 1, -1)
    inbox.put(_Waiter(), _CANCEL)
    with pytest.raises(Overloaded):
        inbox.put(late, _CANCEL)
    assert inbox.overloads == 2
    records, waiters = _take(inbox)
    assert records == _PLACE * (INBOX_COMMANDS_MAX - 1) + _CANCEL
    assert late not in waiters
    inbox.put(late, _PLACE)


def test_nothing_is_taken_while_the_journal_is_full() -> None:
    full = True
    inbox = Inbox(lambda: full)
    with pytest.raises(Overloaded):
        inbox.put(_Waiter(), _CANCEL)
    assert (inbox.count, inbox.overloads) == (0, 1)
    full = False
    assert inbox.put(_Waiter(), _CANCEL)


def test_nothing_is_taken_once_it_is_closed() -> None:
    inbox, waiter = _inbox(), _Waiter()
    inbox.put(waiter, _PLACE)
    inbox.closed = True
    with pytest.raises(EngineHalted):
        inbox.put(_Waiter(), _CANCEL)
    assert _take(inbox) == (_PLACE, [waiter])


@pytest.mark.parametrize("kind", [kind for kind in CommandKind if kind])
def test_with_the_disk_budget_used_up_only_what_may_add_risk_is_refused(kind: CommandKind) -> None:
    inbox = _inbox()
    inbox.on_disk_state(DiskState.REACHED)
    if kind in _MAY_ADD_RISK:
        with pytest.raises(StorageFull):
            inbox.put(_Waiter(), _records(kind))
        with pytest.raises(StorageFull):
            inbox.put(_Waiter(), _CANCEL + _records(kind))
        assert (inbox.count, inbox.overloads) == (0, 0)
    else:
        inbox.put(_Waiter(), _records(kind))
        assert inbox.count == 1


@pytest.mark.parametrize("state", [state for state in DiskState if state != DiskState.REACHED])
def test_with_room_on_disk_again_orders_are_taken(state: DiskState) -> None:
    inbox = _inbox()
    inbox.on_disk_state(DiskState.REACHED)
    inbox.on_disk_state(state)
    assert inbox.put(_Waiter(), _PLACE)


def test_who_waits_is_told_once_that_nothing_will_come() -> None:
    inbox, waiters, error = _inbox(), [_Waiter(), _Waiter()], EngineHalted("gone")
    for waiter in waiters:
        inbox.put(waiter, _PLACE)
    inbox.fail(error)
    inbox.fail(error)
    assert [waiter.errors for waiter in waiters] == [[error], [error]]
    assert inbox.count == 0
