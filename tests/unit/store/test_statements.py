"""The writer's statements: what is newer stands, whatever comes late or twice."""

from typing import Any

import asyncpg
import pytest

from app.store import statements
from app.store.statements import (
    BEGIN_PROGRESS,
    MOVE_PROGRESS,
    READ_PROGRESS,
    UPDATE_ORDERS,
    UPSERT_ACCOUNT,
    UPSERT_INSTRUMENT,
    UPSERT_KEY,
    UPSERT_POSITIONS,
)
from tests.unit.store.conftest import InTransaction


async def rows_of(connection: Any, statement: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await connection.fetch(statement)]


async def _add_order(connection: Any, table: str, seq: int, status: int, price: int = 5) -> None:
    """Order 7, with what stays the same of it, into a table like `orders`."""
    columns = await connection.fetch(
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'orders'"
    )
    values = {row["column_name"]: "now()" if "time" in row["data_type"] else "0" for row in columns}
    values |= {"order_id": "7", "seq": str(seq), "status": str(status), "price": str(price)}
    values["client_order_id"] = "NULL"
    names, contents = ", ".join(values), ", ".join(values.values())
    await connection.execute(f"INSERT INTO {table} ({names}) VALUES ({contents})")


@pytest.mark.parametrize(("seq", "shown"), [(9, (10, 1, 5)), (10, (10, 1, 5)), (11, (11, 3, 6))])
def test_an_order_changes_to_what_is_newer(
    in_transaction: InTransaction, seq: int, shown: tuple[int, ...]
) -> None:
    async def work(connection: asyncpg.Connection) -> None:
        await _add_order(connection, "orders", seq=10, status=1)
        await _add_order(connection, "changed_orders", seq=seq, status=3, price=6)
        await connection.execute(UPDATE_ORDERS)
        assert await rows_of(connection, "SELECT seq, status, price FROM orders") == [shown]

    in_transaction(work)


def test_every_column_of_an_order_that_can_change_does(in_transaction: InTransaction) -> None:
    fixed = {"order_id", "account_index", "symbol_index", "client_order_id", "side", "time_in_force"}
    fixed |= {"created_ts", "self_trade_prevention"}

    async def work(connection: asyncpg.Connection) -> None:
        rows = await connection.fetch(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'orders'"
        )
        columns = {row["column_name"] for row in rows}
        changes = UPDATE_ORDERS.partition(" FROM ")[0]
        assert {name for name in columns if f" {name} = c.{name}" in changes} == columns - fixed

    in_transaction(work)


def test_a_position_is_the_newest(in_transaction: InTransaction) -> None:
    async def put(connection: asyncpg.Connection, quantity: int, seq: int) -> None:
        await connection.execute("TRUNCATE changed_positions")
        await connection.execute(
            "INSERT INTO changed_positions "
            "(account_index, symbol_index, quantity, entry_cost, realised, fees, seq) "
            "VALUES (1, 2, $1, 3, 4, 5, $2)",
            quantity,
            seq,
        )
        await connection.execute(UPSERT_POSITIONS)

    async def work(connection: asyncpg.Connection) -> None:
        for quantity, seq in ((10, 5), (11, 4), (12, 5), (13, 6)):
            await put(connection, quantity, seq)
            shown = await rows_of(connection, "SELECT quantity, seq FROM positions")
            assert shown == [(13, 6) if seq == 6 else (10, 5)]

    in_transaction(work)


def test_accounts_instruments_and_keys_are_replaced(in_transaction: InTransaction) -> None:
    instrument = (0, "BTC-USDT", "BTC", "USDT", 10**10, 10**5, 1, 100, 0, 100, 500, 1, 0, 3)

    async def work(connection: asyncpg.Connection) -> None:
        await connection.execute(UPSERT_ACCOUNT, 0, "alpha", 10, 500, 0, 3)
        await connection.execute(UPSERT_ACCOUNT, 0, "alpha", 5, 700, 2, 9)
        assert await rows_of(
            connection, "SELECT account_index, account, leverage, cash, trading_state, seq FROM accounts"
        ) == [(0, "alpha", 5, 700, 2, 9)]
        await connection.execute(UPSERT_INSTRUMENT, *instrument)
        await connection.execute(UPSERT_INSTRUMENT, *instrument[:7], 200, *instrument[8:-2], 1, 8)
        assert await rows_of(
            connection, "SELECT symbol, min_quantity, max_quantity, trading_state, seq FROM instruments"
        ) == [("BTC-USDT", 1, 200, 1, 8)]
        await connection.execute(UPSERT_KEY, 4, "of a bot", "trader", ["alpha"], 100, 0)
        await connection.execute(UPSERT_KEY, 4, "of a bot", "trader", ["alpha"], 999, 200)
        assert await rows_of(
            connection, "SELECT number, role, accounts, created_ts, revoked_ts FROM api_keys"
        ) == [(4, "trader", ["alpha"], 100, 200)]

    in_transaction(work)


def test_progress_moves_on_from_where_it_was_and_in_its_own_journal_alone(
    in_transaction: InTransaction,
) -> None:
    async def work(connection: asyncpg.Connection) -> None:
        async def progress() -> tuple[Any, ...]:
            row = await connection.fetchrow(READ_PROGRESS, "database")
            assert row is not None
            return tuple(row)

        async def move(to: int, since: int, journal: str) -> str:
            return await connection.execute(MOVE_PROGRESS, to, "database", since, journal)

        assert await connection.fetchrow(READ_PROGRESS, "database") is None
        await connection.execute(BEGIN_PROGRESS, "database", "one")
        assert await progress() == (0, "one")
        assert await move(5, 0, "one") == "UPDATE 1"
        assert await move(9, 0, "one") == "UPDATE 0", "another writer has moved it"
        assert await move(9, 5, "two") == "UPDATE 0", "of another journal"
        await connection.execute(BEGIN_PROGRESS, "database", "two")
        assert await progress() == (5, "one"), "it has begun"

    in_transaction(work)


def test_all_statements_are_tested_here() -> None:
    named = {name for name in vars(statements) if name.isupper() and not name.startswith("_")}
    assert named <= set(globals())
