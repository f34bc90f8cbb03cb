"""Order entry routes: requests that connections do not answer themselves.

Those are in `app.api.http.order_connection`.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response

from app.api.http.asgi import Disconnected, Receive, Scope, Send, read_body
from app.api.http.decoding import decoder
from app.api.http.known_names import body_problem, query_problem
from app.api.order_entry.pending import SendReply, failure_reply, reply_of
from app.api.order_entry.request_bodies import ORDER_BYTES_MAX
from app.api.routes.access import (
    Desk,
    ExactRoute,
    Responses,
    Viewer,
    desk_of,
    problems,
    reply_response,
    served_principal,
    services_of,
)
from app.documents.schemas import AmendOrder, BatchResults, Order, PlaceOrder, PlaceOrders


class NoResponse(Response):
    """For a client that has gone."""

    async def __call__(self, _scope: Scope, _receive: Receive, _send: Send) -> None:
        """Nothing is sent."""


class OrderRoute(ExactRoute):
    """A route that answers a request as a connection does, with the same words for the same bytes.

    The framework finds the route, and documents it by its function's signature. The arguments are made here,
    in the connections' order: the key, the engine's readiness, the query, the body, which is decoded from its
    bytes. The framework would begin with the body. The desk checks what the key may do.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint = self.endpoint
        body = self.dependant.body_params[0] if self.dependant.body_params else None
        model: Any = None if body is None else body.field_info.annotation
        decode = None if model is None else decoder(model)

        async def arguments(request: Request) -> dict[str, Any]:
            """Raises Problem, Disconnected."""
            services = services_of(request)
            principal = served_principal(request)
            problem = query_problem(request.scope["query_string"], ())
            if problem is not None:
                raise problem
            bytes_max = services.body_bytes_max if model is PlaceOrders else ORDER_BYTES_MAX
            content = await read_body(request.scope, request.receive, bytes_max)
            found = {**request.path_params, "desk": desk_of(request), "principal": principal}
            if body is not None and decode is not None:
                found[body.name] = decode(content)
            elif content:
                raise body_problem()
            return found

        async def handle(request: Request) -> Response:
            try:
                return await endpoint(**await arguments(request))  # type: ignore[no-any-return]
            except Disconnected:
                return NoResponse()
            except Exception as error:  # noqa: BLE001  # expected, or a bug: a logged 500
                return reply_response(failure_reply(error))

        return handle


router = APIRouter(prefix="/v1", tags=["orders"], route_class=OrderRoute)

_BY_CLIENT_ID = "/orders/by-client-id/{account}/{client_order_id:path}"
_REPLAYED: Responses = {
    200: {"model": Order, "description": "the first result again; header `Idempotency-Replayed: true`"}
}


async def _answered(start: Callable[[SendReply], None]) -> Response:
    return reply_response(await reply_of(start))


@router.post(
    "/orders", status_code=201, response_model=Order, responses={**_REPLAYED, **problems(409, 413, 422)}
)
async def place_order(order: PlaceOrder, desk: Desk, principal: Viewer) -> Response:
    """Place an order. The response comes when it is durable, with the fills on arrival."""
    return await _answered(partial(desk.place, principal, order))


@router.post("/orders/batch", response_model=BatchResults, responses=problems(413))
async def place_orders(batch: PlaceOrders, desk: Desk, principal: Viewer) -> Response:
    """Place up to 1,000 orders; results are in their order. A malformed order refuses the whole batch."""
    return await _answered(partial(desk.place_batch, principal, batch))


@router.patch("/orders/{order_id}", response_model=Order, responses=problems(404, 409, 413, 422))
async def amend_order(order_id: str, amend: AmendOrder, desk: Desk, principal: Viewer) -> Response:
    """Change price or total quantity; the place in the queue is kept only if the quantity falls."""
    return await _answered(partial(desk.amend, principal, order_id, amend))


@router.delete("/orders/{order_id}", response_model=Order, responses=problems(404, 409))
async def cancel_order(order_id: str, desk: Desk, principal: Viewer) -> Response:
    return await _answered(partial(desk.cancel, principal, order_id))


@router.patch(_BY_CLIENT_ID, response_model=Order, responses=problems(404, 409, 413, 422))
async def amend_order_by_client_id(
    account: str, client_order_id: str, amend: AmendOrder, desk: Desk, principal: Viewer
) -> Response:
    """As by `order_id`: the newest order that the account placed under this id."""
    order_id = desk.order_id_of(principal, account, client_order_id)
    return await _answered(partial(desk.amend, principal, order_id, amend))


@router.delete(_BY_CLIENT_ID, response_model=Order, responses=problems(404, 409))
async def cancel_order_by_client_id(
    account: str, client_order_id: str, desk: Desk, principal: Viewer
) -> Response:
    """As by `order_id`: the newest order that the account placed under this id."""
    order_id = desk.order_id_of(principal, account, client_order_id)
    return await _answered(partial(desk.cancel, principal, order_id))
