"""Database access: one connection, or a bounded pool of them.

One dialect, PostgreSQL's, through asyncpg. If the `timescaledb` extension is available the
migrations use it; otherwise the same tables are ordinary ones.
"""

import asyncio
import time

import asyncpg

from app.store.error_hints import place_of, with_advice

CONNECTIONS_MAX = 8
CONNECT_SECONDS_MAX = 10.0
STATEMENT_SECONDS_MAX = 60.0
REACHABLE_SECONDS_MAX = 30.0
RETRY_SECONDS = 0.5

_UNREACHABLE = (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError)


class DatabaseError(RuntimeError):
    """The database cannot be used; the reason in one line, without a password."""


async def connect(url: str, wait_seconds: float = REACHABLE_SECONDS_MAX) -> asyncpg.Connection:
    """One connection, opened within `wait_seconds` or not at all: a server may still be starting.

    Raises:
        DatabaseError: it cannot be reached, or it refuses the connection.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            return await asyncpg.connect(
                url, timeout=CONNECT_SECONDS_MAX, command_timeout=STATEMENT_SECONDS_MAX
            )
        except _UNREACHABLE as error:
            if time.monotonic() > deadline:
                reason = f"the database cannot be reached at {place_of(url)}: {with_advice(error)}"
                raise DatabaseError(reason) from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise DatabaseError(f"the database refuses us: {with_advice(error)}") from error
        await asyncio.sleep(RETRY_SECONDS)


async def create_pool(url: str) -> asyncpg.Pool:
    """At most `CONNECTIONS_MAX` connections, opened on demand; the first one now.

    Raises:
        DatabaseError: as `connect`.
    """
    await (await connect(url)).close()
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=CONNECTIONS_MAX,
        timeout=CONNECT_SECONDS_MAX,
        command_timeout=STATEMENT_SECONDS_MAX,
    )
