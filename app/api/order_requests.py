"""Orders, cancels and amendments on their way: each waits in the engine's loop and answers its transport.

Most answers are JSON that a kernel has written already (`app.codec`). What is
left, refusals and repeats, is told from events by the desk.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from app.api.errors import Problem, internal_error, problem_of
from app.api.replies import Answer, Reply
from app.api.schemas import PlaceOrder
from app.runtime.outcomes import ORDER, ORDER_WITH_FILLS, PLAIN, Outcome, Told

logger = logging.getLogger(__name__)

# Takes the answer to one request, once.
Respond = Callable[[Answer], None]

Submission = tuple[PlaceOrder, Problem | None]


class Describer(Protocol):
    """Tells outcomes that are no plain orders."""

    def placed(self, order: PlaceOrder, outcome: Outcome) -> Reply: ...

    def closed(self, outcome: Outcome) -> Reply: ...

    def changed(self, outcome: Outcome) -> Reply: ...


def failure_answer(error: Exception) -> Answer:
    """The problem that stands for an error; a bug is logged and answered as one."""
    problem = problem_of(error)
    if problem is None:
        logger.error("a request for orders failed", exc_info=error)
        problem = internal_error()
    return Answer(problem.status, problem.body())


async def answer_of(start: Callable[[Respond], None]) -> Answer:
    """For transports that wait in a coroutine. Raises what `start` raises."""
    answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def respond(answer: Answer) -> None:
        if not answered.done():  # the caller may have gone away
            answered.set_result(answer)

    start(respond)
    return await answered


class PlaceRequest:
    """One new order."""

    __slots__ = ("_desk", "_order", "_respond", "count", "first")

    form = ORDER_WITH_FILLS

    def __init__(self, desk: Describer, order: PlaceOrder, respond: Respond) -> None:
        self.first = self.count = 0
        self._desk = desk
        self._order = order
        self._respond = respond

    def answer(self, told: Told, number: int) -> None:
        body = told.order_json(number)
        if body is not None:
            self._respond(Answer(201, body))
        else:
            self._respond(self._desk.placed(self._order, told.outcome(number)).answer())

    def fail(self, error: Exception) -> None:
        self._respond(failure_answer(error))


class ChangeRequest:
    """A cancel or an amendment of one order."""

    __slots__ = ("_desk", "_respond", "count", "first")

    form = ORDER

    def __init__(self, desk: Describer, respond: Respond) -> None:
        self.first = self.count = 0
        self._desk = desk
        self._respond = respond

    def answer(self, told: Told, number: int) -> None:
        body = told.order_json(number)
        if body is not None:
            self._respond(Answer(200, body))
        else:
            self._respond(self._desk.changed(told.outcome(number)).answer())

    def fail(self, error: Exception) -> None:
        self._respond(failure_answer(error))


class CloseRequest:
    """A position that is to be closed."""

    __slots__ = ("_desk", "_respond", "count", "first")

    form = PLAIN

    def __init__(self, desk: Describer, respond: Respond) -> None:
        self.first = self.count = 0
        self._desk = desk
        self._respond = respond

    def answer(self, told: Told, number: int) -> None:
        self._respond(self._desk.closed(told.outcome(number)).answer())

    def fail(self, error: Exception) -> None:
        self._respond(failure_answer(error))


class BatchRequest:
    """Many new orders, answered together; those with a problem did not reach the engine."""

    __slots__ = ("_desk", "_respond", "_submissions", "count", "first")

    form = ORDER_WITH_FILLS

    def __init__(self, desk: Describer, submissions: list[Submission], respond: Respond) -> None:
        self.first = self.count = 0
        self._desk = desk
        self._submissions = submissions
        self._respond = respond

    def answer(self, told: Told, number: int) -> None:
        results = []
        for order, problem in self._submissions:
            if problem is not None:
                results.append(b'{"status":%d,"error":%b}' % (problem.status, problem.body()))
                continue
            body = told.order_json(number)
            if body is not None:
                results.append(b'{"status":201,"order":%b}' % body)
            else:
                status, body, _ = self._desk.placed(order, told.outcome(number)).answer()
                member = b"order" if status < 400 else b"error"
                results.append(b'{"status":%d,"%b":%b}' % (status, member, body))
            number += 1
        self._respond(Answer(200, b'{"results":[%b]}' % b",".join(results)))

    def fail(self, error: Exception) -> None:
        self._respond(failure_answer(error))
