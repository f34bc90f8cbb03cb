"""Catch-up: from the first request for a topic to the moment from which it is live.

A new watcher of a log gets a snapshot; one that comes back gets its backfill: from memory, else
from the journal on disk. Either takes time, and meanwhile more happens. That is read in the same
way, in small steps, until nothing is left to read; then, in the same instant, the watcher joins the
others. A slow watcher takes its steps slowly and holds nothing in memory.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator

from app.documents.raw_events import ACCOUNT, EVERY_INDEX, KIND, ORDER_KINDS, SEQ
from app.engine.types import EventKind
from app.runtime.segments import JournalError, list_segments
from app.runtime.views import EVENT_BYTES, EVENT_LAYOUT, RawEvent
from app.streams.client import Client, Subscription
from app.streams.codec import ITEMS_MAX, Chunk
from app.streams.history import Step, journal_steps
from app.streams.hub import Hub
from app.streams.stream import LogStream, StateStream, messages_of
from app.streams.topics import LOGS, Channel, Topic

logger = logging.getLogger(__name__)

# One that was away for longer starts with a snapshot.
RESUME_COMMANDS_MAX = 1_000_000
# Events read, or items encoded, before others have their turn: less than half a millisecond.
_EVENTS_AT_ONCE = 128
_READ_SECONDS = 0.001

# Waits until the client can take more; False where it is gone.
Room = Callable[[], Awaitable[bool]]


class Gone(Exception):
    """The connection has ended."""


class CatchUp:
    """Shared by all clients: one of them is served at a time, in turns."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._turn = asyncio.Lock()

    async def watch(
        self, client: Client, room: Room, topic: Topic, from_seq: int | None, *, packed: bool
    ) -> Subscription:
        """Send a snapshot or a backfill, then subscribe to live messages.

        Raises SnapshotTooLarge, EngineHalted, Gone.
        """
        if topic.channel not in LOGS:
            return await self._watch_state(client, topic, packed, refused=from_seq is not None)
        watcher = _Watcher(self._hub, self._turn, client, room, topic, packed)
        try:
            return await watcher.run(from_seq)
        finally:
            watcher.release()

    def leave(self, topic: Topic, subscription: Subscription) -> None:
        """End a subscription."""
        stream = self._hub.find(topic)
        if stream is not None and subscription in stream.subscriptions:
            stream.subscriptions.remove(subscription)
            self._hub.drop_unused(stream)
        subscription.client.stale.pop(subscription, None)

    async def _watch_state(
        self, client: Client, topic: Topic, packed: bool, *, refused: bool
    ) -> Subscription:
        hub = self._hub
        stream = hub.find(topic)
        if stream is None:
            await hub.at_rest(lambda: hub.prepare(topic))
            stream = hub.find(topic)
        assert isinstance(stream, StateStream)
        found = stream
        found.pending += 1
        try:
            while found.missing:
                await hub.at_rest(lambda: hub.states.fill(found))
                await asyncio.sleep(0)  # at rest already, it would go on without a turn for others
            if client.closed:
                raise Gone
            subscription = Subscription(client, found.snapshot, packed=packed)
            chunk = Chunk([found.first_snapshot(refused=refused)])
            client.send(chunk.packed if packed else chunk.frames)
            found.subscriptions.append(subscription)
            return subscription
        finally:
            found.pending -= 1
            hub.drop_unused(found)


class _Watcher:
    """One client on its way into one log."""

    def __init__(
        self, hub: Hub, turn: asyncio.Lock, client: Client, room: Room, topic: Topic, packed: bool
    ) -> None:
        self._hub = hub
        self._turn = turn
        self._client = client
        self._room = room
        self._topic = topic
        self._packed = packed
        self._stream: LogStream | None = None
        self._position = 0  # all events up to this command are sent
        self._prev_seq = 0  # of the last message that the client has
        items = hub.items
        self._encode: Callable[[RawEvent], bytes | None] = {
            Channel.ORDERS: lambda event: items.order(event) if event[KIND] in ORDER_KINDS else None,
            Channel.FILLS: lambda event: items.fill(event) if event[KIND] == EventKind.ORDER_FILLED else None,
            Channel.RISK: lambda event: items.risk(event, shows_shared=topic.index == EVERY_INDEX),
        }[topic.channel]

    async def run(self, from_seq: int | None) -> Subscription:
        resumed = from_seq is not None and self._can_resume(from_seq)
        if resumed:
            assert from_seq is not None
            self._hold(self._hub.open_log(self._topic))
            self._position = self._prev_seq = from_seq
        else:
            await self._snapshot(refused=from_seq is not None)
        while True:
            try:
                await self._follow()
            except (JournalError, OSError, LookupError) as error:
                logger.warning("a stream could not be resumed from seq %d: %s", self._position, error)
                resumed = False
                await self._snapshot(refused=True)
            else:
                return self._join(resumed)

    def release(self) -> None:
        if self._stream is not None:
            self._stream.pending -= 1
            self._hub.drop_unused(self._stream)
            self._stream = None

    def _hold(self, stream: LogStream) -> None:
        """Keep the stream's chain of messages going while nobody else watches it."""
        self.release()
        stream.pending += 1
        self._stream = stream

    def _can_resume(self, from_seq: int) -> bool:
        hub = self._hub
        if not hub.seq - RESUME_COMMANDS_MAX <= from_seq <= hub.seq:
            return False
        if from_seq >= hub.recent.after:
            return True
        segments = list_segments(hub.journal_folder)
        return bool(segments) and segments[0].first_seq <= from_seq + 1

    async def _snapshot(self, *, refused: bool) -> None:
        hub, index = self._hub, self._topic.index
        read = {
            Channel.ORDERS: hub.items.open_orders,
            Channel.FILLS: hub.items.recent_fills,
            Channel.RISK: hub.items.risk_state,
        }[self._topic.channel]
        found: list[Iterator[bytes]] = []

        def capture() -> None:
            found.append(read(index))
            self._hold(hub.open_log(self._topic))
            assert self._stream is not None
            self._position, self._prev_seq = hub.seq, self._stream.seq

        await hub.at_rest(capture)
        seq, items = self._prev_seq, found[0]
        envelope = self._held.envelope
        more = True
        while more:
            part, more = await self._next(items)
            await self._send([envelope.snapshot(seq, hub.clock.now(), part, more=more, refused=refused)])

    async def _next(self, items: Iterator[bytes]) -> tuple[list[bytes], bool]:
        """A message's worth of a snapshot, read at rest and in a moment; whether there may be more.

        Changes after the snapshot's seq are repeated by the events that follow.
        """
        part: list[bytes] = []
        ended: list[bool] = []

        def read() -> None:
            end = time.perf_counter() + _READ_SECONDS
            for item in items:
                part.append(item)
                if len(part) == ITEMS_MAX or time.perf_counter() >= end:
                    return
            ended.append(True)

        await self._hub.at_rest(read)
        return part, not ended

    @property
    def _held(self) -> LogStream:
        assert self._stream is not None
        return self._stream

    async def _follow(self) -> None:
        """Send what has happened since, until the watcher has caught up with the newest event.

        Raises JournalError, OSError, LookupError if it cannot be read.
        """
        hub = self._hub
        while True:
            step = hub.recent.step(self._position, _EVENTS_AT_ONCE * EVENT_BYTES)
            if step is None:
                await self._follow_journal()
            elif step.last_seq == hub.seq and len(step.events) <= 2 * _EVENTS_AT_ONCE * EVENT_BYTES:
                return
            else:
                await self._send_step(step)

    async def _follow_journal(self) -> None:
        steps = journal_steps(self._hub.journal_folder, self._position, self._hub.seq)
        before = self._position
        try:
            while self._position < self._hub.recent.after:
                found = await asyncio.to_thread(_next, steps)
                if isinstance(found, Step):
                    await self._send_step(found)
                elif found is _END:
                    break
        finally:
            steps.close()
        if self._position == before:
            raise LookupError("the journal ends too early")

    async def _send_step(self, step: Step) -> None:
        """Encode the part of a step that belongs to the topic, in turns."""
        items: list[tuple[int, bytes]] = []
        size = _EVENTS_AT_ONCE * EVENT_BYTES
        for start in range(0, len(step.events), size):
            self._select(step.events[start : start + size], items)
            last = items[-1][0] if items else 0
            # The items of one command go into one message: the last ones may not be complete.
            ready = [item for item in items if item[0] != last]
            items = items[len(ready) :]
            await self._send(self._messages(ready))
        await self._send(self._messages(items))
        self._position = step.last_seq

    def _select(self, events: bytes, items: list[tuple[int, bytes]]) -> None:
        index, encode, position = self._topic.index, self._encode, self._position
        notes = self._topic.channel is Channel.RISK
        for event in EVENT_LAYOUT.iter_unpack(events):
            if notes and event[KIND] == EventKind.NOTE_RECORDED:
                self._hub.items.note(event)
            elif index in (event[ACCOUNT], EVERY_INDEX) and event[SEQ] > position:
                item = encode(event)
                if item is not None:
                    items.append((event[SEQ], item))

    def _messages(self, items: list[tuple[int, bytes]]) -> list[bytes]:
        if not items:
            return []
        messages, self._prev_seq = messages_of(
            self._held.envelope, items, self._prev_seq, self._hub.clock.now()
        )
        return messages

    async def _send(self, messages: list[bytes]) -> None:
        """Send when the client has room, and let others have their turn."""
        async with self._turn:
            if messages:
                self._put(messages)
            await asyncio.sleep(self._hub.budget.wait_seconds())
        if self._client.paused and not await self._room():
            raise Gone

    def _put(self, messages: list[bytes]) -> None:
        started = time.perf_counter()
        chunk = Chunk(messages)
        self._client.send(chunk.packed if self._packed else chunk.frames)
        self._hub.budget.spend(time.perf_counter() - started)

    def _join(self, resumed: bool) -> Subscription:
        """Send the rest of the backfill and subscribe: nothing happens in between."""
        hub, stream = self._hub, self._held
        hub.publish()
        if self._client.closed:
            raise Gone
        step = hub.recent.step(self._position, hub.seq * EVENT_BYTES)
        assert step is not None
        assert step.last_seq == hub.seq
        items: list[tuple[int, bytes]] = []
        self._select(step.events, items)
        messages = self._messages(items)
        if resumed:
            messages.append(stream.envelope.resumed(stream.seq, hub.clock.now()))
        if messages:
            self._put(messages)
        subscription = Subscription(self._client, None, packed=self._packed)
        stream.forget_measures()
        stream.subscriptions.append(subscription)
        return subscription


_END = object()


def _next(steps: Iterator[Step | None]) -> object:
    return next(steps, _END)
