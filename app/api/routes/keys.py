"""API keys over HTTP; see `app.api.auth`."""

import asyncio

from fastapi import APIRouter, Response
from pydantic import BaseModel

from app.api.auth import KeyRefused, Principal, Role, disconnect
from app.api.http.large_response import document, json_list
from app.api.routes.access import ExactRoute, KeyAdmin, Provided, json_response, problems
from app.documents.content import Content
from app.documents.problems import Problem, invalid_field
from app.documents.schemas import NewKey

router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=ExactRoute)


class Key(BaseModel):
    id: int
    name: str
    role: str
    accounts: list[str]
    created_ts: int
    revoked_ts: int | None


class CreatedKey(Key):
    key: str


class Keys(BaseModel):
    items: list[Key]
    next_cursor: str | None


def _content(principal: Principal) -> Content:
    return {
        "id": principal.number,
        "name": principal.name,
        "role": principal.role.name.lower(),
        "accounts": sorted(principal.accounts or ()),
        "created_ts": principal.created_ts,
        "revoked_ts": principal.revoked_ts or None,
    }


@router.get("", response_model=Keys, responses=problems())
async def list_keys(services: Provided, principal: KeyAdmin) -> Response:
    items = await json_list(services, principal, map(_content, services.keys.all()))
    return document(services, principal, items=items, next_cursor=None)


@router.post("", status_code=201, response_model=CreatedKey, responses=problems(409, 413))
async def create_key(request: NewKey, services: Provided, _principal: KeyAdmin) -> Response:
    """Create a key. It is shown in this response and never again."""
    role = Role[request.role.upper()]
    if (role == Role.TRADER) != bool(request.accounts):
        raise invalid_field("accounts", "a trader's key names its accounts, other keys name none")
    try:
        principal, key = await asyncio.to_thread(services.keys.create, request.name, role, request.accounts)
    except KeyRefused as error:
        raise Problem(409, "KEY_REFUSED", str(error)) from None
    return json_response({**_content(principal), "key": key}, 201)


@router.delete("/{key_id}", response_model=Key, responses=problems(404, 409))
async def revoke_key(key_id: int, services: Provided, _principal: KeyAdmin) -> Response:
    """Revoke a key: its requests are refused from now on, and its connections are closed."""
    try:
        principal = await asyncio.to_thread(services.keys.revoke, key_id)
    except KeyRefused as error:
        raise Problem(409, "KEY_REFUSED", str(error)) from None
    if principal is None:
        raise Problem(404, "UNKNOWN_KEY", f"there is no key {key_id}")
    disconnect(principal)
    return json_response(_content(principal))
