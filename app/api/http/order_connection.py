"""HTTP/1.1 connections that answer the busiest requests themselves.

A client that trades sends the same head over and over; only the body is new. So
a head that has been read once is recognised by its bytes, and such a request
costs one look-up, one call of the desk and one write: no task, no scope, no
header by header. Anything that is not plainly one of these requests, whole and
alone on its connection, takes uvicorn's own way to `app.api.http.order_application`, which
answers the same requests with the same words.

One request of a connection is under way at a time. What a client has sent
beyond it waits here, and when that is much the connection is not read.
"""

import re
from typing import Any, NamedTuple

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.api.auth import KeyStore, Principal
from app.api.http.connection import HEADERS_MAX, WatchedProtocol
from app.api.http.order_application import ORDER_BYTES_MAX, decode_amend, decode_order, decode_orders
from app.api.http.sweep import ConnectionSweep, allowed_connections
from app.api.order_entry.desk import OrderDesk
from app.api.order_entry.pending import Respond, failure_answer
from app.api.services import Services
from app.documents.orders import Answer
from app.documents.problems import problem_headers
from app.runtime.loop import EngineLoop

PLAIN_HEAD_BYTES_MAX = 4_096
HEADS_MAX = 4_096  # remembered, of all connections

_HEAD_END = b"\r\n\r\n"
_REQUEST = re.compile(
    rb"(POST /v1/orders|POST /v1/orders/batch|(?:DELETE|PATCH) /v1/orders/([0-9]{1,19})) HTTP/1\.1"
)
# One class of characters each, so that no header takes longer than it is long.
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(rb"[\x20-\x7e]*")
_LENGTH = re.compile(rb"[0-9]{1,9}")
# Headers that change how a message is framed or answered.
_NOT_PLAIN = frozenset((b"transfer-encoding", b"expect", b"upgrade", b"te", b"trailer", b"content-encoding"))

_PLACE, _PLACE_BATCH, _CANCEL, _AMEND = range(4)
_KINDS = {b"POST /v1/orders": _PLACE, b"POST /v1/orders/batch": _PLACE_BATCH}


class Head(NamedTuple):
    """What the head of a plain request says."""

    kind: int
    length: int  # of the body
    order_id: str
    principal: Principal


class OrderLane:
    """The requests that connections answer themselves, and the heads that are known."""

    def __init__(self, services: Services, desk: OrderDesk) -> None:
        self._loop: EngineLoop = services.loop
        self._keys: KeyStore = services.keys
        self._desk = desk
        self._bytes_max = (ORDER_BYTES_MAX, services.body_bytes_max, 0, ORDER_BYTES_MAX)
        self._heads: dict[bytes, Head] = {}

    def find(self, raw: bytes) -> Head | None:
        """What a request's head, blank line included, asks of us; None where it is for others to answer."""
        if not self._loop.ready:
            return None
        head = self._heads.get(raw)
        if head is None:
            head = self._read(raw)
            if head is not None and head.kind <= _PLACE_BATCH:
                if len(self._heads) >= HEADS_MAX:
                    self._heads.clear()
                self._heads[raw] = head
        elif head.principal.revoked_ts:
            del self._heads[raw]
            return None
        return head

    def _read(self, raw: bytes) -> Head | None:
        lines = raw[: -len(_HEAD_END)].split(b"\r\n")
        request = _REQUEST.fullmatch(lines[0])
        if request is None or len(lines) > 1 + HEADERS_MAX:
            return None
        found: dict[bytes, bytes] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            value = value.strip(b" \t")
            if not (colon and _NAME.fullmatch(name) and _VALUE.fullmatch(value)):
                return None
            name = name.lower()
            if name in found or name in _NOT_PLAIN:
                return None
            found[name] = value
        if found.get(b"connection", b"keep-alive").lower() != b"keep-alive":
            return None
        kind = _KINDS.get(request[1], _CANCEL if request[1].startswith(b"DELETE") else _AMEND)
        length = found.get(b"content-length", b"0" if kind == _CANCEL else b"")
        if not _LENGTH.fullmatch(length) or int(length) > self._bytes_max[kind]:
            return None
        principal = self._keys.of_header(found.get(b"authorization", b""))
        if principal is None:
            return None
        return Head(kind, int(length), (request[2] or b"").decode(), principal)

    def handle(self, head: Head, body: bytes, respond: Respond) -> None:
        """Start on a request; `respond` is called once, now or later."""
        desk = self._desk
        try:
            if head.kind == _PLACE:
                desk.place(head.principal, decode_order(body), respond)
            elif head.kind == _PLACE_BATCH:
                desk.place_batch(head.principal, decode_orders(body), respond)
            elif head.kind == _CANCEL:
                desk.cancel(head.principal, head.order_id, respond)
            else:
                desk.amend(head.principal, head.order_id, decode_amend(body), respond)
        except Exception as error:  # noqa: BLE001  # an expected one becomes its problem, a bug a logged 500
            respond(failure_answer(error))


class OrderProtocol(WatchedProtocol):
    """See the module. `lane` is set by `order_protocol`."""

    lane: OrderLane

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._answering = False
        self._closing = False
        self._held = bytearray()
        self._wanted = 0  # so many bytes must be held before a request is whole
        self._dated: list[tuple[bytes, bytes]] = []
        self._default_headers = b""

    # What comes in.

    def data_received(self, data: bytes) -> None:
        if self._held or self._answering or self.flow.write_paused:
            self._held += data
            self.go_on()
            return
        head, begin = self._plain_head(data)
        if head is None:
            self._feed(data)
            return
        end = begin + head.length
        if len(data) < end:
            self._held += data
            self._wanted = end
            self.since = self.loop.time()
            return
        if len(data) > end:
            self._held += data[end:]
        self._begin(head, data[begin:end])

    def _feed(self, data: bytes) -> None:
        """What uvicorn's way takes of it; the rest is held."""
        rest = self.feed(data)
        if rest:
            self._held += rest
            self._bound()

    def _bound(self) -> None:
        if len(self._held) > HIGH_WATER_LIMIT:
            self.flow.hold()

    def take_held(self) -> bytes:
        held = bytes(self._held)
        self._held.clear()
        return held

    def go_on(self) -> None:
        """Take the next request from what is held, if it is whole and nothing stands in its way."""
        held = self._held
        if self._answering or self.flow.write_paused or self.waits:
            self._bound()
            return
        if self.ending:
            super().go_on()
            self._bound()
            return
        if len(held) < max(self._wanted, 1):
            return
        self._wanted = 0
        head, begin = self._plain_head(held)
        if head is None:
            data = self.take_held()
            self.flow.release()
            self._feed(data)
            return
        end = begin + head.length
        if len(held) < end:
            self._wanted = end
            self.since = self.loop.time()
            self.flow.release()
            return
        body = bytes(held[begin:end])
        del held[:end]
        if len(held) <= HIGH_WATER_LIMIT:
            self.flow.release()
        self._begin(head, body)

    def _plain_head(self, data: bytes | bytearray) -> tuple[Head | None, int]:
        """The plain request that `data` begins with, and where its body begins."""
        if self.in_message or self.in_cycle:
            return None, 0
        end = data.find(_HEAD_END, 0, PLAIN_HEAD_BYTES_MAX) + len(_HEAD_END)
        return (self.lane.find(bytes(data[:end])) if end >= len(_HEAD_END) else None), end

    @property
    def busy(self) -> bool:
        return self._answering or bool(self._held) or self.in_cycle

    def _begin(self, head: Head, body: bytes) -> None:
        self._answering = True
        self.since = 0.0
        self.lane.handle(head, body, self._respond)

    # What goes out.

    def _respond(self, answer: Answer) -> None:
        self._answering = False
        transport = self.transport
        if transport.is_closing():
            return
        if self.server_state.default_headers is not self._dated:
            self._date()
        status, body, replayed = answer
        if status == 201 and not replayed:
            kind = b"content-type: application/json\r\n"
        else:
            kind = _kind_of(status, replayed=replayed)
        transport.write(
            b"%b%b%bcontent-length: %d\r\n\r\n%b"
            % (STATUS_LINE[status], self._default_headers, kind, len(body), body)
        )
        self.server_state.total_requests += 1
        if self._closing:
            if self._held:
                self.linger()
            else:
                transport.close()
            return
        self.active = self.loop.time()
        if self._held:
            self.loop.call_soon(self.go_on)

    def _date(self) -> None:
        """The headers that uvicorn gives every response; a new list each second, for the date."""
        self._dated = self.server_state.default_headers
        self._default_headers = b"".join(b"%b: %b\r\n" % header for header in self._dated)

    def resume_writing(self) -> None:
        super().resume_writing()
        self.go_on()

    # The end.

    def shutdown(self) -> None:
        if self._answering:
            self._closing = True
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self._held.clear()
        super().connection_lost(exc)


def _kind_of(status: int, *, replayed: bool) -> bytes:
    headers = {"content-type": "application/json"} if status < 400 else problem_headers(status)
    if replayed:
        headers["idempotency-replayed"] = "true"
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()


def order_protocol(services: Services, desk: OrderDesk) -> type[OrderProtocol]:
    """The class that uvicorn makes connections of."""
    members = {
        "lane": OrderLane(services, desk),
        "sweep": ConnectionSweep(allowed_connections()),
        "keys": services.keys,
    }
    return type("BoundOrderProtocol", (OrderProtocol,), members)
