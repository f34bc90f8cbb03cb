"""Problems: every error leaves as RFC 9457 `application/problem+json` with a stable `code`."""

from http import HTTPStatus
from typing import Any

import orjson

from app.engine.codes import Code
from app.runtime.unavailable import EngineHalted, Overloaded, StorageFull

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1

_STATUS_OF_CODE = {
    Code.DUPLICATE_CLIENT_ORDER_ID: 409,
    Code.UNKNOWN_ORDER: 404,
    Code.ORDER_CLOSED: 409,
    Code.ORDER_PENDING: 409,
    Code.STALE_VERSION: 412,
    Code.OVERRIDE_EXISTS: 409,
    Code.UNKNOWN_OVERRIDE: 404,
    Code.UNKNOWN_CHANGE: 404,
    Code.CHANGE_CLOSED: 409,
    Code.CHANGE_STALE: 409,
    Code.MAKER_CANNOT_APPROVE: 403,
    Code.INSTRUMENT_IN_USE: 409,
    Code.SYMBOL_TRADING: 409,
}


def status_of_code(code: int) -> int:
    """The HTTP status of a refusal by the engine or the venue."""
    return _STATUS_OF_CODE.get(code, 422)  # type: ignore[call-overload, no-any-return]


def code_name(code: int) -> str | None:
    return _CODE_NAMES.get(code)


_CODE_NAMES = {int(code): code.name for code in Code if code}


def problem_content(status: int, code: str, detail: str, **members: Any) -> dict[str, Any]:
    """The members of a problem document."""
    return {
        "type": f"urn:bot4:problem:{code.lower().replace('_', '-')}",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": code,
        **members,
    }


def problem_headers(status: int) -> dict[str, str]:
    headers = {"content-type": PROBLEM_TYPE}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    elif status in (429, 503):
        headers["retry-after"] = str(RETRY_AFTER_SECONDS)
    elif status == 413:
        headers["connection"] = "close"
    return headers


class Problem(Exception):
    """A reply other than success; raised where no short return path exists."""

    def __init__(self, status: int, code: str, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.content = problem_content(status, code, detail, **members)
        self.extra_headers: dict[str, str] = {}

    @property
    def headers(self) -> dict[str, str]:
        return problem_headers(self.status) | self.extra_headers

    def body(self) -> bytes:
        return orjson.dumps(self.content)


def invalid_request(detail: str, errors: list[dict[str, str]] | None = None) -> Problem:
    return Problem(400, "INVALID_REQUEST", detail, errors=errors or [])


def invalid_field(path: str, message: str) -> Problem:
    return invalid_request(f"{path}: {message}", [{"path": path, "message": message}])


def unauthorized(detail: str = "a valid API key is required: Authorization: Bearer <key>") -> Problem:
    return Problem(401, "UNAUTHORIZED", detail)


def forbidden(detail: str) -> Problem:
    return Problem(403, "FORBIDDEN", detail)


def unknown_order(order_id: str) -> Problem:
    return Problem(404, "UNKNOWN_ORDER", f"there is no order {order_id[:40]!r}")


def not_ready() -> Problem:
    return Problem(503, "NOT_READY", "the engine is still starting")


def engine_halted() -> Problem:
    return Problem(503, "ENGINE_HALTED", "the journal cannot be written; no order is accepted")


def overloaded() -> Problem:
    return Problem(503, "OVERLOADED", "too many requests are waiting; try again")


def too_many_requests(code: str, detail: str, wait_seconds: int, limit: int) -> Problem:
    """`wait_seconds`: when a retry may succeed. `limit`: what is allowed."""
    problem = Problem(429, code, detail, limit=limit)
    problem.extra_headers["retry-after"] = str(max(wait_seconds, RETRY_AFTER_SECONDS))
    return problem


def storage_full() -> Problem:
    return Problem(503, "STORAGE_FULL", "the journal has used its disk budget; only cancels are accepted")


def history_unavailable() -> Problem:
    return Problem(503, "DATABASE_UNAVAILABLE", "the database cannot be asked now; orders are served")


def history_timeout() -> Problem:
    return Problem(504, "HISTORY_TIMEOUT", "the database needs too long for this: ask for a shorter range")


def request_timeout() -> Problem:
    return Problem(408, "REQUEST_TIMEOUT", "the rest of the request did not come in time")


def body_too_large(bytes_max: int) -> Problem:
    return Problem(413, "BODY_TOO_LARGE", f"a body may have at most {bytes_max} bytes")


def header_fields_too_large(detail: str) -> Problem:
    return Problem(431, "HEADERS_TOO_LARGE", detail)


def unreadable_request() -> Problem:
    return invalid_request("what was sent is no HTTP/1.1 request")


def internal_error() -> Problem:
    return Problem(500, "INTERNAL_ERROR", "the server failed to answer this request; the failure was logged")


def http_problem(status: int, detail: str | None = None) -> Problem:
    """Errors that the framework detects: unknown routes, wrong methods."""
    phrase = HTTPStatus(status).phrase
    return Problem(status, phrase.upper().replace(" ", "_").replace("-", "_"), detail or phrase)


def problem_of(error: BaseException) -> Problem | None:
    """The problem for an expected exception; None for a bug."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, EngineHalted):
        return engine_halted()
    if isinstance(error, Overloaded):
        return overloaded()
    if isinstance(error, StorageFull):
        return storage_full()
    return None
