"""History reader: rows from the database, with a bounded number of connections and bounded time.

Newest first, a page at a time. A page begins after the key of the last row of the page before, so
no page costs more than the first, and rows that come in meanwhile move nothing.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from app.engine.types import EventKind
from app.store.database import CONNECT_SECONDS_MAX

CONNECTIONS_MAX = 4
PAGE_SECONDS_MAX = 5.0
EXPORT_ROWS_AT_ONCE = 500
EXPORTS_READING_MAX = 2  # of the connections; pages have the others to themselves
ACCOUNTS_APART_MAX = 64  # read one by one; of more accounts one index scan finds enough soon enough
WAIT_SECONDS_MAX = 5.0  # for a connection

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class HistoryUnavailable(Exception):
    """The database cannot be queried now."""


class HistoryTimeout(Exception):
    """The query takes too long: ask for less."""


@dataclass(frozen=True)
class Table:
    """The shown part of a table. `key` orders its rows, the time first; `columns` are SQL.

    `chunked`: a hypertable, if the database has them. `only`: SQL that selects the rows.
    """

    name: str
    key: tuple[str, ...]
    columns: str
    by_symbol: bool = True
    chunked: bool = True
    only: str | None = None


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
    chunked=False,
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
    f"{_EVENT}kind, scope, limit_number, old_value, new_value, version, number, "
    f"{microseconds('expires_ts')}, ended, actor, reason",
)
AUDIT = Table("audit_log", _EVENT_KEY, f"{_EVENT}kind, code, scope, old_value, new_value, actor, reason")
# Of these rows there is an index of their own.
TRANSFERS = Table(
    "audit_log",
    _EVENT_KEY,
    f"{_EVENT}new_value, actor, reason",
    by_symbol=False,
    only=f"kind = {int(EventKind.CASH_TRANSFERRED)}",
)
EQUITY = Table(
    "account_snapshots",
    ("ts", "account_index"),
    f"{microseconds('ts')}, seq, account_index, cash, equity, position_value, exposure, realised, fees, "
    "transferred, open_orders",
    by_symbol=False,
)


@dataclass(frozen=True)
class Selection:
    """The rows to read. `start` and `end` in microseconds since the epoch, `end` excluded; None is no bound.

    `accounts` of None are all; `after`: the key of the last row that has been read.
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

    accounts = selection.accounts
    apart = accounts is not None and len(accounts) != 1 and selection.limit is not None
    apart = apart and len(accounts or ()) <= ACCOUNTS_APART_MAX
    key = [f"{table.name}.{name}" for name in table.key]
    inner_key = key
    if accounts is not None and len(accounts) == 1:
        require("account_index = {}", accounts[0])
    elif apart:
        arguments.append(list(accounts or ()))
        if table.chunked:
            conditions.append("account_index = wanted.number")
        else:
            # As a range, so that its rows come in this order from the account's index alone: of one it does
            # not know the database thinks that it has as much as any other, and might look through all rows.
            conditions.append("account_index BETWEEN wanted.number AND wanted.number")
            inner_key = [f"{table.name}.account_index", *key]
    elif accounts is not None:
        require("account_index = ANY({}::integer[])", list(accounts))
    _require_rows(require, table, selection)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    limit = "" if selection.limit is None else f" LIMIT {int(selection.limit)}"
    source = f"{table.name}{where}"
    if apart:
        # The newest of each account, then the newest of these: an account that has been idle for long
        # must not make the database look through everybody else's rows.
        source = (
            "unnest($1::integer[]) AS wanted (number) CROSS JOIN LATERAL "  # noqa: S608  # constants
            f"(SELECT * FROM {source}{_descending(inner_key)}{limit}) AS {table.name}"
        )
    return f"SELECT {table.columns} FROM {source}{_descending(key)}{limit}", arguments  # noqa: S608  # constants


def _descending(columns: Sequence[str]) -> str:
    return " ORDER BY " + ", ".join(f"{column} DESC" for column in columns)


def _require_rows(require: Callable[..., None], table: Table, selection: Selection) -> None:
    """All conditions but the accounts."""
    time_column = table.key[0]
    if table.only is not None:
        require(table.only)
    if selection.symbol is not None and table.by_symbol:
        require("symbol_index = {}", selection.symbol)
    if selection.order_id is not None:
        # An order's life bounds the time, and with it the chunks to be looked at.
        require(
            "order_id = {0} AND ts >= (SELECT created_ts FROM orders WHERE order_id = {0}) "
            "AND ts <= (SELECT updated_ts FROM orders WHERE order_id = {0})",
            selection.order_id,
        )
    if selection.closed:
        require("status >= 8")  # OrderStatus.FILLED and what follows it
    if selection.start is not None:
        require(f"{time_column} >= {{}}", moment(selection.start))
    if selection.end is not None:
        require(f"{time_column} < {{}}", moment(selection.end))
    if selection.after is not None:
        ts, *rest = selection.after
        # Whatever a cursor says, it is compared as it is; chunks are left out by the plain condition only.
        places = ", ".join(f"{{{place}}}::bigint" for place in range(1, len(selection.after)))
        require(f"{time_column} <= {{0}} AND ({', '.join(table.key)}) < ({{0}}, {places})", moment(ts), *rest)


# A sample at midnight closes the day before it. One look into an index for each day: a year has half a
# million samples of an account. The first day is counted from the last sample before it, however old; where
# there is none from the account's opening, when equity and transfers were 0 both, unless history began later.
DAILY = """
    SELECT (extract(epoch FROM day) * 1000000)::bigint AS day, equity, transferred, realised, fees,
           (equity - transferred) - coalesce(
               lag(equity - transferred) OVER (ORDER BY day),
               before.earned,
               CASE WHEN EXISTS (SELECT FROM history_gaps) THEN NULL ELSE 0 END
           ) AS pnl
    FROM generate_series(
             date_trunc('day', $2::timestamptz, 'UTC'), $3::timestamptz, INTERVAL '1 day', 'UTC'
         ) AS days (day)
         CROSS JOIN LATERAL (
             SELECT equity, transferred, realised, fees FROM account_snapshots
             WHERE account_index = $1 AND ts > greatest(day, $2) AND ts <= least(day + INTERVAL '24 h', $3)
             ORDER BY ts DESC LIMIT 1
         ) AS last
         LEFT JOIN (
             SELECT equity - transferred AS earned FROM account_snapshots
             WHERE account_index = $1 AND ts <= $2 ORDER BY ts DESC LIMIT 1
         ) AS before ON true
    ORDER BY day
"""


class History:
    """`url` is set once the database has one. Raises HistoryUnavailable, HistoryTimeout."""

    def __init__(self) -> None:
        self.url: str | None = None
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()
        self._exporting = asyncio.Semaphore(EXPORTS_READING_MAX)

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
        """All rows from a page's first on, some at a time, without the page's limit.

        No connection is held between the parts: a slow reader holds up nobody. Rows that come in meanwhile
        are newer than all of them.
        """
        selection = replace(selection, limit=EXPORT_ROWS_AT_ONCE)
        while True:
            async with self._exporting:
                rows = await self.page(table, selection)
            if rows:
                yield rows
            if len(rows) < EXPORT_ROWS_AT_ONCE:
                return
            selection = replace(selection, after=tuple(int(rows[-1][name]) for name in table.key))

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
                        # What suits most accounts can be a hundred times too slow for one that is idle.
                        "plan_cache_mode": "force_custom_plan",
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
