"""What streams show, as JSON: the same documents as over HTTP, so that the two can be compared."""

from collections.abc import Collection, Hashable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from app.api.routes.accounts import account_content, position_content
from app.api.routes.market import book_content, market_content
from app.api.routes.risk import account_risk_contents, correlation_content, firm_risk_content
from app.api.routes.system import system_content
from app.api.services import Services
from app.codec.stream_json import StreamWriter, Written
from app.documents.order_reader import OrderReader
from app.documents.orders import event_fill, fill_content, order_content
from app.documents.raw_events import EVERY_INDEX, RawEvent, SnapshotTooLarge
from app.documents.risk_items import RiskItems
from app.engine.capacity import SLOT_BITS
from app.engine.codes import Code
from app.engine.state import NO_SLOT
from app.engine.types import EventKind, OrderStatus, Side
from app.market.types import Candle
from app.runtime.reference import Reference
from app.runtime.views import EventView

BOOK_LEVELS = 20
FILLS_SHOWN = 100
TRADES_SHOWN = 50
CANDLES_SHOWN = 100
INTERVALS_S = {"1s": 1, "1m": 60}
SNAPSHOT_ORDERS_MAX = 20_000
# The newest fills of all, in which those of one account are looked for.
_FILLS_SEARCHED = 10_000

_INTERVAL_NAMES = {seconds: name for name, seconds in INTERVALS_S.items()}
_REFUSED_CHANGES = (int(EventKind.CANCEL_REJECTED), int(EventKind.REPLACE_REJECTED))
_FILLED = int(OrderStatus.FILLED)
_SLOT_MASK = (1 << SLOT_BITS) - 1
_SIDES = tuple(side.name for side in Side)


_VENUE_CODES = (Code.POST_ONLY_WOULD_TAKE, Code.SYMBOL_NOT_TRADING, Code.UNKNOWN_ORDER)


def _venue_refused(code: int) -> bool:
    """Whether a venue may have refused a cancel or an amend: the order went back to what it was.

    Checks share some of its codes; then an order that has not changed is told again.
    """
    return code >= Code.VENUE_REJECTED or code in _VENUE_CODES


def stream_fill(reference: Reference, event: EventView) -> dict[str, Any]:
    """The execution that an ORDER_FILLED event tells of, with what it was an execution of."""
    instrument = reference.instruments[event.symbol]
    return event_fill(instrument, event) | _of_order(reference, event)


def _of_order(reference: Reference, view: EventView) -> dict[str, Any]:
    client_id = view.client_order_id
    return {
        "order_id": str(view.order_id),
        "client_order_id": client_id.rstrip(b"\0").decode() if client_id[0] else None,
        "account": reference.account_names[view.account],
        "symbol": reference.instruments[view.symbol].symbol,
        "side": _SIDES[view.side],
    }


class StreamContents:
    """`app.streams.contents.Contents` over the engine's state, the venue and the market."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._state = services.state
        self._reference = services.reference
        self._reader = OrderReader(services.state)
        self._writer = StreamWriter()
        self._risk = RiskItems(services)
        self._correlation_of = (-1, 0)
        self._correlation_json = b""

    # Events.

    def order(self, event: RawEvent) -> bytes | None:
        view = EventView._make(event)
        if view.kind in _REFUSED_CHANGES:
            # FILLED by a refusal: a replace to more was all that kept the order open.
            if view.status > _FILLED or not _venue_refused(view.code):
                return None
            view = view._replace(code=0)  # that of the refusal: an open order has none
        return orjson.dumps(order_content(self._reference, view))

    def fill(self, event: RawEvent) -> bytes:
        return orjson.dumps(stream_fill(self._reference, EventView._make(event)))

    def write(self, events: bytes, wanted: NDArray[np.uint8]) -> Written:
        return self._writer.write(events, wanted, self._services.loop.name_tables)

    def note(self, event: RawEvent) -> None:
        self._risk.note(event)

    def risk(self, event: RawEvent, *, shows_shared: bool) -> bytes | None:
        return self._risk.item(event, shows_shared)

    # Snapshots of what is made of events.

    def open_orders(self, account: int) -> Iterator[bytes]:
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
        """The newest of the account's, oldest first, of the last ten thousand of all."""
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

    def _recent_fill(self, fill: Any, order: Any) -> bytes:
        view = self._reader.view_of(order)
        values = [int(fill[name]) for name in ("execution_id", "price", "quantity", "fee", "liquidity", "ts")]
        content = fill_content(self._reference.instruments[view.symbol], *values)
        return orjson.dumps(content | _of_order(self._reference, view))

    def risk_state(self, account: int) -> Iterator[bytes]:
        items = self._risk.state(account)  # now: it may be too much
        measures = (item for each in (account,) for item in self.risk_measures([each])[each])
        return chain(items, measures)

    def risk_measures(self, accounts: Collection[int]) -> dict[int, list[bytes]]:
        own = [account for account in accounts if account >= 0]
        found = {
            account: [_utilisation(content)]
            for account, content in (account_risk_contents(self._services, own) if own else {}).items()
        }
        if len(own) < len(accounts):
            firm = _utilisation(firm_risk_content(self._services))
            found[EVERY_INDEX] = [firm, self._correlation(), self._risk.parameters()]
        return found

    def _correlation(self) -> bytes:
        """Written anew when there is another sample or another symbol."""
        samples = int(self._state.risk_model[0]["samples"]), self.symbols()
        if self._correlation_of != samples:
            content = {"event": "correlation", **correlation_content(self._services)}
            self._correlation_json = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
            self._correlation_of = samples
        return self._correlation_json

    # States.

    def accounts(self) -> int:
        return len(self._reference.account_names)

    def symbols(self) -> int:
        return len(self._reference.instruments)

    def held_positions(self, account: int) -> list[tuple[int, int]]:
        state = self._state
        width, symbols = len(state.accounts), self.symbols()
        records = state.positions[: width * symbols].reshape(symbols, width)
        records = records[:, : self.accounts()] if account < 0 else records[:, account : account + 1]
        used = np.zeros(records.shape, bool)
        for name in ("quantity", "open_orders", "realised", "fees"):
            used |= records[name] != 0
        first = max(account, 0)
        return [(int(owner) + first, int(symbol)) for symbol, owner in np.argwhere(used)]

    def position(self, account: int, symbol: int) -> bytes:
        record = self._state.positions[symbol * len(self._state.accounts) + account]
        return orjson.dumps(position_content(self._services, account, symbol, record))

    def holders(self, symbol: int) -> list[int]:
        first = symbol * len(self._state.accounts)
        quantities = self._state.positions["quantity"][first : first + self.accounts()]
        return np.flatnonzero(quantities).tolist()

    def account(self, account: int) -> bytes:
        return orjson.dumps(account_content(self._services, account))

    def book(self, symbol: int) -> bytes:
        content = book_content(self._services, symbol, BOOK_LEVELS)
        del content["ts"]  # that of the message says when
        return orjson.dumps(content)

    def system(self) -> bytes:
        return orjson.dumps(system_content(self._services))

    # The market outside.

    def mark(self, symbol: int) -> bytes:
        return orjson.dumps(market_content(self._services, self._reference.instruments[symbol]))

    def trade(self, symbol: int, price: int, quantity: int, ts: int) -> bytes:
        instrument = self._reference.instruments[symbol]
        return orjson.dumps(
            {
                "price": instrument.price_text(price),
                "quantity": instrument.quantity_text(quantity),
                "ts": ts,
            }
        )

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
        trades = self._services.market.trades(symbol, TRADES_SHOWN)
        trades.reverse()
        return [(number - len(trades), self.trade(symbol, *trade)) for number, trade in enumerate(trades)]

    def recent_candles(self, symbol: int, interval: str) -> list[tuple[Hashable, bytes]]:
        candles = self._services.market.candles(symbol, INTERVALS_S[interval], CANDLES_SHOWN)
        return [(candle.start_ts, self.candle(candle)) for candle in candles]


def _utilisation(content: dict[str, Any]) -> bytes:
    return orjson.dumps({"event": "utilisation", **content})
