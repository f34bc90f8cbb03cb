"""Closing a position: reduce-only market orders for all of it, or nothing at all."""

from functools import partial

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from app.api.order_entry.pending import reply_of
from app.api.routes.access import (
    Desk,
    ExactRoute,
    Provided,
    Trader,
    account_index,
    problems,
    reply_response,
    symbol_index,
)
from app.documents.problems import Problem, forbidden
from app.documents.schemas import CLOSED, ClientOrderId, Order
from app.runtime.state_reader import position_of

router = APIRouter(prefix="/v1/accounts", tags=["orders"], route_class=ExactRoute)


class ClosePosition(BaseModel):
    """With a client order id the request may be repeated: it places at most one order."""

    model_config = CLOSED

    client_order_id: ClientOrderId | None = None
    cancel_open_orders: bool = False


class ClosedPosition(Order):
    """The first order. One is enough if the position is no larger than an order may be."""

    further_orders: list[Order] = Field(description="the others that close; left out for a repeat")
    canceled_orders: list[Order] = Field(
        description="what made way; those that protect end with the position"
    )


@router.post(
    "/{account}/positions/{symbol}/close",
    status_code=201,
    response_model=ClosedPosition,
    responses={
        200: {
            "model": ClosedPosition,
            "description": "the first result again; header `Idempotency-Replayed: true`",
        },
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

    Exempt from the limits of size, rate, age of the mark and price moves. With `cancel_open_orders` the
    account's other orders in the symbol make way if the close is accepted: those that protect the
    position end with it, the others are canceled. A close that is refused changes nothing.
    """
    index = account_index(services, principal, account)
    if not principal.may_trade(account):
        raise forbidden(f"this key may not trade account {account!r}")
    number = symbol_index(services, symbol)
    held = position_of(services.state, index, number)["quantity"]
    name = request.client_order_id
    if not held and (name is None or desk.reader.slot_of_client_id(index, name) is None):
        raise Problem(409, "NO_POSITION", f"there is no position in {symbol} to close")
    close = partial(desk.close, principal, index, number, request.cancel_open_orders, name)
    return reply_response(await reply_of(close))
