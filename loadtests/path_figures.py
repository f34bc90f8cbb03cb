"""Path figures: from a decoded request to its events, one order at a time, through the real loop.

Only the journal is missing: the one here notes when it was given the events, and reports them as
durable at once.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter_ns

import numpy as np
import uvloop

from app.engine.capacity import DEFAULT_CAPACITY
from app.engine.types import OrderStatus, Side
from app.market.types import LEVEL_UPDATE
from app.runtime.clock import SystemClock
from app.runtime.journal import JournalWriter
from app.runtime.loop import EngineLoop
from app.runtime.reference import Reference
from app.venues.paper import PaperStepper, PaperVenue
from loadtests.engine_figures import SHAPE, without_garbage_collection
from loadtests.figures import Figure, median_of_rounds, percentiles
from loadtests.firm import MARK, SYMBOLS, Firm

ORDERS = 10_000
_TARGETS_US = {"p50": 10.0, "p95": 20.0, "p99": 40.0}
_LEVELS = 20
_SET_UP_US = 60_000_000  # the time of a firm's clock that its setup takes, and some more
_DISPLAYED = 10**8  # steps, of each level: never used up


class NoJournal:
    """Takes ticks as a journal does and forgets them; `appended_ns` is when the last one came."""

    full = False
    failed = False
    backlog_bytes = 0
    segment_first_seq = 1

    def __init__(
        self, *, next_seq: int, on_durable: Callable[[int], None], on_failure: Callable[[OSError], None]
    ) -> None:
        self.durable_seq = next_seq - 1
        self.appended_ns = 0
        self._on_durable = on_durable

    def append(self, commands: bytes, events: bytes, first_seq: int, last_seq: int) -> None:
        self.appended_ns = perf_counter_ns()
        self.durable_seq = last_seq
        self._on_durable(last_seq)

    def close(self) -> None:
        """Nothing was opened."""


class _NoJournalHere(NoJournal, JournalWriter):
    """The same, for callers that want a journal by its type; JournalWriter's own state is never made."""


def displayed_depth() -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """Twenty deep levels on each side of each symbol's mark."""
    levels = np.zeros(SYMBOLS * 2 * _LEVELS, LEVEL_UPDATE)
    levels["symbol"] = np.repeat(np.arange(SYMBOLS), 2 * _LEVELS)
    levels["side"] = np.tile(np.repeat([Side.BUY, Side.SELL], _LEVELS), SYMBOLS)
    away = np.tile(np.arange(1, _LEVELS + 1), 2 * SYMBOLS)
    levels["price"] = np.where(levels["side"] == Side.BUY, MARK - away, MARK + away)
    levels["quantity"] = _DISPLAYED
    return levels


async def _round(loop: EngineLoop, journal: NoJournal, firm: Firm) -> dict[str, float]:
    """Half of the orders rest and are canceled later, untimed; half fill against displayed depth."""
    placed = [firm.orders(ORDERS // 2, distance=(30, 400)), firm.orders_that_trade(ORDERS // 2)]
    records = np.concatenate(placed)[firm.random.permutation(ORDERS)]
    size = records.dtype.itemsize
    raw = records.tobytes()
    taken = np.zeros(ORDERS)
    resting = []
    for i in range(ORDERS):
        record = raw[i * size : (i + 1) * size]
        started = perf_counter_ns()
        future = loop.submit(record)
        event = (await future).event
        taken[i] = (journal.appended_ns - started) / 1_000
        if event.status == OrderStatus.NEW:
            resting.append(event.order_id)
        elif event.status != OrderStatus.FILLED:
            raise RuntimeError(f"an order ended with status {event.status}, code {event.code}")
    for first in range(0, len(resting), 1_000):
        await loop.submit_batch(firm.cancels(np.array(resting[first : first + 1_000])).tobytes())
    return percentiles(taken)


async def _rounds(rounds: int) -> list[dict[str, float]]:
    clock = SystemClock()
    firm = Firm(first_ts=clock.now() - _SET_UP_US)  # the loop goes on in the time of the real clock
    engine = firm.engine
    venue = PaperVenue(engine.state, DEFAULT_CAPACITY)
    stepper = PaperStepper(engine, venue)
    loop = EngineLoop(engine, venue, stepper, Reference.from_state(engine.state), clock)
    journals: list[_NoJournalHere] = []

    def open_journal(
        next_seq: int, on_durable: Callable[[int], None], on_failure: Callable[[OSError], None]
    ) -> JournalWriter:
        journals.append(_NoJournalHere(next_seq=next_seq, on_durable=on_durable, on_failure=on_failure))
        return journals[0]

    loop.start(open_journal)
    loop.ready = True
    loop.on_levels(displayed_depth())
    for symbol in range(SYMBOLS):  # fresh marks, in the time of the real clock
        loop.on_mark(symbol, MARK)
    await asyncio.sleep(0.5)
    with without_garbage_collection():
        await _round(loop, journals[0], firm)
        found = [await _round(loop, journals[0], firm) for _ in range(rounds)]
    await loop.close()
    return found


def measure_path(rounds: int) -> list[Figure]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(_rounds(rounds))
    middle = median_of_rounds(found)
    load = (
        f"{ORDERS} orders a round, one at a time, {SHAPE}; from `EngineLoop.submit` of the packed command, "
        "over a turn of the event loop, engine, paper venue and engine again, until commands and events "
        "are handed to the journal; half rest, half fill against displayed depth; no disk"
    )
    return [
        Figure(
            part="path",
            claim=f"decoded request to events, one at a time, {name}",
            measured=middle[name],
            unit="us",
            target=_TARGETS_US.get(name),
            details={"load": load, "rounds": found} if name == "p50" else {},
        )
        for name in ("p50", "p95", "p99", "p99.9")
    ]
