"""Outcomes of a tick's commands, and the replies to those who wait for them.

A kernel matches the events to their commands and writes the requested orders as JSON. Other events
are made into tuples only where they are read.
"""

import asyncio
import logging
from typing import Any, NamedTuple, Protocol

import numpy as np

from app.codec.match_replies import ANSWERS, AWAITED, LINKS, ORDER, ORDER_WITH_FILLS, PLAIN, Matched, Scratch
from app.codec.names import NameTables
from app.engine.records import EVENT, field_offset
from app.engine.types import EventKind
from app.runtime.views import EventView, event_view

__all__ = ["ORDER", "ORDER_WITH_FILLS", "PLAIN"]

logger = logging.getLogger(__name__)

_ANSWERS = frozenset(ANSWERS)
_NOTE = int(EventKind.NOTE_RECORDED)
_EVENT_BYTES = EVENT.itemsize
_KIND_OFFSET = field_offset(EVENT, "kind")
_LATEST, _FIRST_FILL, _NEXT_FILL, _REFUSAL = range(len(LINKS.names or ()))


class Outcome:
    """The result of one command within its tick.

    `event`: the newest event of its order, or the command's own if it has no order or was refused; a refusal
    by the venue is shown as the refusal. `fills`: the executions of its order. `orders`: the newest event of
    each other order that the command itself has touched, or why the venue refused to; above all of
    CANCEL_ALL, and of SET_TRADING_STATE that cancels.
    """

    __slots__ = ("event", "fills", "orders")

    def __init__(self, event: EventView) -> None:
        self.event = event
        self.fills: list[EventView] = []
        self.orders: list[EventView] = []


class Replies:
    """The outcomes of a tick's awaited commands, by their position among these."""

    __slots__ = ("_events", "_found", "_json", "_matched")

    def __init__(self, events: bytes, matched: Matched) -> None:
        self._events = events
        self._matched = matched
        self._found = matched.found.tolist()
        self._json = matched.out

    def order_json(self, number: int) -> bytes | None:
        """The order as JSON, if that form was requested and the outcome is an order that was not refused."""
        _, _, _, start, end = self._found[number]
        return self._json[start:end] if end else None

    def outcome(self, number: int) -> Outcome:
        """From the events of one command: one, but CANCEL_ALL has one for each order before its own."""
        first, last, at, _, _ = self._found[number]
        own = event_view(self._events, at)
        if not own.order_id or own.kind in _ANSWERS:
            outcome = Outcome(own)
        else:
            outcome = Outcome(event_view(self._events, self._answer(at)))
            fill = self._link(at, _FIRST_FILL)
            while fill >= 0:
                outcome.fills.append(event_view(self._events, fill))
                fill = self._link(fill, _NEXT_FILL)
        others = [self._answer(index) for index in range(first, last + 1) if index != at]
        outcome.orders = [event_view(self._events, index) for index in others if index >= 0]
        return outcome

    def outcomes(self, first: int, count: int) -> list[Outcome]:
        """Of consecutive commands, without the notes among them."""
        return [self.outcome(number) for number in range(first, first + count) if not self._is_note(number)]

    def _is_note(self, number: int) -> bool:
        at: int = self._found[number][2]
        return self._events[at * _EVENT_BYTES + _KIND_OFFSET] == _NOTE

    def events(self, number: int) -> list[EventView]:
        """All events of one command, including those that followed from it."""
        first, last = self._found[number][:2]
        return [event_view(self._events, index) for index in range(first, last + 1)]

    def _answer(self, event: int) -> int:
        """The event that shows how an order ended up, -1 if the command concerns no order."""
        refusal = self._link(event, _REFUSAL)
        return refusal if refusal >= 0 else self._link(event, _LATEST)

    def _link(self, event: int, field: int) -> int:
        return int(self._matched.links[event].item()[field])


class Requests(NamedTuple):
    """The clients' commands of a tick, in order."""

    seqs: bytes  # as int64; all that follows from a command is numbered before the next one
    kinds: bytes  # a `CommandKind` each


NO_REQUESTS = Requests(b"", b"")


class Waiter(Protocol):
    """Awaits the outcomes of commands `first` to `first + count - 1` of a tick, written in `form`.

    The loop sets both numbers. Exactly one of `answer` and `fail` is called, once.
    """

    first: int
    count: int

    @property
    def form(self) -> int:
        """PLAIN, ORDER or ORDER_WITH_FILLS."""

    def answer(self, replies: Replies, number: int) -> None:
        """The commands are durable; `number` is the first of their outcomes."""

    def fail(self, error: Exception) -> None:
        """The commands may be in effect or not; nothing more will be known."""


class FutureWaiter:
    """A coroutine that waits for one outcome or for a list of them."""

    __slots__ = ("count", "first", "future", "single")

    form = PLAIN

    def __init__(self, future: "asyncio.Future[Any]", *, single: bool) -> None:
        self.first = self.count = 0
        self.future = future
        self.single = single

    def answer(self, replies: Replies, number: int) -> None:
        if self.future.done():  # the caller has gone away
            return
        outcomes = replies.outcomes(number, self.count)
        self.future.set_result(outcomes[0] if self.single else outcomes)

    def fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class EventsWaiter(FutureWaiter):
    """A coroutine that waits for the events of each of its commands."""

    __slots__ = ()

    def __init__(self, future: "asyncio.Future[Any]") -> None:
        super().__init__(future, single=False)

    def answer(self, replies: Replies, number: int) -> None:
        if not self.future.done():
            self.future.set_result([replies.events(index) for index in range(number, number + self.count)])


class ReplyMatcher:
    """Matches replies to the waiters of a tick; `tables` holds the current names."""

    def __init__(self, tables: NameTables) -> None:
        self.tables = tables
        self._scratch = Scratch()

    def match(self, events: bytes, requests: Requests, waiters: list[Waiter]) -> tuple[Replies, bool]:
        """The outcomes for waiters in the order of their commands; whether reference data has changed."""
        flat: list[int] = []
        for waiter in waiters:
            flat += (waiter.first, waiter.count, waiter.form)
        matched = self._scratch.match(
            np.frombuffer(events, EVENT),
            np.frombuffer(requests.seqs, np.int64),
            np.frombuffer(requests.kinds, np.uint8),
            np.array(flat, np.int64).view(AWAITED),
            self.tables,
        )
        return Replies(events, matched), matched.reference_changed


def deliver(waiters: list[Waiter], replies: Replies) -> None:
    """Call every waiter; an error in one does not affect the others."""
    number = 0
    for waiter in waiters:
        try:
            waiter.answer(replies, number)
        except Exception:  # a bug in one transport must not keep the others from their answers
            logger.exception("an answer could not be given")
        number += waiter.count
