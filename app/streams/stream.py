"""Stream: one topic as its watchers share it, the chain of its messages and its receivers."""

from collections.abc import Hashable, Mapping

from app.streams.client import Subscription
from app.streams.codec import Chunk, Envelope
from app.streams.topics import Topic


class Stream:
    """`seq`: of the last message; the next one names it as `prev_seq`."""

    __slots__ = ("envelope", "pending", "seq", "subscriptions", "topic")

    def __init__(self, topic: Topic, seq: int) -> None:
        self.topic = topic
        self.seq = seq
        self.envelope = Envelope(topic)
        self.subscriptions: list[Subscription] = []
        self.pending = 0  # clients that are catching up and will subscribe

    @property
    def unused(self) -> bool:
        return not self.subscriptions and not self.pending


class LogStream(Stream):
    """Every event that concerns the topic; what one command caused goes into one message."""

    __slots__ = ("_items", "_measures")

    def __init__(self, topic: Topic, seq: int) -> None:
        super().__init__(topic, seq)
        self._items: list[tuple[int, bytes]] = []
        self._measures: list[bytes] = []

    def measure(self, ts: int, measures: list[bytes]) -> Chunk | None:
        """A message of changed measures, which no event carries; it is no link of the chain."""
        known = self._measures
        changed = [each for each in measures if each not in known]
        self._measures = measures
        return Chunk(self.envelope.update(self.seq, self.seq, ts, changed)) if changed else None

    def forget_measures(self) -> None:
        """A new watcher does not know them yet."""
        self._measures = []

    def add(self, seq: int, item: bytes) -> bool:
        """Add an item; returns whether it is the first since the last `take`."""
        self._items.append((seq, item))
        return len(self._items) == 1

    def take(self, ts: int) -> Chunk:
        """The messages of all added items."""
        messages, self.seq = messages_of(self.envelope, self._items, self.seq, ts)
        self._items = []
        return Chunk(messages)


def messages_of(
    envelope: Envelope, items: list[tuple[int, bytes]], prev_seq: int, ts: int
) -> tuple[list[bytes], int]:
    """Updates, one for each command's items, and the seq of the last."""
    messages: list[bytes] = []
    group: list[bytes] = []
    group_seq = prev_seq
    for seq, item in items:
        if group and seq != group_seq:
            messages += envelope.update(group_seq, prev_seq, ts, group)
            prev_seq, group = group_seq, []
        group_seq = seq
        group.append(item)
    if group:
        messages += envelope.update(group_seq, prev_seq, ts, group)
    return messages, group_seq


class StateStream(Stream):
    """Current values, item by item: a watcher that is behind gets the newest of each, as a snapshot.

    `missing`: items to read before the first snapshot.
    """

    __slots__ = ("_items_max", "_latest", "_snapshot", "_ts", "missing")

    def __init__(self, topic: Topic, seq: int, ts: int, items_max: int | None = None) -> None:
        """`items_max`: only this many of the newest are kept."""
        super().__init__(topic, seq)
        self.missing: list[Hashable] = []
        self._latest: dict[Hashable, bytes] = {}
        self._items_max = items_max
        self._snapshot: bytes | None = None
        self._ts = ts

    def keep(self, name: Hashable, item: bytes) -> None:
        """Set an item's first value."""
        self._latest[name] = item
        self._snapshot = None

    def publish(self, seq: int, ts: int, changed: Mapping[Hashable, bytes]) -> Chunk | None:
        """The messages of the items that have changed; None if none have."""
        latest = self._latest
        items = {name: item for name, item in changed.items() if latest.get(name) != item}
        if not items:
            return None
        latest.update(items)
        if self._items_max is not None:
            while len(latest) > self._items_max:
                del latest[next(iter(latest))]
        messages = self.envelope.update(seq, self.seq, ts, list(items.values()))
        self.seq, self._ts, self._snapshot = seq, ts, None
        return Chunk(messages)

    def snapshot(self) -> bytes:
        if self._snapshot is None:
            self._snapshot = self.envelope.snapshot(self.seq, self._ts, self._latest.values())
        return self._snapshot

    def first_snapshot(self, *, refused: bool) -> bytes:
        """`refused`: the watcher has requested a resume, which states do not have."""
        if not refused:
            return self.snapshot()
        return self.envelope.snapshot(self.seq, self._ts, self._latest.values(), refused=True)
