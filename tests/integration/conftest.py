"""One API server for all tests of it: each test opens accounts of its own."""

from collections.abc import Iterator

import httpx
import pytest

from tests.support.api import ApiServer
from tests.support.stream import Watcher, watch


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with ApiServer(tmp_path_factory.mktemp("api")) as server:
        server.open_market()
        yield server


@pytest.fixture
def account(api: ApiServer, request: pytest.FixtureRequest) -> str:
    """A new account with a million and wide limits."""
    number = len(api.server.reference.account_names)
    return api.open_account(f"test-{number}")


@pytest.fixture
def client(api: ApiServer) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


@pytest.fixture
def watcher(api: ApiServer) -> Iterator[Watcher]:
    with watch(api) as watcher:
        yield watcher
