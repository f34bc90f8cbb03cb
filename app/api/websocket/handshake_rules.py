"""Handshake rules: whether a request for a WebSocket meets all requirements of RFC 6455, 4.2.1.

Two parsers see a handshake, llhttp and that of `websockets`, and they do not agree. What the second
would refuse without an answer is therefore refused here, with one.
"""

import base64
import binascii
from collections.abc import Sequence

from app.documents.problems import Problem, header_fields_too_large

# `websockets` takes lines of 8,192 bytes with their end, names and blanks included.
LINE_BYTES_MAX = 8_000
# Bound on the headers that are lists and are read item by item.
LIST_BYTES_MAX = 1_024

_KEY_BYTES = 16
_LISTS = frozenset((b"connection", b"upgrade", b"sec-websocket-protocol", b"sec-websocket-extensions"))
_ONCE = (b"sec-websocket-key", b"sec-websocket-version", b"upgrade", b"host")

Headers = Sequence[tuple[bytes, bytes]]


def handshake_problem(method: str, http_version: str, url: bytes, headers: Headers) -> Problem | None:
    """Why a handshake is refused; None if it is valid. Names of headers are in lower case."""
    if method != "GET":
        return _bad("its method is GET", 405)
    if http_version != "1.1":
        return _bad("it needs HTTP/1.1")
    if not url.startswith(b"/") or not url.isascii():
        return _bad("its target is a path in ASCII")
    if len(url) > LINE_BYTES_MAX or any(len(name) + len(value) > LINE_BYTES_MAX for name, value in headers):
        return header_fields_too_large(f"a line of a handshake may have at most {LINE_BYTES_MAX} bytes")
    if sum(len(value) for name, value in headers if name in _LISTS) > LIST_BYTES_MAX:
        return header_fields_too_large(f"lists in a handshake may have at most {LIST_BYTES_MAX} bytes")
    return _problem_of_headers(headers)


def unreadable_handshake() -> Problem:
    """For one that keeps these rules, and that `websockets` still does not take."""
    return _bad("its lists are of tokens")


def _problem_of_headers(headers: Headers) -> Problem | None:
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        found.setdefault(name, []).append(value)
    if b"transfer-encoding" in found or any(size != b"0" for size in found.get(b"content-length", ())):
        return _bad("it has no body")
    for name in _ONCE:
        if len(found.get(name, ())) != 1:
            return _bad(f"it has one header {name.decode()}")
    if len(found.get(b"origin", ())) > 1:
        return _bad("it has at most one header origin")
    if found[b"sec-websocket-version"] != [b"13"]:
        return _bad("its version is 13", 426)
    if not _is_key(found[b"sec-websocket-key"][0]):
        return _bad(f"its key is {_KEY_BYTES} bytes in base64")
    return None


def _is_key(value: bytes) -> bool:
    try:
        return len(base64.b64decode(value, validate=True)) == _KEY_BYTES
    except binascii.Error:
        return False


def _bad(rule: str, status: int = 400) -> Problem:
    code = {400: "INVALID_REQUEST", 405: "METHOD_NOT_ALLOWED", 426: "UPGRADE_REQUIRED"}[status]
    problem = Problem(status, code, f"this is no handshake of a WebSocket: {rule}")
    if status == 405:
        problem.extra_headers["allow"] = "GET"
    elif status == 426:
        problem.extra_headers |= {"upgrade": "websocket", "sec-websocket-version": "13"}
    return problem
