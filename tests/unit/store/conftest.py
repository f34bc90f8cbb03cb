"""A database with all tables that tests of the store share; each works in a transaction of its own."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from app.store.database import connect
from app.store.schema import migrate

InTransaction = Callable[[Callable[[asyncpg.Connection], Awaitable[None]]], None]

# As the writer makes them for its connection.
_CHANGED = """
    CREATE TEMP TABLE changed_orders (LIKE orders) ON COMMIT DROP;
    CREATE TEMP TABLE changed_positions (LIKE positions) ON COMMIT DROP;
"""


@pytest.fixture(scope="session")
def migrated_url(store_database_url: str) -> str:
    asyncio.run(migrate(store_database_url))
    return store_database_url


@pytest.fixture
def in_transaction(migrated_url: str) -> InTransaction:
    """Runs work on a connection to an empty database, and takes back what it did."""

    async def run(work: Callable[[asyncpg.Connection], Awaitable[None]]) -> None:
        connection = await connect(migrated_url)
        transaction = connection.transaction()
        await transaction.start()
        try:
            await connection.execute(_CHANGED)
            await work(connection)
        finally:
            await transaction.rollback()
            await connection.close()

    return lambda work: asyncio.run(run(work))
