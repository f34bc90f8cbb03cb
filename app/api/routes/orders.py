"""Order lists, and mass cancels; `app.api.routes.order_entry` is for single orders."""

from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Query, Response
from numpy.typing import NDArray

from app.api.auth import Principal
from app.api.http.large_response import document, json_list
from app.api.order_entry.desk import OrderDesk
from app.api.order_entry.mass_cancel import canceled_members
from app.api.routes.access import (
    Desk,
    ExactRoute,
    Provided,
    Trader,
    Viewer,
    account_index,
    json_response,
    problems,
    symbol_index,
)
from app.api.services import Services
from app.documents.orders import order_content
from app.documents.problems import invalid_field
from app.documents.schemas import (
    ORDERS_PAGE_MAX,
    CanceledOrders,
    CancelScope,
    Order,
    OrderPage,
)

router = APIRouter(prefix="/v1", tags=["orders"], route_class=ExactRoute)

AccountQuery = Annotated[str | None, Query(max_length=36)]
SymbolQuery = Annotated[str | None, Query(max_length=24)]
_BY_CLIENT_ID = "/orders/by-client-id/{account}/{client_order_id:path}"


@router.delete("/orders", response_model=CanceledOrders, responses=problems(404))
async def cancel_orders(
    services: Provided,
    desk: Desk,
    principal: Trader,
    account: AccountQuery = None,
    symbol: SymbolQuery = None,
    scope: Annotated[
        CancelScope | None, Query(description="firm: all accounts that the key may trade, in place of one")
    ] = None,
) -> Response:
    """Cancel all open orders of an account, or with `scope=firm` of all accounts that the key may trade.

    Name one of the two. With `symbol` only the orders in this symbol.
    """
    outcomes = await desk.cancel_all(principal, account, symbol, scope)
    return document(
        services, principal, **await canceled_members(services, desk, principal, outcomes, "items")
    )


@router.get("/orders", response_model=OrderPage, responses=problems(404))
async def list_orders(
    services: Provided,
    desk: Desk,
    principal: Viewer,
    account: AccountQuery = None,
    symbol: SymbolQuery = None,
    status: Literal["open", "all"] = "open",
    cursor: Annotated[str | None, Query(max_length=32)] = None,
    limit: Annotated[int, Query(ge=1, le=ORDERS_PAGE_MAX)] = 100,
) -> Response:
    """Orders that the engine holds, newest first; closed ones as long as it does not need their slots."""
    accounts = _readable(services, principal, account)
    slots = await desk.reader.newest(
        accounts,
        None if symbol is None else symbol_index(services, symbol),
        status == "open",
        _cursor_id(cursor),
        limit + 1,
    )
    views = await services.turns.all_of(principal.number, map(desk.reader.view, slots[:limit]))
    await services.loop.durable()
    items = await json_list(services, principal, (order_content(services.reference, view) for view in views))
    cursor = str(views[-1].order_id) if len(slots) > limit else None
    return document(services, principal, items=items, next_cursor=cursor)


def _readable(services: Services, principal: Principal, account: str | None) -> NDArray[np.int32] | None:
    """Indexes of the requested accounts that the key may read; None for all."""
    if account is not None:
        return np.array([account_index(services, principal, account)], np.int32)
    if principal.accounts is None:
        return None
    known = services.reference.accounts
    return np.array([known[name] for name in principal.accounts if name in known], np.int32)


def _cursor_id(cursor: str | None) -> int:
    if cursor is None:
        return (1 << 63) - 1
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 19 and int(cursor) < 1 << 63):
        raise invalid_field("cursor", "is not one that this API gave")
    return int(cursor)


@router.get(_BY_CLIENT_ID, response_model=Order, responses=problems(404))
async def get_order_by_client_id(
    account: str, client_order_id: str, services: Provided, desk: Desk, principal: Viewer
) -> Response:
    slot = desk.find_by_client_id(principal, account, client_order_id)
    return await _order_response(services, desk, slot)


@router.get("/orders/{order_id}", response_model=Order, responses=problems(404))
async def get_order(order_id: str, services: Provided, desk: Desk, principal: Viewer) -> Response:
    return await _order_response(services, desk, desk.find(principal, order_id))


async def _order_response(services: Services, desk: OrderDesk, slot: int) -> Response:
    view = desk.reader.view(slot)
    content = order_content(services.reference, view)
    content["fills"] = desk.fills(slot, view)
    await services.loop.durable()
    return json_response(content)
