"""Permissions: the symbols that an account may trade, by default and symbol by symbol."""

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from app.api.auth import Principal
from app.api.http.large_response import LargeResponse, Pieces, document, json_list, json_object
from app.api.routes.access import (
    ExactRoute,
    Provided,
    RiskManager,
    Viewer,
    account_index,
    json_response,
    problems,
    symbol_index,
)
from app.api.services import Services
from app.api.submission import raise_if_refused, reason_text
from app.commands.administration import set_permission
from app.documents.content import Content
from app.documents.problems import invalid_field
from app.documents.schemas import SYMBOL_PERMISSIONS_MAX, Closed, Reason, SymbolName
from app.engine.types import Permission
from app.runtime.state_reader import by_symbol_and_account, position_of

router = APIRouter(prefix="/v1/permissions", tags=["limits"], route_class=ExactRoute)

PermissionName = Literal["DEFAULT", "ALLOWED", "DENIED"]


class SymbolPermission(BaseModel):
    """`permission` DEFAULT: the account's default applies."""

    symbol: str
    permission: PermissionName
    effective: Literal["ALLOWED", "DENIED"]


class AccountPermissions(BaseModel):
    """`permission` is for symbols that have none of their own; DEFAULT is ALLOWED."""

    account: str
    permission: PermissionName
    symbols: list[SymbolPermission]


class Permissions(BaseModel):
    items: list[AccountPermissions]
    next_cursor: str | None


class ChangePermission(Closed):
    permission: PermissionName
    reason: Reason


class ChangePermissions(Closed):
    """Members left out stay as they are. All of it applies between two orders."""

    permission: PermissionName | None = Field(None, description="of symbols that have none of their own")
    symbols: dict[SymbolName, PermissionName] = Field({}, max_length=SYMBOL_PERMISSIONS_MAX)
    reason: Reason


def permission_of(services: Services, account: int, symbol: int | None = None) -> Permission:
    """The account's default permission, or that of one symbol."""
    state = services.state
    if symbol is None:
        return Permission(int(state.accounts[account]["permission"]))
    return Permission(int(position_of(state, account, symbol)["permission"]))


def _symbol_content(services: Services, account: int, symbol: int) -> Content:
    own = permission_of(services, account, symbol)
    applies = own or permission_of(services, account) or Permission.ALLOWED
    return {
        "symbol": services.reference.instruments[symbol].symbol,
        "permission": own.name,
        "effective": applies.name,
    }


def _symbols(services: Services) -> range:
    return range(len(services.reference.instruments))


def restrictions(services: Services, account: int) -> Iterator[tuple[int | None, Permission]]:
    """The account's permissions: the default (None), and of symbols; DEFAULT left out."""
    if default := permission_of(services, account):
        yield None, default
    for symbol in range(len(services.reference.instruments)):
        if own := permission_of(services, account, symbol):
            yield symbol, own


@router.get("", response_model=Permissions, responses=problems())
async def list_permissions(services: Provided, principal: Viewer) -> Response:
    """Accounts with anything but DEFAULT; for a trader those of its own."""
    state, names = services.state, services.reference.account_names
    restricted = state.accounts["permission"][: len(names)] != 0
    of_symbols = by_symbol_and_account(state, state.positions, services.reference)["permission"]
    restricted |= (of_symbols != 0).any(axis=0)
    items = await _json_items(
        services,
        principal,
        [account for account in np.flatnonzero(restricted).tolist() if principal.may_read(names[account])],
    )
    await services.loop.durable()
    return document(services, principal, items=items, next_cursor=None)


async def _json_items(services: Services, principal: Principal, accounts: list[int]) -> Pieces:
    items: Pieces = []
    before = b"["
    for account in accounts:
        items += (before, *await _account_json(services, principal, account))
        before = b","
        await services.turns.take(principal.number)
    return [*items, b"]"] if items else [b"[]"]


async def _account_json(services: Services, principal: Principal, account: int) -> Pieces:
    """An AccountPermissions, made symbol by symbol."""
    symbols = (_symbol_content(services, account, symbol) for symbol in _symbols(services))
    return json_object(
        account=services.reference.account_names[account],
        permission=permission_of(services, account).name,
        symbols=await json_list(services, principal, symbols),
    )


@router.get("/accounts/{account}", response_model=AccountPermissions, responses=problems(404))
async def get_permissions(account: str, services: Provided, principal: Viewer) -> Response:
    """The account's default, and every symbol with its permission."""
    content = await _account_json(services, principal, account_index(services, principal, account))
    await services.loop.durable()
    return LargeResponse(services, principal, content)


@router.get("/accounts/{account}/symbols/{symbol}", response_model=SymbolPermission, responses=problems(404))
async def get_permission(account: str, symbol: str, services: Provided, principal: Viewer) -> Response:
    index = account_index(services, principal, account)
    content = _symbol_content(services, index, symbol_index(services, symbol))
    await services.loop.durable()
    return json_response(content)


async def _set(
    services: Services,
    principal: Principal,
    account: int,
    changes: list[tuple[int | None, Permission]],
    reason: str,
) -> None:
    """Apply permissions in a row, with no order in between. Raises Problem."""
    text = reason_text(reason)
    records = await services.turns.all_of(
        principal.number,
        (
            b"".join(set_permission(account, symbol, permission, principal.number, text))
            for symbol, permission in changes
        ),
    )
    for outcome in await services.loop.submit_batch(b"".join(records)):
        raise_if_refused(services, outcome)


@router.put("/accounts/{account}", response_model=AccountPermissions, responses=problems(404, 413, 422))
async def change_permissions(
    account: str, change: ChangePermissions, services: Provided, principal: RiskManager
) -> Response:
    """Set the account's default, or symbols, or both: all of it or nothing.

    Open orders stay. In a DENIED symbol, orders that reduce the position still pass.
    """
    index = account_index(services, principal, account)
    changes = [(symbol_index(services, name), Permission[wish]) for name, wish in change.symbols.items()]
    wanted: list[tuple[int | None, Permission]] = [*changes]
    if change.permission is not None:
        wanted.append((None, Permission[change.permission]))
    if not wanted:
        raise invalid_field("symbols", "name a permission, or symbols with theirs")
    await _set(services, principal, index, wanted, change.reason)
    return await get_permissions(account, services, principal)


@router.put(
    "/accounts/{account}/symbols/{symbol}", response_model=SymbolPermission, responses=problems(404, 413, 422)
)
async def change_permission(
    account: str, symbol: str, change: ChangePermission, services: Provided, principal: RiskManager
) -> Response:
    """Set the permission of one symbol."""
    index, number = account_index(services, principal, account), symbol_index(services, symbol)
    await _set(services, principal, index, [(number, Permission[change.permission])], change.reason)
    return await get_permission(account, symbol, services, principal)


@router.delete(
    "/accounts/{account}/symbols/{symbol}", response_model=SymbolPermission, responses=problems(404, 422)
)
async def remove_permission(
    account: str,
    symbol: str,
    services: Provided,
    principal: RiskManager,
    reason: Annotated[Reason, Query()],
) -> Response:
    """Return to the account's default."""
    index, number = account_index(services, principal, account), symbol_index(services, symbol)
    await _set(services, principal, index, [(number, Permission.DEFAULT)], reason)
    return await get_permission(account, symbol, services, principal)
