"""History data: a database filled with made-up history, by the database itself, as after years of trading.

Accounts and symbols are as uneven as in life: most rows are those of a few, the last account and
the last symbol have next to none. Times are random within even steps and now and then equal, as
they are after a clock has been set back.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from app.store.candles import roll_up

ACCOUNTS = 20
SYMBOLS = 8
SAMPLED_ACCOUNTS = 5  # with an equity curve


@dataclass(frozen=True)
class Volume:
    """Rows by table; `account_snapshots` are for each minute of the time and each sampled account."""

    days: int
    orders: int
    order_events: int
    fills: int
    risk_events: int
    limit_changes: int
    audit_log: int
    marks: int
    market_trades: int
    snapshot_minutes: int = 1


LARGE = Volume(
    days=365,
    orders=1_000_000,
    order_events=3_000_000,
    fills=1_500_000,
    risk_events=300_000,
    limit_changes=20_000,
    audit_log=20_000,
    marks=300_000,
    market_trades=2_000_000,
)

# Row number i of n; $1 the beginning, $2 microseconds from one row to the next.
_ROW = "FROM generate_series(1, {count}) AS i"
_TS = "$1::timestamptz + (i - (i % 50 = 0)::int + 0.9 * random() * (i % 50 > 1)::int) * $2 * INTERVAL '1 us'"
_ACCOUNT = f"CASE WHEN i % 99991 = 0 THEN {ACCOUNTS - 1} ELSE floor({ACCOUNTS - 1} * random() ^ 2)::int END"
_SYMBOL = f"CASE WHEN i % 49999 = 0 THEN {SYMBOLS - 1} ELSE floor({SYMBOLS - 1} * random() ^ 2)::int END"
# An order's three events come one after the other; `orders` has the same ids.
_ORDER_ID = "((({number})::bigint * 9 + 1) << 21) | (({number}) % 2097152)"
_PRICE = "6000000 + floor(100000 * sin(i / 10000.0) + 1000 * random())::bigint"
_QUANTITY = "1 + floor(1000 * random() ^ 3)::bigint"
_STATUS = "(ARRAY[8, 8, 8, 9, 9, 10, 8, 11])[1 + i % 8]"

_STATEMENTS = {
    "orders": f"""
        INSERT INTO orders
        SELECT {_ORDER_ID.format(number="i")}, i * 9 + 7, {_ACCOUNT}, {_SYMBOL},
               CASE WHEN i % 100 = 0 THEN 2 ELSE {_STATUS} END, 0, 0, i % 2, 1, 0, 0, 0,
               {_PRICE}, 0, {_QUANTITY}, 10, 60000000, ts - INTERVAL '2 minutes',
               ts + INTERVAL '2 minutes', NULL, 0, 0, 'client-' || i
        FROM (SELECT i, {_TS} AS ts {_ROW}) AS times
    """,
    "order_events": f"""
        INSERT INTO order_events
        SELECT {_TS}, i * 3, i % 3, {_ACCOUNT}, {_SYMBOL}, 1 + i % 3, CASE i % 3 WHEN 0 THEN 2 ELSE 8 END,
               0, 0, i % 2, 1, 0, 0, {_ORDER_ID.format(number="(i + 2) / 3")}, {_PRICE}, 0, {_QUANTITY}, 0, 0,
               0, 0, 0, 0, 'client-' || (i + 2) / 3 {_ROW}
    """,
    "fills": f"""
        INSERT INTO fills
        SELECT {_TS}, i * 6, i % 3, {_ACCOUNT}, {_SYMBOL}, {_ORDER_ID.format(number="i")}, i, i % 2,
               1 + i % 2, {_PRICE}, {_QUANTITY}, 7, 100, 600000000 {_ROW}
    """,
    "risk_events": f"""
        INSERT INTO risk_events
        SELECT {_TS}, i * 30, 0, {_ACCOUNT}, {_SYMBOL}, 2, 25, 1, {_ORDER_ID.format(number="i * 3")},
               1000, 2000, 1 + i % 5, NULL {_ROW}
    """,
    "limit_changes": f"""
        INSERT INTO limit_changes
        SELECT {_TS}, i * 450, 0, {_ACCOUNT}, -1, 20, 1, 1 + i % 20, 1000, 2000, i, 1 + i % 5,
               'reason ' || i, 0, NULL, 0 {_ROW}
    """,
    "audit_log": f"""
        INSERT INTO audit_log
        SELECT {_TS}, i * 450, 0, {_ACCOUNT}, -1, 20 + i % 2, 1, 1, 2000, 1000, 1 + i % 5, 'reason ' || i
        {_ROW}
    """,
    "marks": f"INSERT INTO marks SELECT {_TS}, i * 30, 0, {_SYMBOL}, {_PRICE} {_ROW}",
    "market_trades": f"INSERT INTO market_trades SELECT {_TS}, {_SYMBOL}, {_PRICE}, {_QUANTITY} {_ROW}",
}
_SNAPSHOTS = f"""
    INSERT INTO account_snapshots
    SELECT minute, extract(epoch FROM minute)::bigint / 60, account, 10 ^ 14, 10 ^ 14 + 10 ^ 12 * random(),
           10 ^ 12, 10 ^ 12, 10 ^ 9, 10 ^ 8, 10 ^ 14, 100
    FROM generate_series(
             date_trunc('minute', $1::timestamptz), $1::timestamptz + $2 * INTERVAL '1 day',
             $3 * INTERVAL '1 minute'
         ) AS minute,
         generate_series(0, {SAMPLED_ACCOUNTS - 1}) AS account
"""


async def fill(connection: asyncpg.Connection, volume: Volume, end: datetime) -> Mapping[str, int]:
    """Fill migrated, empty tables with what happened until `end`; the rows of each table."""
    begin = await connection.fetchval("SELECT $1::timestamptz - $2 * INTERVAL '1 day'", end, volume.days)
    await connection.execute("SELECT setseed(0.5)")
    rows = {}
    for table, statement in _STATEMENTS.items():
        count: int = getattr(volume, table)
        step_us = volume.days * 86_400_000_000 / (count + 1)
        done = await connection.execute(statement.format(count=count), begin, step_us, timeout=1_800)
        rows[table] = int(done.split()[-1])
    done = await connection.execute(_SNAPSHOTS, begin, volume.days, volume.snapshot_minutes, timeout=1_800)
    rows["account_snapshots"] = int(done.split()[-1])
    await connection.execute(roll_up("market_trades"), timeout=1_800)
    await connection.execute("VACUUM ANALYZE", timeout=1_800)
    return rows
