"""Hot state writer: it follows the journal, with one transaction for each batch.

Each transaction checks that Redis is still where the last one left it. If not (it was flushed,
restarted without its data, or belongs to another journal), everything is rebuilt from the engine
replica. Redis can never hold up an order: this is a process of its own, and the journal waits on
the disk.
"""

import asyncio
import logging
import time
from itertools import chain
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.backoff import Backoff
from app.documents.redis_documents import RedisDocuments
from app.runtime.durable_watermark import DurableReader, journal_identity
from app.runtime.follower import JournalFollower, Replica
from app.runtime.projections import STATUS_SECONDS, ProjectionStatus, write_status
from app.store import hot_keys as keys
from app.store.hot_state import HotState, RedisCommand

logger = logging.getLogger(__name__)

NAME = "redis"
POLL_SECONDS = 0.01
REVALUE_SECONDS = 1.0
TIMEOUT_SECONDS = 10.0
RETRY_SECONDS_MIN, RETRY_SECONDS_MAX = 0.2, 5.0
BATCH_BYTES_MAX = 1 << 20
_SCAN_COUNT = 1_000


class Displaced(Exception):
    """Redis is not where the last transaction left it."""


class HotWriter:
    def __init__(self, folder: Path, url: str) -> None:
        """Raises JournalError, RecoveryError, OSError."""
        self._folder = folder
        self._url = url
        self._durable = DurableReader(folder)
        self._journal = journal_identity(folder)
        self._replica = Replica(folder, self._durable())
        self._follower = JournalFollower(
            folder, self._replica.seq + 1, self._durable, batch_bytes_max=BATCH_BYTES_MAX
        )
        self._state = HotState(RedisDocuments(self._replica.engine.state))
        self._events = 0
        self._error: str | None = "starting"
        self._reported = 0.0

    async def run(self) -> None:
        """Runs until cancelled. Raises JournalError, RecoveryError, OSError of the journal."""
        backoff = Backoff(RETRY_SECONDS_MIN, RETRY_SECONDS_MAX)
        displaced = False
        while True:
            client: Any = Redis.from_url(
                self._url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS
            )
            try:
                if displaced or not await self._is_ours(client):
                    await self._write_all(client)
                displaced = False
                backoff.reset()
                await self._keep_up(client)
            except Displaced:
                displaced = True
            except (RedisError, ConnectionError, TimeoutError) as error:
                self._report(f"Redis cannot be used: {str(error) or type(error).__name__}")
                await asyncio.sleep(backoff.next_seconds())
            finally:
                await client.aclose()

    async def _keep_up(self, client: Any) -> None:
        self._report(None)
        revalued = time.monotonic()
        while True:
            batch = self._follower.read()
            if batch is not None:
                self._replica.apply(batch)
                commands = self._state.changes(batch.events.tobytes())
                await self._write(client, batch.first_seq - 1, commands)
            if time.monotonic() - revalued > REVALUE_SECONDS:
                revalued = time.monotonic()
                await self._write(client, self._replica.seq, self._state.revalued())
            self._report(None)
            if batch is None:
                await asyncio.sleep(POLL_SECONDS)

    async def _is_ours(self, client: Any) -> bool:
        """Whether Redis is where the replica is."""
        meta = await client.hgetall(keys.META)
        expected = {
            b"journal": self._journal.encode(),
            b"layout": str(keys.LAYOUT).encode(),
            b"seq": str(self._replica.seq).encode(),
            b"synced": b"1",
        }
        return all(meta.get(name) == value for name, value in expected.items())

    async def _write_all(self, client: Any) -> None:
        """Replace all content. Until it is complete, readers see `synced` missing."""
        logger.info("hot state: writing all of it, as of seq %d", self._replica.seq)
        await client.delete(keys.META)
        async for key in client.scan_iter(match=keys.ALL, count=_SCAN_COUNT):
            await client.unlink(key)
        for commands in self._state.everything():
            await self._execute(client, commands)
            self._report("writing the hot state anew")
        await self._execute(client, [self._meta()])

    async def _write(self, client: Any, from_seq: int, commands: list[RedisCommand]) -> None:
        """One transaction, on top of what `from_seq` has left. Raises Displaced, RedisError."""
        added = sum(command[0] == "XADD" for command in commands)
        seq, ts = self._replica.seq, self._replica.ts
        live = b'{"seq":%d,"ts":%d,"events":%d}' % (seq, ts, added)
        answers = await self._execute(
            client,
            [
                ("HMGET", keys.META, "journal", "seq"),
                *commands,
                self._meta(),
                ("PUBLISH", keys.LIVE, live),
            ],
        )
        if answers[0] != [self._journal.encode(), str(from_seq).encode()]:
            raise Displaced
        self._events += added

    def _meta(self) -> RedisCommand:
        fields: dict[str, str | int] = {
            "journal": self._journal,
            "layout": keys.LAYOUT,
            "seq": self._replica.seq,
            "ts": self._replica.ts,
            "synced": 1,
        }
        return ("HSET", keys.META, *chain.from_iterable(fields.items()))

    async def _execute(self, client: Any, commands: list[RedisCommand]) -> list[Any]:
        pipeline = client.pipeline(transaction=True)
        for command in commands:
            pipeline.execute_command(*command)
        answers: list[Any] = await pipeline.execute()
        return answers

    def _report(self, error: str | None) -> None:
        now = time.time()
        if error == self._error and now - self._reported < STATUS_SECONDS:
            return
        self._error, self._reported = error, now
        lag = self._durable() - self._replica.seq
        status = ProjectionStatus(
            seq=self._replica.seq,
            lag_seq=lag,
            lag_seconds=max(now - self._replica.ts / 1e6, 0.0) if lag else 0.0,
            rows=self._events,
            error=error,
            reported=now,
        )
        write_status(self._folder, NAME, status)
