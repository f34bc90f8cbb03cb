"""Requests for limits, overrides and proposals: all or nothing, for a while, or with a second person."""

from dataclasses import replace
from typing import Any

import pytest

from app.engine.capacity import REQUEST_LIMITS_MAX
from app.engine.codes import Code
from app.engine.limit_overrides import OVERRIDE_US_MAX
from app.engine.types import CommandKind, EventKind, Limit, OverrideEnd, Policy, Scope
from app.runtime.event_views import ChangeEvent, LimitEvent, ProposalEvent, event_as
from app.runtime.views import EventView
from tests.support import engine as engine_support
from tests.support.engine import (
    BUY,
    Command,
    Desk,
    advance,
    decision,
    limit,
    note,
    override,
    place,
    policy,
    proposal,
)

ALICE, BOB = 7, 8
SECOND = 1_000_000
QUANTITY = 10 * 10**8  # ten steps
ACCOUNT: dict[str, Any] = {"scope": Scope.ACCOUNT, "account": 0}


def desk() -> Desk:
    """One whose day has begun already."""
    made = engine_support.desk()
    made.send(advance())
    return made


def refused(event: EventView, code: Code) -> None:
    assert (EventKind(event.kind), Code(event.code)) == (EventKind.COMMAND_REJECTED, code)


def request(made: Desk, *parts: Command, version: int = 0, actor: int = 0) -> list[EventView]:
    """Parts of one request in a row; the events of the last."""
    count = len(parts)
    commands = [
        replace(part, remaining=count - 1 - at, expected_version=version, actor=actor)
        for at, part in enumerate(parts)
    ]
    events = made.send(*commands)
    staged, decided = events[: count - 1], events[count - 1 :]
    assert all(event.kind == EventKind.LIMIT_STAGED for event in staged)
    return decided


def of_limits(events: list[EventView]) -> list[LimitEvent]:
    return [event_as(LimitEvent, event) for event in events]


def proposed_by(events: list[EventView]) -> list[ProposalEvent]:
    return [event_as(ProposalEvent, event) for event in events]


def limits(made: Desk, account: int = 0) -> dict[Limit, int]:
    record = made.engine.state.account_limits[account]
    return {which: int(record["value"][which]) for which in Limit if record["set_mask"] >> which & 1}


def test_several_limits_change_together_or_not_at_all() -> None:
    made = desk()
    before = limits(made)
    good = limit(Limit.MAX_ORDER_QUANTITY, 5, **ACCOUNT)
    events = of_limits(request(made, good, limit(Limit.MAX_ORDER_NOTIONAL, 9, **ACCOUNT)))
    assert [(e.kind, e.limit_number, e.new_value, e.old_value) for e in events] == [
        (EventKind.LIMIT_SET, Limit.MAX_ORDER_QUANTITY, 5, -1),
        (EventKind.LIMIT_SET, Limit.MAX_ORDER_NOTIONAL, 9, -1),
    ]
    assert {event.version for event in events} == {2}
    changed = before | {Limit.MAX_ORDER_QUANTITY: 5, Limit.MAX_ORDER_NOTIONAL: 9}
    assert limits(made) == changed
    better = limit(Limit.MAX_ORDER_QUANTITY, 6, **ACCOUNT)
    for wrong in (
        limit(Limit.MAX_ORDER_NOTIONAL, -1, **ACCOUNT),
        limit(99, 1, **ACCOUNT),
        limit(Limit.MAX_ORDER_NOTIONAL, 1, Scope.ACCOUNT, 1),  # another scope
    ):
        for parts in ((better, wrong), (wrong, better)):
            (event,) = request(made, *parts)
            refused(event, Code.INVALID_VALUE)
            assert limits(made) == changed
    many = [better] * (REQUEST_LIMITS_MAX + 1)
    refused(request(made, *many)[0], Code.INVALID_VALUE)
    assert len(request(made, *many[1:])) == REQUEST_LIMITS_MAX


def test_a_request_that_is_broken_off_is_forgotten() -> None:
    made = desk()
    before = limits(made)
    staged = Command(
        CommandKind.SET_LIMIT, 0, code=Limit.MAX_ORDER_QUANTITY, value=1, scope=2, state=1, remaining=1
    )
    assert made.one(staged).kind == EventKind.LIMIT_STAGED
    made.one(advance())
    assert made.one(limit(Limit.MAX_ORDER_NOTIONAL, 9, **ACCOUNT)).kind == EventKind.LIMIT_SET
    assert limits(made) == before | {Limit.MAX_ORDER_NOTIONAL: 9}


def test_the_version_counts_requests_and_is_checked() -> None:
    made = desk()
    part = limit(Limit.MAX_ORDER_QUANTITY, 5, **ACCOUNT)
    assert of_limits(request(made, part, version=2))[0].version == 2  # `expected_version` is one more
    (event,) = request(made, part, part, version=2)
    refused(event, Code.STALE_VERSION)
    assert (event.limit, event.observed) == (1, 2)


def test_notes_stand_before_the_last_part() -> None:
    made = desk()
    first = Command(
        CommandKind.SET_LIMIT, 0, code=Limit.MAX_ORDER_QUANTITY, value=1, scope=2, state=1, remaining=1
    )
    last = Command(
        CommandKind.SET_LIMIT,
        0,
        code=Limit.MAX_ORDER_NOTIONAL,
        value=1,
        scope=2,
        state=1,
        notes=2,
        actor=ALICE,
    )
    events = made.send(first, note(b"a very good "), note(b"reason"), last)
    assert [event.kind for event in events] == [
        EventKind.LIMIT_STAGED,
        EventKind.NOTE_RECORDED,
        EventKind.NOTE_RECORDED,
        EventKind.LIMIT_SET,
        EventKind.LIMIT_SET,
    ]
    assert [(event.notes, event.actor) for event in of_limits(events[3:])] == [(2, ALICE)] * 2


def test_an_override_applies_until_its_time_is_over() -> None:
    made = desk()
    made.one(limit(Limit.MAX_ORDER_QUANTITY, QUANTITY, **ACCOUNT))
    ends = made.ts + SECOND
    event = made.one_as(LimitEvent, override(Limit.MAX_ORDER_QUANTITY, 2 * QUANTITY, ends, **ACCOUNT))
    assert event.kind == EventKind.OVERRIDE_SET
    assert (event.new_value, event.old_value) == (2 * QUANTITY, QUANTITY)
    assert (event.expires_ts, event.override_id, event.version) == (ends, 1, 3)
    assert made.one(place(0, 0, BUY, 20, 1_000)).kind == EventKind.ORDER_ACCEPTED
    # The scope's own value may change meanwhile: it applies afterwards.
    event = made.one_as(LimitEvent, limit(Limit.MAX_ORDER_QUANTITY, QUANTITY + 1, **ACCOUNT))
    assert event.old_value == QUANTITY
    assert limits(made)[Limit.MAX_ORDER_QUANTITY] == 2 * QUANTITY
    refused(made.one(override(Limit.MAX_ORDER_QUANTITY, 1, ends, **ACCOUNT)), Code.OVERRIDE_EXISTS)
    made.ts = ends - 1
    assert made.one(advance()).kind == EventKind.TIME_ADVANCED
    made.ts = ends
    event = made.one_as(LimitEvent, advance())
    assert (event.kind, event.end) == (EventKind.OVERRIDE_ENDED, OverrideEnd.EXPIRED)
    assert (event.new_value, event.old_value) == (QUANTITY + 1, 2 * QUANTITY)
    assert made.one(place(0, 0, BUY, 20, 1_000)).code == Code.MAX_ORDER_QUANTITY
    assert made.engine.state.firm[0]["next_override_ts"] == 0


def test_overrides_that_end_together_end_in_the_order_in_which_they_began() -> None:
    made = desk()
    ends = made.ts + SECOND
    for which in (Limit.MAX_ORDER_QUANTITY, Limit.MAX_ORDER_NOTIONAL):
        made.one(override(which, QUANTITY, ends, **ACCOUNT))
    made.one(decision(CommandKind.END_OVERRIDE, 1))
    made.one(override(Limit.MAX_GROSS_EXPOSURE, QUANTITY, ends, **ACCOUNT))  # where the first one stood
    made.ts = ends
    assert [event.override_id for event in of_limits(made.send(advance()))] == [2, 3]


def test_an_override_of_nothing_leaves_nothing() -> None:
    made = desk()
    before = limits(made)
    event = made.one_as(LimitEvent, override(Limit.MAX_ORDER_QUANTITY, 0, made.ts + SECOND, **ACCOUNT))
    assert event.old_value == -1
    refused(made.one(decision(CommandKind.END_OVERRIDE, 2)), Code.UNKNOWN_OVERRIDE)
    event = made.one_as(LimitEvent, decision(CommandKind.END_OVERRIDE, event.override_id))
    assert (event.kind, event.end, event.new_value) == (EventKind.OVERRIDE_ENDED, OverrideEnd.REMOVED, -1)
    assert limits(made) == before
    refused(made.one(decision(CommandKind.END_OVERRIDE, 1)), Code.UNKNOWN_OVERRIDE)


@pytest.mark.parametrize("ends", [0, -1, 1, OVERRIDE_US_MAX + 1])
def test_times_that_no_override_may_end_at(ends: int) -> None:
    made = desk()
    at = made.ts if ends == 1 else made.ts + ends if ends > 1 else ends
    refused(made.one(override(Limit.MAX_ORDER_QUANTITY, 1, at, **ACCOUNT)), Code.INVALID_VALUE)


_OF_FIRM_AND_ACCOUNT = (
    Limit.MAX_ORDER_QUANTITY,
    Limit.MAX_ORDER_NOTIONAL,
    Limit.MAX_GROSS_EXPOSURE,
    Limit.ORDER_RATE,
    Limit.PRICE_COLLAR_BPS,
    Limit.MAX_MARK_AGE,
    Limit.CANCEL_RATE,
    Limit.PRICE_MOVE_BPS,
)


def test_overrides_have_a_named_maximum() -> None:
    made = desk()
    places = made.engine.capacity.overrides
    scopes: list[dict[str, Any]] = [ACCOUNT, {"scope": Scope.ACCOUNT, "account": 1}, {"scope": Scope.FIRM}]
    wanted = [(which, scope) for scope in scopes for which in _OF_FIRM_AND_ACCOUNT][: places + 1]
    for number, (which, scope) in enumerate(wanted, 1):
        event = made.one(override(which, 10**6, made.ts + number, **scope))
        if number > places:
            refused(event, Code.OVERRIDE_CAPACITY)
    made.ts += places
    ended = of_limits(made.send(advance()))
    assert [event.override_id for event in ended] == list(range(1, places + 1))


def test_a_loosening_needs_a_second_person() -> None:
    made = desk()
    made.one(limit(Limit.MAX_ORDER_QUANTITY, 5, **ACCOUNT))
    made.one(policy(Policy.MAKER_CHECKER, 1))
    before = limits(made)
    looser = limit(Limit.MAX_ORDER_QUANTITY, 6, **ACCOUNT)
    tighter = limit(Limit.MAX_ORDER_NOTIONAL, 9, **ACCOUNT)
    gone = limit(Limit.MAX_ORDER_QUANTITY, 0, **ACCOUNT, state=0)
    first = limit(Limit.MAX_ORDER_QUANTITY, 1, Scope.ACCOUNT, 1)
    for parts in ((looser,), (gone,), (tighter, looser)):
        refused(request(made, *parts, actor=ALICE)[0], Code.SECOND_PERSON_REQUIRED)
        assert limits(made) == before
    made.one(limit(Limit.MAX_OPEN_ORDERS, 0, Scope.ACCOUNT, 1, state=0))  # by the system: it may
    refused(request(made, first, actor=ALICE)[0], Code.SECOND_PERSON_REQUIRED)  # it could not trade without
    more = override(Limit.MAX_ORDER_QUANTITY, 6, made.ts + SECOND, **ACCOUNT, actor=ALICE)
    refused(made.one(more), Code.SECOND_PERSON_REQUIRED)
    assert request(made, tighter, actor=ALICE)[0].kind == EventKind.LIMIT_SET
    less = override(Limit.MAX_ORDER_QUANTITY, 4, made.ts + SECOND, **ACCOUNT, actor=ALICE)
    assert made.one(less).kind == EventKind.OVERRIDE_SET
    refused(made.one(decision(CommandKind.END_OVERRIDE, 1, ALICE)), Code.SECOND_PERSON_REQUIRED)


def test_a_proposal_takes_effect_when_another_approves() -> None:
    made = desk()
    made.one(limit(Limit.MAX_ORDER_QUANTITY, 5, **ACCOUNT))
    made.one(policy(Policy.MAKER_CHECKER, 1))
    before = limits(made)
    parts = (
        proposal(Limit.MAX_ORDER_QUANTITY, 6, **ACCOUNT),
        proposal(Limit.MAX_ORDER_NOTIONAL, 9, **ACCOUNT),
    )
    proposed = proposed_by(request(made, *parts, actor=ALICE))
    assert [(e.kind, e.new_value, e.old_value, e.request_id) for e in proposed] == [
        (EventKind.CHANGE_PROPOSED, 6, 5, 1),
        (EventKind.CHANGE_PROPOSED, 9, -1, 1),
    ]
    assert limits(made) == before
    refused(made.one(decision(CommandKind.APPROVE_CHANGE, 1, ALICE)), Code.MAKER_CANNOT_APPROVE)
    refused(made.one(decision(CommandKind.APPROVE_CHANGE, 2, BOB)), Code.UNKNOWN_CHANGE)
    events = made.send(decision(CommandKind.APPROVE_CHANGE, 1, BOB))
    assert [event.kind for event in events] == [
        EventKind.LIMIT_SET,
        EventKind.LIMIT_SET,
        EventKind.CHANGE_APPROVED,
    ]
    assert {event_as(ChangeEvent, event).actor for event in events} == {BOB}
    changed = before | {Limit.MAX_ORDER_QUANTITY: 6, Limit.MAX_ORDER_NOTIONAL: 9}
    assert limits(made) == changed
    for kind in (CommandKind.APPROVE_CHANGE, CommandKind.REJECT_CHANGE):
        refused(made.one(decision(kind, 1, BOB)), Code.CHANGE_CLOSED)
    request(made, proposal(Limit.MAX_ORDER_QUANTITY, 7, **ACCOUNT), actor=ALICE)
    assert made.one(decision(CommandKind.REJECT_CHANGE, 3, ALICE)).kind == EventKind.CHANGE_REJECTED
    assert limits(made) == changed


def test_a_proposed_override() -> None:
    made = desk()
    made.one(limit(Limit.MAX_ORDER_QUANTITY, 5, **ACCOUNT))
    ends = made.ts + SECOND
    for number in (1, 2):
        part = proposal(Limit.MAX_ORDER_QUANTITY, 6, **ACCOUNT, expires_ts=ends)
        assert proposed_by(request(made, part, actor=ALICE))[0].request_id == number
    events = made.send(decision(CommandKind.APPROVE_CHANGE, 1, BOB))
    assert [event.kind for event in events] == [EventKind.OVERRIDE_SET, EventKind.CHANGE_APPROVED]
    refused(made.one(decision(CommandKind.APPROVE_CHANGE, 2, BOB)), Code.OVERRIDE_EXISTS)
    made.ts = ends
    made.one(advance())
    refused(made.one(decision(CommandKind.APPROVE_CHANGE, 2, BOB)), Code.CHANGE_STALE)


def test_a_proposal_does_not_outlive_what_it_was_to_replace_or_its_time() -> None:
    made = desk()
    made.one(limit(Limit.MAX_ORDER_QUANTITY, 5, **ACCOUNT))
    request(made, proposal(Limit.MAX_ORDER_QUANTITY, 6, **ACCOUNT), actor=ALICE)
    made.one(limit(Limit.MAX_ORDER_QUANTITY, 4, **ACCOUNT))
    refused(made.one(decision(CommandKind.APPROVE_CHANGE, 1, BOB)), Code.CHANGE_STALE)
    request(made, proposal(Limit.MAX_ORDER_QUANTITY, 6, **ACCOUNT), actor=ALICE)
    made.one(policy(Policy.CHANGE_LIFETIME_US, SECOND))
    made.ts += SECOND + 1
    refused(made.one(decision(CommandKind.APPROVE_CHANGE, 2, BOB)), Code.CHANGE_STALE)
    assert limits(made)[Limit.MAX_ORDER_QUANTITY] == 4


def test_proposals_have_a_named_maximum() -> None:
    made = desk()
    places = made.engine.capacity.limit_changes
    part = proposal(Limit.MAX_ORDER_QUANTITY, 6, **ACCOUNT)
    for _ in range(places):
        assert request(made, part, actor=ALICE)[0].kind == EventKind.CHANGE_PROPOSED
    refused(request(made, part, actor=ALICE)[0], Code.CHANGE_CAPACITY)
    made.one(decision(CommandKind.REJECT_CHANGE, 5, BOB))
    assert proposed_by(request(made, part, actor=ALICE))[0].request_id == places + 1
    refused(made.one(decision(CommandKind.APPROVE_CHANGE, 5, BOB)), Code.UNKNOWN_CHANGE)


@pytest.mark.parametrize(("which", "value"), [(99, 1), (0, 2), (0, -1), (1, -1), (1, 2**62)])
def test_policies_that_cannot_be(which: int, value: int) -> None:
    refused(desk().one(policy(which, value)), Code.INVALID_VALUE)
