"""Turns: access to the event loop: orders at any time, all other work one short piece at a time.

1. Orders and cancels never wait here.
2. Other work of a request is done in pieces of about a millisecond (`Turns.spread`), and takes a
   turn before each of them (`Turns.take`).
3. There is one turn for each round of the event loop. So between two pieces the loop polls its
   sockets and the journal, and an order meets at most one piece, however many requests wait.
4. While orders are in flight to the disk, a turn waits for them, some milliseconds at the most: the
   journal's thread needs the interpreter several times for each write, and would have to wait for it.
5. Keys take turns one after the other: a key with a thousand requests waits for itself.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterable
from time import perf_counter
from typing import TypeVar

T = TypeVar("T")

SLICE_SECONDS = 0.001
# A turn that waits for orders checks again after this long, this often: under a steady stream of orders
# there is still one in about five milliseconds.
LOOK_SECONDS = 0.001
LOOKS_MAX = 4


def _never() -> bool:
    return False


class Turns:
    """See the module. For one event loop; the number of waiters is bounded by the number of connections."""

    def __init__(self, orders_under_way: Callable[[], bool] = _never) -> None:
        self._orders_under_way = orders_under_way
        self._looks = 0
        self._taken = False  # this round's turn
        self._waiting: OrderedDict[int, deque[asyncio.Future[None]]] = OrderedDict()  # by key

    async def take(self, number: int) -> None:
        """Wait for a turn of the key with this number; at once if this round's is free."""
        loop = asyncio.get_running_loop()
        if not self._taken:
            self._taken = True
            loop.call_soon(self._next_round)
            if not self._orders_under_way():
                return
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.setdefault(number, deque()).append(turn)
        await turn

    def _next_round(self) -> None:
        loop = asyncio.get_running_loop()
        if self._waiting and self._looks < LOOKS_MAX and self._orders_under_way():
            self._looks += 1
            loop.call_later(LOOK_SECONDS, self._next_round)
            return
        self._looks = 0
        while self._waiting:
            number, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[number] = turns  # behind the other keys
            if not turn.done():  # else its client has gone away
                turn.set_result(None)
                loop.call_soon(self._next_round)
                return
        self._taken = False

    async def spread(self, number: int, items: Iterable[T]) -> AsyncIterator[list[T]]:
        """The items in lists, each made within one turn of the key.

        Making one item must take much less than SLICE_SECONDS. The source of the items may change between two
        lists.
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
