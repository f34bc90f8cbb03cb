"""Database and cache as the server sees them: started, up or down.

The engine does not need them: where one is down the server serves orders and
says so.
"""

import asyncio
import logging

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.embedded import EmbeddedError, EmbeddedServers
from app.runtime.projections import STARTING, UP

logger = logging.getLogger(__name__)


class Dependencies:
    """`status`: of each, UP, STARTING or what is wrong in one line."""

    def __init__(self, servers: EmbeddedServers) -> None:
        self._servers = servers
        self.status = {"database": STARTING, "redis": STARTING}
        self.started = asyncio.Event()  # the embedded servers run, or failed to start

    async def start(self) -> None:
        """Start what is embedded, greet the cache; the database is its writer's. Raises nothing of theirs."""
        try:
            await self._servers.start()
        except EmbeddedError as error:
            self._down("database", str(error))
            self._down("redis", str(error))
            return
        finally:
            self.started.set()
        await self._start_redis()

    @property
    def database_url(self) -> str | None:
        """From `started` on; None where there is no database at all."""
        return self._servers.database_url

    def on_database(self, state: str) -> None:
        """What the writer says of the database: UP, or what is wrong in one line."""
        if state == UP:
            self.status["database"] = UP
            logger.info("database: up")
        elif state != self.status["database"]:
            self._down("database", state)

    async def stop(self) -> None:
        await self._servers.stop()

    async def _start_redis(self) -> None:
        assert self._servers.redis_url is not None
        client = Redis.from_url(self._servers.redis_url)
        try:
            await client.ping()
        except (RedisError, OSError) as error:
            self._down("redis", f"the cache cannot be reached: {error}")
        else:
            self.status["redis"] = UP
        finally:
            await client.aclose()

    def _down(self, name: str, reason: str) -> None:
        self.status[name] = reason
        logger.error("%s: %s; orders are served without it", name, reason)
