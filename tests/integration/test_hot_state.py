"""Hot state in Redis against the server's own answers: the same, whatever happens to Redis."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from redis import Redis
from redis.exceptions import RedisError

from app.embedded.valkey import Valkey
from app.store import hot_keys as keys
from app.store.hot_reader import HotReader, NotSynced
from tests.support.api import ApiServer, limit_order, market_order

_SECONDS_MAX = 60
_ACCOUNT_FIELDS = ("cash", "equity", "initial_margin", "realised_pnl", "fees", "trading_state", "open_orders")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.02)


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    """One of our own, that may be killed: it keeps nothing."""
    server = Valkey(tmp_path / "valkey")
    server.start()
    yield server
    server.stop()


class Projector:
    """The projector as a process, beside the server of the API tests."""

    def __init__(self, api: ApiServer, url: str) -> None:
        self._journal = api.server.settings.journal_dir
        self._url = url

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app.store.hot_projector", str(self._journal)],
            env={**os.environ, "BOT4_REDIS_URL": self._url},
            stdin=subprocess.PIPE,
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()  # as when the server is gone
        assert self.process.wait(_SECONDS_MAX) == 0


def caught_up(api: ApiServer, reader: HotReader) -> None:
    """Wait until Redis has all that is durable now."""
    seq = api.server.loop.durable_seq

    def there() -> bool:
        try:
            return reader.meta().seq >= seq
        except (NotSynced, RedisError):
            return False

    until(there)


def assert_same(api: ApiServer, reader: HotReader, *accounts: str) -> None:
    caught_up(api, reader)
    with api.client() as http:
        for account in accounts:
            expected = http.get(f"/v1/accounts/{account}").json()
            found = reader.account(account)
            assert found is not None
            assert {name: found[name] for name in _ACCOUNT_FIELDS} == {
                name: expected[name] for name in _ACCOUNT_FIELDS
            }
            positions = http.get(f"/v1/accounts/{account}/positions").json()["items"]
            assert reader.positions(account) == {item["symbol"]: item for item in positions}
            orders = http.get("/v1/orders", params={"account": account, "limit": 500}).json()["items"]
            assert reader.open_orders(account) == {item["order_id"]: item for item in orders}
            limits = http.get(f"/v1/limits/accounts/{account}").json()
            assert reader.limits()[f"account:{account}"]["version"] == limits["version"]


def trade(http: httpx.Client, account: str, orders: int = 6) -> None:
    ids = []
    for number in range(orders):
        resting = http.post("/v1/orders", json=limit_order(account, price=f"{49000 - number}.00"))
        assert resting.status_code == 201, resting.text
        ids.append(resting.json()["order_id"])
    assert http.post("/v1/orders", json=market_order(account, quantity="0.02")).status_code == 201
    assert http.delete(f"/v1/orders/{ids[0]}").status_code == 200
    assert http.delete(f"/v1/orders/{ids[0]}").status_code == 409
    assert http.patch(f"/v1/orders/{ids[1]}", json={"quantity": "0.005"}).status_code == 200
    assert http.post("/v1/orders", json=limit_order(account, price="0.001")).status_code == 422


def test_redis_shows_what_the_server_shows(api: ApiServer, account: str, valkey: Valkey) -> None:
    other = f"{account}-other"
    with api.client() as http, Projector(api, valkey.url):
        reader = HotReader.connect(valkey.url)
        trade(http, account)
        assert_same(api, reader, account)
        # And what comes once it is there, a new account among it.
        api.open_account(other)
        trade(http, other)
        trade(http, account)
        assert_same(api, reader, account, other)
        assert reader.account("nobody") is None
        assert set(reader.instruments()) == set(api.server.reference.symbols)
        assert reader.marks()["BTC-USDT"]["mark"] == "50000.00"
        halted = {
            "scope": f"account:{account}",
            "action": "halt",
            "cancel_open_orders": True,
            "reason": "test",
        }
        assert http.post("/v1/kill-switch", json=halted).status_code == 200
        assert_same(api, reader, account, other)
        assert reader.trading_states()[f"account:{account}"] == "HALTED"
        assert reader.open_orders(account) == {}
        reader.close()


def test_every_event_is_in_the_stream_once_and_in_order(api: ApiServer, account: str, valkey: Valkey) -> None:
    with api.client() as http, Projector(api, valkey.url):
        reader = HotReader.connect(valkey.url)
        caught_up(api, reader)
        begin = f"{reader.meta().seq}-1000000"
        trade(http, account)
        caught_up(api, reader)
        entries = [entry for entry in reader.events(begin) if entry.data.get("account") == account]
        kinds = [entry.kind for entry in entries]
        assert kinds.count("ORDER_ACCEPTED") == 7
        assert kinds.count("ORDER_FILLED") == 1
        assert kinds.count("ORDER_CANCELED") == 1
        places = [tuple(map(int, entry.id.split("-"))) for entry in entries]
        assert places == sorted(set(places))
        # Read on from the middle: the rest, and nothing twice.
        middle = entries[3].id
        rest = [entry.id for entry in reader.events(middle) if entry.data.get("account") == account]
        assert rest == [entry.id for entry in entries[4:]]
        reader.close()


def test_a_flushed_redis_is_written_anew(api: ApiServer, account: str, valkey: Valkey) -> None:
    with api.client() as http, Projector(api, valkey.url):
        reader = HotReader.connect(valkey.url)
        trade(http, account)
        assert_same(api, reader, account)
        client = Redis.from_url(valkey.url)
        client.flushall()
        client.set("somebody-elses", "kept")
        trade(http, account)
        assert_same(api, reader, account)
        assert client.get("somebody-elses") == b"kept"
        client.close()
        reader.close()


def test_a_redis_that_dies_comes_back_with_all_of_it(api: ApiServer, account: str, valkey: Valkey) -> None:
    with api.client() as http, Projector(api, valkey.url):
        reader = HotReader.connect(valkey.url)
        trade(http, account)
        assert_same(api, reader, account)
        assert valkey.process is not None
        valkey.process.kill()
        valkey.process.wait()
        trade(http, account)  # orders do not notice
        valkey.start()
        trade(http, account)
        assert_same(api, reader, account)
        reader.close()


def test_a_projector_that_comes_back_goes_on_and_leaves_no_stranger(
    api: ApiServer, account: str, valkey: Valkey
) -> None:
    with api.client() as http:
        reader = HotReader.connect(valkey.url)
        client: Any = Redis.from_url(valkey.url)
        client.hset(keys.orders(account), "1", "{}")  # of an earlier life
        with Projector(api, valkey.url):
            trade(http, account)
            assert_same(api, reader, account)
        trade(http, account)
        with Projector(api, valkey.url) as killed:
            caught_up(api, reader)
            killed.process.kill()
            killed.process.wait()
            killed.process.returncode = 0
        trade(http, account)
        with Projector(api, valkey.url):
            assert_same(api, reader, account)
        client.close()
        reader.close()


def test_a_redis_without_hot_state_says_so(valkey: Valkey) -> None:
    reader = HotReader.connect(valkey.url)
    with pytest.raises(NotSynced):
        reader.accounts()
    reader.close()
