"""Overrides: another value of one limit that ends by itself."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Query, Response
from numpy.typing import NDArray
from pydantic import BaseModel

from app.api.auth import Principal
from app.api.http.large_response import document, json_list
from app.api.limit_submission import submit_change
from app.api.routes.access import (
    ExactRoute,
    Provided,
    Responses,
    RiskManager,
    Viewer,
    json_response,
    problems,
)
from app.api.routes.etags import IfMatch, expected_version
from app.api.routes.limit_changes import change_response
from app.api.routes.limit_paths import PATHS, FindScope
from app.api.routes.limit_values import check_scope, limit_units
from app.api.services import Services
from app.api.submission import reason_text, submit
from app.commands.limits import decide
from app.documents.limit_requests import LimitRequest
from app.documents.limits import override_at
from app.documents.overrides import Override, override_content
from app.documents.problems import Problem, invalid_field
from app.documents.schemas import NewOverride, Reason
from app.engine.limit_overrides import OVERRIDE_US_MAX
from app.engine.types import CommandKind, Limit, Scope
from app.runtime.limit_scope import LimitScope

router = APIRouter(prefix="/v1/limits", tags=["limits"], route_class=ExactRoute)


class Overrides(BaseModel):
    items: list[Override]
    next_cursor: str | None


async def _list(services: Services, principal: Principal, wanted: NDArray[np.bool_]) -> Response:
    records = services.state.overrides[wanted]  # a copy
    newest_first = records[np.argsort(records["number"])[::-1]]
    items = await json_list(
        services, principal, (override_content(services.reference, record) for record in newest_first)
    )
    await services.loop.durable()
    return document(services, principal, items=items, next_cursor=None)


@router.get("/overrides", response_model=Overrides, responses=problems())
async def list_overrides(services: Provided, principal: Viewer) -> Response:
    """All overrides in force, newest first; for a trader those of its accounts."""
    overrides = services.state.overrides
    wanted = overrides["number"] != 0
    if principal.accounts is not None:
        known = services.reference.accounts
        mine = [known[name] for name in principal.accounts if name in known]
        own = (overrides["scope"] == Scope.ACCOUNT) | (overrides["scope"] == Scope.ACCOUNT_SYMBOL)
        wanted &= own & np.isin(overrides["account"], mine)
    return await _list(services, principal, wanted)


@router.delete("/overrides/{override_id}", response_model=Override, responses=problems(404, 409, 422))
async def end_override(
    override_id: int,
    services: Provided,
    principal: RiskManager,
    reason: Annotated[Reason, Query()],
) -> Response:
    """End it early: what applied before applies again. The response is the ended override."""
    overrides = services.state.overrides
    found = overrides[overrides["number"] == override_id] if 0 < override_id < 1 << 63 else overrides[:0]
    if not len(found):
        raise Problem(404, "UNKNOWN_OVERRIDE", "there is no such override, or it has ended")
    content = override_content(services.reference, found[0])
    text = reason_text(reason)
    await submit(services, decide(CommandKind.END_OVERRIDE, override_id, principal.number, text))
    return json_response(content)


def _check_end(services: Services, expires_at: int) -> None:
    now = services.clock.now()
    if not now < expires_at <= now + OVERRIDE_US_MAX:
        days = OVERRIDE_US_MAX // 86_400_000_000
        raise invalid_field("expires_at", f"must be in the future, by {days} days at most; now is {now}")


def _add_routes(path: str, find_scope: FindScope) -> None:
    Scoped = Annotated[LimitScope, Depends(find_scope)]  # noqa: N806  # a type

    async def create_override(
        request: NewOverride,
        services: Provided,
        principal: RiskManager,
        scope: Scoped,
        if_match: IfMatch = None,
    ) -> Response:
        """Let another value apply until `expires_at`; a limit has at most one override.

        202 with the request if it loosens and needs a second person.
        """
        if request.limit not in Limit.__members__:
            raise invalid_field("limit", "there is no such limit")
        limit = Limit[request.limit]
        check_scope(limit, scope.kind)
        value = limit_units(limit, request.value)
        _check_end(services, request.expires_at)
        waiting = await submit_change(
            services,
            principal,
            CommandKind.SET_OVERRIDE,
            scope,
            {limit: value},
            request.reason,
            expected=expected_version(if_match),
            expires_ts=request.expires_at,
        )
        if waiting is not None:
            return change_response(services, waiting, 202)
        record = override_at(services.state, scope, limit)
        if record is None:  # it expired within milliseconds
            raise Problem(409, "OVERRIDE_ENDED", "the override has ended already")
        return json_response(override_content(services.reference, record), 201)

    async def scope_overrides(services: Provided, principal: Viewer, scope: Scoped) -> Response:
        """The overrides of this scope in force."""
        overrides = services.state.overrides
        account, symbol = scope.indexes
        wanted = (overrides["number"] != 0) & (overrides["scope"] == scope.kind)
        if account >= 0:
            wanted &= overrides["account"] == account
        if symbol >= 0:
            wanted &= overrides["symbol"] == symbol
        return await _list(services, principal, wanted)

    waits: Responses = {202: {"model": LimitRequest, "description": "it waits for a second person"}}
    router.post(
        f"{path}/overrides",
        status_code=201,
        response_model=Override,
        responses={**waits, **problems(404, 409, 412, 413, 422)},
    )(create_override)
    router.get(f"{path}/overrides", response_model=Overrides, responses=problems(404))(scope_overrides)


for _path, _find_scope in PATHS.items():
    _add_routes(_path, _find_scope)
