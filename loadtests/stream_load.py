"""Stream load: orders at a constant rate beside watchers of `/v1/stream`, or beside a bare fan-out."""

import asyncio
import contextlib
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from loadtests.figures import percentiles
from loadtests.order_bodies import ACCOUNT, OrderBodies
from loadtests.stream_watchers import Apart, Here, Job, Socket

_CANCEL_ALL = b'{"id":0,"op":"order.cancel_all","params":{"account":"' + ACCOUNT.encode() + b'"}}'
_ANSWER_SECONDS_MAX = 5.0
# Until the last messages have been delivered.
_SETTLE_SECONDS = 0.2


class Broom(Socket):
    """Cancels the orders that the run before has left open: snapshots are not measured here."""

    def __init__(self, host: str, path: str, key: str) -> None:
        super().__init__(host, path, key)
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_messages(self, payloads: list[bytes]) -> None:
        if not self.answered.done():
            self.answered.set_result(None)


class Driver(Socket):
    """Orders at a constant rate; latency counts from when each was to be sent."""

    def __init__(self, host: str, path: str, key: str) -> None:
        super().__init__(host, path, key)
        self.due: list[float] = []
        self.answered: list[float] = []
        self.refused = 0
        self._more = asyncio.Event()

    def on_messages(self, payloads: list[bytes]) -> None:
        now = time.perf_counter()
        for payload in payloads:
            number = int(payload[6 : payload.index(b",", 6)])
            self.refused += b'"status":201' not in payload
            self.answered.append(now - self.due[number])
        self._more.set()

    async def drive(self, bodies: OrderBodies, rate: float, seconds: float) -> None:
        """As many orders as are due in `seconds`; then wait for their answers."""
        begin = time.perf_counter()
        count = round(rate * seconds)
        while len(self.due) < count:
            passed = time.perf_counter() - begin
            while len(self.due) < min(passed * rate, count):
                number = len(self.due)
                self.due.append(begin + number / rate)
                self.send(b'{"id":%d,"op":"order.place","params":%b}' % (number, next(bodies)))
            await asyncio.sleep(0.000_2)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_answered(count), _ANSWER_SECONDS_MAX)

    async def _all_answered(self, count: int) -> None:
        while len(self.answered) < count:
            self._more.clear()
            await self._more.wait()


def delivered_per_second(
    arrived_us: NDArray[np.int64], latencies_us: NDArray[np.int64], began_us: int, seconds: float
) -> float:
    """The rate of messages published while orders came; if the last one was late, over the longer time.

    Later the market goes on to fill resting orders: that is no part of the load.
    """
    published_us = arrived_us - latencies_us - began_us
    own = (published_us >= 0) & (published_us < seconds * 1e6)
    if not own.any():
        return 0.0
    return float(own.sum() / max(seconds, (arrived_us[own].max() - began_us) / 1e6))


async def watched(
    host: str,
    port: int,
    key: str,
    prefix: str,
    watchers: int,
    rate: float,
    warmup: float,
    seconds: float,
    *,
    batch: bool = False,
    apart: bool = False,
) -> dict[str, Any]:
    """`rate` orders a second; messages per second over all watchers, and latencies in milliseconds.

    `apart`: the watchers have a process of their own.
    """
    loop = asyncio.get_running_loop()
    _, broom = await loop.create_connection(lambda: Broom(host, "/v1/trade", key), host, port)
    await broom.opened
    broom.send(_CANCEL_ALL)
    await broom.answered
    broom.transport.abort()
    job = Job(host, port, key, watchers, batch)
    audience = Apart(job) if apart else Here(job)
    await audience.open()
    _, warm = await loop.create_connection(lambda: Driver(host, "/v1/trade", key), host, port)
    await warm.opened
    bodies = OrderBodies(prefix)
    await warm.drive(bodies, rate, warmup)
    await asyncio.sleep(_SETTLE_SECONDS)
    warm.transport.abort()
    _, driver = await loop.create_connection(lambda: Driver(host, "/v1/trade", key), host, port)
    await driver.opened
    await audience.count()
    began, began_us = time.perf_counter(), time.time_ns() // 1_000
    busy = time.process_time()
    await driver.drive(bodies, rate, seconds)
    passed = time.perf_counter() - began
    busy = time.process_time() - busy
    await asyncio.sleep(_SETTLE_SECONDS)
    seen = await audience.seen()
    if driver.refused or seen.lost or len(driver.answered) < len(driver.due):
        answered = f"{len(driver.answered)} of {len(driver.due)} answered"
        raise RuntimeError(f"{driver.refused} refused, {seen.lost} lost, {answered}")
    count = len(seen.latencies_us)
    found = {
        "watchers": watchers,
        "rate": rate,
        "batch": batch,
        "all_answers": len(driver.answered) + count,
        "messages_per_second": delivered_per_second(
            np.array(seen.arrived_us), np.array(seen.latencies_us), began_us, seconds
        ),
        "message_bytes": seen.bytes / max(count, 1),
        "order_latency_ms": percentiles(np.array(driver.answered) * 1e3),
        "generator_busy": round(busy / passed, 3),
    }
    if count:
        found["latency_ms"] = percentiles(np.array(seen.latencies_us, np.float64) / 1e3)
    return found
