"""Fan-out: messages sent to the watching connections, a few connections at a time.

A write to a socket takes about as long as an order takes in the engine, so fifty of them in a row
would delay every order behind them. Between two slices the event loop reads what has come in, and
handles orders first. A client whose turn has not come yet collects what follows, and gets it in one
write.
"""

import logging
import time
from collections.abc import Callable, Iterable
from itertools import islice

from app.streams.budget import Budget
from app.streams.client import WAITING_BYTES_MAX, WAITING_BYTES_TOTAL_MAX, Client
from app.streams.codec import Chunk
from app.streams.stream import Stream
from app.streams.yield_to_orders import YieldToOrders

logger = logging.getLogger(__name__)

# Fewer cost more turns of the event loop, more delay orders: a write takes 7 microseconds.
CLIENTS_AT_ONCE = 8

CLOSE_TOO_SLOW = 4008


class FanOut:
    """`clients`: all connected ones; the bound on waiting bytes is theirs together.

    `busy`: an order is on its way. `on_done` is called when all is written.
    """

    def __init__(
        self,
        budget: Budget,
        clients: Iterable[Client],
        busy: Callable[[], bool],
        on_done: Callable[[], None],
    ) -> None:
        self.yielding = YieldToOrders(self._write, busy)
        self._budget = budget
        self._clients = clients
        self._on_done = on_done
        self._waiting: dict[Client, None] = {}

    @property
    def busy(self) -> bool:
        return bool(self._waiting)

    def deliver(self, stream: Stream, chunk: Chunk) -> None:
        """Give messages to the watchers of a stream; they are written soon."""
        waiting = self._waiting
        for subscription in stream.subscriptions:
            subscription.deliver(chunk)
            waiting[subscription.client] = None
        if waiting and not self.yielding.planned:
            self.yielding.begin()
            self.yielding.plan()

    def _write(self) -> None:
        """Write one slice."""
        started = time.perf_counter()
        clients = list(islice(self._waiting, CLIENTS_AT_ONCE))
        for client in clients:
            del self._waiting[client]
            client.flush()
        self._check_bounds(clients)
        self._budget.spend(time.perf_counter() - started)
        if self._waiting:
            self.yielding.go_on(self._budget.wait_seconds())
        else:
            self._on_done()

    def _check_bounds(self, clients: list[Client]) -> None:
        behind = [client for client in clients if client.waiting_bytes]
        if not behind:
            return
        total = sum(client.waiting_bytes for client in self._clients)
        for client in sorted(behind, key=lambda client: -client.waiting_bytes):
            if client.waiting_bytes > WAITING_BYTES_MAX or total > WAITING_BYTES_TOTAL_MAX:
                total -= client.waiting_bytes
                logger.info("a stream of key %d is too slow and is closed", client.number)
                client.close(CLOSE_TOO_SLOW, "messages were not read in time; resume by from_seq")
