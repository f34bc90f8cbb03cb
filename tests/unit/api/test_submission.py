"""Submission of what people ask for: the outcome of the last command, or a problem that says why not."""

import pytest

from app.api.submission import is_refused, raise_if_refused, reason_text, submit, submit_or_refuse
from app.commands.limits import change_limits
from app.commands.notes import REASON_BYTES_MAX, note_parts
from app.documents.problems import Problem
from app.engine.types import CommandKind, EventKind, Limit
from tests.support.api import ApiServer


def limits_of(api: ApiServer, account: str, value: int, reason: str = "a test") -> list[bytes]:
    index = api.server.reference.accounts[account]
    values: dict[Limit, int | None] = {Limit.MAX_OPEN_ORDERS: value}
    return change_limits(CommandKind.SET_LIMIT, index, None, values, 0, reason)


@pytest.mark.parametrize("reason", ["", "x" * REASON_BYTES_MAX, "é" * (REASON_BYTES_MAX // 2)])
def test_a_reason_that_fits_is_itself(reason: str) -> None:
    assert reason_text(reason) == reason
    assert len(b"".join(note_parts(reason, 0))) >= len(reason)


@pytest.mark.parametrize("reason", ["x" * (REASON_BYTES_MAX + 1), "é" * (REASON_BYTES_MAX // 2 + 1)])
def test_a_reason_counts_by_its_bytes(reason: str) -> None:
    with pytest.raises(Problem) as caught:
        reason_text(reason)
    assert (caught.value.status, caught.value.code) == (400, "INVALID_REQUEST")
    assert caught.value.content["errors"][0]["path"] == "reason"


def test_what_is_taken_has_the_outcome_of_the_last_command(api: ApiServer, account: str) -> None:
    services = api.server.services
    outcome = api.run(submit(services, limits_of(api, account, 5)))
    assert outcome.event.kind == EventKind.LIMIT_SET
    assert not is_refused(outcome)
    raise_if_refused(services, outcome)


def test_what_is_refused_is_an_outcome_or_a_problem(api: ApiServer, account: str) -> None:
    services = api.server.services
    commands = limits_of(api, account, -1)
    outcome = api.run(submit_or_refuse(services, commands))
    assert is_refused(outcome)
    with pytest.raises(Problem) as caught:
        api.run(submit(services, commands))
    problem = caught.value
    assert (problem.status, problem.code) == (422, "INVALID_VALUE")
    assert "order_id" not in problem.content, "it is no order's"
    assert {"limit", "observed", "scope"} <= problem.content.keys()
