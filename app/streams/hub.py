"""Stream hub: it takes the events of each tick once they are durable and sends them to all watchers.

An event is encoded once (`app.streams.router`), however many watch. Beyond that, a tick costs each
watcher an append and a write that is never awaited (`app.streams.fan_out`). The work is done after
the tick's replies, for all ticks that have come meanwhile, in slices and within a budget: under
load, messages wait and go out together rather than delay orders. Without watchers nothing is done.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Hashable
from pathlib import Path

from app.documents.raw_events import SEQ
from app.documents.stream_items import StreamItems
from app.runtime.clock import Clock
from app.runtime.loop import EngineLoop
from app.runtime.unavailable import EngineHalted
from app.runtime.views import EVENT_LAYOUT
from app.streams.budget import Budget
from app.streams.client import Client, Wire
from app.streams.codec import Chunk, text_frame
from app.streams.fan_out import FanOut
from app.streams.history import RecentEvents
from app.streams.router import Router
from app.streams.states import (
    INTERVAL_SECONDS,
    NEXT_ITEMS_SECONDS,
    SYSTEM_SECONDS,
    States,
)
from app.streams.stream import LogStream, StateStream, Stream
from app.streams.topics import LOGS, Channel, Topic
from app.streams.yield_to_orders import YieldToOrders

logger = logging.getLogger(__name__)

CONNECTIONS_MAX = 1_024
CONNECTIONS_PER_KEY_MAX = 128
HEARTBEAT_SECONDS = 5.0
# In snapshots of unbounded lists.
ITEMS_KEPT = {Channel.TRADES: 50, Channel.CANDLES: 120}

_HEARTBEAT = text_frame(b'{"type":"heartbeat"}')


class TooManyConnections(Exception):
    """Too many of this key, or in all."""


class Hub:
    """All methods are called on the event loop's thread. `seq`: the last command that it has seen."""

    def __init__(self, loop: EngineLoop, items: StreamItems, journal_folder: Path, clock: Clock) -> None:
        self.loop = loop
        self.items = items
        self.journal_folder = journal_folder
        self.clock = clock
        self.seq = 0
        self.recent = RecentEvents(0)
        self.budget = Budget()
        self.states = States(items)
        self.logs: dict[Channel, dict[int, LogStream]] = {channel: {} for channel in LOGS}
        self.clients: dict[Client, None] = {}
        self._router = Router(items, self.logs, self.states)
        self._fan_out = FanOut(self.budget, self.clients, self._is_busy, self._go_on)
        self._publishing = YieldToOrders(self.publish, self._is_busy)
        self._keys: Counter[int] = Counter()
        self._arrived: list[bytes] = []
        self._arrived_ts = 0  # when the first of it was durable
        self._watched = 0  # streams
        self._resting: list[tuple[Callable[[], None], asyncio.Future[None]]] = []
        self._states_timer: asyncio.TimerHandle | None = None
        self._states_at = 0.0
        self._heartbeat_timer: asyncio.TimerHandle | None = None
        self._system_timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin after the last command that was recovered or set up."""
        self._running = asyncio.get_running_loop()
        self.seq = self.loop.seq
        self.recent = RecentEvents(self.seq)
        self.loop.observe(self._on_events)
        self._beat()
        self._show_system()

    def stop(self) -> None:
        for timer in (self._heartbeat_timer, self._system_timer, self._states_timer):
            if timer is not None:
                timer.cancel()
        self._publishing.cancel()
        self._fan_out.yielding.cancel()

    # Connections.

    def connect(self, number: int, wire: Wire, drained: Callable[[], None]) -> Client:
        """A client for the key `number`. Raises TooManyConnections."""
        if len(self.clients) >= CONNECTIONS_MAX or self._keys[number] >= CONNECTIONS_PER_KEY_MAX:
            raise TooManyConnections
        client = Client(number, wire, drained)
        self.clients[client] = None
        self._keys[number] += 1
        return client

    def disconnect(self, client: Client) -> None:
        client.end()
        del self.clients[client]
        self._keys[client.number] -= 1
        if not self._keys[client.number]:
            del self._keys[client.number]

    # Streams.

    def find(self, topic: Topic) -> Stream | None:
        return self._streams_of(topic).get(_place(topic))

    def open_log(self, topic: Topic) -> LogStream:
        """The stream of a topic in LOGS; a new one begins with the next event."""
        found = self.logs[topic.channel].get(topic.index)
        if found is None:
            self.publish()
            found = self.logs[topic.channel][topic.index] = LogStream(topic, self.seq)
            self._watched += 1
        return found

    def prepare(self, topic: Topic) -> None:
        """Ensure a stream of a topic not in LOGS; a new one has `missing` items."""
        streams = self.states.streams[topic.channel]
        if _place(topic) not in streams:
            found = StateStream(topic, self.seq, self.clock.now(), ITEMS_KEPT.get(topic.channel))
            self.states.begin(found)
            streams[_place(topic)] = found
            self._watched += 1

    def drop_unused(self, stream: Stream) -> None:
        if stream.unused and self._streams_of(stream.topic).pop(_place(stream.topic), None) is not None:
            self._watched -= 1

    def _streams_of(self, topic: Topic) -> "dict[Hashable, Stream]":
        found = self.logs if topic.channel in LOGS else self.states.streams
        return found[topic.channel]  # type: ignore[return-value]  # one of the two has it

    # Events.

    def _on_events(self, events: bytes) -> None:
        self.seq = EVENT_LAYOUT.unpack_from(events, len(events) - EVENT_LAYOUT.size)[SEQ]
        self.recent.append(events, self.seq)
        if self._watched:
            if not self._arrived:
                self._arrived_ts = self.clock.now()
            self._arrived.append(events)
            self._schedule()
        if self._resting:
            self._rest()
        self._publishing.passed()
        self._fan_out.yielding.passed()

    def _is_busy(self) -> bool:
        """Whether an order may be on its way."""
        return not self.loop.at_rest or self.loop.inbox.count > 0

    async def at_rest(self, work: Callable[[], None]) -> None:
        """Do `work` when the state is that of the last durable command and all messages before it are sent.

        Raises EngineHalted, and what `work` raises.
        """
        if self.loop.halted:
            raise EngineHalted("the engine has halted")
        future: asyncio.Future[None] = self._running.create_future()
        self._resting.append((work, future))
        if self.loop.at_rest:
            self._rest()
        await future

    def _rest(self) -> None:
        self.publish()
        resting, self._resting = self._resting, []
        for work, future in resting:
            if future.done():  # the caller has gone
                continue
            try:
                work()
            except Exception as error:  # noqa: BLE001  # it belongs to the caller
                future.set_exception(error)
            else:
                future.set_result(None)

    # Sending.

    def _schedule(self) -> None:
        if not self._publishing.planned and not self._fan_out.busy:
            self._publishing.begin()
            self._publishing.plan(self.budget.wait_seconds())

    def _go_on(self) -> None:
        """All published messages are written: go on with what has come meanwhile."""
        if self._arrived:
            self._schedule()

    def publish(self) -> None:
        """Encode what has arrived and hand it on; it is written soon, before anything sent later."""
        self._publishing.cancel()
        if not self._arrived:
            return
        started = time.perf_counter()
        arrived, self._arrived = self._arrived, []
        touched: list[LogStream] = []
        for events in arrived:
            self._router.route(events, touched)
        for stream in touched:
            self._fan_out.deliver(stream, stream.take(self._arrived_ts))
        self.budget.spend(time.perf_counter() - started)
        if self.states.due and self._states_timer is None:
            self._plan_states(max(self._states_at - self._running.time(), 0.0))

    def send(self, stream: Stream, chunk: Chunk) -> None:
        """Send messages soon."""
        self._fan_out.deliver(stream, chunk)

    # Sent by the clock.

    def note_symbol(self, channel: Channel, symbol: int) -> None:
        """As `States.note_symbol`, and schedules its sending."""
        self.states.note_symbol(channel, symbol)
        if self.states.due and self._states_timer is None:
            self._plan_states(max(self._states_at - self._running.time(), 0.0))

    def _plan_states(self, seconds: float) -> None:
        self._states_timer = self._running.call_later(
            max(seconds, self.budget.wait_seconds()), self._states_due
        )

    def _states_due(self) -> None:
        if self.loop.halted:
            self._states_timer = None
            return
        self._when_at_rest(self._publish_states)

    def _when_at_rest(self, work: Callable[[], None]) -> None:
        """As `at_rest`, for the hub's own work."""
        future: asyncio.Future[None] = self._running.create_future()
        future.add_done_callback(_log_failure)
        self._resting.append((work, future))
        if self.loop.at_rest:
            self._rest()

    def _publish_states(self) -> None:
        self._states_timer = None
        self._states_at = self._running.time() + INTERVAL_SECONDS
        self.states.publish(self.seq, self.clock.now(), self.send)
        if self.states.due:
            self._plan_states(NEXT_ITEMS_SECONDS)

    def _beat(self) -> None:
        for client in list(self.clients):
            if not client.paused:  # one that is behind has more than enough to read
                client.send(_HEARTBEAT)
        if self.loop.halted:
            self._fail_resting()
        self._heartbeat_timer = self._running.call_later(HEARTBEAT_SECONDS, self._beat)

    def show_system(self) -> None:
        """Send the system's figures now, without waiting for their turn."""
        self.states.publish_system(self.seq, self.clock.now(), self.send)

    def _show_system(self) -> None:
        self.show_system()
        if self.logs[Channel.RISK] and not self.loop.halted:
            self._when_at_rest(self._show_measures)
        self._system_timer = self._running.call_later(SYSTEM_SECONDS, self._show_system)

    def _show_measures(self) -> None:
        streams = self.logs[Channel.RISK]
        ts = self.clock.now()
        for index, measures in self.items.risk_measures(streams.keys()).items():
            chunk = streams[index].measure(ts, measures)
            if chunk is not None:
                self.send(streams[index], chunk)

    def _fail_resting(self) -> None:
        resting, self._resting = self._resting, []
        for _, future in resting:
            if not future.done():
                future.set_exception(EngineHalted("the engine has halted"))


def _place(topic: Topic) -> Hashable:
    return (topic.index, topic.interval) if topic.interval else topic.index


def _log_failure(future: asyncio.Future[None]) -> None:
    error = None if future.cancelled() else future.exception()
    if error is not None and not isinstance(error, EngineHalted):
        logger.error("states could not be read", exc_info=error)
