"""Database and cache as the server sees them: started, migrated, up or down.

The engine does not need them: where one is down the server serves orders and
says so.
"""

import logging

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.embedded import EmbeddedError, EmbeddedServers
from app.store.database import DatabaseError, migrate

logger = logging.getLogger(__name__)

UP = "up"
STARTING = "starting"


class Dependencies:
    """`status`: of each, UP, STARTING or what is wrong in one line."""

    def __init__(self, servers: EmbeddedServers) -> None:
        self._servers = servers
        self.status = {"database": STARTING, "redis": STARTING}

    async def start(self) -> None:
        """Start what is embedded, bring the schema up to date, greet the cache. Raises nothing of theirs."""
        try:
            await self._servers.start()
        except EmbeddedError as error:
            self._down("database", str(error))
            self._down("redis", str(error))
            return
        await self._start_database()
        await self._start_redis()

    async def stop(self) -> None:
        await self._servers.stop()

    async def _start_database(self) -> None:
        assert self._servers.database_url is not None
        try:
            before, after = await migrate(self._servers.database_url)
        except DatabaseError as error:
            self._down("database", str(error))
            return
        self.status["database"] = UP
        if before != after:
            logger.info("database schema: %s -> %s", before, after)

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
