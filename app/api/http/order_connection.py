"""Order connections: HTTP/1.1 connections that answer the busiest requests themselves.

A trading client sends the same head over and over; only the body is new. So a head that has been
read once is recognised by its bytes, and such a request costs one look-up, one call of the desk and
one write: no task, no scope, no header by header. Anything that is not plainly one of these
requests, whole and alone on its connection, goes by the parser to the framework, whose routes
(`app.api.routes.order_entry`) answer the same requests with the same words.

One request of a connection is under way at a time. Later bytes wait here, and if there are many the
connection is not read. The states are those of `app.api.http.connection`.
"""

from typing import Any, NamedTuple

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from app.api.auth import KeyStore, Principal
from app.api.http.connection import HttpConnection, State
from app.api.http.head_reader import Head, OrderAction, head_bytes, read_head
from app.api.http.sweep import ConnectionSweep, allowed_connections
from app.api.order_entry.desk import OrderDesk
from app.api.order_entry.pending import SendReply, failure_reply
from app.api.order_entry.request_bodies import ORDER_BYTES_MAX, decode_amend, decode_order, decode_orders
from app.api.services import Services
from app.documents.orders import Reply
from app.runtime.loop import EngineLoop

HEADS_MAX = 4_096  # remembered, of all connections

# Their heads repeat; those of the others name an order.
_REPEATED = (OrderAction.PLACE, OrderAction.PLACE_BATCH)
_CREATED_HEADERS = b"content-type: application/json\r\n"  # of nearly all replies


class PlainRequest(NamedTuple):
    """A plain head with a valid key in it; `size` is that of head and body."""

    head: Head
    principal: Principal
    size: int


class PlainOrders:
    """The requests that connections answer themselves, and the heads that are known."""

    def __init__(self, services: Services, desk: OrderDesk) -> None:
        self._loop: EngineLoop = services.loop
        self._keys: KeyStore = services.keys
        self._desk = desk
        self._body_bytes_max = {
            OrderAction.PLACE: ORDER_BYTES_MAX,
            OrderAction.PLACE_BATCH: services.body_bytes_max,
            OrderAction.CANCEL: 0,
            OrderAction.AMEND: ORDER_BYTES_MAX,
        }
        self._known: dict[bytes, PlainRequest] = {}

    def find(self, data: bytes | bytearray) -> PlainRequest | None:
        """The plain request that `data` begins with; None if it is for others to answer."""
        size = head_bytes(data)
        if not (size and self._loop.ready):
            return None
        raw = bytes(data[:size])
        request = self._known.get(raw)
        if request is None:
            return self._read(raw)
        if request.principal.revoked_ts:
            del self._known[raw]
            return None
        return request

    def _read(self, raw: bytes) -> PlainRequest | None:
        head = read_head(raw)
        if not isinstance(head, Head) or head.body_size > self._body_bytes_max[head.action]:
            return None
        principal = self._keys.of_header(head.authorization)
        if principal is None:
            return None
        request = PlainRequest(head, principal, head.size + head.body_size)
        if head.action in _REPEATED:
            if len(self._known) >= HEADS_MAX:
                self._known.clear()
            self._known[raw] = request
        return request

    def handle(self, request: PlainRequest, body: bytes, send: SendReply) -> None:
        """Start a request; `send` is called once, now or later."""
        desk, action, principal = self._desk, request.head.action, request.principal
        try:
            if action is OrderAction.PLACE:
                desk.place(principal, decode_order(body), send)
            elif action is OrderAction.PLACE_BATCH:
                desk.place_batch(principal, decode_orders(body), send)
            elif action is OrderAction.CANCEL:
                desk.cancel(principal, self._order_id(request), send)
            else:
                amend = decode_amend(body)
                desk.amend(principal, self._order_id(request), amend, send)
        except Exception as error:  # noqa: BLE001  # an expected one becomes its problem, a bug a logged 500
            send(failure_reply(error))

    def _order_id(self, request: PlainRequest) -> str:
        """Raises Problem if the client order id is unknown."""
        head = request.head
        if head.client_order_id is None:
            return head.order_id or ""
        return self._desk.order_id_of(request.principal, *head.client_order_id)


class OrderConnection(HttpConnection):
    """See the module. `orders` is set by `order_connection`."""

    orders: PlainOrders

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._held = bytearray()
        self._wanted = 0  # bytes that must be held before a request is whole
        self._dated: list[tuple[bytes, bytes]] = []
        self._default_headers = b""

    # Incoming.

    def data_received(self, data: bytes) -> None:
        if self._held or self.state is not State.OPEN or self.flow.write_paused:
            self._held += data
            self.go_on()
            return
        request = self._find(data)
        if request is None:
            self._feed(data)
            return
        end = request.size
        if len(data) < end:
            self._held += data
            self._wanted = end
            self.since = self.loop.time()
            return
        if len(data) > end:
            self._held += data[end:]
        self._begin(request, data[request.head.size : end])

    def _feed(self, data: bytes) -> None:
        """Give bytes to the parser; the rest is held."""
        rest = self.feed(data)
        if rest and self.state is not State.ENDED:
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
        """Take the next request from the held bytes, if it is whole and may start."""
        held = self._held
        if self.state is State.ANSWERING or self.flow.write_paused or self.waits:
            self._bound()
            return
        if self.state is not State.OPEN:
            super().go_on()
            self._bound()
            return
        if len(held) < max(self._wanted, 1):
            return
        self._wanted = 0
        request = self._find(held)
        if request is None:
            data = self.take_held()
            self.flow.release()
            self._feed(data)
            return
        end = request.size
        if len(held) < end:
            self._wanted = end
            self.since = self.loop.time()
            self.flow.release()
            return
        body = bytes(held[request.head.size : end])
        del held[:end]
        if len(held) <= HIGH_WATER_LIMIT:
            self.flow.release()
        self._begin(request, body)

    def _find(self, data: bytes | bytearray) -> PlainRequest | None:
        """The plain request that `data` begins with, if it is its turn."""
        return None if self.parser.in_request or self.in_cycle else self.orders.find(data)

    @property
    def busy(self) -> bool:
        return self._answers or bool(self._held) or self.in_cycle

    @property
    def _answers(self) -> bool:
        """Whether a plain request is at the desk."""
        return self.state is State.ANSWERING or (self.state is State.LAST and not self.in_cycle)

    def _begin(self, request: PlainRequest, body: bytes) -> None:
        self.state = State.ANSWERING if request.head.keeps_alive else State.LAST
        self.since = 0.0
        self.orders.handle(request, body, self._send_reply)

    # Outgoing.

    def _send_reply(self, reply: Reply) -> None:
        transport = self.transport
        if transport.is_closing():
            return
        if self.server_state.default_headers is not self._dated:
            self._date()
        status, body, replayed = reply
        headers = _CREATED_HEADERS if status == 201 and not replayed else _header_lines(reply)
        if self.state is State.LAST:
            headers += b"connection: close\r\n"
        transport.write(
            b"%b%b%bcontent-length: %d\r\n\r\n%b"
            % (STATUS_LINE[status], self._default_headers, headers, len(body), body)
        )
        self.server_state.total_requests += 1
        if self.state is State.LAST:
            self._end()
            return
        self.state = State.OPEN
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

    def _end(self) -> None:
        if self._held:
            self.linger()
        else:
            self.state = State.ENDED
            self.transport.close()

    def shutdown(self) -> None:
        if self._answers:
            self.state = State.LAST
        else:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        self._held.clear()
        super().connection_lost(exc)


def _header_lines(reply: Reply) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items()).encode()


def order_connection(services: Services, desk: OrderDesk) -> type[OrderConnection]:
    """The class that uvicorn makes connections of."""
    members = {
        "orders": PlainOrders(services, desk),
        "sweep": ConnectionSweep(allowed_connections()),
        "keys": services.keys,
    }
    return type("BoundOrderConnection", (OrderConnection,), members)
