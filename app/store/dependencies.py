"""Dependencies: database and cache as the server sees them: started, up or down.

The engine does not need them: if one is down the server serves orders and reports it.
"""

import asyncio
import logging

from app.embedded import EmbeddedError, EmbeddedServers
from app.runtime.projections import STARTING, UP

logger = logging.getLogger(__name__)


class Dependencies:
    """`status`: of each, UP, STARTING or the problem in one line."""

    def __init__(self, servers: EmbeddedServers) -> None:
        self._servers = servers
        self.status = {"database": STARTING, "redis": STARTING}
        self.started = asyncio.Event()  # the embedded servers run, or failed to start

    async def start(self) -> None:
        """Start the embedded servers; the state of database and cache is reported by their projections."""
        try:
            await self._servers.start()
        except EmbeddedError as error:
            self._down("database", str(error))
            self._down("redis", str(error))
            return
        finally:
            self.started.set()

    @property
    def database_url(self) -> str | None:
        """From `started` on; None where there is no database at all."""
        return self._servers.database_url

    @property
    def redis_url(self) -> str | None:
        """Likewise."""
        return self._servers.redis_url

    def on_change(self, name: str, state: str) -> None:
        """A projection reports on its server: UP, or the problem in one line."""
        if state == UP:
            self.status[name] = UP
            logger.info("%s: up", name)
        elif state != self.status[name]:
            self._down(name, state)

    async def stop(self) -> None:
        await self._servers.stop()

    def _down(self, name: str, reason: str) -> None:
        self.status[name] = reason
        logger.error("%s: %s; orders are served without it", name, reason)
