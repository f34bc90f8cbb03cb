"""Submission of limit changes: they apply, or become a proposal if they need a second person."""

from collections.abc import Mapping

from app.api.auth import Principal
from app.api.services import Services
from app.api.submission import is_refused, raise_if_refused, reason_text, submit, submit_or_refuse
from app.commands.limits import change_limits
from app.documents.problems import Problem, status_of_code
from app.engine.codes import Code
from app.engine.types import ChangeStatus, CommandKind, Limit, Policy
from app.runtime.event_views import ProposalEvent, event_as
from app.runtime.limit_scope import LimitScope


def needs_second_person(services: Services, principal: Principal) -> bool:
    """Whether the engine would refuse a loosening by this key alone."""
    return bool(services.state.firm[0]["policy"][Policy.MAKER_CHECKER]) and principal.number != 0


def check_room_for_proposals(services: Services, count: int) -> None:
    """Raises Problem if this many more proposals would not fit; hold the `reference_lock` until they wait."""
    changes = services.state.limit_changes
    lifetime_us = int(services.state.firm[0]["policy"][Policy.CHANGE_LIFETIME_US])
    over = changes["created_ts"] + lifetime_us < services.clock.now()
    waiting = (changes["number"] != 0) & (changes["status"] == ChangeStatus.PENDING) & ~over
    if len(changes) - int(waiting.sum()) < count:
        code = Code.CHANGE_CAPACITY
        raise Problem(status_of_code(code), code.name, "too many changes wait for approval")


async def submit_change(
    services: Services,
    principal: Principal,
    kind: CommandKind,
    scope: LimitScope,
    values: Mapping[Limit, int | None],
    reason: str,
    *,
    expected: int | None = None,
    expires_ts: int = 0,
) -> int | None:
    """Change limits, or propose to if that needs a second person: returns the number of the request then.

    Raises Problem.
    """
    reason_text(reason)

    def commands(what: CommandKind) -> list[bytes]:
        return change_limits(
            what,
            scope.account,
            scope.symbol,
            values,
            principal.number,
            reason,
            expected_version=expected,
            expires_ts=expires_ts,
        )

    outcome = await submit_or_refuse(services, commands(kind))
    if not is_refused(outcome) or outcome.event.code != Code.SECOND_PERSON_REQUIRED:
        raise_if_refused(services, outcome)
        return None
    async with services.reference_lock:  # opening an account has checked the room already
        outcome = await submit(services, commands(CommandKind.PROPOSE_LIMIT))
    return event_as(ProposalEvent, outcome.event).request_id
