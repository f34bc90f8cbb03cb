"""Real servers for the tests: the ones that the environment names, else the embedded ones.

`BOT4_TEST_DATABASE_URL` and `BOT4_TEST_REDIS_URL` name servers whose content the tests may destroy. A
server that cannot be had skips the tests that need it, but under `CI=true` it fails them.
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from app.embedded import EmbeddedError, EmbeddedServers
from app.store.database import DatabaseError, connect


def unavailable(reason: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def server_urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """URLs of a database server and of a Redis or Valkey."""
    servers = EmbeddedServers(
        tmp_path_factory.mktemp("servers"),
        os.environ.get("BOT4_TEST_DATABASE_URL") or None,
        os.environ.get("BOT4_TEST_REDIS_URL") or None,
    )
    try:
        asyncio.run(servers.start())
    except EmbeddedError as error:
        unavailable(str(error))
    assert servers.database_url is not None
    assert servers.redis_url is not None
    yield servers.database_url, servers.redis_url
    asyncio.run(servers.stop())


@pytest.fixture
def database_url(server_urls: tuple[str, str]) -> Iterator[str]:
    """A new, empty database of its own for each test."""
    yield from _new_database(server_urls)


@pytest.fixture(scope="session")
def history_database_url(server_urls: tuple[str, str]) -> Iterator[str]:
    """A new, empty database that the tests of one server's history share."""
    yield from _new_database(server_urls)


@pytest.fixture(scope="session")
def filled_database_url(server_urls: tuple[str, str]) -> Iterator[str]:
    """Another one, which the tests of plans fill."""
    yield from _new_database(server_urls)


@pytest.fixture(scope="session")
def database_url_of_watchdog(server_urls: tuple[str, str]) -> Iterator[str]:
    """Another one, of the server whose event loop is watched."""
    yield from _new_database(server_urls)


def _new_database(server_urls: tuple[str, str]) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    try:
        asyncio.run(_execute(server_urls[0], f"CREATE DATABASE {name}"))
    except DatabaseError as error:
        unavailable(str(error))
    yield urlunsplit(urlsplit(server_urls[0])._replace(path=f"/{name}"))
    asyncio.run(_execute(server_urls[0], f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def store_database_url(server_urls: tuple[str, str]) -> Iterator[str]:
    """Another one, which tests of the store leave as they found it."""
    yield from _new_database(server_urls)


@pytest.fixture
def redis_url(server_urls: tuple[str, str]) -> str:
    """A Redis or Valkey; tests use keys of their own."""
    return server_urls[1]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """An empty data folder, not made yet."""
    return tmp_path / "data"


async def _execute(url: str, statement: str) -> None:
    connection: asyncpg.Connection = await connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
