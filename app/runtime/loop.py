"""Engine loop: it collects commands, applies them in one batch per tick, and replies when they are durable.

A tick runs when something has come in and no earlier tick is in flight to the disk. Its order is:
time, displayed depth, marks, then client commands. What the engine approves goes to the venue in
the same tick, and the venue's reports come back as commands, until nothing is left to do; only then
is the next client command applied. All commands and events of a tick are one unit in the journal.
Callers get replies only when the journal reports the tick as durable.

A stepper applies the commands. The paper venue's is engine and book together: it lives and dies
with this process, so nothing leaves the process before the journal has it. The stepper of an
external venue is the engine alone, and an observer of durable events routes (`app.venues.base`).
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.codec.names import NameTables
from app.engine.engine import Engine, Verdict
from app.runtime.clock import Clock
from app.runtime.inbox import Inbox
from app.runtime.journal import JournalWriter
from app.runtime.latency import Histogram
from app.runtime.market_inbox import MarketInbox
from app.runtime.outcomes import (
    NO_REQUESTS,
    EventsWaiter,
    FutureWaiter,
    Outcome,
    ReplyMatcher,
    Waiter,
    deliver,
)
from app.runtime.reference import Reference
from app.runtime.tick import ADVANCE_TIME, SAMPLE_MARKS, Tick, TickBuilder, mark_commands
from app.runtime.timers import TimeWatch, sample_is_due
from app.runtime.unavailable import EngineHalted
from app.runtime.views import EventView
from app.venues.base import Venue
from app.venues.stepper import Stepper

logger = logging.getLogger(__name__)

HOUSEKEEPING_SECONDS = 0.05


class EngineLoop:
    """See the module. All methods are called on the event loop's thread.

    `failed`: halted by an error, which is in the log and in `halt_reason`.
    `ready`: set by who starts it, when orders may come. `marked`: set when the first marks since
    then are in. `seq`: of the last command applied.
    """

    def __init__(
        self,
        engine: Engine,
        venue: Venue,
        stepper: Stepper,
        reference: Reference,
        clock: Clock,
        mark_interval_ms: int = 200,
    ) -> None:
        self.engine = engine
        self.reference = reference
        self.failed = False
        self.halt_reason: str | None = None
        self.ready = False
        self.seq = int(engine.state.firm[0]["seq"])
        self.latency = {stage: Histogram() for stage in ("queue", "engine", "journal", "reply")}
        self.ticks = 0
        self.marked = asyncio.Event()
        self.inbox = Inbox(lambda: self.journal.full)
        self._venue = venue
        self._stepper = stepper
        self._clock = clock
        self._mark_interval = mark_interval_ms / 1_000
        self._market_inbox = MarketInbox()
        self._time = TimeWatch(engine.state)
        self._time_due = False
        self._sample_due = False
        self._scheduled = False
        self._in_flight: deque[Tick] = deque()
        self.journal: JournalWriter  # from `start` on
        self._opened = False
        self._housekeeping_timer: asyncio.TimerHandle | None = None
        self._mark_timer: asyncio.TimerHandle | None = None
        self._observers: list[Callable[[bytes], None]] = []

    # Start and end.

    def start(self, open_journal: Callable[..., JournalWriter]) -> None:
        """Open the journal after the last command and begin; `open_journal` as JournalWriter."""
        self._loop = asyncio.get_running_loop()
        self.journal = open_journal(
            next_seq=self.seq + 1,
            on_durable=lambda seq: self._loop.call_soon_threadsafe(self._on_durable, seq),
            on_failure=lambda error: self._loop.call_soon_threadsafe(self._halt, str(error)),
        )
        self._opened = True
        self._matcher = ReplyMatcher(self.reference.name_tables())
        self._keep_house()
        self._release_marks()

    def resume(self, open_orders: NDArray[np.void]) -> None:
        """Give the venue its ORDER records back after a restart, and apply its reports."""
        now = self._clock.now()
        builder = TickBuilder(self.engine, self._venue, self._stepper, self.seq, now)
        builder.take_reports(self._venue.resume(open_orders))
        self._commit(builder, [], time.perf_counter_ns())

    async def close(self) -> None:
        """Refuse new commands, finish the pending ones, wait for the disk."""
        self.ready = False
        for timer in (self._housekeeping_timer, self._mark_timer):
            if timer is not None:
                timer.cancel()
        if self._opened and not self.halted:
            with contextlib.suppress(EngineHalted):
                await self.durable()
                self._tick()
                await self.durable()
        self.inbox.closed = True
        if not self._opened:
            return
        await asyncio.to_thread(self.journal.close)
        await asyncio.sleep(0)  # the journal's last callback answers the last callers
        self._fail_waiting("the server is shutting down")

    # Called by the edges.

    def submit(self, record: bytes) -> asyncio.Future[Outcome]:
        """Queue one COMMAND record; returns its outcome when it is durable.

        Raises EngineHalted, Overloaded, StorageFull; the future may end with EngineHalted too.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        self.submit_for(FutureWaiter(future, single=True), record)
        return future

    def submit_batch(self, records: bytes | bytearray) -> asyncio.Future[list[Outcome]]:
        """Queue COMMAND records to be applied in a row; outcomes of all but notes. Raises as `submit`."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self.submit_for(FutureWaiter(future, single=False), records)
        return future

    def submit_events(self, records: bytes | bytearray) -> asyncio.Future[list[list[EventView]]]:
        """As `submit_batch`; for each command, all events that it has led to."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self.submit_for(EventsWaiter(future), records)
        return future

    def submit_for(self, waiter: Waiter, records: bytes | bytearray) -> None:
        """As `submit_batch`, for a waiter that is called back when the commands are durable."""
        if self.inbox.put(waiter, records):
            self._schedule()

    def durable(self) -> asyncio.Future[None]:
        """Done when everything that the state shows now is on disk. Await it before showing the state."""
        future: asyncio.Future[None] = self._loop.create_future()
        if self.halted:
            future.set_exception(EngineHalted("the engine has halted"))
        elif self._in_flight:
            self._in_flight[-1].barriers.append(future)
        else:
            future.set_result(None)
        return future

    def explain(self, command: NDArray[np.void]) -> list[Verdict]:
        """The verdict of every check on a PLACE_ORDER command now; places nothing."""
        return self.engine.explain(command, self._clock.now())

    def first_refusal(self, command: NDArray[np.void]) -> int:
        """The code of the first check that would refuse a PLACE_ORDER command now; places nothing."""
        return self.engine.first_refusal(command, self._clock.now())

    def observe(self, observer: Callable[[bytes], None]) -> None:
        """Call `observer` with the EVENT records of each tick once they are durable."""
        self._observers.append(observer)

    @property
    def halted(self) -> bool:
        """No command is accepted any more."""
        return self.inbox.closed

    @property
    def name_tables(self) -> NameTables:
        """Names as of the last durable tick."""
        return self._matcher.tables

    @property
    def at_rest(self) -> bool:
        """Nothing is in flight to the disk: the state is that of the last durable command."""
        return not self._in_flight

    @property
    def durable_seq(self) -> int:
        return self.journal.durable_seq if self._opened else 0

    @property
    def journal_backlog_bytes(self) -> int:
        return self.journal.backlog_bytes if self._opened else 0

    # Called by the market (`app.market.types.EngineSink`).

    def on_levels(self, levels: NDArray[np.void]) -> None:
        if self.halted:
            return
        if self._market_inbox.add_levels(levels):
            if self._in_flight:
                self._market_inbox.conflate_levels()
            else:
                self._tick()
        self._schedule()

    def on_mark(self, symbol: int, mark: int) -> None:
        self._market_inbox.add_mark(symbol, mark)

    # The tick.

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._tick)

    def _tick(self) -> None:
        self._scheduled = False
        if self.inbox.closed or self._in_flight:
            # While a tick is in flight to the disk the next one gathers: it could not be durable any
            # sooner, and larger batches cost less. `_on_durable` goes on.
            return
        started = time.perf_counter_ns()
        requests, waiters = self.inbox.take()
        try:
            builder = self._apply(requests)
        except Exception as error:  # a bug: the state may be half changed, so nothing may go on from it
            logger.exception("the engine failed")
            self._in_flight.append(Tick(self.seq, b"", NO_REQUESTS, waiters, [], started, 0))
            self._halt(f"internal error: {error!r}")
            return
        self._commit(builder, waiters, started)
        if waiters:
            self.latency["queue"].record(started - self.inbox.first_ns, len(waiters))

    def _apply(self, requests: memoryview) -> TickBuilder:
        """Apply everything that has come in, clients' `requests` included.

        Time comes first, so that nothing trades after it has expired and a new day's marks belong to the new
        day. Client commands come last, so that they meet the newest market.
        """
        now = self._clock.now()
        builder = TickBuilder(self.engine, self._venue, self._stepper, self.seq, now)
        self._time_due = False
        if self._time.is_due(now):
            builder.apply(ADVANCE_TIME)
        if self._market_inbox.due:
            self._apply_market(builder)
        if self._sample_due:
            self._sample_due = False
            builder.apply(SAMPLE_MARKS)
        if requests:
            builder.apply_requests(requests)
        self.seq = builder.seq
        return builder

    def _apply_market(self, builder: TickBuilder) -> None:
        levels, marks = self._market_inbox.take()
        for batch in levels:
            builder.take_reports(self._venue.apply_levels(batch))
        if marks:
            self.marked.set()
            builder.apply(mark_commands(marks))

    def _commit(self, builder: TickBuilder, waiters: list[Waiter], started: int) -> None:
        self.seq = builder.seq
        if not builder.commands:
            return
        self.ticks += 1
        count = builder.seq - builder.first_seq + 1
        events = b"".join(builder.events)
        applied = time.perf_counter_ns()
        self._in_flight.append(Tick(builder.seq, events, builder.requests, waiters, [], applied, count))
        self.journal.append(b"".join(builder.commands), events, builder.first_seq, builder.seq)
        self.latency["engine"].record(applied - started, count)  # not before: the disk need not wait for it

    # After the disk.

    def _on_durable(self, seq: int) -> None:
        now = time.perf_counter_ns()
        while self._in_flight and self._in_flight[0].last_seq <= seq:
            tick = self._in_flight.popleft()
            self.latency["journal"].record(now - tick.started_ns, tick.commands)
            self._deliver(tick)
            self.latency["reply"].record(time.perf_counter_ns() - now, tick.commands)
        if self.inbox.count or self._market_inbox.due or self._time_due or self._sample_due:
            self._schedule()

    def _deliver(self, tick: Tick) -> None:
        replies, reference_changed = self._matcher.match(tick.events, tick.requests, tick.waiters)
        if reference_changed:
            self.reference.refresh(self.engine.state)
            self._matcher.tables = self.reference.name_tables()
        deliver(tick.waiters, replies)
        tick.pass_barriers()
        for observer in self._observers:
            observer(tick.events)

    def _halt(self, reason: str) -> None:
        logger.critical("engine halted: %s", reason)
        self.failed = True
        self.halt_reason = reason
        self.inbox.closed = True
        self.ready = False
        self._fail_waiting(reason)

    def _fail_waiting(self, reason: str) -> None:
        error = EngineHalted(f"the engine has halted: {reason}")
        for tick in self._in_flight:
            tick.fail(error)
        self._in_flight.clear()
        self.inbox.fail(error)

    # The clock.

    def _release_marks(self) -> None:
        """Conflation of marks: the newest of each symbol enters the engine once an interval."""
        if self._market_inbox.release_marks():
            self._schedule()
        if not self.halted:
            self._mark_timer = self._loop.call_later(self._mark_interval, self._release_marks)

    def _keep_house(self) -> None:
        state, now = self.engine.state, self._clock.now()
        self._time_due = self._time.look(now)
        self._sample_due = self.marked.is_set() and sample_is_due(state, now)
        if self._time_due or self._sample_due:
            self._schedule()
        if not self.halted:
            self._housekeeping_timer = self._loop.call_later(HOUSEKEEPING_SECONDS, self._keep_house)
