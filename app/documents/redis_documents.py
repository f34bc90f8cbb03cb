"""Redis documents: the hot state as JSON, the same as over HTTP. See `app.store.hot_keys`."""

from collections.abc import Iterator

import numpy as np
import orjson

from app.documents.accounts import account_content, position_content
from app.documents.instruments import instrument_content
from app.documents.limits import limit_text, scope_name
from app.documents.order_items import fill_item, order_item
from app.documents.order_reader import OrderReader
from app.documents.orders import order_content
from app.documents.risk_items import RiskItems
from app.engine.state import State
from app.engine.types import TradingState
from app.runtime.reference import Reference
from app.runtime.state_reader import held_positions, holders_of, limited_scopes, limits_of, set_limits
from app.runtime.views import RawEvent


class RedisDocuments:
    """Documents of an engine's state; accounts and symbols are its indexes."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._reference = Reference.from_state(state)
        self._risk = RiskItems(self._reference)
        self._reader = OrderReader(state)

    def refresh(self) -> None:
        """Called after reference data has changed."""
        self._reference.refresh(self.state)

    def order(self, event: RawEvent) -> bytes | None:
        """The order that an event shows; None if it has not changed."""
        return order_item(self._reference, event)

    def open_order(self, slot: int) -> bytes:
        return orjson.dumps(order_content(self._reference, self._reader.view(slot)))

    def fill(self, event: RawEvent) -> bytes:
        return fill_item(self._reference, event)

    def risk(self, event: RawEvent) -> bytes | None:
        """The `risk` item of an event; None if it has none."""
        return self._risk.item(event, shows_shared=True)

    def account_name(self, account: int) -> str:
        return self._reference.account_names[account]

    def symbol_name(self, symbol: int) -> str:
        return self._reference.instruments[symbol].symbol

    def account(self, account: int) -> bytes:
        return orjson.dumps(account_content(self.state, self._reference, account))

    def position(self, account: int, symbol: int) -> bytes:
        return orjson.dumps(position_content(self.state, self._reference, account, symbol))

    def held(self, account: int) -> list[int]:
        """Symbols in which an account has a position or open orders, or has ever traded."""
        return [symbol for _, symbol in held_positions(self.state, self._reference, account)]

    def holders(self, symbol: int) -> list[int]:
        """Accounts with a position in the symbol."""
        return holders_of(self.state, self._reference, symbol)

    def instrument(self, symbol: int) -> bytes:
        return orjson.dumps(instrument_content(self.state, self._reference.instruments[symbol]))

    def mark(self, symbol: int) -> bytes:
        record = self.state.instruments[symbol]
        mark = self._reference.instruments[symbol].price_text(int(record["mark"]))
        return orjson.dumps({"mark": mark, "ts": int(record["mark_ts"])})

    def limits(self) -> Iterator[tuple[str, bytes]]:
        """By scope: the firm, and every other scope that has limits of its own."""
        for scope in limited_scopes(self.state, self._reference):
            record = limits_of(self.state, scope)
            name = scope_name(self._reference, scope)
            content = {
                "scope": name,
                "version": int(record["version"]),
                "limits": {
                    limit.name: limit_text(limit, value) for limit, value in set_limits(record).items()
                },
            }
            yield name, orjson.dumps(content)

    def trading_states(self) -> Iterator[tuple[str, str]]:
        """Of every scope whose state is not ACTIVE, and of the firm."""
        state, reference = self.state, self._reference
        yield "firm", TradingState(int(state.firm[0]["trading_state"])).name
        accounts = state.accounts["trading_state"][: len(reference.account_names)]
        for index in np.flatnonzero(accounts).tolist():
            yield f"account:{reference.account_names[index]}", TradingState(int(accounts[index])).name
        symbols = state.instruments["trading_state"][: len(reference.instruments)]
        for index in np.flatnonzero(symbols).tolist():
            yield f"symbol:{reference.instruments[index].symbol}", TradingState(int(symbols[index])).name
