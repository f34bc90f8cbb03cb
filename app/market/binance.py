"""Binance spot market data: addresses, requests, and raw messages decoded into `app.market.messages`.

Combined streams (`{"stream": ..., "data": ...}`) of bookTicker, trade and depth, and the REST depth
snapshot, which does not name its symbol. No content of a message makes `decode` raise: a fault is
counted, and the message counts as not received; what the books miss then shows as a gap in their
numbering.

https://github.com/binance/binance-spot-api-docs/blob/master/web-socket-streams.md
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from enum import StrEnum
from operator import itemgetter
from typing import Any

import orjson

from app.market.grid import FeedGrid, Malformed, OffGrid
from app.market.messages import DepthSnapshot, DepthUpdate, Levels, Message, TouchUpdate, Trade
from app.market.types import MarketInstrument

logger = logging.getLogger(__name__)

# A snapshot of 5,000 levels a side, the deepest there is, has about 350 kB.
MESSAGE_BYTES_MAX = 1 << 20
# Of one side in one message.
LEVELS_MAX = 5_000
# Update ids and milliseconds stay in 64 bits, also as microseconds.
NUMBER_MAX = 1 << 50


class Fault(StrEnum):
    NOT_JSON = "not JSON"
    TOO_LONG = "message too long"
    MALFORMED = "malformed"
    OFF_GRID = "a price or quantity is not on the instrument's grid"
    UNKNOWN = "of no instrument or stream that is known"
    REFUSED = "the exchange refuses a request of ours"


STREAM_URL = "wss://stream.binance.com:9443"
REST_URL = "https://api.binance.com"
# Streams named in one request; the exchange takes five requests a second of a connection.
SUBSCRIBED_MAX = 200
# It closes a connection after 24 hours.
CONNECTION_SECONDS_MAX = 23 * 3_600.0

_Decode = Callable[[Any], Message]


class BinanceDecoder:
    """Decodes the messages of known instruments and counts those that it cannot decode.

    An instrument is the exchange's symbol without the dash: BTC-USDT is BTCUSDT.
    """

    def __init__(self, instruments: Iterable[MarketInstrument]) -> None:
        self.decoded = 0
        self.faults: Counter[Fault] = Counter()
        self._streams: dict[str, _Decode] = {}
        self._left: set[str] = set()  # streams of instruments that are not followed any more
        self._instruments: dict[int, _InstrumentDecoder] = {}
        self.add(instruments)

    def add(self, instruments: Iterable[MarketInstrument]) -> None:
        for instrument in instruments:
            decoder = _InstrumentDecoder(instrument)
            self._instruments[instrument.index] = decoder
            self._streams.update(decoder.streams())
            self._left.difference_update(decoder.streams())

    def remove(self, symbols: Iterable[int]) -> None:
        for symbol in symbols:
            for stream in self._instruments.pop(symbol).streams():
                del self._streams[stream]
                self._left.add(stream)

    def decode(self, raw: bytes, snapshot_symbol: Callable[[int], int]) -> Message | None:
        """The message in `raw`, or None if it is of no use.

        `snapshot_symbol` is called with the `lastUpdateId` of a depth snapshot and returns the index of its
        instrument, -1 if unknown.
        """
        if len(raw) > MESSAGE_BYTES_MAX:
            self._fault(Fault.TOO_LONG)
            return None
        try:
            document = orjson.loads(raw)
        except orjson.JSONDecodeError:
            self._fault(Fault.NOT_JSON)
            return None
        try:
            stream = document.get("stream")
            if stream is not None:
                decode = self._streams.get(stream)
                if decode is None:
                    if stream not in self._left:
                        self._fault(Fault.UNKNOWN)
                    return None
                message = decode(document["data"])
            elif "lastUpdateId" in document:
                decoder = self._instruments.get(snapshot_symbol(_number(document["lastUpdateId"])))
                if decoder is None:
                    self._fault(Fault.UNKNOWN)
                    return None
                message = decoder.snapshot(document)
            else:  # an answer to a request of ours
                if document.get("result") is not None or "error" in document or "code" in document:
                    self._fault(Fault.REFUSED)
                return None
        except OffGrid:
            self._fault(Fault.OFF_GRID)
            return None
        except (ValueError, TypeError, KeyError, AttributeError):
            # Any other shape than expected: members missing, of another type, too few or too many.
            self._fault(Fault.MALFORMED)
            return None
        self.decoded += 1
        return message

    def streams(self, symbols: Iterable[int] | None = None) -> list[str]:
        """The streams worth subscribing to, of these or of all known instruments."""
        wanted = self._instruments if symbols is None else symbols
        names = (name for symbol in wanted for name in self._instruments[symbol].streams())
        return [name for name in names if not name.endswith("@depth")]

    def name(self, symbol: int) -> str:
        return self._instruments[symbol].name

    def _fault(self, fault: Fault) -> None:
        self.faults[fault] += 1
        if self.faults[fault] == 1:
            logger.warning("market data: first message refused as: %s", fault)


class BinanceSpot:
    """An `app.market.exchange.Exchange`."""

    name = "binance"
    connection_seconds_max = CONNECTION_SECONDS_MAX
    message_bytes_max = MESSAGE_BYTES_MAX

    def __init__(
        self,
        instruments: Iterable[MarketInstrument],
        *,
        stream_url: str = STREAM_URL,
        rest_url: str = REST_URL,
        levels: int = 1_000,
    ) -> None:
        """levels: of each side in a snapshot, up to LEVELS_MAX; more cost more of the rate limit."""
        self.stream_url = f"{stream_url.rstrip('/')}/stream"
        self._rest_url = rest_url.rstrip("/")
        self._levels = levels
        self._decoder = BinanceDecoder(instruments)

    @property
    def parse_errors(self) -> int:
        return self._decoder.faults.total()

    def add(self, instruments: Iterable[MarketInstrument]) -> None:
        self._decoder.add(instruments)

    def remove(self, symbols: Iterable[int]) -> None:
        self._decoder.remove(symbols)

    def subscriptions(self) -> list[str]:
        return _requests("SUBSCRIBE", self._decoder.streams())

    def subscribe(self, symbols: Iterable[int]) -> list[str]:
        return _requests("SUBSCRIBE", self._decoder.streams(symbols))

    def unsubscribe(self, names: Iterable[str]) -> list[str]:
        return _requests("UNSUBSCRIBE", list(names))

    def stream_names(self, symbol: int) -> list[str]:
        return self._decoder.streams((symbol,))

    def decode(self, raw: bytes) -> Message | None:
        return self._decoder.decode(raw, _nobodys)

    def snapshot_url(self, symbol: int) -> str:
        return f"{self._rest_url}/api/v3/depth?symbol={self._decoder.name(symbol)}&limit={self._levels}"

    def decode_snapshot(self, symbol: int, raw: bytes) -> DepthSnapshot | None:
        message = self._decoder.decode(raw, lambda _last_id: symbol)
        return message if isinstance(message, DepthSnapshot) else None


def _requests(method: str, streams: list[str]) -> list[str]:
    chunks = [streams[at : at + SUBSCRIBED_MAX] for at in range(0, len(streams), SUBSCRIBED_MAX)]
    return [
        orjson.dumps({"method": method, "params": chunk, "id": number}).decode()
        for number, chunk in enumerate(chunks, 1)
    ]


def _nobodys(_last_id: int) -> int:
    """Snapshots do not come on the streams."""
    return -1


class _InstrumentDecoder:
    def __init__(self, instrument: MarketInstrument) -> None:
        self._index = instrument.index
        self.name = instrument.base + instrument.quote
        self._ticks = FeedGrid(instrument.price_tick_e12)
        # Orders older than today's step leave totals between two steps: what can be traded is less.
        self._steps = FeedGrid(instrument.quantity_step_e8 * 10_000, floored=True)

    def streams(self) -> dict[str, _Decode]:
        name = self.name.lower()
        return {
            f"{name}@bookTicker": self.touch,
            f"{name}@trade": self.trade,
            f"{name}@depth": self.depth,
            f"{name}@depth@100ms": self.depth,
        }

    def touch(self, data: Any) -> TouchUpdate:
        ticks, steps = self._ticks, self._steps
        bid, bid_quantity = ticks[data["b"]], steps[data["B"]]
        ask, ask_quantity = ticks[data["a"]], steps[data["A"]]
        if not 0 < bid < ask or not bid_quantity or not ask_quantity or data["s"] != self.name:
            raise Malformed("no touch")
        return TouchUpdate(self._index, _number(data["u"]), bid, bid_quantity, ask, ask_quantity)

    def trade(self, data: Any) -> Trade:
        price, quantity = self._ticks[data["p"]], self._steps[data["q"]]
        if not price or not quantity or data["s"] != self.name:
            raise Malformed("no trade")
        ts, trade_id = _number(data["T"]) * 1_000, _number(data["t"])
        return Trade(self._index, price, quantity, ts, trade_id)

    def depth(self, data: Any) -> DepthUpdate:
        first_id, last_id = _number(data["U"]), _number(data["u"])
        if first_id > last_id or data["s"] != self.name:
            raise Malformed("no depth update")
        return DepthUpdate(self._index, first_id, last_id, self._levels(data["b"]), self._levels(data["a"]))

    def snapshot(self, data: Any) -> DepthSnapshot:
        bids, asks = self._levels(data["bids"]), self._levels(data["asks"])
        return DepthSnapshot(self._index, _number(data["lastUpdateId"]), bids, asks)

    def _levels(self, pairs: Any) -> Levels:
        if type(pairs) is not list or len(pairs) > LEVELS_MAX:
            raise Malformed("no levels")
        ticks, steps = self._ticks, self._steps
        try:
            levels = [(ticks[price], steps[quantity]) for price, quantity in pairs]
        except OffGrid:
            # As above, an order older than today's tick: nobody could meet it, so it is left out.
            levels = [(ticks[price], steps[quantity]) for price, quantity in pairs if ticks.holds(price)]
        if not all(map(itemgetter(0), levels)):
            raise Malformed("price of zero")
        return levels


def _number(value: Any) -> int:
    if type(value) is not int or not 0 <= value < NUMBER_MAX:
        raise Malformed("not a number")
    return value
