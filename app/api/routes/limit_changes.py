"""Limit changes that wait for a second person: listed, approved, rejected."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel

from app.api.auth import Principal
from app.api.http.large_response import document, json_list
from app.api.routes.access import ExactRoute, Provided, RiskManager, Viewer, json_response, problems
from app.api.services import Services
from app.api.submission import reason_text, submit
from app.commands.limits import decide
from app.documents.content import Content
from app.documents.limit_requests import LimitRequest, limit_request_content
from app.documents.problems import Problem, forbidden
from app.documents.schemas import Decision
from app.engine.types import CommandKind

router = APIRouter(prefix="/v1/limit-changes", tags=["limits"], route_class=ExactRoute)


class LimitRequests(BaseModel):
    items: list[LimitRequest]
    next_cursor: str | None


def _content(services: Services, number: int) -> Content | None:
    return limit_request_content(services.state, services.reference, number, services.clock.now())


def change_response(services: Services, number: int, status: int = 200) -> Response:
    """A request as it is now. Raises Problem if there is none of this number, or no longer."""
    content = _content(services, number)
    if content is None:
        raise Problem(404, "UNKNOWN_CHANGE", "there is no such change")
    return json_response(content, status)


@router.get("", response_model=LimitRequests, responses=problems())
async def list_changes(
    services: Provided,
    principal: Viewer,
    status: Annotated[
        Literal["pending", "all"], Query(description="all: also decided ones, while there is room")
    ] = "pending",
) -> Response:
    """Requests that wait for a second person, newest first."""
    if principal.accounts is not None:
        raise forbidden("a trader may not read changes of limits")
    changes = services.state.limit_changes
    requests = sorted(set(changes["request"][changes["number"] != 0].tolist()), reverse=True)
    contents = (
        content
        for number in requests
        if (content := _content(services, number)) is not None
        and (status == "all" or content["status"] == "PENDING")
    )
    items = await json_list(services, principal, contents)
    await services.loop.durable()
    return document(services, principal, items=items, next_cursor=None)


@router.post("/{change_id}/approve", response_model=LimitRequest, responses=problems(404, 409, 413, 422))
async def approve(change_id: int, decision: Decision, services: Provided, principal: RiskManager) -> Response:
    """Approve it: it takes effect. Not by its maker (403 MAKER_CANNOT_APPROVE)."""
    return await _decide(CommandKind.APPROVE_CHANGE, change_id, decision, services, principal)


@router.post("/{change_id}/reject", response_model=LimitRequest, responses=problems(404, 409, 413, 422))
async def reject(change_id: int, decision: Decision, services: Provided, principal: RiskManager) -> Response:
    """Reject it; its maker may do that too."""
    return await _decide(CommandKind.REJECT_CHANGE, change_id, decision, services, principal)


async def _decide(
    kind: CommandKind, number: int, decision: Decision, services: Services, principal: Principal
) -> Response:
    if not 0 < number < 1 << 63:
        raise Problem(404, "UNKNOWN_CHANGE", "there is no such change")
    reason = reason_text(decision.reason)
    await submit(services, decide(kind, number, principal.number, reason))
    return change_response(services, number)
