"""Changes of limits: they apply at once, or wait where they loosen and the firm asks for a second person."""

from collections.abc import Iterator

import pytest

from app.api.auth import Principal
from app.api.limit_submission import check_room_for_proposals, needs_second_person, submit_change
from app.commands.administration import set_policy
from app.commands.notes import REASON_BYTES_MAX
from app.documents.problems import Problem
from app.engine.types import ChangeStatus, CommandKind, Limit, Policy
from app.runtime.limit_scope import LimitScope
from app.runtime.state_reader import limits_of, set_limits
from tests.support.api import ADMIN_KEY, ApiServer

TIGHT, LOOSE = 5, 50


def principal_of(api: ApiServer, key: str) -> Principal:
    found = api.server.keys.of_header(f"Bearer {key}".encode())
    assert found is not None
    return found


@pytest.fixture
def admin(api: ApiServer) -> Principal:
    return principal_of(api, ADMIN_KEY)


@pytest.fixture
def four_eyes(api: ApiServer, account: str) -> Iterator[None]:
    """From when the account is open, what loosens needs a second person."""
    assert account

    def ask_for(value: int) -> None:
        async def submit() -> None:
            await api.server.loop.submit_batch(set_policy(Policy.MAKER_CHECKER, value, 0))

        api.run(submit())

    ask_for(1)
    yield
    ask_for(0)


def change(api: ApiServer, who: Principal, account: str, value: int | None, **more: int | None) -> int | None:
    """Set the open orders that an account may have."""
    scope = LimitScope(api.server.reference.accounts[account])
    values = {Limit.MAX_OPEN_ORDERS: value}
    made = submit_change(
        api.server.services,
        who,
        CommandKind.SET_LIMIT,
        scope,
        values,
        "a test",
        expected=more.get("expected"),
    )
    return api.run(made)


def shown(api: ApiServer, account: str) -> int | None:
    limits = limits_of(api.server.services.state, LimitScope(api.server.reference.accounts[account]))
    return set_limits(limits).get(Limit.MAX_OPEN_ORDERS)


def code_of(caught: pytest.ExceptionInfo[Problem]) -> tuple[int, str]:
    return caught.value.status, caught.value.code


def test_changes_apply_at_once(api: ApiServer, admin: Principal, account: str) -> None:
    assert not needs_second_person(api.server.services, admin)
    for value in (TIGHT, LOOSE, None):
        assert change(api, admin, account, value) is None
        assert shown(api, account) == value


@pytest.mark.usefixtures("four_eyes")
def test_what_loosens_waits_and_what_tightens_does_not(
    api: ApiServer, admin: Principal, account: str
) -> None:
    assert needs_second_person(api.server.services, admin)
    first = change(api, admin, account, TIGHT)
    assert first is None, "there was no limit"
    number = change(api, admin, account, LOOSE)
    assert number is not None
    assert shown(api, account) == TIGHT
    changes = api.server.services.state.limit_changes
    (waiting,) = changes[changes["request"] == number]
    assert (waiting["value"], waiting["maker"], waiting["status"]) == (
        LOOSE,
        admin.number,
        ChangeStatus.PENDING,
    )
    assert change(api, admin, account, TIGHT - 1) is None
    assert shown(api, account) == TIGHT - 1


@pytest.mark.usefixtures("four_eyes")
def test_the_system_itself_needs_nobody(api: ApiServer) -> None:
    system = Principal(0, "system", principal_of(api, ADMIN_KEY).role, (), "", 0)
    assert not needs_second_person(api.server.services, system)


def test_a_version_that_has_passed_is_refused(api: ApiServer, admin: Principal, account: str) -> None:
    change(api, admin, account, TIGHT)
    with pytest.raises(Problem) as caught:
        change(api, admin, account, LOOSE, expected=0)
    assert code_of(caught) == (412, "STALE_VERSION")
    assert shown(api, account) == TIGHT


def test_a_reason_that_is_too_long_changes_nothing(api: ApiServer, admin: Principal, account: str) -> None:
    scope = LimitScope(api.server.reference.accounts[account])
    reason = "x" * (REASON_BYTES_MAX + 1)
    values = {Limit.MAX_OPEN_ORDERS: TIGHT}
    made = submit_change(api.server.services, admin, CommandKind.SET_LIMIT, scope, values, reason)
    with pytest.raises(Problem) as caught:
        api.run(made)
    assert code_of(caught) == (400, "INVALID_REQUEST")
    assert shown(api, account) is None


def test_room_for_proposals_is_what_does_not_wait(api: ApiServer) -> None:
    services = api.server.services
    changes = services.state.limit_changes
    waiting = int(((changes["number"] != 0) & (changes["status"] == ChangeStatus.PENDING)).sum())
    room = len(changes) - waiting
    check_room_for_proposals(services, room)
    with pytest.raises(Problem) as caught:
        check_room_for_proposals(services, room + 1)
    assert code_of(caught) == (422, "CHANGE_CAPACITY")
