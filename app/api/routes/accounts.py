"""Accounts and positions."""

import orjson
from fastapi import APIRouter, Response
from pydantic import BaseModel

from app.api.auth import Principal
from app.api.http.large_response import document, json_list
from app.api.routes.access import ExactRoute, Provided, Viewer, account_index, json_response, problems
from app.api.services import Services
from app.documents.accounts import Account, Position, account_content, position_contents

router = APIRouter(prefix="/v1", tags=["accounts"], route_class=ExactRoute)


class Accounts(BaseModel):
    items: list[Account]
    next_cursor: str | None


class Positions(BaseModel):
    items: list[Position]
    next_cursor: str | None


def _readable(services: Services, principal: Principal) -> list[int]:
    names = services.reference.account_names
    return [index for index, name in enumerate(names) if principal.may_read(name)]


@router.get("/accounts", response_model=Accounts, responses=problems())
async def list_accounts(services: Provided, principal: Viewer) -> Response:
    state, reference = services.state, services.reference
    accounts = _readable(services, principal)
    contents = (account_content(state, reference, account) for account in accounts)
    items = await json_list(services, principal, contents)
    await services.loop.durable()
    return document(services, principal, items=items, next_cursor=None)


@router.get("/accounts/{account}", response_model=Account, responses=problems(404))
async def get_account(account: str, services: Provided, principal: Viewer) -> Response:
    index = account_index(services, principal, account)
    content = account_content(services.state, services.reference, index)
    await services.loop.durable()
    return json_response(content)


@router.get("/accounts/{account}/positions", response_model=Positions, responses=problems(404))
async def get_positions(account: str, services: Provided, principal: Viewer) -> Response:
    index = account_index(services, principal, account)
    positions = position_contents(services.state, services.reference, index)
    items = await json_list(services, principal, positions)
    await services.loop.durable()
    return document(services, principal, items=items, next_cursor=None)


@router.get("/positions", response_model=Positions, responses=problems())
async def list_positions(services: Provided, principal: Viewer) -> Response:
    state, reference = services.state, services.reference
    # By account: searching accounts without positions takes time, too.
    of_accounts = await services.turns.all_of(
        principal.number,
        (
            [orjson.dumps(position) for position in position_contents(state, reference, account)]
            for account in _readable(services, principal)
        ),
    )
    items = [b"[", b",".join(b",".join(part) for part in of_accounts if part), b"]"]
    await services.loop.durable()
    return document(services, principal, items=items, next_cursor=None)
