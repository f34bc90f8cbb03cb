"""The embedded servers: they start, stop, and survive what kills them."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import psutil
import pytest
from redis.asyncio import Redis

from app.embedded import EmbeddedError, EmbeddedServers

# Starts both servers, writes a row and a key, prints the two process ids and waits to be killed.
VICTIM = """
import asyncio, sys
from pathlib import Path
import asyncpg
from app.embedded import EmbeddedServers

async def main():
    servers = EmbeddedServers(Path(sys.argv[1]))
    await servers.start()
    connection = await asyncpg.connect(servers.database_url)
    await connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
    print(*(child.process.pid for child in servers._running), flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def _check(servers: EmbeddedServers) -> None:
    assert servers.database_url is not None
    assert servers.redis_url is not None
    connection = await asyncpg.connect(servers.database_url)
    assert await connection.fetchval("SHOW server_encoding") == "UTF8"
    assert await connection.fetchval("SHOW listen_addresses") == ""
    await connection.close()
    client = Redis.from_url(servers.redis_url)
    await client.set("key", "value")
    assert await client.get("key") == b"value"
    await client.aclose()


def _kill_victim(data_dir: Path) -> list[int]:
    """A server of ours that died by kill -9; the ids of the children it left."""
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(data_dir)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert victim.stdout is not None
    with victim.stdout:
        children = [int(word) for word in victim.stdout.readline().split()]
    victim.kill()
    victim.wait()
    assert len(children) == 2
    return children


def _alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def _children_of(servers: EmbeddedServers) -> list[int]:
    return [child.process.pid for child in servers._running if child.process is not None]


def test_start_serve_stop_and_start_again(data_dir: Path) -> None:
    async def run() -> None:
        for _ in range(2):
            async with EmbeddedServers(data_dir) as servers:
                await _check(servers)
                children = _children_of(servers)
                assert len(children) == 2
            assert not any(_alive(child) for child in children)
            await servers.stop()  # a second time: nothing happens

    asyncio.run(run())


def test_given_urls_start_nothing(data_dir: Path) -> None:
    async def run() -> None:
        async with EmbeddedServers(data_dir, "postgresql://h/d", "redis://h") as servers:
            assert (servers.database_url, servers.redis_url) == ("postgresql://h/d", "redis://h")
            assert _children_of(servers) == []

    asyncio.run(run())
    assert not data_dir.exists()


def test_orphans_of_a_killed_server_are_replaced_and_data_is_kept(data_dir: Path) -> None:
    orphans = _kill_victim(data_dir)
    assert all(_alive(orphan) for orphan in orphans)

    async def run() -> None:
        async with EmbeddedServers(data_dir) as servers:
            assert not any(_alive(orphan) for orphan in orphans)
            await _check(servers)
            assert servers.database_url is not None
            connection = await asyncpg.connect(servers.database_url)
            assert await connection.fetchval("SELECT value FROM kept") == 42
            await connection.close()

    asyncio.run(run())


def test_everything_killed_at_once_leaves_stale_files_that_do_not_matter(data_dir: Path) -> None:
    for orphan in _kill_victim(data_dir):
        os.kill(orphan, signal.SIGKILL)
    assert (data_dir / "postgres" / "postmaster.pid").exists()

    async def run() -> None:
        async with EmbeddedServers(data_dir) as servers:
            await _check(servers)

    asyncio.run(run())


def test_a_pid_that_now_belongs_to_another_process_is_left_alone(data_dir: Path) -> None:
    for orphan in _kill_victim(data_dir):
        os.kill(orphan, signal.SIGKILL)
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pid_file = data_dir / "postgres" / "postmaster.pid"
    pid_file.write_text("\n".join([str(bystander.pid), *pid_file.read_text().splitlines()[1:]]) + "\n")
    (data_dir / "valkey" / "valkey.pid").write_text(str(bystander.pid))

    async def run() -> None:
        async with EmbeddedServers(data_dir) as servers:
            await _check(servers)
            assert bystander.poll() is None

    try:
        asyncio.run(run())
    finally:
        bystander.kill()
        bystander.wait()


def test_a_second_server_on_the_same_folder_is_refused(data_dir: Path) -> None:
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(data_dir)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert victim.stdout is not None
    with victim.stdout:
        children = [int(word) for word in victim.stdout.readline().split()]

    async def run() -> None:
        with pytest.raises(EmbeddedError, match="BOT4_DATA_DIR"):
            await EmbeddedServers(data_dir).start()
        assert all(_alive(child) for child in children)

    try:
        asyncio.run(run())
    finally:
        victim.kill()
        victim.wait()

    async def clean() -> None:
        async with EmbeddedServers(data_dir):
            pass

    asyncio.run(clean())


def test_a_path_too_long_for_a_socket_works(tmp_path: Path) -> None:
    async def run() -> None:
        async with EmbeddedServers(tmp_path / ("long" * 30) / "with a blank") as servers:
            await _check(servers)

    asyncio.run(run())


@pytest.mark.parametrize("name", ["postgres", "valkey"])
def test_what_is_in_the_way_gives_one_line_and_leaves_nothing_running(data_dir: Path, name: str) -> None:
    data_dir.mkdir()
    (data_dir / name).write_text("a file where the folder should be")
    servers = EmbeddedServers(data_dir)
    with pytest.raises(EmbeddedError) as caught:
        asyncio.run(servers.start())
    assert "\n" not in str(caught.value)
    assert _children_of(servers) == []
    assert not any(
        str(data_dir) in argument
        for process in psutil.process_iter(["cmdline"])
        for argument in process.info["cmdline"] or ()
    )


def test_another_version_of_postgresql_is_told(data_dir: Path) -> None:
    (data_dir / "postgres").mkdir(parents=True)
    (data_dir / "postgres" / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedError, match="made by PostgreSQL 16, and this is 18"):
        asyncio.run(EmbeddedServers(data_dir, None, "redis://h").start())


def test_a_start_that_is_cancelled_leaves_nothing_running(data_dir: Path) -> None:
    servers = EmbeddedServers(data_dir)

    async def run() -> None:
        starting = asyncio.create_task(servers.start())
        await asyncio.sleep(0.05)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting

    asyncio.run(run())
    assert _children_of(servers) == []
    assert servers.database_url is None


def test_the_event_loop_goes_on_meanwhile(data_dir: Path) -> None:
    async def run() -> None:
        ticks = 0
        starting = asyncio.create_task(EmbeddedServers(data_dir, None, "redis://h").__aenter__())
        while not starting.done():
            await asyncio.sleep(0)
            ticks += 1
            time.sleep(0.001)  # noqa: ASYNC251  # as a busy loop does
        await (await starting).stop()
        assert ticks > 1

    asyncio.run(run())


def test_they_give_way(data_dir: Path) -> None:
    async def run() -> None:
        async with EmbeddedServers(data_dir) as servers:
            connection = await asyncpg.connect(servers.database_url)
            pids = {connection.get_server_pid(), *_children_of(servers)}
            assert len(pids) == 3
            assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in pids} == {15}
            await connection.close()

    asyncio.run(run())
