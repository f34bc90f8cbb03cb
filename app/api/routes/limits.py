"""Limit routes: limits with their usage, changes of several at once, and the history of changes."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Depends, Query, Response
from numpy.typing import NDArray
from pydantic import BaseModel

from app.api.auth import Principal
from app.api.http.large_response import document, json_list
from app.api.limit_submission import submit_change
from app.api.routes.access import ExactRoute, Provided, RiskManager, Viewer, json_response, problems
from app.api.routes.etags import IfMatch, etag, expected_version
from app.api.routes.limit_changes import change_response
from app.api.routes.limit_paths import PATHS, FindScope
from app.api.routes.limit_values import check_contradictions, limit_values
from app.api.routes.risk_history import HISTORY_PAGE_MAX, RiskHistory, change_content, is_of_scope
from app.api.services import Services
from app.documents.limit_requests import LimitRequest
from app.documents.limits import ScopeLimits, scope_content
from app.documents.problems import invalid_field
from app.documents.schemas import ChangeLimits
from app.engine.types import CommandKind
from app.runtime.limit_scope import LimitScope
from app.runtime.risk_log import Change
from app.runtime.state_reader import by_symbol_and_account, limits_of

SCOPES_PAGE_MAX = 500

router = APIRouter(prefix="/v1/limits", tags=["limits"], route_class=ExactRoute)


class AllLimits(BaseModel):
    items: list[ScopeLimits]
    next_cursor: str | None


Page = Annotated[int, Query(ge=1, le=HISTORY_PAGE_MAX)]
Before = Annotated[int | None, Query(ge=1, lt=1 << 63, description="a seq: only what is older")]


async def _scope_response(services: Services, scope: LimitScope) -> Response:
    content = scope_content(services.state, services.reference, scope, services.clock.now())
    await services.loop.durable()
    response = json_response(content)
    response.headers.update(etag(content["version"]))
    return response


async def _changes_of(
    services: Services, principal: Principal, scope: LimitScope, before_seq: int | None, count: int
) -> list[Change]:
    """Changes of exactly this scope before a command, newest first; `count` or a few more, if any."""
    found: list[Change] = []
    async for part in services.turns.spread(principal.number, services.risk_log.changes()):
        found += [
            change
            for change in part
            if is_of_scope(change.event, scope) and (before_seq is None or change.event.seq < before_seq)
        ]
        if len(found) >= count:
            break
    return found


async def _history_response(
    services: Services, principal: Principal, found: list[Change], count: int
) -> Response:
    """The first `count` of the changes found, and a cursor if there are more."""
    shown = found[:count]
    items = await json_list(services, principal, (change_content(services, each) for each in shown))
    await services.loop.durable()
    cursor = str(shown[-1].event.seq) if len(found) > count else None
    since = services.risk_log.complete_since_ts
    return document(services, principal, items=items, next_cursor=cursor, complete_since_ts=since)


def _add_routes(path: str, find_scope: FindScope) -> None:
    Scoped = Annotated[LimitScope, Depends(find_scope)]  # noqa: N806  # a type

    async def get_limits(services: Provided, _principal: Viewer, scope: Scoped) -> Response:
        """The scope's own limits, the effective limits, and their usage. The ETag is the version."""
        return await _scope_response(services, scope)

    async def put_limits(
        change: ChangeLimits,
        services: Provided,
        principal: RiskManager,
        scope: Scoped,
        if_match: IfMatch = None,
    ) -> Response:
        """Set limits that have a value, remove those that are null; the others stay. All of it or nothing.

        202 with the request if the change loosens a limit and needs a second person.
        """
        values = limit_values(change.limits, scope.kind)
        if not values:
            raise invalid_field("limits", "name at least one limit")
        check_contradictions(limits_of(services.state, scope), values)
        request = await submit_change(
            services,
            principal,
            CommandKind.SET_LIMIT,
            scope,
            values,
            change.reason,
            expected=expected_version(if_match),
        )
        if request is not None:
            return change_response(services, request, 202)
        return await _scope_response(services, scope)

    async def get_history(
        services: Provided, principal: Viewer, scope: Scoped, limit: Page = 100, before_seq: Before = None
    ) -> Response:
        """Changes, newest first: who, when, why, old and new.

        From the newest part of the journal, kept in memory (20,000 changes): from `complete_since_ts` on
        nothing is missing.
        """
        found = await _changes_of(services, principal, scope, before_seq, limit + 1)
        return await _history_response(services, principal, found, limit)

    router.get(path, response_model=ScopeLimits, responses=problems(404))(get_limits)
    router.put(
        path,
        response_model=ScopeLimits,
        responses={
            202: {"model": LimitRequest, "description": "it waits for a second person"},
            **problems(404, 409, 412, 413, 422),
        },
    )(put_limits)
    router.get(f"{path}/history", response_model=RiskHistory, responses=problems(404))(get_history)


for _path, _find_scope in PATHS.items():
    _add_routes(_path, _find_scope)


def _readable_scopes(services: Services, principal: Principal) -> tuple[list[LimitScope], NDArray[np.int64]]:
    """The wide ones; then (symbol, account) of those of an account in a symbol that have limits."""
    state, names = services.state, services.reference.account_names
    scopes: list[LimitScope] = []
    if principal.accounts is None:
        scopes.append(LimitScope())
        scopes += [LimitScope(None, symbol) for symbol in range(len(services.reference.instruments))]
    readable = np.array([principal.may_read(name) for name in names], np.bool_)
    scopes += [LimitScope(index) for index in np.flatnonzero(readable).tolist()]
    limited = by_symbol_and_account(state, state.account_symbol_limits, services.reference)["set_mask"] != 0
    return scopes, np.argwhere(limited & readable)


@router.get("", response_model=AllLimits, responses=problems())
async def list_limits(
    services: Provided,
    principal: Viewer,
    limit: Annotated[int, Query(ge=1, le=SCOPES_PAGE_MAX)] = SCOPES_PAGE_MAX,
    cursor: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
) -> Response:
    """The firm, all symbols, all accounts, and accounts in a symbol that have limits.

    A trader sees those of its accounts.
    """
    scopes, pairs = _readable_scopes(services, principal)
    await services.turns.take(principal.number)
    page = scopes[cursor : cursor + limit]
    begin = max(cursor - len(scopes), 0)
    for symbol, account in pairs[begin : begin + limit - len(page)].tolist():
        page.append(LimitScope(account, symbol))
    state, reference, clock = services.state, services.reference, services.clock
    contents = (scope_content(state, reference, scope, clock.now()) for scope in page)
    items = await json_list(services, principal, contents)
    await services.loop.durable()
    following = cursor + limit
    return document(
        services,
        principal,
        items=items,
        next_cursor=str(following) if following < len(scopes) + len(pairs) else None,
    )
