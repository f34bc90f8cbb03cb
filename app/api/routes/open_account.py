"""Account opening: name, deposit and limits come into force together, or not at all.

Everything that the engine could refuse is checked before. Then all of it is one batch of commands,
applied in one tick with no order in between, in one frame of the journal, so a crash leaves all of
it or nothing.
"""

import numpy as np
from fastapi import APIRouter, Response

from app.api.limit_submission import check_room_for_proposals, needs_second_person
from app.api.routes.access import Admin, ExactRoute, Provided, json_response, problems
from app.api.routes.account_changes import check_reason
from app.api.routes.limit_templates import unknown_template
from app.api.routes.limit_values import check_contradictions, limit_units, limit_values
from app.api.services import Services
from app.api.submission import raise_if_refused, reason_text
from app.commands.administration import set_account, transfer_cash
from app.commands.limits import change_limits
from app.documents.accounts import Account, account_content
from app.documents.problems import Problem, invalid_field
from app.documents.schemas import NewAccount
from app.engine.state_records import LIMITS
from app.engine.types import CommandKind, EventKind, Limit, Scope
from app.runtime.decimals import decimal_text
from app.runtime.event_views import ProposalEvent, event_as
from app.runtime.reference import MONEY

router = APIRouter(prefix="/v1/accounts", tags=["accounts"], route_class=ExactRoute)


class NewAccountOpened(Account):
    limit_change_id: str | None


def _opening_limits(services: Services, request: NewAccount) -> dict[Limit, int]:
    """The template's limits, replaced by those of the request where it names them. Raises Problem."""
    values: dict[Limit, int | None] = {}
    if request.template is not None:
        template = services.templates.get(request.template)
        if template is None:
            raise unknown_template(request.template)
        values = {Limit[name]: limit_units(Limit[name], value) for name, value in template.limits.items()}
    if request.limits is not None:
        values |= limit_values(request.limits, Scope.ACCOUNT)
    kept = {limit: value for limit, value in values.items() if value is not None}
    check_contradictions(np.zeros(1, LIMITS)[0], kept)
    return kept


@router.post("", status_code=201, response_model=NewAccountOpened, responses=problems(404, 409, 413, 422))
async def create_account(request: NewAccount, services: Provided, principal: Admin) -> Response:
    """Open an account with its deposit and its limits: all of it or nothing.

    Without limits it cannot trade: see `PUT /v1/limits/accounts/{account}`. If limits need a second person,
    they wait as the change that `limit_change_id` names.
    """
    try:
        deposit = MONEY.parse(decimal_text(request.deposit))
    except ValueError:
        raise invalid_field("deposit", "must have at most 8 decimals and fit") from None
    values = _opening_limits(services, request)
    check_reason(request.reason)
    reason = reason_text(request.reason)
    actor = principal.number
    async with services.reference_lock:
        if request.account in services.reference.accounts:
            raise Problem(409, "ACCOUNT_EXISTS", f"there is an account {request.account!r} already")
        index = len(services.reference.account_names)
        records = set_account(index, request.account, request.leverage, actor, reason)
        if deposit:
            records += transfer_cash(index, deposit, actor, reason)
        if values:
            kind = CommandKind.SET_LIMIT
            if needs_second_person(services, principal):
                kind = CommandKind.PROPOSE_LIMIT
                check_room_for_proposals(services, len(values))
            records += change_limits(kind, index, None, values, actor, reason)
        outcomes = await services.loop.submit_batch(b"".join(records))
        for outcome in outcomes:
            raise_if_refused(services, outcome)
    content = account_content(services.state, services.reference, index)
    last = outcomes[-1].event
    proposed = event_as(ProposalEvent, last) if last.kind == EventKind.CHANGE_PROPOSED else None
    content["limit_change_id"] = str(proposed.request_id) if proposed else None
    await services.loop.durable()
    return json_response(content, 201)
