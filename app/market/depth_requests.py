"""Depth snapshot requests: no more often than an exchange allows, and until they succeed."""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from app.backoff import Backoff
from app.market.exchange import Exchange
from app.market.http_get import Answer, HttpError, get
from app.market.messages import DepthSnapshot

logger = logging.getLogger(__name__)

TOO_MANY_REQUESTS, BANNED = 429, 418
PAUSE_SECONDS_MAX = 3_600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """`burst` requests at once, further ones at `rate_per_second`, at most `concurrent_max` on their way.

    The defaults are half of what Binance allows for snapshots of 1,000 levels.
    """

    rate_per_second: float = 1.0
    burst: int = 60
    concurrent_max: int = 4
    timeout_seconds: float = 10.0
    backoff_first_seconds: float = 0.5
    backoff_seconds_max: float = 30.0
    pause_seconds: float = 60.0  # after a refusal without a Retry-After


class DepthRequests:
    """`accept` is given each snapshot and returns whether it was useful; if not, it is requested again.

    At most one request for each symbol. `requests`, `failures` and `refusals` (by rate limit) count.
    """

    def __init__(
        self,
        exchange: Exchange,
        accept: Callable[[DepthSnapshot], bool],
        limits: RequestLimits,
        rng: random.Random,
    ) -> None:
        self.requests = 0
        self.failures = 0
        self.refusals = 0
        self._exchange = exchange
        self._accept = accept
        self._limits = limits
        self._rng = rng
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(limits.concurrent_max)
        self._tokens = float(limits.burst)
        self._refilled_seconds = 0.0
        self._paused_until_seconds = 0.0

    def want(self, symbol: int) -> None:
        """Request a snapshot of this symbol until one is accepted."""
        if symbol not in self._tasks:
            task = asyncio.ensure_future(self._fetch(symbol))
            self._tasks[symbol] = task
            task.add_done_callback(lambda done: self._end(symbol, done))

    def forget(self, symbol: int) -> None:
        """The symbol's snapshot is not needed any more."""
        task = self._tasks.pop(symbol, None)
        if task is not None:
            task.cancel()

    def cancel(self) -> None:
        """No snapshot is needed any more, for now."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks = {}

    def _end(self, symbol: int, task: asyncio.Task[None]) -> None:
        if self._tasks.get(symbol) is task:
            del self._tasks[symbol]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("market data: asking for a snapshot failed", exc_info=error)

    async def _fetch(self, symbol: int) -> None:
        backoff = Backoff(self._limits.backoff_first_seconds, self._limits.backoff_seconds_max, self._rng)
        while True:
            async with self._slots:
                await self._take_turn()
                snapshot = await self._request(symbol)
            if snapshot is not None and self._accept(snapshot):
                return
            await asyncio.sleep(backoff.next_seconds())

    async def _take_turn(self) -> None:
        """Wait until another request is allowed."""
        loop = asyncio.get_running_loop()
        while True:
            now_seconds = loop.time()
            rate = self._limits.rate_per_second
            self._tokens = min(
                self._limits.burst, self._tokens + (now_seconds - self._refilled_seconds) * rate
            )
            self._refilled_seconds = now_seconds
            wait_seconds = max(self._paused_until_seconds - now_seconds, (1 - self._tokens) / rate)
            if wait_seconds <= 0:
                self._tokens -= 1
                return
            await asyncio.sleep(wait_seconds)

    async def _request(self, symbol: int) -> DepthSnapshot | None:
        self.requests += 1
        url = self._exchange.snapshot_url(symbol)
        try:
            answer = await get(
                url, timeout_seconds=self._limits.timeout_seconds, bytes_max=self._exchange.message_bytes_max
            )
        except (HttpError, TimeoutError) as error:
            self.failures += 1
            logger.warning("market data: no snapshot from %s: %s", url, str(error) or "no answer in time")
            return None
        if answer.status == 200:
            snapshot = self._exchange.decode_snapshot(symbol, answer.body)
            self.failures += snapshot is None
            return snapshot
        self.failures += 1
        logger.warning("market data: no snapshot from %s: status %d", url, answer.status)
        if answer.status in (TOO_MANY_REQUESTS, BANNED):
            self.refusals += 1
            self._pause(answer)
        return None

    def _pause(self, answer: Answer) -> None:
        """Pause for as long as the exchange asks: a client that goes on is locked out longer each time."""
        text = answer.headers.get("retry-after", "")
        asked_seconds = float(text) if text.isascii() and text.isdigit() else self._limits.pause_seconds
        pause_seconds = min(asked_seconds, PAUSE_SECONDS_MAX)
        now_seconds = asyncio.get_running_loop().time()
        self._paused_until_seconds = max(self._paused_until_seconds, now_seconds + pause_seconds)
