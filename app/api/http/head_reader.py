"""Head reader: it recognises a plain order request by the first bytes of an HTTP/1.1 connection.

It takes bytes and returns what they say; it keeps nothing and decides nothing about keys,
bodies or the engine. A head is plain when all of this holds:

1. Its request line is one of ours, letter by letter: no query, no percent-encoding.
2. It ends, blank line included, within `PLAIN_HEAD_BYTES_MAX`, and has at most `HEADERS_MAX` fields.
3. A field is a token, a colon and visible ASCII on one line, and each name occurs once.
4. No field changes how the message is framed or answered; `Connection` says keep-alive or close.
5. `Content-Length` says how long the body is. A cancel may leave it out, and has none then.

`NOT_PLAIN` is no verdict: a parser that knows the whole of HTTP reads such a head, and
may well find a request in it.
"""

import re
from enum import Enum, auto
from typing import Literal, NamedTuple, TypeAlias

PLAIN_HEAD_BYTES_MAX = 4_096
HEADERS_MAX = 100

HEAD_END = b"\r\n\r\n"


class OrderAction(Enum):
    """The action of a plain request."""

    PLACE = auto()
    PLACE_BATCH = auto()
    CANCEL = auto()
    AMEND = auto()


class Head(NamedTuple):
    """The head of a plain request; a cancel or an amendment names its order by either id."""

    action: OrderAction
    order_id: str | None
    client_order_id: tuple[str, str] | None  # and before it the account
    keeps_alive: bool
    authorization: bytes
    size: int  # of the head itself, blank line included
    body_size: int


class NoHead(Enum):
    """Why there is no head: its end has not come, or it is not plain."""

    INCOMPLETE = auto()
    NOT_PLAIN = auto()


Incomplete: TypeAlias = Literal[NoHead.INCOMPLETE]
NotPlain: TypeAlias = Literal[NoHead.NOT_PLAIN]

_METHODS = {b"DELETE": OrderAction.CANCEL, b"PATCH": OrderAction.AMEND}
_PLACING = {
    b"POST /v1/orders HTTP/1.1": OrderAction.PLACE,
    b"POST /v1/orders/batch HTTP/1.1": OrderAction.PLACE_BATCH,
}
# Ids as accounts and orders have them; any other text names none.
_NAMING = re.compile(
    rb"(DELETE|PATCH) /v1/orders/"
    rb"(?:([0-9]{1,19})|by-client-id/([A-Za-z0-9._:-]{1,36})/([A-Za-z0-9._:/-]{1,36})) HTTP/1\.1"
)
# One class of characters each, so that the time of a field is linear in its length.
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[\x20-\x7e]*")
_LENGTH = re.compile(rb"[0-9]{1,9}")
_KEEPS_ALIVE = {b"keep-alive": True, b"close": False}
_NOT_PLAIN = frozenset((b"transfer-encoding", b"expect", b"upgrade", b"te", b"trailer", b"content-encoding"))


def head_bytes(data: bytes | bytearray) -> int:
    """The length of the head at the beginning, blank line included; 0 if it is incomplete."""
    end = data.find(HEAD_END, 0, PLAIN_HEAD_BYTES_MAX)
    return 0 if end < 0 else end + len(HEAD_END)


def read_head(data: bytes | bytearray) -> Head | Incomplete | NotPlain:
    """The head that `data` begins with; the bytes after it are not read."""
    size = head_bytes(data)
    if not size:
        return NoHead.NOT_PLAIN if len(data) >= PLAIN_HEAD_BYTES_MAX else NoHead.INCOMPLETE
    lines = bytes(data[: size - len(HEAD_END)]).split(b"\r\n")
    request = _read_request_line(lines[0])
    fields = _read_fields(lines[1:])
    if request is None or fields is None:
        return NoHead.NOT_PLAIN
    keeps_alive = _KEEPS_ALIVE.get(fields.get(b"connection", b"keep-alive").lower())
    body_size = fields.get(b"content-length", b"0" if request.action is OrderAction.CANCEL else b"")
    if keeps_alive is None or not _LENGTH.fullmatch(body_size):
        return NoHead.NOT_PLAIN
    return Head(*request, keeps_alive, fields.get(b"authorization", b""), size, int(body_size))


class _RequestLine(NamedTuple):
    action: OrderAction
    order_id: str | None = None
    client_order_id: tuple[str, str] | None = None


def _read_request_line(line: bytes) -> _RequestLine | None:
    action = _PLACING.get(line)
    if action is not None:
        return _RequestLine(action)
    naming = _NAMING.fullmatch(line)
    if naming is None:
        return None
    method, order_id, account, client_order_id = naming.groups()
    if order_id is not None:
        return _RequestLine(_METHODS[method], order_id.decode())
    return _RequestLine(_METHODS[method], None, (account.decode(), client_order_id.decode()))


def _read_fields(lines: list[bytes]) -> dict[bytes, bytes] | None:
    """Values by names in lower case; None if a line is not plain, or there are too many."""
    if len(lines) > HEADERS_MAX:
        return None
    found: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if not (colon and _NAME.fullmatch(name) and _VALUE.fullmatch(value)):
            return None
        name = name.lower()
        if name in found or name in _NOT_PLAIN:
            return None
        found[name] = value
    return found
