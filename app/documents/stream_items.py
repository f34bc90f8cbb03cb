"""Stream items: the JSON items of all channels, the same documents as over HTTP."""

from collections.abc import Callable, Collection, Hashable, Iterator
from itertools import chain
from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from app.codec.names import NameTables
from app.codec.stream_json import StreamWriter, Written
from app.documents.accounts import account_content, position_content
from app.documents.content import Content
from app.documents.market import book_content, market_content, trade_content
from app.documents.order_items import fill_item, names_of, order_item
from app.documents.order_reader import OrderReader
from app.documents.orders import fill_content, order_content
from app.documents.raw_events import EVERY_INDEX, SnapshotTooLarge
from app.documents.risk import account_risk_contents, correlation_content, firm_risk_content
from app.documents.risk_items import RiskItems
from app.documents.risk_parameters import parameters_content
from app.documents.risk_snapshot import risk_snapshot
from app.engine.capacity import SLOT_BITS
from app.engine.state import NO_SLOT, State
from app.market.market_data import MarketData
from app.market.types import Candle
from app.runtime.clock import Clock
from app.runtime.reference import Reference
from app.runtime.state_reader import Record, held_positions, holders_of
from app.runtime.views import RawEvent
from app.venues.base import Venue

BOOK_LEVELS = 20
FILLS_SHOWN = 100
TRADES_SHOWN = 50
CANDLES_SHOWN = 100
INTERVALS_S = {"1s": 1, "1m": 60}
SNAPSHOT_ORDERS_MAX = 20_000
# The newest fills of all accounts, among which those of one account are searched.
_FILLS_SEARCHED = 10_000

_INTERVAL_NAMES = {seconds: name for name, seconds in INTERVALS_S.items()}
_SLOT_MASK = (1 << SLOT_BITS) - 1


class Sources(NamedTuple):
    """Where the items are read from. `state` is read while everything applied is durable."""

    state: State
    reference: Reference
    venue: Venue
    market: MarketData
    clock: Clock
    name_tables: Callable[[], NameTables]
    system: Callable[[], Content]


class StreamItems:
    """Items are JSON documents. `account` and `symbol` are the engine's indexes, -1 for all.

    Iterators hold copies: they show the moment of the call, however long they are read.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._state = sources.state
        self._reference = sources.reference
        self._reader = OrderReader(sources.state)
        self._writer = StreamWriter()
        self._risk = RiskItems(sources.reference)
        self._correlation_of = (-1, 0)
        self._correlation_json = b""

    # Events.

    def order(self, event: RawEvent) -> bytes | None:
        """See `order_item`."""
        return order_item(self._reference, event)

    def fill(self, event: RawEvent) -> bytes:
        """See `fill_item`."""
        return fill_item(self._reference, event)

    def write(self, events: bytes, wanted: NDArray[np.uint8]) -> Written:
        """Orders and fills of at most BLOCK_EVENTS events at once, for accounts that are `wanted`.

        `order` and `fill` show what is not written here.
        """
        return self._writer.write(events, wanted, self._sources.name_tables())

    def note(self, event: RawEvent) -> None:
        """A NOTE_RECORDED: `risk` of a following event may quote it."""
        self._risk.note(event)

    def risk(self, event: RawEvent, *, shows_shared: bool) -> bytes | None:
        """The `risk` item of an event; None if it has none.

        `shows_shared`: with the numbers of scopes that more than one account is in.
        """
        return self._risk.item(event, shows_shared)

    # Snapshots of what is made of events.

    def open_orders(self, account: int) -> Iterator[bytes]:
        """Raises SnapshotTooLarge."""
        state = self._state
        accounts = range(self.accounts()) if account < 0 else (account,)
        heads = state.accounts
        count = int(state.firm[0]["open_orders"]) if account < 0 else int(heads[account]["open_orders"])
        if count > SNAPSHOT_ORDERS_MAX:
            raise SnapshotTooLarge(
                f"{count} orders are open, a snapshot has at most {SNAPSHOT_ORDERS_MAX}: read them with "
                "GET /v1/orders and subscribe with `from_seq`"
            )
        following = state.orders["next"]
        slots: list[int] = []
        for each in accounts:
            slot = int(heads[each]["first_open"])
            while slot != NO_SLOT:
                slots.append(slot)
                slot = int(following[slot])
        records = state.orders[slots]
        return (
            orjson.dumps(order_content(self._reference, self._reader.view_of(record))) for record in records
        )

    def recent_fills(self, account: int) -> Iterator[bytes]:
        """The account's newest fills, oldest first, among the last ten thousand of all accounts."""
        state = self._state
        newest = int(state.firm[0]["fills"])
        numbers = np.arange(max(newest - _FILLS_SEARCHED, 0), newest) % len(state.fills)
        fills = state.fills[numbers]
        slots = fills["order_id"] & _SLOT_MASK
        orders = state.orders[slots]
        known = orders["order_id"] == fills["order_id"]
        if account >= 0:
            known &= orders["account"] == account
        rows = np.flatnonzero(known)[-FILLS_SHOWN:]
        return map(self._recent_fill, fills[rows], orders[rows])

    def _recent_fill(self, fill: Record, order: Record) -> bytes:
        view = self._reader.view_of(order)
        values = [int(fill[name]) for name in ("execution_id", "price", "quantity", "fee", "liquidity", "ts")]
        content = fill_content(self._reference.instruments[view.symbol], *values)
        return orjson.dumps(content | names_of(self._reference, view))

    def risk_state(self, account: int) -> Iterator[bytes]:
        """The current limits and states, then the measures. Raises SnapshotTooLarge."""
        items = risk_snapshot(self._state, self._reference, account, self._sources.clock.now())
        return chain(items, self._measures_of(account))

    def _measures_of(self, account: int) -> Iterator[bytes]:
        """Measures, computed on demand: after the items before them have been sent."""
        yield from self.risk_measures([account])[account]

    def risk_measures(self, accounts: Collection[int]) -> dict[int, list[bytes]]:
        """Measures that no event carries, by account; EVERY_INDEX is the firm."""
        state, reference = self._state, self._reference
        own = [account for account in accounts if account >= 0]
        contents = account_risk_contents(state, reference, own) if own else {}
        found = {account: [_utilisation(content)] for account, content in contents.items()}
        if len(own) < len(accounts):
            parameters = {"event": "risk_parameters", **parameters_content(state)}
            found[EVERY_INDEX] = [
                _utilisation(firm_risk_content(state)),
                self._correlation(),
                orjson.dumps(parameters),
            ]
        return found

    def _correlation(self) -> bytes:
        """Rebuilt after a new sample or a new symbol."""
        samples = int(self._state.risk_model[0]["samples"]), self.symbols()
        if self._correlation_of != samples:
            content = {"event": "correlation", **correlation_content(self._state, self._reference)}
            self._correlation_json = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
            self._correlation_of = samples
        return self._correlation_json

    # States.

    def accounts(self) -> int:
        """The number of accounts."""
        return len(self._reference.account_names)

    def symbols(self) -> int:
        return len(self._reference.instruments)

    def held_positions(self, account: int) -> list[tuple[int, int]]:
        """(account, symbol) of all positions to show."""
        return held_positions(self._state, self._reference, account)

    def position(self, account: int, symbol: int) -> bytes:
        return orjson.dumps(position_content(self._state, self._reference, account, symbol))

    def holders(self, symbol: int) -> list[int]:
        """Accounts with a position in the symbol."""
        return holders_of(self._state, self._reference, symbol)

    def account(self, account: int) -> bytes:
        return orjson.dumps(account_content(self._state, self._reference, account))

    def book(self, symbol: int) -> bytes:
        instrument = self._reference.instruments[symbol]
        content = book_content(self._sources.venue, instrument, BOOK_LEVELS, self._sources.clock.now())
        del content["ts"]  # that of the message says when
        return orjson.dumps(content)

    def system(self) -> bytes:
        return orjson.dumps(self._sources.system())

    # The market outside.

    def mark(self, symbol: int) -> bytes:
        """Prices of the market outside."""
        return orjson.dumps(market_content(self._sources.market, self._reference.instruments[symbol]))

    def trade(self, symbol: int, price: int, quantity: int, ts: int) -> bytes:
        return orjson.dumps(trade_content(self._reference.instruments[symbol], price, quantity, ts))

    def candle(self, candle: Candle) -> bytes:
        instrument = self._reference.instruments[candle.symbol]
        names = ("open", "high", "low", "close")
        return orjson.dumps(
            {
                "symbol": instrument.symbol,
                "interval": _INTERVAL_NAMES[candle.interval_s],
                "start_ts": candle.start_ts,
                **{name: instrument.price_text(getattr(candle, name)) for name in names},
                "volume": instrument.quantity_text(candle.volume),
                "trades": candle.trades,
                "closed": candle.closed,
            }
        )

    def recent_trades(self, symbol: int) -> list[tuple[Hashable, bytes]]:
        """Each under a name of its own, oldest first."""
        trades = self._sources.market.trades(symbol, TRADES_SHOWN)
        trades.reverse()
        return [(number - len(trades), self.trade(symbol, *trade)) for number, trade in enumerate(trades)]

    def recent_candles(self, symbol: int, interval: str) -> list[tuple[Hashable, bytes]]:
        """By their start."""
        candles = self._sources.market.candles(symbol, INTERVALS_S[interval], CANDLES_SHOWN)
        return [(candle.start_ts, self.candle(candle)) for candle in candles]


def _utilisation(content: Content) -> bytes:
    return orjson.dumps({"event": "utilisation", **content})
