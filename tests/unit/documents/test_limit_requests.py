"""Requests for changes of limits as shown: what was asked for, by whom, until when, and what became of it."""

from dataclasses import replace
from typing import Any

import pytest

from app.documents.limit_requests import LimitRequest, limit_request_content
from app.engine.types import CommandKind, Limit, Policy, Scope
from app.runtime.reference import Reference
from tests.support.engine import FIRST_TS, Desk, decision, desk, limit, policy, proposal

LIFETIME_US = 3_600_000_000
MAKER, CHECKER = 7, 8


@pytest.fixture
def made() -> Desk:
    """What loosens a limit needs a second person within an hour."""
    one = desk(symbols=2)
    one.send(
        policy(Policy.CHANGE_LIFETIME_US, LIFETIME_US),
        limit(Limit.MAX_POSITION, 10**9, Scope.SYMBOL, symbol=1),
    )
    return one


def requested(made: Desk, **more: Any) -> int:
    """Number of a request for one limit of a symbol."""
    asked = proposal(Limit.MAX_POSITION, 3 * 10**8, Scope.SYMBOL, symbol=1, actor=MAKER, **more)
    return made.one(asked).execution_id


def shown(made: Desk, number: int, now: int = FIRST_TS) -> dict[str, Any]:
    state = made.engine.state
    content = limit_request_content(state, Reference.from_state(state), number, now)
    assert content is not None
    LimitRequest.model_validate(content)
    return content


def test_a_request_that_waits(made: Desk) -> None:
    number = requested(made)
    assert shown(made, number) == {
        "id": str(number),
        "scope": "symbol:S1-USDT",
        "status": "PENDING",
        "changes": [{"limit": "MAX_POSITION", "old": "10", "new": "3"}],
        "expires_at": None,
        "maker": MAKER,
        "created_ts": FIRST_TS,
        "valid_until_ts": FIRST_TS + LIFETIME_US,
        "checker": None,
        "decided_ts": None,
    }


@pytest.mark.parametrize(
    ("kind", "status"), [(CommandKind.APPROVE_CHANGE, "APPROVED"), (CommandKind.REJECT_CHANGE, "REJECTED")]
)
def test_a_request_that_is_decided(made: Desk, kind: CommandKind, status: str) -> None:
    number = requested(made)
    made.ts += 5
    made.send(decision(kind, number, CHECKER))
    content = shown(made, number, FIRST_TS + 2 * LIFETIME_US)
    assert (content["status"], content["checker"], content["decided_ts"]) == (status, CHECKER, FIRST_TS + 5)


def test_it_expires_when_nobody_has_decided_in_time(made: Desk) -> None:
    number = requested(made)
    assert shown(made, number, FIRST_TS + LIFETIME_US)["status"] == "PENDING"
    assert shown(made, number, FIRST_TS + LIFETIME_US + 1)["status"] == "EXPIRED"


def test_limits_that_are_decided_together_are_one_request(made: Desk) -> None:
    parts = [
        proposal(Limit.MAX_ORDER_QUANTITY, 5 * 10**8, Scope.ACCOUNT, 1, remaining=2, actor=MAKER),
        proposal(Limit.MAX_ORDER_NOTIONAL, 25 * 10**7, Scope.ACCOUNT, 1, remaining=1, actor=MAKER),
        replace(proposal(Limit.MAX_OPEN_ORDERS, 0, Scope.ACCOUNT, 1, actor=MAKER), state=0),
    ]
    events = made.send(*parts)
    content = shown(made, events[-1].execution_id)
    assert content["scope"] == "account:account-1"
    assert content["changes"] == [
        {"limit": "MAX_ORDER_QUANTITY", "old": None, "new": "5"},
        {"limit": "MAX_ORDER_NOTIONAL", "old": None, "new": "2.5"},
        {"limit": "MAX_OPEN_ORDERS", "old": 10**9, "new": None},
    ]


def test_an_override_that_is_asked_for_says_when_it_ends(made: Desk) -> None:
    number = requested(made, expires_ts=FIRST_TS + 2 * LIFETIME_US)
    assert shown(made, number)["expires_at"] == FIRST_TS + 2 * LIFETIME_US


@pytest.mark.parametrize("number", [-1, 0, 10**6])
def test_what_is_not_there_is_none(made: Desk, number: int) -> None:
    requested(made)
    state = made.engine.state
    assert limit_request_content(state, Reference.from_state(state), number, FIRST_TS) is None
