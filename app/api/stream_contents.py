"""What streams show, as JSON: the same documents as over HTTP, so that the two can be compared."""

from collections.abc import Collection, Hashable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import orjson

from app.api.accounts import account_content, position_content
from app.api.errors import code_name
from app.api.limit_scopes import LimitScope, scope_content
from app.api.limit_table import limit_text
from app.api.market import book_content, market_content
from app.api.order_reader import OrderReader
from app.api.refusals import measure, scope_text
from app.api.replies import event_fill, fill_content, order_content
from app.api.risk import account_risk_contents, correlation_content, firm_risk_content
from app.api.services import Services
from app.api.system import system_content
from app.engine.capacity import SLOT_BITS
from app.engine.codes import Code
from app.engine.state import NO_SLOT
from app.engine.types import EventKind, Limit, OrderStatus, Side, TradingState
from app.market.types import Candle
from app.runtime.views import EventView
from app.streams.contents import KIND, RawEvent, SnapshotTooLarge
from app.streams.topics import EVERY_INDEX

BOOK_LEVELS = 20
FILLS_SHOWN = 100
TRADES_SHOWN = 50
CANDLES_SHOWN = 100
INTERVALS_S = {"1s": 1, "1m": 60}
SNAPSHOT_ORDERS_MAX = 20_000
SNAPSHOT_SCOPES_MAX = 2_000
# The newest fills of all, in which those of one account are looked for.
_FILLS_SEARCHED = 10_000

_INTERVAL_NAMES = {seconds: name for name, seconds in INTERVALS_S.items()}
_REFUSED_REQUESTS = (int(EventKind.CANCEL_REJECTED), int(EventKind.REPLACE_REJECTED))
_ORDER_REJECTED = int(EventKind.ORDER_REJECTED)
_OF_LIMITS = {
    int(EventKind.LIMIT_SET): "limit",
    int(EventKind.OVERRIDE_SET): "override_set",
    int(EventKind.OVERRIDE_ENDED): "override_ended",
    int(EventKind.CHANGE_PROPOSED): "change_proposed",
}
_OF_REQUESTS = {
    int(EventKind.CHANGE_APPROVED): "change_approved",
    int(EventKind.CHANGE_REJECTED): "change_rejected",
}
_BREAKER_TRIPPED = int(EventKind.BREAKER_TRIPPED)
_STATE_SET = int(EventKind.TRADING_STATE_SET)
_CODE = EventView._fields.index("code")
_FINAL = int(OrderStatus.FILLED)
_SLOT_MASK = (1 << SLOT_BITS) - 1
_SIDES = tuple(side.name for side in Side)


def _venue_refused(code: int) -> bool:
    """Whether a venue, not a check, has refused a cancel or an amend: the order went back to what it was."""
    return code >= Code.VENUE_REJECTED or code == Code.POST_ONLY_WOULD_TAKE


def _is_breach(code: int) -> bool:
    """Whether a refusal is by a trading state or a limit, not by a mistake in the order itself."""
    return code <= Code.LIMITS_NOT_SET or Code.ORDER_RATE <= code < Code.ORDER_CAPACITY


class StreamContents:
    """`app.streams.contents.Contents` over the engine's state, the venue and the market."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._state = services.state
        self._reference = services.reference
        self._reader = OrderReader(services.state)
        self._correlation_of = (-1, 0)
        self._correlation_json = b""

    # Events.

    def order(self, event: RawEvent) -> bytes | None:
        view = EventView._make(event)
        if view.kind in _REFUSED_REQUESTS:
            if view.status >= _FINAL or not _venue_refused(view.code):
                return None
            view = view._replace(code=0)  # that of the refusal: an open order has none
        return orjson.dumps(order_content(self._reference, view))

    def fill(self, event: RawEvent) -> bytes:
        view = EventView._make(event)
        content = event_fill(self._reference.instruments[view.symbol], view)
        client_id = view.client_order_id
        content |= {
            "order_id": str(view.order_id),
            "client_order_id": client_id.rstrip(b"\0").decode() if client_id[0] else None,
            "account": self._reference.account_names[view.account],
            "symbol": self._reference.instruments[view.symbol].symbol,
            "side": _SIDES[view.side],
        }
        return orjson.dumps(content)

    def risk(self, event: RawEvent) -> bytes | None:
        kind = event[KIND]
        if kind == _ORDER_REJECTED:
            return self._breach(EventView._make(event)) if _is_breach(event[_CODE]) else None
        if kind in _OF_LIMITS:
            return self._limit(EventView._make(event))
        if kind in _OF_REQUESTS:
            return self._decision(EventView._make(event))
        if kind == _BREAKER_TRIPPED:
            return self._breaker(EventView._make(event))
        if kind == _STATE_SET:
            return self._state_set(EventView._make(event))
        return None

    def _breach(self, event: EventView) -> bytes:
        found = measure(
            self._reference,
            event.code,
            event.account,
            event.symbol,
            event.scope,
            event.limit,
            event.observed,
        )
        reference = self._reference
        content = {
            "event": "breach",
            "code": code_name(event.code),
            **found._asdict(),
            "account": reference.account_names[event.account] if event.account >= 0 else None,
            "symbol": reference.instruments[event.symbol].symbol if event.symbol >= 0 else None,
            "order_id": str(event.order_id),
            "ts": event.ts,
        }
        return orjson.dumps(content)

    def _limit(self, event: EventView) -> bytes:
        """What a limit is, is to be for a while, or is proposed to be. Numbers of 0 do not apply."""
        limit = Limit(event.code)
        content = {
            "event": _OF_LIMITS[event.kind],
            "scope": scope_text(self._reference, event.scope, event.account, event.symbol),
            "limit": limit.name,
            "value": limit_text(limit, event.limit),
            "previous": limit_text(limit, event.observed),
            "version": event.last_quantity or None,
            "number": event.execution_id or None,
            "expires_ts": event.expire_ts or None,
            "actor": event.fee,
            "ts": event.ts,
        }
        return orjson.dumps(content)

    def _decision(self, event: EventView) -> bytes:
        content = {"event": _OF_REQUESTS[event.kind], "number": event.execution_id, "actor": event.fee}
        return orjson.dumps(content | {"ts": event.ts})

    def _breaker(self, event: EventView) -> bytes:
        found = measure(
            self._reference,
            event.code,
            event.account,
            event.symbol,
            event.scope,
            event.limit,
            event.observed,
        )
        content = {
            "event": "breaker",
            "code": code_name(event.code),
            **found._asdict(),
            "state": TradingState(event.status).name,
            "previous": TradingState(event.liquidity).name,
            "ts": event.ts,
        }
        return orjson.dumps(content)

    def _state_set(self, event: EventView) -> bytes:
        scope = scope_text(self._reference, event.scope, event.account, event.symbol)
        content = {"event": "trading_state", "scope": scope, "state": TradingState(event.limit).name}
        return orjson.dumps(content | {"previous": TradingState(event.observed).name, "ts": event.ts})

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
        client_id = view.client_order_id
        content = fill_content(self._reference.instruments[view.symbol], *values) | {
            "order_id": str(view.order_id),
            "client_order_id": client_id.rstrip(b"\0").decode() if client_id[0] else None,
            "account": self._reference.account_names[view.account],
            "symbol": self._reference.instruments[view.symbol].symbol,
            "side": _SIDES[view.side],
        }
        return orjson.dumps(content)

    def risk_state(self, account: int) -> Iterator[bytes]:
        state = self._state
        count = self.accounts()
        if account < 0:
            scopes = [LimitScope()]
            scopes += [LimitScope(int(each)) for each in _set(state.account_limits[:count])]
            scopes += [LimitScope(None, int(each)) for each in _set(state.symbol_limits[: self.symbols()])]
        else:
            scopes = [LimitScope(account)]
        width = len(state.accounts)
        pairs = _set(state.account_symbol_limits[: self.symbols() * width])
        scopes += [
            LimitScope(int(pair) % width, int(pair) // width)
            for pair in pairs
            if account in (-1, pair % width)
        ]
        if len(scopes) > SNAPSHOT_SCOPES_MAX:
            raise SnapshotTooLarge(
                f"{len(scopes)} scopes have limits, a snapshot has at most {SNAPSHOT_SCOPES_MAX}: read them "
                "with GET /v1/limits and subscribe for each account"
            )
        items = [{"event": "limits", **scope_content(self._services, scope)} for scope in scopes]
        items += [
            {"event": "trading_state", "scope": scope, "state": value}
            for scope, value in self._trading_states(account)
        ]
        measures = self.risk_measures([account])[account]
        return chain(map(orjson.dumps, items), measures)

    def risk_measures(self, accounts: Collection[int]) -> dict[int, list[bytes]]:
        own = [account for account in accounts if account >= 0]
        found = {
            account: [_utilisation(content)]
            for account, content in (account_risk_contents(self._services, own) if own else {}).items()
        }
        if len(own) < len(accounts):
            found[EVERY_INDEX] = [_utilisation(firm_risk_content(self._services)), self._correlation()]
        return found

    def _correlation(self) -> bytes:
        """Written anew when there is another sample or another symbol."""
        samples = int(self._state.risk_model[0]["samples"]), self.symbols()
        if self._correlation_of != samples:
            content = {"event": "correlation", **correlation_content(self._services)}
            self._correlation_json = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
            self._correlation_of = samples
        return self._correlation_json

    def _trading_states(self, account: int) -> Iterator[tuple[str, str]]:
        state, reference = self._state, self._reference
        if account >= 0:
            value = int(state.accounts[account]["trading_state"])
            yield f"account:{reference.account_names[account]}", TradingState(value).name
            return
        yield "firm", TradingState(int(state.firm[0]["trading_state"])).name
        for name, value in zip(
            reference.account_names, state.accounts["trading_state"].tolist(), strict=False
        ):
            if value:
                yield f"account:{name}", TradingState(value).name
        symbols = state.instruments["trading_state"].tolist()
        for instrument, value in zip(reference.instruments, symbols, strict=False):
            if value:
                yield f"symbol:{instrument.symbol}", TradingState(value).name

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


def _set(limits: Any) -> Any:
    return np.flatnonzero(limits["set_mask"])
