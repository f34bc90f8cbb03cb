"""Order entry in front of the framework: placing, canceling and amending over HTTP.

FastAPI costs several times as much as the whole rest of an order. So this plain
ASGI callable answers the busy routes itself and passes everything else on; the
framework has the same routes (`app.api.routes.orders`), which document them and work,
but are not reached. In front of it `app.api.http.order_connection` answers the plainest
of these requests without ASGI.
"""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from app.api.auth import KeyStore, Principal
from app.api.http.asgi import (
    Application,
    Disconnected,
    Message,
    Receive,
    Scope,
    Send,
    header,
    read_body,
    send_problem,
)
from app.api.http.decoding import decoder
from app.api.http.known_names import body_problem, query_problem
from app.api.order_entry.desk import OrderDesk
from app.api.order_entry.pending import answer_of
from app.api.services import Services
from app.documents.orders import Answer
from app.documents.problems import (
    PROBLEM_TYPE,
    RETRY_AFTER_SECONDS,
    engine_halted,
    internal_error,
    not_ready,
    problem_of,
    unauthorized,
)
from app.documents.schemas import AmendOrder, PlaceOrder, PlaceOrders

logger = logging.getLogger(__name__)

ORDER_BYTES_MAX = 1 << 14

_JSON_HEADER = (b"content-type", b"application/json")
_PROBLEM_HEADER = (b"content-type", PROBLEM_TYPE.encode())
_RETRY_HEADER = (b"retry-after", str(RETRY_AFTER_SECONDS).encode())
_REPLAYED_HEADER = (b"idempotency-replayed", b"true")

_ORDERS = "/v1/orders"
_BATCH = "/v1/orders/batch"
_ORDER_PREFIX = "/v1/orders/"
_CLIENT_ID_PREFIX = "/v1/orders/by-client-id/"
_TRADE_SOCKET = "/v1/trade"

decode_order = decoder(PlaceOrder)
decode_orders = decoder(PlaceOrders)
decode_amend = decoder(AmendOrder)


def _start(answer: Answer) -> Message:
    headers = [
        _JSON_HEADER if answer.status < 400 else _PROBLEM_HEADER,
        (b"content-length", str(len(answer.body)).encode()),
    ]
    if answer.status == 503:
        headers.append(_RETRY_HEADER)
    if answer.replayed:
        headers.append(_REPLAYED_HEADER)
    return {"type": "http.response.start", "status": answer.status, "headers": headers}


async def _send_error(scope: Scope, send: Send, error: Exception) -> None:
    problem = problem_of(error)
    if problem is None:
        logger.error("%s %s failed", scope["method"], scope["path"], exc_info=error)
        problem = internal_error()
    await send_problem(send, problem)


Handler = Callable[[Principal, Scope, Receive], Awaitable[Answer]]


class HotLane:
    """An ASGI application: order entry here, `trade_socket` on its path, all else in `application`."""

    def __init__(
        self, application: Application, trade_socket: Application, services: Services, desk: OrderDesk
    ) -> None:
        self._application = application
        self._trade_socket = trade_socket
        self._desk = desk
        self._keys = services.keys
        self._loop = services.loop
        self._body_bytes_max = services.body_bytes_max

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        if scope["type"] == "http":
            path = scope["path"]
            method = scope["method"]
            if method == "POST":
                if path == _ORDERS:
                    return self._answer(self._place, scope, receive, send)
                if path == _BATCH:
                    return self._answer(self._place_batch, scope, receive, send)
            elif (method == "DELETE" or method == "PATCH") and path.startswith(_ORDER_PREFIX):
                handler = self._cancel if method == "DELETE" else self._amend
                return self._answer(handler, scope, receive, send)
        elif scope["type"] == "websocket" and scope["path"] == _TRADE_SOCKET:
            return self._trade_socket(scope, receive, send)
        return self._application(scope, receive, send)

    def _principal(self, scope: Scope) -> Principal:
        """Who is asking. Raises Problem."""
        for name, value in scope["headers"]:
            if name == b"authorization":
                principal = self._keys.of_header(value)
                if principal is None:
                    break
                if not self._loop.ready:
                    raise engine_halted() if self._loop.halted else not_ready()
                return principal
        raise unauthorized()

    async def _answer(self, handler: Handler, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            principal = self._principal(scope)
            problem = query_problem(scope["query_string"], ())
            if problem is not None:
                raise problem
            answer = await handler(principal, scope, receive)
        except Disconnected:
            return
        except Exception as error:  # noqa: BLE001  # expected, or a bug: a logged 500
            await _send_error(scope, send, error)
            return
        await send(_start(answer))
        await send({"type": "http.response.body", "body": answer.body})

    async def _place(self, principal: Principal, scope: Scope, receive: Receive) -> Answer:
        order = decode_order(await read_body(scope, receive, ORDER_BYTES_MAX))
        return await answer_of(partial(self._desk.place, principal, order))

    async def _place_batch(self, principal: Principal, scope: Scope, receive: Receive) -> Answer:
        batch = decode_orders(await read_body(scope, receive, self._body_bytes_max))
        return await answer_of(partial(self._desk.place_batch, principal, batch))

    def _order_id(self, principal: Principal, path: str) -> str:
        """Raises Problem where a client order id is nobody's."""
        if not path.startswith(_CLIENT_ID_PREFIX):
            return path[len(_ORDER_PREFIX) :]
        account, _, client_order_id = path[len(_CLIENT_ID_PREFIX) :].partition("/")
        return self._desk.order_id_of(principal, account, client_order_id)

    async def _cancel(self, principal: Principal, scope: Scope, receive: Receive) -> Answer:
        if await read_body(scope, receive, ORDER_BYTES_MAX):
            raise body_problem()
        order_id = self._order_id(principal, scope["path"])
        return await answer_of(partial(self._desk.cancel, principal, order_id))

    async def _amend(self, principal: Principal, scope: Scope, receive: Receive) -> Answer:
        amend = decode_amend(await read_body(scope, receive, ORDER_BYTES_MAX))
        order_id = self._order_id(principal, scope["path"])
        return await answer_of(partial(self._desk.amend, principal, order_id, amend))


class BodyLimit:
    """Bounds what any other route reads: the framework gets the whole body, or the client a 413.

    Without a valid key the framework gets none: no route without a key has one, and it is not waited for.
    """

    def __init__(self, application: Application, bytes_max: int, keys: KeyStore) -> None:
        self._application = application
        self._bytes_max = bytes_max
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return await self._application(scope, receive, send)
        authorization = header(scope, b"authorization")
        known = authorization is not None and self._keys.of_header(authorization) is not None
        try:
            body = await read_body(scope, receive, self._bytes_max) if known else b""
        except Disconnected:
            return None
        except Exception as error:
            problem = problem_of(error)
            if problem is None:
                raise
            return await send_problem(send, problem)
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return whole.pop() if whole else await receive()

        return await self._application(scope, replay, send)
