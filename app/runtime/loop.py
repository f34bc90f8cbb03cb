"""The engine's loop: collects commands, applies them in one batch per tick, answers when durable.

A tick runs when something has come in and no earlier tick is on its way to the
disk: time, displayed depth, marks, then client commands. What the engine approves goes
to the venue in the same tick, and the venue's reports come back as commands, until
nothing is left to do; only then the next client command is applied. All commands and
events of a tick are one unit in the journal. Only when the journal says that it is on
disk do callers get answers.

A stepper applies the commands. The paper venue's is engine and book together: it lives
in this process and dies with it, so nothing has left the house before the journal has
it. That of a venue outside is the engine alone, and an observer of durable events
routes (`app.venues.base`).
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
from app.engine.records import COMMAND, field_offset
from app.engine.types import CommandKind
from app.market.conflation import newest_levels
from app.market.types import LEVEL_UPDATE
from app.runtime.clock import Clock
from app.runtime.journal import JournalWriter
from app.runtime.latency import Histogram
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
from app.runtime.retention import DiskState
from app.runtime.tick import ADVANCE_TIME, SAMPLE_MARKS, Tick, TickBuilder, mark_commands
from app.runtime.timers import TimeWatch, sample_is_due
from app.runtime.unavailable import EngineHalted, Overloaded, StorageFull
from app.runtime.views import EventView
from app.venues.base import Venue
from app.venues.stepper import Stepper

logger = logging.getLogger(__name__)

INBOX_COMMANDS_MAX = 1 << 14
PENDING_LEVELS_MAX = 1 << 16
HOUSEKEEPING_SECONDS = 0.05

_COMMAND_BYTES = COMMAND.itemsize
_KIND_OFFSET = field_offset(COMMAND, "kind")
_MAY_ADD_RISK = bytes((CommandKind.PLACE_ORDER, CommandKind.AMEND_ORDER))


class EngineLoop:
    """See the module. All methods are called on the event loop's thread.

    `halted`: no command is accepted any more; `failed`: because of an error, which is in the
    log and in `halt_reason`. `ready`: set by who starts it, when orders may come. `marked`: set
    when the first marks since then are in.
    `seq`: of the last command applied.
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
        self.halted = False
        self.failed = False
        self.halt_reason: str | None = None
        self.ready = False
        self.seq = int(engine.state.firm[0]["seq"])
        self.latency = {stage: Histogram() for stage in ("queue", "engine", "journal", "reply")}
        self.ticks = 0
        self.overloads = 0
        self.marked = asyncio.Event()
        self._venue = venue
        self._stepper = stepper
        self._clock = clock
        self._mark_interval = mark_interval_ms / 1_000
        self._inbox = bytearray(INBOX_COMMANDS_MAX * _COMMAND_BYTES)
        self._inbox_view = memoryview(self._inbox)
        self._count = 0
        self._waiters: list[Waiter] = []
        self._first_submit_ns = 0
        self._levels: list[NDArray[np.void]] = []
        self._level_count = 0
        self._marks: dict[int, int] = {}
        self._marks_due = False
        self._time = TimeWatch(engine.state)
        self._time_due = False
        self._sample_due = False
        self._scheduled = False
        self._in_flight: deque[Tick] = deque()
        self.journal: JournalWriter  # from `start` on
        self._opened = False
        self._timers: list[asyncio.TimerHandle] = []
        self._storage_full = False
        self._observers: list[Callable[[bytes], None]] = []

    # Start and end.

    def start(self, open_journal: Callable[..., JournalWriter]) -> None:
        """Open the journal behind the last command and begin; `open_journal` as JournalWriter."""
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
        """Give the venue, after a restart, the ORDER records that it had, and take what it reports."""
        builder = self._begin_tick(self._clock.now())
        builder.take_reports(self._venue.resume(open_orders))
        self._commit(builder, [], time.perf_counter_ns())

    async def close(self) -> None:
        """Refuse what comes, finish what is there, wait for the disk."""
        self.ready = False
        for timer in self._timers:
            timer.cancel()
        if self._opened and not self.halted:
            with contextlib.suppress(EngineHalted):
                await self.durable()
                self._tick()
                await self.durable()
        self.halted = True
        if not self._opened:
            return
        await asyncio.to_thread(self.journal.close)
        await asyncio.sleep(0)  # the journal's last callback answers the last callers
        self._fail_waiting("the server is shutting down")

    # What the edges call.

    def submit(self, record: bytes) -> asyncio.Future[Outcome]:
        """Queue one COMMAND record; its outcome when it is durable.

        Raises EngineHalted, Overloaded, StorageFull; the future may end with EngineHalted too.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        self.submit_for(FutureWaiter(future, single=True), record)
        return future

    def submit_batch(self, records: bytes | bytearray) -> asyncio.Future[list[Outcome]]:
        """Queue COMMAND records, applied in a row; outcomes of all but notes. Raises as `submit`."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self.submit_for(FutureWaiter(future, single=False), records)
        return future

    def submit_events(self, records: bytes | bytearray) -> asyncio.Future[list[list[EventView]]]:
        """As `submit_batch`; of each command all that it has led to."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self.submit_for(EventsWaiter(future), records)
        return future

    def submit_for(self, waiter: Waiter, records: bytes | bytearray) -> None:
        """As `submit_batch`, for a waiter that is called back when it is durable."""
        if self._storage_full:
            self._refuse_risk(records)
        size = len(records)
        count = size // _COMMAND_BYTES
        at = self._admit(count)
        offset = at * _COMMAND_BYTES
        self._inbox[offset : offset + size] = records
        waiter.first = at
        waiter.count = count
        self._waiters.append(waiter)

    def durable(self) -> asyncio.Future[None]:
        """Done when everything that the state shows now is on disk; await it before showing it."""
        future: asyncio.Future[None] = self._loop.create_future()
        if self.halted:
            future.set_exception(EngineHalted("the engine has halted"))
        elif self._in_flight:
            self._in_flight[-1].barriers.append(future)
        else:
            future.set_result(None)
        return future

    def explain(self, command: NDArray[np.void]) -> list[Verdict]:
        """What every check says to a PLACE_ORDER command now; places nothing."""
        return self.engine.explain(command, self._clock.now())

    def on_disk_state(self, state: DiskState) -> None:
        """How much of its budget the journal has used; may be called from any thread."""
        self._storage_full = state == DiskState.REACHED

    def first_refusal(self, command: NDArray[np.void]) -> int:
        """The code of the first check that would refuse a PLACE_ORDER command now; places nothing."""
        return self.engine.first_refusal(command, self._clock.now())

    def observe(self, observer: Callable[[bytes], None]) -> None:
        """Call `observer` with the EVENT records of each tick once they are durable."""
        self._observers.append(observer)

    @property
    def name_tables(self) -> NameTables:
        """Names as they are behind the last durable tick."""
        return self._matcher.tables

    @property
    def at_rest(self) -> bool:
        """Nothing is on its way to the disk: the state is that of the last durable command."""
        return not self._in_flight

    @property
    def durable_seq(self) -> int:
        return self.journal.durable_seq if self._opened else 0

    @property
    def journal_backlog_bytes(self) -> int:
        return self.journal.backlog_bytes if self._opened else 0

    @property
    def inbox_commands(self) -> int:
        return self._count

    # What the market calls (`app.market.types.EngineSink`).

    def on_levels(self, levels: NDArray[np.void]) -> None:
        if self.halted:
            return
        self._levels.append(np.frombuffer(bytearray(levels.tobytes()), LEVEL_UPDATE))
        self._level_count += len(levels)
        if self._level_count >= PENDING_LEVELS_MAX:
            if self._in_flight:
                self._levels = [newest_levels(np.concatenate(self._levels))]
                self._level_count = len(self._levels[0])
            else:
                self._tick()
        self._schedule()

    def on_mark(self, symbol: int, mark: int) -> None:
        self._marks[symbol] = mark

    # The tick.

    def _admit(self, count: int) -> int:
        """Make room for `count` commands; where they go."""
        if self.halted:
            raise EngineHalted("the engine has halted")
        at = self._count
        if at + count > INBOX_COMMANDS_MAX or self.journal.full:
            self.overloads += 1
            raise Overloaded("the inbox is full")
        if at == 0:
            self._first_submit_ns = time.perf_counter_ns()
            self._schedule()
        self._count = at + count
        return at

    def _refuse_risk(self, records: bytes | bytearray) -> None:
        if any(kind in _MAY_ADD_RISK for kind in records[_KIND_OFFSET::_COMMAND_BYTES]):
            raise StorageFull("the journal has reached its disk budget")

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._tick)

    def _tick(self) -> None:
        self._scheduled = False
        if self.halted or self._in_flight:
            # While a tick is on its way to the disk the next one gathers: it could not be durable any
            # sooner, and larger batches cost less. `_on_durable` goes on.
            return
        started = time.perf_counter_ns()
        waiters, self._waiters = self._waiters, []
        try:
            builder = self._apply()
        except Exception as error:  # a bug: the state may be half changed, so nothing may go on from it
            logger.exception("the engine failed")
            self._in_flight.append(Tick(self.seq, b"", NO_REQUESTS, waiters, [], started, 0))
            self._halt(f"internal error: {error!r}")
            return
        first_submit_ns = self._first_submit_ns
        self._commit(builder, waiters, started)
        if waiters:
            self.latency["queue"].record(started - first_submit_ns, len(waiters))

    def _apply(self) -> TickBuilder:
        """Apply all that has come in.

        Time comes first, so that nothing trades after it has expired and a new day's marks are the
        new day's; client commands come last, so that they meet the newest market.
        """
        now = self._clock.now()
        builder = self._begin_tick(now)
        self._time_due = False
        if self._time.is_due(now):
            builder.apply(ADVANCE_TIME)
        levels, self._levels, self._level_count = self._levels, [], 0
        for batch in levels:
            builder.take_reports(self._venue.apply_levels(batch))
        if self._marks_due:
            self._marks_due = False
            self.marked.set()
            marks, self._marks = self._marks, {}
            builder.apply(mark_commands(marks))
        if self._sample_due:
            self._sample_due = False
            builder.apply(SAMPLE_MARKS)
        count, self._count = self._count, 0
        if count:
            builder.apply_requests(self._inbox_view[: count * _COMMAND_BYTES])
        self.seq = builder.seq
        return builder

    def _begin_tick(self, now: int) -> TickBuilder:
        return TickBuilder(self.engine, self._venue, self._stepper, self.seq, now)

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
        if self._count or self._levels or self._marks_due or self._time_due or self._sample_due:
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
        self.halted = True
        self.ready = False
        self._fail_waiting(reason)

    def _fail_waiting(self, reason: str) -> None:
        error = EngineHalted(f"the engine has halted: {reason}")
        for tick in self._in_flight:
            tick.fail(error)
        for waiter in self._waiters:
            waiter.fail(error)
        self._in_flight.clear()
        self._waiters.clear()
        self._count = 0

    # The clock.

    def _release_marks(self) -> None:
        """Marks are conflated: the newest of each symbol enters the engine once an interval."""
        if self._marks:
            self._marks_due = True
            self._schedule()
        if not self.halted:
            self._timers[1:] = [self._loop.call_later(self._mark_interval, self._release_marks)]

    def _keep_house(self) -> None:
        state, now = self.engine.state, self._clock.now()
        self._time_due = self._time.look(now)
        self._sample_due = self.marked.is_set() and sample_is_due(state, now)
        if self._time_due or self._sample_due:
            self._schedule()
        if not self.halted:
            self._timers[:1] = [self._loop.call_later(HOUSEKEEPING_SECONDS, self._keep_house)]
