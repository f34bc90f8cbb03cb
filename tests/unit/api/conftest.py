"""One server for all tests of the API's modules; accounts are each test's own."""

from collections.abc import Iterator
from itertools import count

import httpx
import pytest

from tests.support.api import ApiServer
from tests.support.trading_desk import TradingDesk

_numbers = count(1)


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with ApiServer(tmp_path_factory.mktemp("api")) as server:
        server.open_market()
        yield server


@pytest.fixture
def client(api: ApiServer) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


@pytest.fixture
def account(api: ApiServer) -> str:
    """A new account with a million and wide limits."""
    return api.open_account(f"test-{next(_numbers)}")


@pytest.fixture
def trader(api: ApiServer, account: str) -> Iterator[httpx.Client]:
    """A client with a key of the account's own."""
    with api.client(api.make_key("trader", account)[1]) as client:
        yield client


@pytest.fixture
def desk(api: ApiServer, client: httpx.Client) -> TradingDesk:
    """An instrument of the test's own at 150."""
    return TradingDesk.of(api, client)
