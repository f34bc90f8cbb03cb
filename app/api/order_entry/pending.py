"""Pending requests: orders, cancels and amendments in flight. Each waits in the loop and replies when done.

Most replies are JSON that a kernel has already written (`app.codec`). The rest, refusals and
repeats, is rendered from events by the desk.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Protocol

from app.api.auth import Principal
from app.documents.orders import Reply, ReplyContent
from app.documents.problems import Problem, internal_error, problem_of
from app.documents.schemas import PlaceOrder
from app.runtime.outcomes import ORDER, ORDER_WITH_FILLS, PLAIN, Outcome, Replies

logger = logging.getLogger(__name__)

# Takes the reply to one request, once.
SendReply = Callable[[Reply], None]

# Outcomes of a batch that are no plain orders and are rendered at once: about half a millisecond.
DESCRIBED_AT_ONCE_MAX = 50

Submission = tuple[PlaceOrder, Problem | None]


class Describer(Protocol):
    """Renders outcomes that are not plain orders."""

    def placed(self, principal: Principal, order: PlaceOrder, outcome: Outcome) -> ReplyContent: ...

    def closed(self, principal: Principal, outcome: Outcome) -> ReplyContent: ...

    def changed(self, principal: Principal, outcome: Outcome) -> ReplyContent: ...

    def render_in_turns(self, parts: Iterator[bytes], done: Callable[[list[bytes]], None]) -> None: ...


def failure_reply(error: Exception) -> Reply:
    """The problem for an error; a bug is logged and becomes an internal error."""
    problem = problem_of(error)
    if problem is None:
        logger.error("a request for orders failed", exc_info=error)
        problem = internal_error()
    return Reply(problem.status, problem.body())


async def reply_of(start: Callable[[SendReply], None]) -> Reply:
    """For transports that wait in a coroutine. Raises what `start` raises."""
    answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

    def send(reply: Reply) -> None:
        if not answered.done():  # the caller may have gone away
            answered.set_result(reply)

    start(send)
    return await answered


class PendingPlace:
    """One new order."""

    __slots__ = ("_desk", "_order", "_principal", "_send", "count", "first")

    form = ORDER_WITH_FILLS

    def __init__(self, desk: Describer, principal: Principal, order: PlaceOrder, send: SendReply) -> None:
        self.first = self.count = 0
        self._desk = desk
        self._principal = principal
        self._order = order
        self._send = send

    def answer(self, replies: Replies, number: int) -> None:
        body = replies.order_json(number)
        if body is not None:
            self._send(Reply(201, body))
        else:
            self._send(self._desk.placed(self._principal, self._order, replies.outcome(number)).encoded())

    def fail(self, error: Exception) -> None:
        self._send(failure_reply(error))


class _Pending:
    """A request about one order or position."""

    __slots__ = ("_desk", "_principal", "_send", "count", "first")

    def __init__(self, desk: Describer, principal: Principal, send: SendReply) -> None:
        self.first = self.count = 0
        self._desk = desk
        self._principal = principal
        self._send = send

    def fail(self, error: Exception) -> None:
        self._send(failure_reply(error))


class PendingChange(_Pending):
    """A cancel or an amendment of one order."""

    __slots__ = ()

    form = ORDER

    def answer(self, replies: Replies, number: int) -> None:
        body = replies.order_json(number)
        if body is not None:
            self._send(Reply(200, body))
        else:
            self._send(self._desk.changed(self._principal, replies.outcome(number)).encoded())


class PendingClose(_Pending):
    """A request to close a position."""

    __slots__ = ()

    form = PLAIN

    def answer(self, replies: Replies, number: int) -> None:
        self._send(self._desk.closed(self._principal, replies.outcome(number)).encoded())


class PendingBatch:
    """Many new orders with one reply; those with a problem did not reach the engine."""

    __slots__ = ("_desk", "_principal", "_send", "_submissions", "count", "first")

    form = ORDER_WITH_FILLS

    def __init__(
        self, desk: Describer, principal: Principal, submissions: list[Submission], send: SendReply
    ) -> None:
        self.first = self.count = 0
        self._desk = desk
        self._principal = principal
        self._submissions = submissions
        self._send = send

    def answer(self, replies: Replies, number: int) -> None:
        results: list[bytes | tuple[PlaceOrder, Outcome]] = []
        described = 0
        for order, problem in self._submissions:
            if problem is not None:
                results.append(b'{"status":%d,"error":%b}' % (problem.status, problem.body()))
                continue
            body = replies.order_json(number)
            if body is not None:
                results.append(b'{"status":201,"order":%b}' % body)
            else:
                results.append((order, replies.outcome(number)))
                described += 1
            number += 1
        if described > DESCRIBED_AT_ONCE_MAX:  # a thousand refusals would block the loop
            self._desk.render_in_turns(self._rendered(results), self._end)
        else:
            self._end(list(self._rendered(results)))

    def _rendered(self, results: list[bytes | tuple[PlaceOrder, Outcome]]) -> Iterator[bytes]:
        for result in results:
            if isinstance(result, bytes):
                yield result
                continue
            status, body, _ = self._desk.placed(self._principal, *result).encoded()
            member = b"order" if status < 400 else b"error"
            yield b'{"status":%d,"%b":%b}' % (status, member, body)

    def _end(self, results: list[bytes]) -> None:
        self._send(Reply(200, b'{"results":[%b]}' % b",".join(results)))

    def fail(self, error: Exception) -> None:
        self._send(failure_reply(error))
