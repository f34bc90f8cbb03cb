"""Trade session: one connection of `WS /v1/trade` with a known key.

Requests are handled as they come, without a task for each: they are handed to the engine's loop,
and a callback makes the reply when the outcome is durable. The replies of a turn of the event loop,
often those of a whole tick, are one write. While the transport's buffer is full they wait here, up
to a bound: a client that does not read delays nobody but itself, and in the end loses its
connection.
"""

import asyncio
import logging
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import Any

import orjson

from app.api.auth import Principal, Role
from app.api.http.large_response import json_object
from app.api.order_entry.desk import OrderDesk
from app.api.order_entry.mass_cancel import canceled_members
from app.api.services import Services
from app.api.websocket.connection import CLOSE_STOPPING, CLOSE_TOO_SLOW, WebSocketConnection
from app.api.websocket.dead_man import DeadManTimers, Reason
from app.api.websocket.handshake import CLOSE_UNAUTHORIZED, Id
from app.api.websocket.trade_messages import decode_request, request_id
from app.documents.orders import Reply, ReplyContent
from app.documents.problems import (
    Problem,
    forbidden,
    internal_error,
    invalid_field,
    invalid_request,
    overloaded,
    problem_of,
)
from app.documents.schemas import PlaceOrder
from app.runtime.outcomes import Outcome
from app.streams.codec import text_frame

logger = logging.getLogger(__name__)

IN_FLIGHT_MAX = 1_024
# Bytes that may wait for a client that is behind; a tick's replies to one connection are at most 8 MB or so.
OUTGOING_BYTES_MAX = 32 << 20

CLOSE_BINARY = 1003

_ORDER_NAMES = frozenset(("order_id", "account", "client_order_id"))


class State(Enum):
    """Of a session: STOPPING takes nothing more and closes when all is answered."""

    OPEN = auto()
    STOPPING = auto()
    CLOSED = auto()


class Output(Enum):
    """State of the replies: nothing waits, they are written in the next turn, the client is behind."""

    IDLE = auto()
    DUE = auto()
    PAUSED = auto()


class TradeSession:
    def __init__(
        self,
        services: Services,
        desk: OrderDesk,
        timers: DeadManTimers,
        principal: Principal,
        wire: WebSocketConnection,
    ) -> None:
        self._services = services
        self._desk = desk
        self._timers = timers
        self._principal = principal
        self._wire = wire
        self._loop = asyncio.get_running_loop()
        self._in_flight = 0
        self._outgoing: list[bytes] = []
        self._outgoing_bytes = 0
        self._state = State.OPEN
        self._output = Output.IDLE
        self._answering: set[asyncio.Task[None]] = set()  # mass cancels
        self._grace_seconds: dict[int, float] = {}  # by account, where orders end with the connection
        self._operations: dict[str, Callable[[Id, Any], None]] = {
            "order.place": self._place,
            "order.place_batch": self._place_batch,
            "order.cancel": self._cancel,
            "order.amend": self._amend,
            "order.cancel_all": self._cancel_all,
            "session.cancel_on_disconnect": self._cancel_on_disconnect,
            "session.cancel_all_after": self._cancel_all_after,
            "ping": self._ping,
        }

    def open(self) -> None:
        """Begin: take messages, watch the transport and the key."""
        self._wire.watch(self._pause, self._resume, self._end)
        self._wire.on_stop = self._stop
        self._principal.watchers.add(self._revoked)
        if self._principal.revoked_ts:  # between the check of the key and the watch on it
            self._revoked()
        self._wire.take_messages(self.handle, self._refuse_binary)

    # Incoming.

    def handle(self, text: bytes) -> None:
        """Take one message. Each gets exactly one reply, unless the connection ends before."""
        if self._state is not State.OPEN:
            return
        try:
            request = decode_request(text)
        except Problem as problem:
            self._refuse(request_id(text), problem)
            return
        identity = request["id"]
        if self._in_flight >= IN_FLIGHT_MAX:
            self._refuse(identity, overloaded())
            return
        try:
            self._operations[request["op"]](identity, request.get("params"))
        except Exception as error:  # noqa: BLE001  # an expected one becomes its problem, a bug a logged 500
            self._fail(identity, error)

    def _place(self, identity: Id, order: PlaceOrder) -> None:
        self._desk.place(self._principal, order, partial(self._send_reply, identity))
        self._in_flight += 1

    def _place_batch(self, identity: Id, params: Any) -> None:
        self._desk.place_batch(self._principal, params, partial(self._send_reply, identity))
        self._in_flight += 1

    def _cancel(self, identity: Id, params: Any) -> None:
        self._desk.cancel(self._principal, self._order_id(params), partial(self._send_reply, identity))
        self._in_flight += 1

    def _amend(self, identity: Id, params: Any) -> None:
        order_id = self._order_id(params)
        self._desk.amend(self._principal, order_id, params, partial(self._send_reply, identity))
        self._in_flight += 1

    def _order_id(self, params: Any) -> str:
        """The order named by either id. Raises Problem."""
        names = params.keys() & _ORDER_NAMES
        if names == {"order_id"}:
            return params["order_id"]  # type: ignore[no-any-return]
        if names != {"account", "client_order_id"}:
            raise invalid_field("params", "name an order by order_id, or by account and client_order_id")
        return self._desk.order_id_of(self._principal, params["account"], params["client_order_id"])

    def _cancel_all(self, identity: Id, params: Any) -> None:
        params = params or {}
        names = (params.get(name) for name in ("account", "symbol", "scope"))
        future = self._desk.cancel_all(self._principal, *names)
        self._in_flight += 1
        answering = asyncio.ensure_future(self._answer_canceled(identity, future))
        self._answering.add(answering)
        answering.add_done_callback(self._answering.discard)

    def _cancel_on_disconnect(self, identity: Id, params: Any) -> None:
        grace_ms = params.get("grace_ms", 0)
        for account in self._accounts(params.get("account")):
            self._timers.disarm(Reason.DISCONNECT, self._principal.number, account)
            if params["enabled"]:
                self._grace_seconds[account] = grace_ms / 1_000
            else:
                self._grace_seconds.pop(account, None)
        self._send_content(identity, ReplyContent(200, {"enabled": params["enabled"], "grace_ms": grace_ms}))

    def _cancel_all_after(self, identity: Id, params: Any) -> None:
        timeout_ms = params["timeout_ms"]
        for account in self._accounts(params.get("account")):
            if timeout_ms:
                self._timers.arm(Reason.SILENCE, self._principal.number, account, timeout_ms / 1_000)
            else:
                self._timers.disarm(Reason.SILENCE, self._principal.number, account)
        due_ts = self._services.clock.now() + 1_000 * timeout_ms if timeout_ms else None
        self._send_content(identity, ReplyContent(200, {"timeout_ms": timeout_ms, "due_ts": due_ts}))

    def _ping(self, identity: Id, _params: Any) -> None:
        self._send_content(identity, ReplyContent(200, {"ts": self._services.clock.now()}))

    def _accounts(self, name: str | None) -> list[int]:
        """The accounts of a session op. Raises Problem."""
        principal = self._principal
        if principal.role < Role.TRADER:
            raise forbidden("this key may only read")
        known = self._services.reference.accounts
        if name is None:
            if principal.accounts is None:
                raise invalid_request("params.account: required for a key that is not bound to accounts")
            return [known[account] for account in principal.accounts if account in known]
        if not principal.may_trade(name):
            raise forbidden(f"this key may not trade account {name!r}")
        if name not in known:
            raise Problem(404, "UNKNOWN_ACCOUNT", f"there is no account {name!r}")
        return [known[name]]

    # Outgoing.

    async def _answer_canceled(self, identity: Id, future: "asyncio.Future[list[Outcome]]") -> None:
        """Reply to a mass cancel: it may be long, so it is made in turns."""
        try:
            members = await canceled_members(
                self._services, self._desk, self._principal, await future, "items"
            )
        except Exception as error:  # noqa: BLE001  # as in `handle`
            self._in_flight -= 1
            self._fail(identity, error)
            self._end_when_answered()
        else:
            self._send_reply(identity, Reply(200, b"".join(json_object(**members))))

    def _send_reply(self, identity: Id, reply: Reply) -> None:
        """Reply to a request that was in flight."""
        self._in_flight -= 1
        self._put(identity, reply)
        self._end_when_answered()

    def _send_content(self, identity: Id, content: ReplyContent) -> None:
        self._put(identity, content.encoded())

    def _refuse(self, identity: Id, problem: Problem) -> None:
        self._put(identity, Reply(problem.status, problem.body()))

    def _fail(self, identity: Id, error: Exception) -> None:
        problem = problem_of(error)
        if problem is None:
            logger.error("a request on the trade socket failed", exc_info=error)
            problem = internal_error()
        self._refuse(identity, problem)

    def _put(self, identity: Id, reply: Reply) -> None:
        if self._state is State.CLOSED:
            return
        status, body, _ = reply
        member = b"result" if status < 400 else b"error"
        name = b"%d" % identity if type(identity) is int else orjson.dumps(identity)
        frame = text_frame(b'{"id":%b,"status":%d,"%b":%b}' % (name, status, member, body))
        self._outgoing.append(frame)
        if self._output is Output.PAUSED:
            self._outgoing_bytes += len(frame)
            if self._outgoing_bytes > OUTGOING_BYTES_MAX:
                self._close(CLOSE_TOO_SLOW, "too far behind")
        elif self._output is Output.IDLE:
            self._output = Output.DUE
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._output is Output.PAUSED:
            return
        self._output = Output.IDLE
        if not self._outgoing:
            return
        frames, self._outgoing = self._outgoing, []
        self._outgoing_bytes = 0
        self._wire.write_frames(frames)

    def _pause(self) -> None:
        self._output = Output.PAUSED

    def _resume(self) -> None:
        self._output = Output.IDLE
        self._flush()
        self._end_when_answered()

    # The end.

    def _refuse_binary(self) -> None:
        self._refuse(None, invalid_request("messages are text, not binary"))
        self._close(CLOSE_BINARY, "messages are text")

    def _revoked(self) -> None:
        self._close(CLOSE_UNAUTHORIZED, "the key was revoked")

    def _stop(self) -> None:
        """The server stops: what was taken is answered, nothing more is taken."""
        if self._state is State.OPEN:
            self._state = State.STOPPING
        self._end_when_answered()

    def _end_when_answered(self) -> None:
        """Where the server stops: when the last reply is on its way."""
        if self._state is not State.STOPPING:
            return
        if not self._in_flight and self._output is not Output.PAUSED:
            self._close(CLOSE_STOPPING, "the server is shutting down")

    def _close(self, code: int, reason: str) -> None:
        """End the connection from this side; what the client has not read in time is dropped."""
        if self._state is not State.CLOSED:
            self._flush()
            self._end()
            self._wire.finish(code, reason)

    def _end(self) -> None:
        self._state = State.CLOSED
        self._outgoing.clear()

    def ended(self) -> None:
        """The connection is gone: start the timers of accounts that requested it."""
        self._end()
        self._principal.watchers.discard(self._revoked)
        for account, seconds in self._grace_seconds.items():
            self._timers.arm(Reason.DISCONNECT, self._principal.number, account, seconds)
