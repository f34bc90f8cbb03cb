"""Who may hold the event loop next: orders whenever they come, all else one short piece at a time.

1. Orders and cancels never wait here.
2. Whatever else a request does, it does in pieces of about a millisecond (`Turns.spread`), and takes a
   turn before each of them (`Turns.take`).
3. There is one turn for each round of the event loop. So between two pieces the loop looks at its
   sockets and at the journal, and an order meets at most one piece, however many requests wait.
4. Keys take turns one after the other: a key with a thousand requests waits for itself.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterable
from time import perf_counter
from typing import TypeVar

T = TypeVar("T")

SLICE_SECONDS = 0.001


class Turns:
    """See the module. Of one event loop; what waits is bounded by the connections that there may be."""

    def __init__(self) -> None:
        self._taken = False  # this round's turn
        self._waiting: OrderedDict[int, deque[asyncio.Future[None]]] = OrderedDict()  # by key

    async def take(self, number: int) -> None:
        """Wait for a turn of the key with this number; at once where this round's is free."""
        loop = asyncio.get_running_loop()
        if not self._taken:
            self._taken = True
            loop.call_soon(self._next_round)
            return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(number, deque()).append(turn)
        await turn

    def _next_round(self) -> None:
        while self._waiting:
            number, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[number] = turns  # behind the other keys
            if not turn.done():  # else its client has gone away
                turn.set_result(None)
                asyncio.get_running_loop().call_soon(self._next_round)
                return
        self._taken = False

    async def spread(self, number: int, items: Iterable[T]) -> AsyncIterator[list[T]]:
        """The items in lists, each made within one turn of the key.

        Making one item must take much less than SLICE_SECONDS. What the items are made of may change
        between two lists.
        """
        iterator = iter(items)
        while True:
            part: list[T] = []
            end = perf_counter() + SLICE_SECONDS
            for item in iterator:
                part.append(item)
                if perf_counter() >= end:
                    break
            else:
                yield part
                return
            yield part
            await self.take(number)

    async def all_of(self, number: int, items: Iterable[T]) -> list[T]:
        """As `spread`, in one list."""
        found: list[T] = []
        async for part in self.spread(number, items):
            found += part
        return found
