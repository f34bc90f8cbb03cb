"""State streams: positions, accounts, marks, books and the system's figures, sent when they have changed.

Events only mark what has changed. The current values are read a little later, at a moment when
everything applied is durable, and at a bounded rate and size: the cost does not grow with the rate
of orders.
"""

from collections.abc import Callable, Hashable, Mapping
from time import perf_counter
from typing import Any

from app.documents.raw_events import ACCOUNT, EVERY_INDEX, KIND, SYMBOL
from app.documents.stream_items import StreamItems
from app.engine.types import EventKind
from app.runtime.views import RawEvent
from app.streams.codec import Chunk
from app.streams.stream import StateStream
from app.streams.topics import Channel

INTERVAL_SECONDS = 0.1
SYSTEM_SECONDS = 1.0
# Read at once; the rest a little later: a mark may move the positions of a thousand accounts.
ITEMS_AT_ONCE = 32
READ_SECONDS = 0.001
NEXT_ITEMS_SECONDS = 0.01

_MARK = int(EventKind.MARK_UPDATED)
_DAY = int(EventKind.DAY_STARTED)
_OF_ACCOUNT = frozenset((EventKind.CASH_TRANSFERRED, EventKind.ACCOUNT_SET, EventKind.TRADING_STATE_SET))

# They change without a command, perhaps several times after the same one.
_WITHOUT_COMMANDS = (Channel.BOOK, Channel.MARKS, Channel.SYSTEM)

Send = Callable[[StateStream, Chunk], None]


class States:
    """`streams`: by channel, then by the topic's index (and interval). What is due has an entry by name."""

    def __init__(self, items: StreamItems) -> None:
        self._items = items
        self.streams: dict[Channel, dict[Hashable, StateStream]] = {
            Channel.MARKS: {},
            Channel.BOOK: {},
            Channel.POSITIONS: {},
            Channel.ACCOUNTS: {},
            Channel.TRADES: {},
            Channel.CANDLES: {},
            Channel.SYSTEM: {},
        }
        self._read: dict[Channel, Callable[[Any], bytes]] = {
            Channel.MARKS: items.mark,
            Channel.BOOK: items.book,
            Channel.POSITIONS: lambda pair: items.position(*pair),
            Channel.ACCOUNTS: items.account,
            Channel.SYSTEM: lambda _index: items.system(),
        }
        self._due: dict[Channel, dict[Any, None]] = {channel: {} for channel in self._read}
        self._moved: set[int] = set()  # symbols with another mark: who holds them is looked up when due

    @property
    def watched(self) -> bool:
        return any(self.streams.values())

    @property
    def due(self) -> bool:
        return bool(self._moved) or any(self._due.values())

    # What has changed.

    def note(self, event: RawEvent) -> None:
        """An event that may have changed something that is watched."""
        kind, account, symbol = event[KIND], event[ACCOUNT], event[SYMBOL]
        if kind == _MARK:
            if self.streams[Channel.POSITIONS] or self.streams[Channel.ACCOUNTS]:
                self._moved.add(symbol)
            return
        if symbol >= 0:
            self._mark(Channel.BOOK, symbol, symbol)
            if account >= 0:
                self._mark(Channel.POSITIONS, (account, symbol), account)
                self._mark(Channel.ACCOUNTS, account, account)
        elif account >= 0:
            if kind in _OF_ACCOUNT:
                self._mark(Channel.ACCOUNTS, account, account)
        elif kind == _DAY and self.streams[Channel.ACCOUNTS]:
            for index in range(self._items.accounts()):
                self._mark(Channel.ACCOUNTS, index, index)

    def note_symbol(self, channel: Channel, symbol: int) -> None:
        """The displayed depth of a symbol has changed (BOOK), or what it costs (MARKS)."""
        self._mark(channel, symbol, symbol)

    def _mark(self, channel: Channel, name: Hashable, index: int) -> None:
        streams = self.streams[channel]
        if streams and (index in streams or EVERY_INDEX in streams):
            self._due[channel][name] = None

    # What it is now. The engine must be at rest.

    def begin(self, stream: StateStream) -> None:
        """Find the items of a new stream; the market's are read at once, the others by `fill`."""
        channel, _, index, interval = stream.topic
        if channel is Channel.TRADES:
            items = self._items.recent_trades(index)
        elif channel is Channel.CANDLES:
            items = self._items.recent_candles(index, interval)
        else:
            stream.missing = self._names(channel, index)
            return
        for name, item in items:
            stream.keep(name, item)

    def _names(self, channel: Channel, index: int) -> list[Hashable]:
        if channel is Channel.POSITIONS:
            return list(self._items.held_positions(index))
        if index != EVERY_INDEX or channel is Channel.SYSTEM:
            return [index]
        items = self._items
        return list(range(items.accounts() if channel is Channel.ACCOUNTS else items.symbols()))

    def fill(self, stream: StateStream) -> None:
        """Read some of the missing items of a new stream."""
        read, end = self._read[stream.topic.channel], perf_counter() + READ_SECONDS
        for _ in range(min(len(stream.missing), ITEMS_AT_ONCE)):
            name = stream.missing.pop()
            stream.keep(name, read(name))
            if perf_counter() >= end:
                break

    def publish(self, seq: int, ts: int, send: Send) -> None:
        """Read and send a part of what is due."""
        self._find_holders()
        room, end = ITEMS_AT_ONCE, perf_counter() + READ_SECONDS
        for channel, due in self._due.items():
            read = self._read[channel]
            items: dict[Hashable, bytes] = {}
            while due and room and perf_counter() < end:
                room -= 1
                name = next(iter(due))
                del due[name]
                items[name] = read(name)
            self._send(channel, items, seq, ts, send)

    def publish_system(self, seq: int, ts: int, send: Send) -> None:
        if self.streams[Channel.SYSTEM]:
            self._send(Channel.SYSTEM, {EVERY_INDEX: self._items.system()}, seq, ts, send)

    def _find_holders(self) -> None:
        for symbol in self._moved:
            for account in self._items.holders(symbol):
                self._mark(Channel.POSITIONS, (account, symbol), account)
                self._mark(Channel.ACCOUNTS, account, account)
        self._moved.clear()

    def _send(self, channel: Channel, items: Mapping[Hashable, bytes], seq: int, ts: int, send: Send) -> None:
        streams = self.streams[channel]
        by_stream: dict[Hashable, dict[Hashable, bytes]] = {}
        for name, item in items.items():
            index = name[0] if isinstance(name, tuple) else name
            for each in {index, EVERY_INDEX}:
                if each in streams:
                    by_stream.setdefault(each, {})[name] = item
        for each, changed in by_stream.items():
            stream = streams[each]
            chunk = stream.publish(max(seq, stream.seq + (channel in _WITHOUT_COMMANDS)), ts, changed)
            if chunk is not None:
                send(stream, chunk)
