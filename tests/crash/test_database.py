"""A database that dies, hangs and comes back, and a server that dies: nothing is lost or doubled."""

import asyncio
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import pytest

from app.embedded.postgres import Postgres
from app.runtime.durable_watermark import DurableReader
from app.runtime.follower import Replica
from app.runtime.projections import read_status
from app.store.database import connect
from tests.support.database import compare
from tests.support.process import AUTHORIZATION, ServerProcess

_SECONDS_MAX = 120.0


class Load:
    """Batches of orders without a pause, while the context lasts; errors of a dead server are expected."""

    def __init__(self, server: ServerProcess) -> None:
        self.placed = 0
        self.slowest = 0.0
        self._server = server
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        sides = ("BUY", "SELL")
        while not self._end.is_set():
            orders = [
                {"account": "load", "symbol": "BTC-USDT", "side": sides[number % 2], "type": "MARKET",
                 "quantity": "0.001"}
                for number in range(20)
            ]  # fmt: skip
            started = time.monotonic()
            try:
                answer = httpx.post(
                    f"{self._server.url}/v1/orders/batch",
                    json={"orders": orders},
                    headers=AUTHORIZATION,
                    timeout=10,
                )
            except httpx.HTTPError:
                time.sleep(0.1)
                continue
            if answer.status_code == 200:
                self.placed += len(orders)
                self.slowest = max(self.slowest, time.monotonic() - started)
            time.sleep(0.01)


def wait_for(what: str, condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + _SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def processes(database: Postgres) -> list[psutil.Process]:
    assert database.process is not None
    postmaster = psutil.Process(database.process.pid)
    return [postmaster, *postmaster.children(recursive=True)]


def placed_meanwhile(load: Load, seconds: float) -> int:
    before = load.placed
    time.sleep(seconds)
    return load.placed - before


async def progress(url: str) -> int:
    connection = await connect(url)
    try:
        seq: int = await connection.fetchval(
            "SELECT seq FROM projection_progress WHERE projection = 'database'"
        )
        return seq
    finally:
        await connection.close()


@pytest.mark.slow
def test_a_database_and_a_server_that_fail_under_load(tmp_path: Path) -> None:
    database = Postgres(tmp_path / "postgres")
    server = ServerProcess(tmp_path / "data", BOT4_DATABASE_URL=database.url)
    # The database is not there yet: the server is ready all the same, and says what is missing.
    server.start()
    try:
        health = httpx.get(f"{server.url}/health/ready").json()
        assert health["status"] == "ready" and "database" in health["degraded"]
        database.start()
        with Load(server) as load:
            wait_for("caught up after the start", lambda: read_status(server.journal, "database").seq > 100)
            for process in processes(database):
                process.send_signal(signal.SIGKILL)
            assert database.process is not None
            database.process.wait()
            assert placed_meanwhile(load, 2.0) > 0
            database.start()
            seq = DurableReader(server.journal)()
            wait_for("after a kill", lambda: read_status(server.journal, "database").seq > seq)
            stopped = processes(database)
            for process in stopped:
                process.suspend()
            assert placed_meanwhile(load, 2.0) > 0
            for process in stopped:
                process.resume()
            seq = DurableReader(server.journal)()
            wait_for("after a standstill", lambda: read_status(server.journal, "database").seq > seq)
            for _ in range(2):
                server.kill()
                server.start()
            seq = DurableReader(server.journal)()
            wait_for("after the server was killed", lambda: read_status(server.journal, "database").seq > seq)
        wait_for(
            "the end",
            lambda: read_status(server.journal, "database").seq >= DurableReader(server.journal)() - 50,
        )
        server.stop()
        end = asyncio.run(progress(database.url))  # the report in the file may be a moment older
        replica = Replica(server.journal, end)
        asyncio.run(compare(database.url, server.journal, replica.engine, end))
        assert end > 1_000
    finally:
        if server.process.poll() is None:
            server.kill()
        database.stop()
