"""Access: dependencies of FastAPI routes: the services, the caller, and exactly decoded bodies."""

import json
from collections.abc import Callable, Coroutine, Iterator
from typing import Annotated, Any, cast

import orjson
from fastapi import Depends, Header, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from app.api.auth import Principal, Role
from app.api.http.decoding import exact_json
from app.api.http.known_names import JsonSchema, body_problem, query_problem
from app.api.http.shapes import check_shape
from app.api.order_entry.desk import OrderDesk
from app.api.services import Services
from app.documents.orders import Reply
from app.documents.problems import Problem, engine_halted, forbidden, not_ready, unauthorized
from app.documents.schemas import ProblemDocument

Responses = dict[int | str, dict[str, Any]]  # descriptions for OpenAPI, by status

_MEANINGS = {
    400: "malformed",
    401: "no key, or a wrong one",
    403: "not allowed for this key",
    404: "unknown",
    409: "in conflict with what is there",
    412: "the version in If-Match is not the one that is there",
    413: "the body is too large",
    422: "refused by the engine; `code` says why",
    429: "too many requests of this key, or too many without one; `Retry-After` says when again",
    504: "the database needs too long for this",
    503: "starting, halted or overloaded",
}


def problems(*statuses: int) -> Responses:
    """The errors of a route, for OpenAPI."""
    schema = {"application/problem+json": {"schema": ProblemDocument.model_json_schema()}}
    return {
        status: {"description": _MEANINGS[status], "content": schema}
        for status in (400, 401, 403, *statuses, 429, 503)
    }


class _ExactRequest(Request):
    async def json(self) -> Any:
        body = await self.body()
        try:
            check_shape(body)
            return exact_json(body)
        except json.JSONDecodeError:
            raise
        except Problem as problem:  # the framework has one error for an invalid body
            raise json.JSONDecodeError(problem.content["detail"], "", 0) from problem
        except ValueError as error:
            raise json.JSONDecodeError(str(error), "", 0) from error


def _as_json(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Bodies are JSON whatever their declared type: `curl -d` calls them a form."""
    kept = [header for header in headers if header[0] != b"content-type"]
    return [*kept, (b"content-type", b"application/json")]


def _dependants(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for each in dependant.dependencies:
        yield from _dependants(each)


async def _has_body(request: Request) -> bool:
    if request.headers.get("content-length", "0") != "0":
        return True
    more = "transfer-encoding" in request.headers
    while more:
        message = await request.receive()
        if message.get("body"):
            return True
        more = message.get("more_body", False)
    return False


class ExactRoute(APIRoute):
    """A route that accepts only what it knows, see `app.api.http.known_names`.

    It reads bodies as JSON, and their numbers keep their text, see `app.runtime.decimals`.
    """

    _body_schema: JsonSchema | None = None  # made on first use

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        parts = list(_dependants(self.dependant))
        known = list(dict.fromkeys(field.alias for part in parts for field in part.query_params))
        needs_key = any(part.call is _known for part in parts)
        takes_body = self.body_field is not None

        async def handle_exactly(request: Request) -> Response:
            problem = query_problem(request.scope["query_string"], known)
            if problem is None and not takes_body and await _has_body(request):
                problem = body_problem()
            if problem is not None:
                if needs_key:  # an unknown caller learns nothing else
                    _known(services_of(request), request.headers.get("authorization"))
                raise problem
            scope = {**request.scope, "headers": _as_json(request.scope["headers"])}
            return await handle(_ExactRequest(scope, request.receive))

        return handle_exactly

    def body_schema(self) -> JsonSchema:
        """The JSON schema of the body."""
        if self._body_schema is None:
            body: Any = self.body_field
            self._body_schema = TypeAdapter(body.field_info.annotation).json_schema()
        return self._body_schema


def services_of(request: Request) -> Services:
    return cast(Services, request.app.state.services)


def desk_of(request: Request) -> OrderDesk:
    return cast(OrderDesk, request.app.state.desk)


Provided = Annotated[Services, Depends(services_of)]
Desk = Annotated[OrderDesk, Depends(desk_of)]


def _known(
    services: Provided,
    authorization: Annotated[str | None, Header(description="Bearer <key>")] = None,
) -> Principal:
    principal = None
    if authorization is not None:
        principal = services.keys.of_header(authorization.encode("latin-1"))
    if principal is None:
        raise unauthorized()
    if not services.loop.ready and not services.loop.halted:
        raise not_ready()
    return principal


def _served(services: Provided, principal: Annotated[Principal, Depends(_known)]) -> Principal:
    if services.loop.halted:
        raise engine_halted()
    return principal


def served_principal(request: Request) -> Principal:
    """The caller, while the engine accepts orders. Raises Problem."""
    services = services_of(request)
    return _served(services, _known(services, request.headers.get("authorization")))


def _check_role(principal: Principal, role: Role) -> Principal:
    if principal.role < role:
        raise forbidden(f"this needs a key with the role {role.name.lower()}")
    return principal


def _role_of_at_least(role: Role) -> Callable[[Principal], Principal]:
    def check(principal: Annotated[Principal, Depends(_served)]) -> Principal:
        return _check_role(principal, role)

    return check


def _role_of_at_least_also_halted(role: Role) -> Callable[[Principal], Principal]:
    def check(principal: Annotated[Principal, Depends(_known)]) -> Principal:
        return _check_role(principal, role)

    return check


# Of what shows nothing of the engine's state, which a halt leaves ahead of the disk: it is answered still.
Observer = Annotated[Principal, Depends(_role_of_at_least_also_halted(Role.VIEWER))]
KeyAdmin = Annotated[Principal, Depends(_role_of_at_least_also_halted(Role.ADMIN))]

Viewer = Annotated[Principal, Depends(_role_of_at_least(Role.VIEWER))]
Trader = Annotated[Principal, Depends(_role_of_at_least(Role.TRADER))]
RiskManager = Annotated[Principal, Depends(_role_of_at_least(Role.RISK))]
Admin = Annotated[Principal, Depends(_role_of_at_least(Role.ADMIN))]


def json_response(content: object, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def reply_response(reply: Reply) -> Response:
    return Response(reply.body, reply.status, reply.headers)


def account_index(services: Services, principal: Principal, account: str) -> int:
    """Raises Problem: to a trader, others' accounts count as unknown."""
    index = services.reference.accounts.get(account)
    if index is None or not principal.may_read(account):
        raise Problem(404, "UNKNOWN_ACCOUNT", f"there is no account {account[:40]!r}")
    return index


def symbol_index(services: Services, symbol: str) -> int:
    """Raises Problem."""
    index = services.reference.symbols.get(symbol)
    if index is None:
        raise Problem(404, "UNKNOWN_SYMBOL", f"there is no symbol {symbol[:40]!r}")
    return index
