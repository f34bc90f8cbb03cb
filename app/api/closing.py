"""Closing a position: one reduce-only market order for all of it."""

from functools import partial

from fastapi import APIRouter, Response
from pydantic import BaseModel

from app.api.access import (
    Desk,
    ExactRoute,
    Provided,
    Trader,
    account_index,
    answer_response,
    problems,
    symbol_index,
)
from app.api.errors import Problem, forbidden
from app.api.order_desk import OrderDesk
from app.api.order_requests import answer_of
from app.api.schemas import CLOSED, ClientOrderId, Order, PlaceOrder
from app.api.services import Services
from app.engine.types import OrderFlag, OrderType, Side

router = APIRouter(prefix="/v1/accounts", tags=["orders"], route_class=ExactRoute)

_SIDES = tuple(member.name for member in Side)
_REDUCE_ONLY = int(OrderFlag.REDUCE_ONLY)


class ClosePosition(BaseModel):
    """With a client order id the request may be sent again: it places one order at the most."""

    model_config = CLOSED

    client_order_id: ClientOrderId | None = None
    cancel_open_orders: bool = False


def _closing_order(
    services: Services, desk: OrderDesk, account: int, symbol: int, client_order_id: str | None
) -> tuple[PlaceOrder, bool]:
    """The order, and whether it was placed before: then it is asked for again as it was.

    Raises Problem: there is nothing to close, or the client order id is another order's.
    """
    instrument = services.reference.instruments[symbol]
    slot = None
    if client_order_id is not None:
        slot = desk.reader.slot_of_client_id(account, client_order_id)
    if slot is not None:
        earlier = desk.reader.view(slot)
        if (earlier.symbol, earlier.type) != (symbol, OrderType.MARKET) or not earlier.flags & _REDUCE_ONLY:
            raise Problem(409, "DUPLICATE_CLIENT_ORDER_ID", "this client order id was used for another order")
        side, quantity = earlier.side, earlier.quantity
    else:
        position = int(services.state.positions[symbol * len(services.state.accounts) + account]["quantity"])
        if not position:
            raise Problem(409, "NO_POSITION", f"there is no position in {instrument.symbol} to close")
        side, quantity = (Side.SELL if position > 0 else Side.BUY), abs(position)
    order: PlaceOrder = {
        "account": services.reference.account_names[account],
        "symbol": instrument.symbol,
        "side": _SIDES[side],  # type: ignore[typeddict-item]  # the names are the literals
        "type": "MARKET",
        "quantity": instrument.quantity_text(quantity),
        "reduce_only": True,
        "client_order_id": client_order_id,
    }
    return order, slot is not None


@router.post(
    "/{account}/positions/{symbol}/close",
    status_code=201,
    response_model=Order,
    responses={
        200: {"model": Order, "description": "the first result again; header `Idempotency-Replayed: true`"},
        **problems(404, 409, 413, 422),
    },
)
async def close_position(
    account: str,
    symbol: str,
    request: ClosePosition,
    services: Provided,
    desk: Desk,
    principal: Trader,
) -> Response:
    """Sell or buy back the whole position at the market.

    Open orders that reduce the position count against it: with `cancel_open_orders` the account's
    orders in the symbol are canceled first.
    """
    index = account_index(services, principal, account)
    if not principal.may_trade(account):
        raise forbidden(f"this key may not trade account {account!r}")
    number = symbol_index(services, symbol)
    order, placed_before = _closing_order(services, desk, index, number, request.client_order_id)
    if request.cancel_open_orders and not placed_before:
        await desk.cancel_all(principal, account, symbol)
        order, placed_before = _closing_order(services, desk, index, number, request.client_order_id)
    answer = await answer_of(partial(desk.place, principal, order))
    if answer.status >= 400 and request.client_order_id is not None:
        twin, placed_before = _closing_order(services, desk, index, number, request.client_order_id)
        if placed_before and twin != order:
            # The same request came twice at once, and the position was another by then: one result for both.
            answer = await answer_of(partial(desk.place, principal, twin))
    return answer_response(answer)
