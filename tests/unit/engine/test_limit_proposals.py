"""Requests that a second person decides: who may, as a whole, and only while what they replace stands."""

from dataclasses import replace
from typing import Any

import pytest

from app.engine.capacity import SMALL_CAPACITY
from app.engine.codes import Code
from app.engine.types import CommandKind, EventKind, Limit, Policy, Scope
from app.runtime.event_views import LimitEvent, ProposalEvent, event_as
from app.runtime.views import EventView
from tests.support import engine as engine_support
from tests.support.engine import FIRST_TS, Command, Desk, advance, decision, limit, override, policy, proposal

ALICE, BOB = 7, 8
S = 1_000_000
LATER = FIRST_TS + 60 * S
ACCOUNT: dict[str, Any] = {"scope": Scope.ACCOUNT, "account": 0}
QUANTITY, NOTIONAL = Limit.MAX_ORDER_QUANTITY, Limit.MAX_ORDER_NOTIONAL
APPROVE, REJECT = CommandKind.APPROVE_CHANGE, CommandKind.REJECT_CHANGE


def desk() -> Desk:
    """One where an account has a limit of 100 on quantities, and loosening takes two."""
    made = engine_support.desk()
    made.send(advance(), limit(QUANTITY, 100, **ACCOUNT), policy(Policy.MAKER_CHECKER, 1))
    return made


def propose(made: Desk, *values: tuple[Limit, int], actor: int = ALICE, **more: Any) -> list[EventView]:
    last = len(values) - 1
    parts = [
        proposal(which, value, **ACCOUNT, actor=actor, remaining=last - at, **more)
        for at, (which, value) in enumerate(values)
    ]
    return made.send(*parts)[last:]


def proposed(made: Desk, *values: tuple[Limit, int], **more: Any) -> int:
    """The number of a request that was taken."""
    events = [event_as(ProposalEvent, event) for event in propose(made, *values, **more)]
    assert [event.kind for event in events] == [EventKind.CHANGE_PROPOSED] * len(values)
    (request,) = {event.request_id for event in events}
    return request


def code_of(event: EventView) -> Code:
    return Code(event.code) if event.kind == EventKind.COMMAND_REJECTED else Code.NONE


def approve(made: Desk, request: int, actor: int = BOB) -> Code:
    return code_of(made.send(decision(APPROVE, request, actor))[0])


def value_of(made: Desk, which: Limit = QUANTITY) -> int:
    return int(made.engine.state.account_limits[0]["value"][which])


def test_without_a_second_person_nothing_loosens() -> None:
    made = desk()
    looser, tighter = (replace(limit(QUANTITY, value, **ACCOUNT), actor=ALICE) for value in (101, 99))
    assert code_of(made.one(looser)) == Code.SECOND_PERSON_REQUIRED
    assert code_of(made.one(tighter)) == Code.NONE
    assert value_of(made) == 99


def test_a_request_takes_effect_when_somebody_else_approves_all_of_it() -> None:
    made = desk()
    version = int(made.engine.state.account_limits[0]["version"])
    request = proposed(made, (QUANTITY, 200), (NOTIONAL, 5_000))
    assert value_of(made) == 100
    *changed, closed = made.send(decision(APPROVE, request, BOB))
    limits = [event_as(LimitEvent, event) for event in changed]
    assert [(e.kind, e.limit_number, e.new_value, e.old_value) for e in limits] == [
        (EventKind.LIMIT_SET, QUANTITY, 200, 100),
        (EventKind.LIMIT_SET, NOTIONAL, 5_000, -1),
    ]
    assert {event.version for event in limits} == {version + 1}
    decided = event_as(ProposalEvent, closed)
    assert (decided.kind, decided.request_id, decided.actor) == (EventKind.CHANGE_APPROVED, request, BOB)
    assert (value_of(made), value_of(made, NOTIONAL)) == (200, 5_000)


def test_its_maker_may_withdraw_but_not_approve_it() -> None:
    made = desk()
    request = proposed(made, (QUANTITY, 200))
    assert approve(made, request, ALICE) == Code.MAKER_CANNOT_APPROVE
    assert made.one(decision(REJECT, request, ALICE)).kind == EventKind.CHANGE_REJECTED
    assert approve(made, request) == Code.CHANGE_CLOSED
    assert value_of(made) == 100


@pytest.mark.parametrize("kind", [APPROVE, REJECT])
def test_a_request_is_decided_once_and_by_its_number(kind: CommandKind) -> None:
    made = desk()
    request = proposed(made, (QUANTITY, 200), (NOTIONAL, 5_000))
    for stranger in (0, -1, request + 1, request + 2):  # the second part has a number, but is no request
        assert code_of(made.one(decision(kind, stranger, BOB))) == Code.UNKNOWN_CHANGE
    assert code_of(made.send(decision(kind, request, BOB))[0]) == Code.NONE
    assert code_of(made.one(decision(kind, request, BOB))) == Code.CHANGE_CLOSED


def test_what_has_changed_meanwhile_makes_it_stale() -> None:
    made = desk()
    request = proposed(made, (QUANTITY, 200))
    made.send(limit(QUANTITY, 90, **ACCOUNT))
    assert approve(made, request) == Code.CHANGE_STALE
    assert value_of(made) == 90
    assert made.one(decision(REJECT, request, BOB)).kind == EventKind.CHANGE_REJECTED


@pytest.mark.parametrize(("late", "code"), [(0, Code.NONE), (1, Code.CHANGE_STALE)])
def test_it_waits_for_so_long(late: int, code: Code) -> None:
    made = desk()
    made.send(policy(Policy.CHANGE_LIFETIME_US, 60 * S))
    request = proposed(made, (QUANTITY, 200))
    made.ts += 60 * S + late
    assert approve(made, request) == code


@pytest.mark.parametrize(
    ("values", "more", "code"),
    [
        (((QUANTITY, 200),), {"actor": 0}, Code.INVALID_VALUE),  # the system asks nobody
        (((QUANTITY, -1),), {}, Code.INVALID_VALUE),
        (((QUANTITY, 200),), {"expected_version": 1}, Code.STALE_VERSION),
        (
            ((QUANTITY, 200), (NOTIONAL, 5)),
            {"expires_ts": 2 * 10**15},
            Code.INVALID_VALUE,
        ),  # of one limit alone
    ],
)
def test_what_nobody_is_asked_to_decide(
    values: tuple[tuple[Limit, int], ...], more: dict[str, Any], code: Code
) -> None:
    made = desk()
    assert [code_of(event) for event in propose(made, *values, **more)] == [code]
    assert value_of(made) == 100
    assert made.engine.state.firm[0]["last_change"] == 0


def test_an_override_may_be_proposed() -> None:
    made = desk()
    request = proposed(made, (QUANTITY, 200), expires_ts=made.ts + 60 * S)
    first, closed = made.send(decision(APPROVE, request, BOB))
    assert (first.kind, closed.kind) == (EventKind.OVERRIDE_SET, EventKind.CHANGE_APPROVED)
    assert value_of(made) == 200
    made.ts += 60 * S
    made.send(advance())
    assert value_of(made) == 100
    late = proposed(made, (QUANTITY, 200), expires_ts=made.ts + S)
    made.ts += S
    assert approve(made, late) == Code.CHANGE_STALE, "its time is over before it began"


def test_there_is_room_for_so_many_that_wait() -> None:
    made = desk()
    requests = [proposed(made, (QUANTITY, 200 + number)) for number in range(SMALL_CAPACITY.limit_changes)]
    assert [code_of(event) for event in propose(made, (QUANTITY, 300))] == [Code.CHANGE_CAPACITY]
    made.one(decision(REJECT, requests[3], BOB))
    again = proposed(made, (QUANTITY, 300))
    assert approve(made, requests[3]) == Code.UNKNOWN_CHANGE, "its place was needed"
    assert approve(made, again) == Code.NONE


def test_an_override_needs_a_second_person_too() -> None:
    made = desk()
    command: Command = override(QUANTITY, 200, made.ts + S, **ACCOUNT)
    assert code_of(made.one(replace(command, actor=ALICE))) == Code.SECOND_PERSON_REQUIRED
