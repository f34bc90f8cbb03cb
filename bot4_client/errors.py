"""Errors, by what the caller can do about them. `code` is the server's, and stable."""

from collections.abc import Mapping
from typing import Any


class Bot4Error(Exception):
    """`problem` is the server's document (RFC 9457), with `limit`, `observed` and `scope` of a refusal."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        self.code = str(problem.get("code", "UNKNOWN"))
        super().__init__(f"{self.code}: {problem.get('detail', '')}")


class Refused(Bot4Error):
    """The request was understood and not done: change it, or drop it.

    `after_loss`: an earlier try, whose reply was lost with its connection, may have done it.
    """

    after_loss = False


class Unauthorized(Bot4Error):
    """No key, a wrong one, or one that has been revoked."""


class Forbidden(Bot4Error):
    """The key's role or accounts do not allow it."""


class Unavailable(Bot4Error):
    """The server was not ready, overloaded or halted for as long as the caller was willing to wait.

    Nothing was done, unless it is an `OutcomeUnknown`.
    """


class OutcomeUnknown(Unavailable):
    """The connection was lost on the way and did not come back in time: it may be in effect or not.

    `client_order_ids`: of the orders; place them again under the same ids, or query them by these.
    """

    def __init__(self, detail: str, client_order_ids: tuple[str, ...] = ()) -> None:
        super().__init__(0, {"code": "OUTCOME_UNKNOWN", "detail": detail})
        self.client_order_ids = client_order_ids


def error_of(status: int, problem: Mapping[str, Any]) -> Bot4Error:
    return _KINDS.get(status, Refused)(status, problem)


_KINDS: dict[int, type[Bot4Error]] = {
    401: Unauthorized,
    403: Forbidden,
    429: Unavailable,
    503: Unavailable,
}


def closed_error(code: int | None, reason: str) -> Bot4Error | None:
    """The error of a close code after which a reconnect is useless."""
    if code == 4001:
        return Unauthorized(401, {"code": "UNAUTHORIZED", "detail": reason or "the key is not valid"})
    if code == 4003:
        return Forbidden(403, {"code": "FORBIDDEN", "detail": reason or "not allowed for this key"})
    return None
