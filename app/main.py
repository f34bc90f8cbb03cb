"""Web application: routes, error responses, and the middleware in front of the framework."""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import WebSocketRoute

from app.api.http.asgi import Application
from app.api.http.body_limit import BodyLimit
from app.api.http.decoding import invalid_problem
from app.api.http.gate import Gate
from app.api.http.large_response import LargeResponse
from app.api.order_entry.desk import OrderDesk
from app.api.routes import (
    account_changes,
    accounts,
    breaches,
    history,
    instruments,
    keys,
    kill_switch,
    limit_changes,
    limit_templates,
    limits,
    market,
    order_entry,
    orders,
    overrides,
    permissions,
    risk,
    risk_check,
    risk_parameters,
    settlement,
    system,
)
from app.api.routes import close_position as closing
from app.api.routes import open_account as account_opening
from app.api.routes.access import ExactRoute, Observer, problems
from app.api.routes.examples import add_examples
from app.api.services import Services
from app.api.websocket.trade import TradeSocket
from app.documents.problems import (
    Problem,
    engine_halted,
    history_timeout,
    history_unavailable,
    http_problem,
    internal_error,
    overloaded,
    storage_full,
)
from app.runtime.unavailable import EngineHalted, Overloaded, StorageFull
from app.store.history import HistoryTimeout, HistoryUnavailable

DESCRIPTION = """A trading engine: orders, accounts, limits.

Decimals are strings; numbers are accepted on input where they are exact. Times are microseconds since
the epoch. Errors are `application/problem+json` with a stable `code`. Every route but `/health/*` needs
`Authorization: Bearer <key>`. Orders are also taken over the WebSocket `/v1/trade`;
events are published live on `/v1/stream`.
"""

ROUTERS = (
    order_entry,
    orders,
    accounts,
    account_opening,
    account_changes,
    closing,
    history,
    instruments,
    settlement,
    limits,
    overrides,
    limit_changes,
    limit_templates,
    permissions,
    kill_switch,
    risk,
    risk_parameters,
    risk_check,
    breaches,
    market,
    keys,
    system,
)


def _response(problem: Problem) -> Response:
    return Response(problem.body(), problem.status, problem.headers)


def _methods_of(path: str) -> str:
    """All methods that a path allows: the framework reports those of the first route alone."""
    found: set[str] = set()
    for module in ROUTERS:
        for route in module.router.routes:
            if isinstance(route, APIRoute) and route.path_regex.fullmatch(path):
                found |= route.methods or set()
    return ", ".join(sorted(found))


def _add_error_answers(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def answer_problem(_request: Request, error: Problem) -> Response:
        return _response(error)

    @app.exception_handler(RequestValidationError)
    async def answer_invalid(request: Request, error: RequestValidationError) -> Response:
        route = request.scope["route"]
        schema = route.body_schema if isinstance(route, ExactRoute) else None
        return _response(invalid_problem(error.errors(), 1, schema, 1))

    @app.exception_handler(HTTPException)
    async def answer_http(request: Request, error: HTTPException) -> Response:
        response = _response(http_problem(error.status_code))
        response.headers.update(error.headers or {})
        if error.status_code == 405:
            response.headers["allow"] = _methods_of(request.url.path) or response.headers["allow"]
        return response

    @app.exception_handler(EngineHalted)
    async def answer_halted(_request: Request, _error: EngineHalted) -> Response:
        return _response(engine_halted())

    @app.exception_handler(Overloaded)
    async def answer_overloaded(_request: Request, _error: Overloaded) -> Response:
        return _response(overloaded())

    @app.exception_handler(StorageFull)
    async def answer_storage_full(_request: Request, _error: StorageFull) -> Response:
        return _response(storage_full())

    @app.exception_handler(HistoryUnavailable)
    async def answer_no_history(_request: Request, _error: HistoryUnavailable) -> Response:
        return _response(history_unavailable())

    @app.exception_handler(HistoryTimeout)
    async def answer_slow_history(_request: Request, _error: HistoryTimeout) -> Response:
        return _response(history_timeout())

    @app.exception_handler(Exception)
    async def answer_bug(_request: Request, _error: Exception) -> Response:
        # The framework raises the error again behind this answer, and the server logs it.
        return _response(internal_error())


def create_framework(services: Services, desk: OrderDesk) -> FastAPI:
    """The FastAPI application by itself: all routes and their OpenAPI descriptions."""
    app = FastAPI(
        title="Bot4",
        version=services.version,
        description=DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # it would send clients, and their orders, where the request's Host says
    )
    app.router.route_class = ExactRoute
    app.state.services = services
    app.state.desk = desk
    for module in ROUTERS:
        app.include_router(module.router)
    _add_error_answers(app)

    @app.get("/openapi.json", tags=["system"], responses=problems())
    async def openapi(principal: Observer) -> Response:
        return LargeResponse(services, principal, [describe()])

    describe = app.state.describe = _description_of(app)
    return app


def _description_of(app: FastAPI) -> Callable[[], bytes]:
    """The OpenAPI document, built on first use, which takes most of a second.

    `app.bootstrap` asks for it before the start is over, in a thread. Any thread may ask.
    """
    lock = threading.Lock()
    made: list[bytes] = []

    def describe() -> bytes:
        with lock:
            if not made:
                document: dict[str, Any] = app.openapi()
                add_examples(document)
                made.append(orjson.dumps(document))
        return made[0]

    return describe


class WebApplication(NamedTuple):
    """The ASGI application that the server runs, and the builder of its OpenAPI document."""

    application: Application
    describe: Callable[[], bytes]


def create_app(services: Services, desk: OrderDesk, stream_socket: Application) -> WebApplication:
    application = create_framework(services, desk)
    sockets: dict[str, Application] = {"/v1/trade": TradeSocket(services, desk), "/v1/stream": stream_socket}
    application.router.routes += [WebSocketRoute(path, socket) for path, socket in sockets.items()]
    gate = Gate(BodyLimit(application, services.body_bytes_max, services.keys), services)
    return WebApplication(gate, application.state.describe)
