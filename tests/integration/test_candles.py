"""Candles that are kept are those that all trades together make, however these came in."""

import asyncio
import random
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pytest

from app.engine.capacity import SMALL_CAPACITY
from app.engine.engine import Engine
from app.store.candles import candles_query
from app.store.database import connect
from app.store.schema import migrate
from app.store.writer import MARKET_TRADE, DatabaseWriter
from tests.support.journals import TradingHistory, write_ticks

BEGIN = 1_700_000_000_000_000
HOURS = 30


def _trades(seed: int, count: int) -> np.ndarray[Any, np.dtype[np.void]]:
    """Of two symbols over some hours, not in order, many at the same moment."""
    chance = random.Random(seed)
    trades = np.zeros(count, MARKET_TRADE)
    for trade in trades:
        trade["ts"] = BEGIN + chance.randrange(HOURS * 360) * 10_000_000
        trade["price"], trade["quantity"] = chance.randrange(90, 110), chance.randrange(1, 9)
        trade["symbol"] = chance.randrange(2)
    return trades


def _expected(trades: Any, symbol: int, width_us: int, start: int, end: int) -> list[tuple[int, ...]]:
    found: dict[int, list[tuple[int, int, int]]] = {}
    for trade in trades[trades["symbol"] == symbol].tolist():
        ts, price, quantity, _ = trade
        found.setdefault(ts - ts % width_us, []).append((ts, price, quantity))
    return [
        (
            first,
            min(rows)[1],
            max(price for _, price, _ in rows),
            min(price for _, price, _ in rows),
            max((ts, price) for ts, price, _ in rows)[1],
            sum(quantity for *_, quantity in rows),
            len(rows),
        )
        for first, rows in sorted(found.items())
        if start <= first < end
    ]


async def _check(connection: asyncpg.Connection, trades: Any) -> None:
    for width in (1, 60, 300, 3_600, 14_400, 86_400):
        width_us = width * 1_000_000
        start = BEGIN - BEGIN % width_us + width_us
        end = BEGIN + HOURS * 3_000_000_000
        for symbol in (0, 1):
            text, arguments = candles_query(width, symbol, start, end)
            rows = await connection.fetch(text, *arguments)
            assert [tuple(row.values()) for row in rows] == _expected(trades, symbol, width_us, start, end)
        assert width > 14_400 or rows


def test_candles_are_what_the_trades_make(database_url: str, tmp_path: Path) -> None:
    history = TradingHistory(Engine(SMALL_CAPACITY))
    write_ticks(tmp_path, iter([history.reference_data()]))
    parts = [_trades(seed, 400) for seed in range(4)]

    async def run() -> None:
        for part in parts:
            writer = DatabaseWriter(tmp_path, database_url, capacity=SMALL_CAPACITY)
            writer.take_trades(part.tobytes())
            await writer.catch_up()
        connection: asyncpg.Connection = await connect(database_url)
        try:
            await _check(connection, np.concatenate(parts))
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.mark.parametrize("count", [0, 500])
def test_trades_from_before_candles_were_kept(database_url: str, count: int) -> None:
    trades = _trades(9, count)

    async def run() -> None:
        await migrate(database_url, "0002")
        connection: asyncpg.Connection = await connect(database_url)
        try:
            await connection.executemany(
                "INSERT INTO market_trades (ts, price, quantity, symbol_index) "
                "VALUES (to_timestamp($1 / 1000000.0), $2, $3, $4)",
                trades.tolist(),
            )
            await migrate(database_url)
            if count:
                await _check(connection, trades)
            assert bool(await connection.fetchval("SELECT count(*) FROM candles")) == bool(count)
        finally:
            await connection.close()

    asyncio.run(run())
