"""History queries: each kind as a request and as the SQL that the API makes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from app.api.routes.history import CANDLE_SECONDS, CANDLES_MAX, DAY_US, DAYS_MAX, encode_cursor
from app.store.candles import candles_query
from app.store.history import (
    AUDIT,
    DAILY,
    EQUITY,
    FILLS,
    LIMIT_CHANGES,
    ORDER_EVENTS,
    ORDERS,
    RISK_EVENTS,
    TRANSFERS,
    Selection,
    Table,
    moment,
    page_query,
)
from loadtests.history_data import ACCOUNTS, SAMPLED_ACCOUNTS, SYMBOLS

PAGE = 100
_LAST_SEQ = 1 << 60  # a cursor between two rows


@dataclass(frozen=True)
class Query:
    """`key`: whose key is used, "admin" or "trader", who has `TRADER_ACCOUNTS`. `tables`: what is read."""

    path: str
    parameters: Mapping[str, Any]
    sql: str
    arguments: list[Any]
    key: str = "admin"


TRADER_ACCOUNTS = (2, 11, ACCOUNTS - 1)  # a busy one, a quiet one, one that is idle


@dataclass
class Asker:
    """Makes queries of each kind, at random: `accounts` and `symbols` are names by index."""

    accounts: list[str]
    symbols: list[str]
    begin: int  # microseconds since the epoch: the history's beginning and end
    end: int
    order_ids: list[int]
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    def kinds(self) -> dict[str, Callable[[], Query]]:
        week = 7 * DAY_US
        return {
            "fills, first page": lambda: self._page("fills", FILLS),
            "fills, deep page": lambda: self._page("fills", FILLS, after=self._key(3)),
            "fills of an account in a week": lambda: self._page("fills", FILLS, self._account(), span=week),
            "fills of a symbol": lambda: self._page("fills", FILLS, symbol=self._symbol()),
            "fills of a rare symbol, deep page": lambda: self._page(
                "fills", FILLS, symbol=SYMBOLS - 1, after=self._key(3)
            ),
            "fills of an account in a symbol": lambda: self._page(
                "fills", FILLS, self._account(), symbol=self._symbol()
            ),
            "fills of an idle account": lambda: self._page("fills", FILLS, ACCOUNTS - 1),
            "fills of a trader's accounts": lambda: self._page("fills", FILLS, key="trader"),
            "orders, first page": lambda: self._page("orders", ORDERS),
            "orders of an account, deep page": lambda: self._page(
                "orders", ORDERS, self._account(), after=self._key(2)
            ),
            "orders of a symbol": lambda: self._page("orders", ORDERS, symbol=self._symbol()),
            "closed orders of an account": lambda: self._page(
                "closed-orders", ORDERS, self._account(), closed=True
            ),
            "closed orders of a trader's accounts": lambda: self._page(
                "closed-orders", ORDERS, key="trader", closed=True
            ),
            "what happened to an order": self._order_events,
            "risk events of an account": lambda: self._page("risk-events", RISK_EVENTS, self._account()),
            "limit changes of an account": lambda: self._page(
                "limit-changes", LIMIT_CHANGES, self._account()
            ),
            "audit, deep page": lambda: self._page("audit", AUDIT, after=self._key(3)),
            "transfers, deep page": lambda: self._page("transfers", TRANSFERS, after=self._key(3)),
            "transfers of an account": lambda: self._page("transfers", TRANSFERS, self._account()),
            "transfers of an idle account": lambda: self._page("transfers", TRANSFERS, ACCOUNTS - 1),
            "equity of all accounts": lambda: self._page("equity", EQUITY),
            "equity of an account, deep page": lambda: self._page(
                "equity", EQUITY, self._sampled(), after=self._key(2)
            ),
            **{f"candles, 1,000 of {name}": self._candles(name) for name in ("1s", "1m", "1h", "1d")},
            "daily P&L of a year": self._daily,
        }

    def _page(
        self,
        path: str,
        table: Table,
        account: int | None = None,
        *,
        symbol: int | None = None,
        after: tuple[int, ...] | None = None,
        span: int = 0,
        closed: bool = False,
        key: str = "admin",
    ) -> Query:
        parameters: dict[str, Any] = {"limit": PAGE}
        accounts: list[int] | None = list(TRADER_ACCOUNTS) if key == "trader" else None
        if account is not None:
            parameters["account"], accounts = self.accounts[account], [account]
        if symbol is not None:
            parameters["symbol"] = self.symbols[symbol]
        if after is not None:
            parameters["cursor"] = encode_cursor(after)
        start = end = None
        if span:
            start = self._time(span)
            end = start + span
            parameters |= {"start": start, "end": end}
        selection = Selection(accounts, symbol, start, end, after, closed=closed, limit=PAGE + 1)
        return Query(f"/v1/history/{path}", parameters, *page_query(table, selection), key)

    def _order_events(self) -> Query:
        order_id = int(self.random.choice(self.order_ids))
        selection = Selection(order_id=order_id, limit=PAGE + 1)
        path = f"/v1/history/orders/{order_id}/events"
        return Query(path, {"limit": PAGE}, *page_query(ORDER_EVENTS, selection))

    def _candles(self, interval: str) -> Callable[[], Query]:
        width = CANDLE_SECONDS[interval]
        span = CANDLES_MAX * width * 1_000_000

        def make() -> Query:
            symbol = self._symbol()
            end = self.end if span > self.end - self.begin else self._time(span) + span
            end -= end % (width * 1_000_000)
            parameters = {"interval": interval, "end": end}
            query = candles_query(width, symbol, max(end - span, 0), end)
            return Query(f"/v1/market/{self.symbols[symbol]}/candles", parameters, *query)

        return make

    def _daily(self) -> Query:
        account = self._sampled()
        start = self.end - DAYS_MAX * DAY_US
        first = start - start % DAY_US
        times: list[datetime] = [moment(first - DAY_US), moment(self.end)]
        parameters = {"account": self.accounts[account], "start": start, "end": self.end}
        return Query("/v1/history/daily-pnl", parameters, DAILY, [account, *times])

    def _account(self) -> int:
        return int((ACCOUNTS - 1) * self.random.random() ** 2)

    def _sampled(self) -> int:
        return int(self.random.integers(SAMPLED_ACCOUNTS))

    def _symbol(self) -> int:
        return int(self.random.integers(SYMBOLS))

    def _time(self, before_end: int = 0) -> int:
        return int(self.random.integers(self.begin, self.end - before_end))

    def _key(self, fields: int) -> tuple[int, ...]:
        return (self._time(), _LAST_SEQ, 0)[:fields]
