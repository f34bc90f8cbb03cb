"""Gate: the first check of a request: is there a valid key, and may that key ask for more now?

Orders and cancels pass at once, and so do requests that reduce risk: a key that has used up its
budget with reading must still get out. All others are counted (`app.api.key_budget`) and wait for
their turn (`app.api.turns`). Health checks need no key and are not counted.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from app.api.auth import Principal
from app.api.http.asgi import Application, Receive, Scope, Send, header, send_problem
from app.api.key_budget import Metered
from app.api.services import Services
from app.api.websocket.handshake import send_http_problem
from app.documents.problems import Problem

_HEALTH = "/health/"
_ORDERS = "/v1/orders"
_FREE_POSTS = frozenset((_ORDERS, "/v1/orders/batch", "/v1/kill-switch"))
_ACCOUNTS, _CLOSE = "/v1/accounts/", "/close"


def is_free(method: str, path: str) -> bool:
    """Whether a request is exempt from the key's budget: orders, and requests that reduce risk."""
    if method == "POST":
        return path in _FREE_POSTS or (path.startswith(_ACCOUNTS) and path.endswith(_CLOSE))
    return method in ("DELETE", "PATCH") and path.startswith(_ORDERS)


class Gate:
    """An ASGI application in front of another."""

    def __init__(self, application: Application, services: Services) -> None:
        self._application = application
        self._keys = services.keys
        self._turns = services.turns
        self._budgets = services.budgets
        self._failed = services.failed_keys

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        if scope["type"] == "http":
            authorization = header(scope, b"authorization")
            principal = None if authorization is None else self._keys.of_header(authorization)
            if principal is not None:
                if is_free(scope["method"], scope["path"]) or scope["path"].startswith(_HEALTH):
                    return self._application(scope, receive, send)
                return self._counted(principal, scope, receive, send)
            if not scope["path"].startswith(_HEALTH):
                problem = self._failed_once_more(scope)
                if problem is not None:
                    return send_problem(send, problem)
        elif scope["type"] == "websocket":
            authorization = header(scope, b"authorization")
            # Without the header the key comes in the first message (`app.api.websocket.handshake`).
            if authorization is not None and self._keys.of_header(authorization) is None:
                problem = self._failed_once_more(scope)
                if problem is not None:
                    return _refuse_socket(receive, send, problem)
        return self._application(scope, receive, send)

    def _failed_once_more(self, scope: Scope) -> Problem | None:
        problem = self._failed.problem(scope)
        if problem is None:
            self._failed.note(scope)  # and the application reports the error
        return problem

    async def _counted(self, principal: Principal, scope: Scope, receive: Receive, send: Send) -> None:
        budget = self._budgets.of(principal.number)
        problem = budget.problem(asyncio.get_running_loop().time())
        if problem is not None:
            self._budgets.refused += 1
            await send_problem(send, problem)
            return
        budget.at_once += 1
        try:
            await self._turns.take(principal.number)
            await Metered(self._application(scope, receive, send), budget)
        finally:
            budget.at_once -= 1


async def _refuse_socket(receive: Receive, send: Send, problem: Problem) -> None:
    await receive()  # websocket.connect
    await send_http_problem(send, problem)
