"""Embedded servers: PostgreSQL and Valkey, started for the user if no URL of a real one is given.

Both come as binaries inside Python packages and run as child processes on unix sockets under the
data folder; nothing listens on the network. When our server is killed, they go on running without a
parent. The next start finds them by what they left in their folders, stops them in order and starts
new ones, so there is one way to a running server and it is always our own child.
"""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

from app.embedded.child import Child, EmbeddedError
from app.embedded.postgres import Postgres
from app.embedded.valkey import Valkey
from app.runtime.folder_lock import FolderLock, FolderLocked

__all__ = ["EmbeddedError", "EmbeddedServers"]


class EmbeddedServers:
    """The servers that a data folder needs beside the engine.

    `database_url` and `redis_url` are None until `start` has set those that were not given. `stop` may be
    called at any time, more than once.
    """

    def __init__(self, data_dir: Path, database_url: str | None = None, redis_url: str | None = None) -> None:
        self.database_url = database_url
        self.redis_url = redis_url
        self._data_dir = data_dir
        self._lock: FolderLock | None = None
        self._running: list[Child] = []

    async def start(self) -> None:
        """Start the servers without a URL; the event loop is never blocked.

        Raises:
            EmbeddedError: a server did not start, or the data folder is in use. Nothing is left running.
        """
        missing: list[Child] = []
        if self.database_url is None:
            missing.append(Postgres(self._data_dir / "postgres"))
        if self.redis_url is None:
            missing.append(Valkey(self._data_dir / "valkey"))
        if not missing:
            return
        self._acquire()
        self._running = missing
        # A thread cannot be cancelled: it is waited for even then, so that `stop` finds what it started.
        starts = asyncio.gather(
            *(asyncio.to_thread(server.start) for server in missing), return_exceptions=True
        )
        try:
            outcomes = await asyncio.shield(starts)
        except asyncio.CancelledError:
            await starts
            await self.stop()
            raise
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if failures:
            await self.stop()
            raise failures[0]
        for server in missing:
            if isinstance(server, Postgres):
                self.database_url = server.url
            else:
                self.redis_url = server.url

    async def stop(self) -> None:
        """Stop the servers that were started.

        Raises:
            EmbeddedError: a server does not stop, not even when it is killed.
        """
        running, self._running = self._running, []
        stops = [asyncio.to_thread(server.stop) for server in running]
        outcomes = await asyncio.gather(*stops, return_exceptions=True)
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _acquire(self) -> None:
        """Keep a second server off the folder: it would take the first one's children for orphans."""
        try:
            self._lock = FolderLock(self._data_dir, "embedded.lock")
        except FolderLocked as error:
            raise EmbeddedError(f"{error}: stop it, or set BOT4_DATA_DIR to a folder of its own") from None
        except OSError as error:
            raise EmbeddedError(f"the data folder cannot be used: {error}") from error
