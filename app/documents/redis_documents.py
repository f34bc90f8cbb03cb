"""What stands in Redis, as JSON: the same documents as over HTTP. See `app.store.hot_keys`."""

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import orjson

from app.api.routes.accounts import account_content, position_content
from app.api.routes.limit_paths import LimitScope
from app.api.routes.limit_values import limit_text
from app.api.services import Services
from app.documents.instruments import instrument_content
from app.documents.order_reader import OrderReader
from app.documents.orders import order_content
from app.documents.stream_items import StreamContents
from app.engine.state import State
from app.engine.types import Limit, TradingState
from app.runtime.reference import Reference


class _Shown:
    """All that the documents here need of `Services`."""

    def __init__(self, state: State, reference: Reference) -> None:
        self.state = state
        self.reference = reference


class EngineContents:
    """`app.store.hot_state.HotContents` over an engine's state."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._reference = Reference.from_state(state)
        # Documents read state and reference data; the rest of a server is not here.
        self._services = cast(Services, _Shown(state, self._reference))
        self._events = StreamContents(self._services)
        self._reader = OrderReader(state)

    def refresh(self) -> None:
        self._reference.refresh(self.state)

    def order(self, event: tuple[Any, ...]) -> bytes | None:
        return self._events.order(event)

    def open_order(self, slot: int) -> bytes:
        return orjson.dumps(order_content(self._reference, self._reader.view(slot)))

    def fill(self, event: tuple[Any, ...]) -> bytes:
        return self._events.fill(event)

    def risk(self, event: tuple[Any, ...]) -> bytes | None:
        return self._events.risk(event, shows_shared=True)

    def account_name(self, account: int) -> str:
        return self._reference.account_names[account]

    def symbol_name(self, symbol: int) -> str:
        return self._reference.instruments[symbol].symbol

    def account(self, account: int) -> bytes:
        return orjson.dumps(account_content(self._services, account))

    def position(self, account: int, symbol: int) -> bytes:
        record = self.state.positions[symbol * len(self.state.accounts) + account]
        return orjson.dumps(position_content(self._services, account, symbol, record))

    def held(self, account: int) -> list[int]:
        return [symbol for _, symbol in self._events.held_positions(account)]

    def holders(self, symbol: int) -> list[int]:
        return self._events.holders(symbol)

    def instrument(self, symbol: int) -> bytes:
        return orjson.dumps(instrument_content(self.state, self._reference.instruments[symbol]))

    def mark(self, symbol: int) -> bytes:
        record = self.state.instruments[symbol]
        mark = self._reference.instruments[symbol].price_text(int(record["mark"]))
        return orjson.dumps({"mark": mark, "ts": int(record["mark_ts"])})

    def limits(self) -> Iterator[tuple[str, bytes]]:
        for scope in self._limit_scopes():
            record = scope.record(self._services)
            mask = int(record["set_mask"])
            values = {limit: int(record["value"][limit]) for limit in Limit if mask >> limit & 1}
            name = scope.text(self._services)
            content = {
                "scope": name,
                "version": int(record["version"]),
                "limits": {limit.name: limit_text(limit, value) for limit, value in values.items()},
            }
            yield name, orjson.dumps(content)

    def _limit_scopes(self) -> Iterator[LimitScope]:
        state = self.state
        accounts, symbols = (int(state.firm[0][name]) for name in ("accounts", "symbols"))
        width = len(state.accounts)
        yield LimitScope()
        for account in np.flatnonzero(state.account_limits["set_mask"][:accounts]).tolist():
            yield LimitScope(account)
        for symbol in np.flatnonzero(state.symbol_limits["set_mask"][:symbols]).tolist():
            yield LimitScope(None, symbol)
        for pair in np.flatnonzero(state.account_symbol_limits["set_mask"][: width * symbols]).tolist():
            yield LimitScope(pair % width, pair // width)

    def trading_states(self) -> Iterator[tuple[str, str]]:
        state, reference = self.state, self._reference
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
