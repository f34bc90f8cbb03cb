"""Runs the migrations over asyncpg, in one transaction and one server at a time."""

import asyncio

import asyncpg
from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

# Any number that nothing else in this database locks; held until the transaction ends.
ADVISORY_LOCK = 0x_B074_0001
LOCK_SECONDS_MAX = 60


def run(connection: Connection) -> None:
    context.configure(connection=connection, transactional_ddl=True)
    with context.begin_transaction():
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS_MAX}s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": ADVISORY_LOCK})
        context.run_migrations()


async def main() -> None:
    url: str = context.config.attributes["url"]
    # asyncpg reads the URL itself, here as everywhere: one meaning of sslmode, host and the like.
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url), poolclass=NullPool
    )
    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()


if context.is_offline_mode():
    raise SystemExit("migrations look at the database before they change it: there is no offline mode")
asyncio.run(main())
