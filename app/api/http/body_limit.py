"""Body limit: the framework reads a request's body whole or not at all.

Order entry passes: its routes read their bodies themselves, within bounds of their own
(`app.api.routes.order_entry`), once they know the key.
"""

from app.api.auth import KeyStore
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
from app.documents.problems import problem_of

_ORDERS = "/v1/orders"
_ORDER_PREFIX = "/v1/orders/"
_PLACING = frozenset((_ORDERS, "/v1/orders/batch"))
_WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")


def is_order_entry(method: str, path: str) -> bool:
    """Whether a request places, cancels or amends named orders."""
    if method == "POST":
        return path in _PLACING
    return method in ("DELETE", "PATCH") and path.startswith(_ORDER_PREFIX)


class BodyLimit:
    """Bounds the bodies of all other routes: the framework gets the whole body, or the client a 413.

    Without a valid key the framework gets none: no route without a key has one, and it is not awaited.
    """

    def __init__(self, application: Application, bytes_max: int, keys: KeyStore) -> None:
        self._application = application
        self._bytes_max = bytes_max
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _WITHOUT_BODY:
            return await self._application(scope, receive, send)
        if is_order_entry(scope["method"], scope["path"]):
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
