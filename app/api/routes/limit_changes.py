"""Changes of limits on their way: submitted, proposed where they need a second person, and decided."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from app.api.auth import Principal
from app.api.http.large_response import document, json_list
from app.api.routes.access import ExactRoute, Provided, RiskManager, Viewer, json_response, problems
from app.api.routes.outcome_problems import raise_if_refused
from app.api.services import Services
from app.commands import limits as limit_commands
from app.documents.limits import limit_text
from app.documents.problems import Problem, forbidden, invalid_field, status_of_code
from app.documents.refusals import scope_text
from app.documents.schemas import Decision
from app.engine.codes import Code
from app.engine.types import ChangeStatus, CommandKind, EventKind, Limit, Policy
from app.runtime.limit_scope import LimitScope
from app.runtime.outcomes import Outcome

router = APIRouter(prefix="/v1/limit-changes", tags=["limits"], route_class=ExactRoute)

_PENDING = ChangeStatus.PENDING


class ProposedLimit(BaseModel):
    limit: str
    old: str | int | None
    new: str | int | None


class LimitRequest(BaseModel):
    """Changes of one scope that are decided together; `expires_at` where it is an override."""

    id: str
    scope: str
    status: Literal["PENDING", "APPROVED", "REJECTED", "EXPIRED"]
    changes: list[ProposedLimit]
    expires_at: int | None
    maker: int = Field(description="number of the key that proposed it")
    created_ts: int
    valid_until_ts: int = Field(description="when it must have been approved")
    checker: int | None
    decided_ts: int | None


class LimitRequests(BaseModel):
    items: list[LimitRequest]
    next_cursor: str | None


def reason_text(reason: str) -> str:
    """Raises Problem where it would not fit into its notes."""
    if len(reason.encode()) > limit_commands.REASON_BYTES_MAX:
        raise invalid_field("reason", f"may have at most {limit_commands.REASON_BYTES_MAX} bytes of UTF-8")
    return reason


async def submit(services: Services, commands: list[bytes]) -> Outcome:
    """Apply commands in a row; the outcome of the last. Raises Problem where that is refused."""
    outcomes = await services.loop.submit_batch(b"".join(commands))
    raise_if_refused(services, outcomes[-1])
    return outcomes[-1]


def needs_second_person(services: Services, principal: Principal) -> bool:
    """Whether the engine would refuse a loosening by this key alone."""
    return bool(services.state.firm[0]["policy"][Policy.MAKER_CHECKER]) and principal.number != 0


def check_room_for_proposals(services: Services, count: int) -> None:
    """Raises Problem where so many changes more could not wait; hold the `reference_lock` until they do."""
    changes = services.state.limit_changes
    lifetime_us = int(services.state.firm[0]["policy"][Policy.CHANGE_LIFETIME_US])
    over = changes["created_ts"] + lifetime_us < services.clock.now()
    waiting = (changes["number"] != 0) & (changes["status"] == _PENDING) & ~over
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
    """Change limits, or propose to where that needs a second person: the number of the request then.

    Raises Problem.
    """
    reason_text(reason)

    async def ask(what: CommandKind) -> Outcome:
        return await submit(
            services,
            limit_commands.change_limits(
                what,
                scope.account,
                scope.symbol,
                values,
                principal.number,
                reason,
                expected_version=expected,
                expires_ts=expires_ts,
            ),
        )

    try:
        await ask(kind)
    except Problem as problem:
        if problem.code != Code.SECOND_PERSON_REQUIRED.name:
            raise
    else:
        return None
    async with services.reference_lock:  # an account that is being opened has counted the room
        outcome = await ask(CommandKind.PROPOSE_LIMIT)
    assert outcome.event.kind == EventKind.CHANGE_PROPOSED
    return outcome.event.execution_id


def change_request_content(services: Services, number: int) -> dict[str, Any]:
    """Raises Problem where there is no such request (any more)."""
    changes = services.state.limit_changes
    rows = changes[(changes["number"] != 0) & (changes["request"] == number)]
    if number <= 0 or not len(rows):
        raise Problem(404, "UNKNOWN_CHANGE", "there is no such change")
    first = rows[0]
    lifetime_us = int(services.state.firm[0]["policy"][Policy.CHANGE_LIFETIME_US])
    valid_until = int(first["created_ts"]) + lifetime_us
    status = ChangeStatus(int(first["status"])).name
    if first["status"] == _PENDING and services.clock.now() > valid_until:
        status = "EXPIRED"
    return {
        "id": str(number),
        "scope": scope_text(
            services.reference, int(first["scope"]), int(first["account"]), int(first["symbol"])
        ),
        "status": status,
        "changes": [
            {
                "limit": Limit(int(row["limit"])).name,
                "old": limit_text(Limit(int(row["limit"])), int(row["old"])),
                "new": limit_text(Limit(int(row["limit"])), int(row["value"])),
            }
            for row in rows
        ],
        "expires_at": int(first["expires_ts"]) or None,
        "maker": int(first["maker"]),
        "created_ts": int(first["created_ts"]),
        "valid_until_ts": valid_until,
        "checker": int(first["checker"]) or None,
        "decided_ts": int(first["decided_ts"]) or None,
    }


@router.get("", response_model=LimitRequests, responses=problems())
async def list_changes(
    services: Provided,
    principal: Viewer,
    status: Annotated[
        Literal["pending", "all"], Query(description="all: also decided ones, while there is room")
    ] = "pending",
) -> Response:
    """What waits for a second person, newest first."""
    if principal.accounts is not None:
        raise forbidden("a trader may not read changes of limits")
    changes = services.state.limit_changes
    requests = sorted(set(changes["request"][changes["number"] != 0].tolist()), reverse=True)
    contents = (change_request_content(services, number) for number in requests)
    if status == "pending":
        contents = (item for item in contents if item["status"] == "PENDING")
    items = await json_list(services, principal, contents)
    await services.loop.durable()
    return document(services, principal, items=items, next_cursor=None)


@router.post("/{change_id}/approve", response_model=LimitRequest, responses=problems(404, 409, 413, 422))
async def approve(change_id: int, decision: Decision, services: Provided, principal: RiskManager) -> Response:
    """Let it take effect. Not by its maker (403 MAKER_CANNOT_APPROVE)."""
    return await _decide(CommandKind.APPROVE_CHANGE, change_id, decision, services, principal)


@router.post("/{change_id}/reject", response_model=LimitRequest, responses=problems(404, 409, 413, 422))
async def reject(change_id: int, decision: Decision, services: Provided, principal: RiskManager) -> Response:
    """Turn it down; its maker may do that too."""
    return await _decide(CommandKind.REJECT_CHANGE, change_id, decision, services, principal)


async def _decide(
    kind: CommandKind, number: int, decision: Decision, services: Services, principal: Principal
) -> Response:
    if not 0 < number < 1 << 63:
        raise Problem(404, "UNKNOWN_CHANGE", "there is no such change")
    reason = reason_text(decision.reason)
    await submit(services, limit_commands.decide(kind, number, principal.number, reason))
    return json_response(change_request_content(services, number))
