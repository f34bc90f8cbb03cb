"""Paths of limits: each names its scope, and a trader reads what concerns its accounts alone."""

import httpx
import pytest

from app.api.routes.limit_paths import PATHS
from tests.support.api import ApiServer

SCOPES = {
    "/firm": "firm",
    "/accounts/{account}": "account:{account}",
    "/symbols/{symbol}": "symbol:BTC-USDT",
    "/accounts/{account}/symbols/{symbol}": "account:{account}/symbol:BTC-USDT",
}


def read(client: httpx.Client, path: str, account: str, symbol: str = "BTC-USDT") -> httpx.Response:
    return client.get("/v1/limits" + path.format(account=account, symbol=symbol))


def test_these_are_all() -> None:
    assert PATHS.keys() == SCOPES.keys()


@pytest.mark.parametrize("path", PATHS)
def test_each_names_its_scope(client: httpx.Client, account: str, path: str) -> None:
    response = read(client, path, account)
    assert response.status_code == 200, response.text
    assert response.json()["scope"] == SCOPES[path].format(account=account)


@pytest.mark.parametrize("path", [path for path in PATHS if "account" in path])
def test_an_account_that_is_not_there(client: httpx.Client, path: str) -> None:
    response = read(client, path, "nobody")
    assert (response.status_code, response.json()["code"]) == (404, "UNKNOWN_ACCOUNT")


@pytest.mark.parametrize("path", [path for path in PATHS if "symbol" in path])
def test_a_symbol_that_is_not_there(client: httpx.Client, account: str, path: str) -> None:
    response = read(client, path, account, "NO-SUCH")
    assert (response.status_code, response.json()["code"]) == (404, "UNKNOWN_SYMBOL")


@pytest.mark.parametrize("path", PATHS)
def test_a_trader_reads_its_own(trader: httpx.Client, account: str, path: str) -> None:
    response = read(trader, path, account)
    assert response.status_code == (200 if "account" in path else 403), response.text


@pytest.mark.parametrize("path", [path for path in PATHS if "account" in path])
def test_to_a_trader_others_accounts_are_as_unknown_as_none(
    api: ApiServer, trader: httpx.Client, account: str, path: str
) -> None:
    other = api.open_account(f"{account}-other")
    foreign, none = read(trader, path, other), read(trader, path, "nobody")
    assert foreign.status_code == none.status_code == 404
    assert foreign.json()["code"] == none.json()["code"]


def test_a_trader_is_not_told_which_symbols_there_are_without_limits_of_its_own(
    trader: httpx.Client, account: str
) -> None:
    assert read(trader, "/symbols/{symbol}", account).json()["code"] == "FORBIDDEN"
