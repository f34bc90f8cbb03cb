"""Reads history from the database, with a bounded number of connections and bounded time.

Newest first, a page at a time: a page begins behind the key of the last row of
the one before, so that no page costs more than the first, and rows that come in
meanwhile move nothing.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from app.store.database import CONNECT_SECONDS_MAX

CONNECTIONS_MAX = 4
PAGE_SECONDS_MAX = 5.0
EXPORT_SECONDS_MAX = 300.0
EXPORT_ROWS_AT_ONCE = 2_000
WAIT_SECONDS_MAX = 5.0  # for a connection

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class HistoryUnavailable(Exception):
    """The database cannot be asked now."""


class HistoryTimeout(Exception):
    """The answer takes too long: ask for less."""


@dataclass(frozen=True)
class Table:
    """What of a table is shown. `key` orders its rows, the time first; `columns` are SQL."""

    name: str
    key: tuple[str, ...]
    columns: str
    by_symbol: bool = True


def microseconds(column: str) -> str:
    return f"(extract(epoch FROM {column}) * 1000000)::bigint AS {column}"


_EVENT_KEY = ("ts", "seq", "event_index")
_EVENT = f"{microseconds('ts')}, seq, event_index, account_index, symbol_index, "
_ORDER = (
    "order_id, seq, account_index, symbol_index, status, code, scope, side, order_type, time_in_force, "
    "flags, price, stop_price, quantity, filled_quantity, filled_notional, limit_value, observed_value, "
    "client_order_id"
)

ORDERS = Table(
    "orders",
    ("created_ts", "order_id"),
    f"{_ORDER}, {', '.join(microseconds(name) for name in ('created_ts', 'updated_ts', 'expire_ts'))}",
)
ORDER_EVENTS = Table("order_events", _EVENT_KEY, f"{microseconds('ts')}, event_index, kind, {_ORDER}")
FILLS = Table(
    "fills",
    _EVENT_KEY,
    f"{_EVENT}order_id, execution_id, side, liquidity, price, quantity, fee, position_quantity, "
    "position_entry_cost",
)
RISK_EVENTS = Table(
    "risk_events",
    _EVENT_KEY,
    f"{_EVENT}kind, code, scope, order_id, limit_value, observed_value, actor, reason",
)
LIMIT_CHANGES = Table(
    "limit_changes",
    _EVENT_KEY,
    f"{_EVENT}kind, scope, limit_number, old_value, new_value, version, actor, reason",
)
AUDIT = Table("audit_log", _EVENT_KEY, f"{_EVENT}kind, code, scope, old_value, new_value, actor, reason")
EQUITY = Table(
    "account_snapshots",
    ("ts", "account_index"),
    f"{microseconds('ts')}, seq, account_index, cash, equity, position_value, exposure, realised, fees, "
    "transferred, open_orders",
    by_symbol=False,
)


@dataclass(frozen=True)
class Selection:
    """Which rows. `start` and `end` in microseconds since the epoch, `end` is not in it; None is no bound.

    `accounts` of None are all; `after`: the key of the last row that has been seen, as it came.
    """

    accounts: Sequence[int] | None = None
    symbol: int | None = None
    start: int | None = None
    end: int | None = None
    after: tuple[int, ...] | None = None
    order_id: int | None = None
    closed: bool = False
    limit: int | None = None


def moment(ts: int) -> datetime:
    return _EPOCH + timedelta(microseconds=ts)


def page_query(table: Table, selection: Selection) -> tuple[str, list[Any]]:
    """SQL and its arguments. All names are constants of this module; values are arguments."""
    arguments: list[Any] = []
    conditions: list[str] = []

    def require(condition: str, *values: Any) -> None:
        first = len(arguments) + 1
        conditions.append(condition.format(*(f"${first + place}" for place in range(len(values)))))
        arguments.extend(values)

    time_column = table.key[0]
    if selection.accounts is not None:
        if len(selection.accounts) == 1:
            require("account_index = {}", selection.accounts[0])
        else:
            require("account_index = ANY({}::integer[])", list(selection.accounts))
    if selection.symbol is not None and table.by_symbol:
        require("symbol_index = {}", selection.symbol)
    if selection.order_id is not None:
        require("order_id = {}", selection.order_id)
    if selection.closed:
        conditions.append("status >= 8")  # OrderStatus.FILLED and what follows it
    if selection.start is not None:
        require(f"{time_column} >= {{}}", moment(selection.start))
    if selection.end is not None:
        require(f"{time_column} < {{}}", moment(selection.end))
    if selection.after is not None:
        ts, *rest = selection.after
        places = ", ".join("{}" for _ in selection.after)
        require(f"({', '.join(table.key)}) < ({places})", moment(ts), *rest)
    order = ", ".join(f"{table.name}.{name} DESC" for name in table.key)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    limit = "" if selection.limit is None else f" LIMIT {int(selection.limit)}"
    text = f"SELECT {table.columns} FROM {table.name}{where} ORDER BY {order}{limit}"  # noqa: S608  # constants
    return text, arguments


CANDLES = """
    SELECT (extract(epoch FROM start) * 1000000)::bigint AS start, open, high, low, close, volume, trades
    FROM (
        SELECT date_bin($1, ts, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS start,
               (array_agg(price ORDER BY ts, price))[1] AS open, max(price) AS high, min(price) AS low,
               (array_agg(price ORDER BY ts DESC, price DESC))[1] AS close,
               sum(quantity)::bigint AS volume, count(*) AS trades
        FROM market_trades WHERE symbol_index = $2 AND ts >= $3 AND ts < $4 GROUP BY 1
    ) AS candles ORDER BY start
"""
# A sample at midnight closes the day before it.
DAILY = """
    SELECT (extract(epoch FROM day) * 1000000)::bigint AS day, equity, transferred, realised, fees,
           (equity - transferred) - lag(equity - transferred) OVER (ORDER BY day) AS pnl
    FROM (
        SELECT DISTINCT ON (day) date_trunc('day', ts - INTERVAL '1 microsecond', 'UTC') AS day,
               equity, transferred, realised, fees
        FROM account_snapshots WHERE account_index = $1 AND ts > $2 AND ts <= $3
        ORDER BY day, ts DESC
    ) AS days ORDER BY day
"""


class History:
    """`url` is set once the database has one. Raises HistoryUnavailable, HistoryTimeout."""

    def __init__(self) -> None:
        self.url: str | None = None
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    async def page(self, table: Table, selection: Selection) -> list[asyncpg.Record]:
        text, arguments = page_query(table, selection)
        return await self.fetch(text, *arguments)

    async def fetch(self, text: str, *arguments: Any) -> list[asyncpg.Record]:
        with _translated():
            async with (await self._open()).acquire(timeout=WAIT_SECONDS_MAX) as connection:
                rows: list[asyncpg.Record] = await connection.fetch(
                    text, *arguments, timeout=PAGE_SECONDS_MAX
                )
                return rows

    async def export(self, table: Table, selection: Selection) -> AsyncIterator[list[asyncpg.Record]]:
        """All rows, some at a time."""
        text, arguments = page_query(table, selection)
        with _translated():
            async with (
                (await self._open()).acquire(timeout=WAIT_SECONDS_MAX) as connection,
                connection.transaction(readonly=True),
            ):
                limit = int(EXPORT_SECONDS_MAX * 1_000)
                await connection.execute(f"SET LOCAL statement_timeout = {limit}")
                cursor = await connection.cursor(text, *arguments, timeout=EXPORT_SECONDS_MAX)
                while rows := await cursor.fetch(EXPORT_ROWS_AT_ONCE):
                    yield rows

    async def _open(self) -> asyncpg.Pool:
        if self.url is None:
            raise HistoryUnavailable("there is no database yet")
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self.url,
                    min_size=0,
                    max_size=CONNECTIONS_MAX,
                    timeout=CONNECT_SECONDS_MAX,
                    server_settings={
                        "statement_timeout": str(int(PAGE_SECONDS_MAX * 1_000)),
                        "application_name": "bot4 history",
                    },
                )
            return self._pool


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (TimeoutError, asyncpg.QueryCanceledError) as error:
        raise HistoryTimeout from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise HistoryUnavailable(str(error)) from error
