"""Recorded market without an end: passes follow each other without a break in any numbering.

The books are kept alongside, so a snapshot is available at any moment. Where a pass begins, one
depth update of our own turns the book at the recording's end into the one at its beginning; update
ids, trade ids and, if they stay as recorded, times go on from there. Everything but the wall
clock's time is the same each time the same files are played.
"""

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from app.market.recording import RecordedMessage, Recording

# Kept in memory, about 300 bytes each.
MESSAGES_MAX = 10_000_000
# Between the last message of a pass and the first one of the next.
BREAK_NS = 100_000_000

_NUMBERS = re.compile(rb'"([UuEtT])":(\d+)')

Side = dict[str, str]  # price -> quantity


class RecordingError(ValueError):
    """The recording cannot be served; one line that says why."""


class Message(NamedTuple):
    """`raw` is the whole message of a combined stream."""

    at_ns: int
    stream: str
    raw: bytes


class _Recorded(NamedTuple):
    at_ns: int
    stream: str
    raw: bytes
    depth: dict[str, Any] | None  # what a depth update says


@dataclass
class Book:
    """One symbol's; prices and quantities as text, as they came."""

    last_id: int
    bids: Side
    asks: Side

    def apply(self, update: dict[str, Any], shift: int) -> None:
        self.last_id = update["u"] + shift
        for side, changes in ((self.bids, update["b"]), (self.asks, update["a"])):
            for price, quantity in changes:
                if quantity.strip("0."):
                    side[price] = quantity
                else:
                    side.pop(price, None)

    def snapshot(self, limit: int) -> bytes:
        bids = sorted(self.bids.items(), key=_price, reverse=True)[:limit]
        asks = sorted(self.asks.items(), key=_price)[:limit]
        return orjson.dumps({"lastUpdateId": self.last_id, "bids": bids, "asks": asks})


@dataclass
class _Symbol:
    first: Book  # where each pass begins
    newest_id: int = 0  # of touches too, as recorded
    first_trade: int = 0
    newest_trade: int = 0
    book: Book = field(init=False)
    id_shift: int = 0
    trade_shift: int = 0

    def __post_init__(self) -> None:
        self.book = Book(self.first.last_id, dict(self.first.bids), dict(self.first.asks))


class RecordedMarket:
    """`books`: by symbol in upper case, as they are after the newest message of `play`."""

    def __init__(self, messages: Sequence[_Recorded], symbols: dict[str, _Symbol], *, now: bool) -> None:
        self._messages = messages
        self._symbols = symbols
        self._now = now
        self.books = {name: symbol.book for name, symbol in symbols.items()}
        self.streams = sorted({message.stream for message in messages})
        self.passes = 0

    def play(self, passes: int = 0) -> Iterator[Message]:
        """The messages in order, of this many passes; 0 for ever. `at_ns` goes on from pass to pass."""
        start_ns, end_ns = self._messages[0].at_ns, self._messages[-1].at_ns
        while not passes or self.passes < passes:
            elapsed_ns = self.passes * (end_ns - start_ns + BREAK_NS)
            if self.passes:
                yield from self._return_to_start(start_ns + elapsed_ns)
            for recorded in self._messages:
                yield self._message(recorded, elapsed_ns)
            self.passes += 1

    def _message(self, recorded: _Recorded, elapsed_ns: int) -> Message:
        symbol = self._symbols[_symbol_of(recorded.stream)]
        if recorded.depth is not None:
            symbol.book.apply(recorded.depth, symbol.id_shift)
        raw = recorded.raw
        if elapsed_ns or self._now:
            raw = self._renumber(raw, symbol, elapsed_ns)
        return Message(recorded.at_ns + elapsed_ns, recorded.stream, raw)

    def _renumber(self, raw: bytes, symbol: _Symbol, elapsed_ns: int) -> bytes:
        now_ms = time.time_ns() // 1_000_000 if self._now else 0
        elapsed_ms = elapsed_ns // 1_000_000

        def shifted(found: re.Match[bytes]) -> bytes:
            name, number = found[1], int(found[2])
            if name in b"Uu":
                number += symbol.id_shift
            elif name == b"t":
                number += symbol.trade_shift
            else:
                number = now_ms or number + elapsed_ms
            return b'"%b":%d' % (name, number)

        return _NUMBERS.sub(shifted, raw)

    def _return_to_start(self, at_ns: int) -> Iterator[Message]:
        for name, symbol in self._symbols.items():
            book, first = symbol.book, symbol.first
            last_id = symbol.newest_id + symbol.id_shift + 1
            update = {
                "e": "depthUpdate",
                "E": time.time_ns() // 1_000_000 if self._now else at_ns // 1_000_000,
                "s": name,
                "U": book.last_id + 1,
                "u": last_id,
                "b": _changes(book.bids, first.bids),
                "a": _changes(book.asks, first.asks),
            }
            book.apply(update, 0)
            symbol.id_shift = last_id - first.last_id
            symbol.trade_shift += symbol.newest_trade - symbol.first_trade + 1
            stream = f"{name.lower()}@depth@100ms"
            yield Message(at_ns, stream, orjson.dumps({"stream": stream, "data": update}))


async def load(paths: Sequence[Path], *, times_now: bool) -> RecordedMarket:
    """Read recordings of Binance's streams. Raises RecordingError, OSError."""
    loader = _Loader()
    recording = Recording(paths)
    try:
        while (recorded := await recording.read()) is not None:
            recording.take(recorded)
            loader.add(recorded)
    finally:
        recording.close()
    if not loader.messages:
        names = ", ".join(map(str, paths))
        raise RecordingError(f"nothing can be served from {names}: no depth snapshot with updates in it")
    return RecordedMarket(loader.messages, loader.symbols, now=times_now)


class _Loader:
    """Keeps the messages after each symbol's snapshot, including depth updates that waited for it."""

    def __init__(self) -> None:
        self.messages: list[_Recorded] = []
        self.symbols: dict[str, _Symbol] = {}
        self._waiting: dict[str, list[dict[str, Any]]] = {}  # depth updates by symbol, until the snapshot
        self._sources: dict[str, int] = {}
        self._depth_ids: dict[str, int] = {}

    def add(self, recorded: RecordedMessage) -> None:
        try:
            document = orjson.loads(recorded.raw)
            if "lastUpdateId" in document:
                self._add_snapshot(recorded.source, document)
            else:
                self._add_message(recorded, document["stream"], document)
        except (ValueError, TypeError, KeyError) as error:
            if isinstance(error, RecordingError):
                raise
            # A line that is no message of these streams: a recording may hold anything.

    def _add_snapshot(self, source: int, document: dict[str, Any]) -> None:
        """A snapshot does not name its symbol: it is that of the nearest updates."""
        last_id = document["lastUpdateId"]
        near = {
            name: abs(updates[-1]["u"] - last_id)
            for name, updates in self._waiting.items()
            if updates and self._sources[name] == source and name not in self.symbols
        }
        if not near:
            return
        name = min(near, key=near.__getitem__)
        book = Book(last_id, dict(document["bids"]), dict(document["asks"]))
        for update in self._waiting.pop(name):
            if update["u"] > last_id:
                _check_gap(name, book.last_id, update)
                book.apply(update, 0)
        self.symbols[name] = _Symbol(book, newest_id=book.last_id)
        self._depth_ids[name] = book.last_id

    def _add_message(self, recorded: RecordedMessage, stream: str, document: dict[str, Any]) -> None:
        name, data = _symbol_of(stream), document["data"]
        self._sources.setdefault(name, recorded.source)
        symbol = self.symbols.get(name)
        is_depth = "@depth" in stream
        if symbol is None:
            if is_depth:
                self._waiting.setdefault(name, []).append(data)
            return
        if is_depth:
            if data["u"] <= self._depth_ids[name]:
                return
            _check_gap(name, self._depth_ids[name], data)
            self._depth_ids[name] = data["u"]
        elif stream.endswith("@bookTicker"):
            if data["u"] <= symbol.first.last_id:
                return
        elif stream.endswith("@trade"):
            symbol.first_trade = symbol.first_trade or data["t"]
            symbol.newest_trade = data["t"]
        symbol.newest_id = max(symbol.newest_id, data.get("u", 0))
        if len(self.messages) >= MESSAGES_MAX:
            raise RecordingError(f"the recording has more than {MESSAGES_MAX} messages")
        raw = recorded.raw if b'"stream":"' in recorded.raw[:12] else orjson.dumps(document)
        self.messages.append(_Recorded(recorded.received_ns, stream, raw, data if is_depth else None))


def _check_gap(name: str, last_id: int, update: dict[str, Any]) -> None:
    if update["U"] > last_id + 1:
        raise RecordingError(
            f"{name}: depth updates {last_id + 1} to {update['U'] - 1} are missing in the recording"
        )


def _symbol_of(stream: str) -> str:
    return stream.partition("@")[0].upper()


def _price(level: tuple[str, str]) -> float:
    return float(level[0])


def _changes(before: Side, after: Side) -> list[tuple[str, str]]:
    gone = [(price, "0.00000000") for price in before.keys() - after.keys()]
    new = [(price, quantity) for price, quantity in after.items() if before.get(price) != quantity]
    return sorted(gone) + new
