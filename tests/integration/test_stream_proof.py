"""Everyone who watches honestly ends up with what the server has, whatever happens to connections meanwhile.

Fifty replicas, some of all accounts and some of one, over connections that are cut at random; orders as fast
as one process can send them; and two watchers that do not keep up. The seed of a run is printed.
"""

import asyncio
import itertools
import json
import random
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.streams.client import WAITING_BYTES_MAX
from app.streams.fan_out import CLOSE_TOO_SLOW
from bot4_client import Client, LiveReplica
from tests.support.api import ADMIN_KEY, ApiServer, limit_order, market_order
from tests.support.cutting_proxy import CuttingProxy
from tests.support.process import ADMIN_KEY as PROCESS_KEY
from tests.support.process import ServerProcess
from tests.support.slow_watcher import SlowWatcher

WATCHERS = 50
OF_ALL = 4  # of them; the others watch one account each
BATCH = 20
# Every order reaches up to seven replicas, all read by the one process of the test: what it
# places it must also read before SETTLE_SECONDS are over, on a busy machine too.
ORDERS_MAX = 30_000
SETTLE_SECONDS = 240.0
MEMORY_MIB_MAX = 400
CLOSE_SILENT = 1011

# What a moving market does not change.
_LASTING = ("quantity", "entry_price", "realised_pnl", "fees", "open_buy", "open_sell", "open_orders")


class Proof:
    def __init__(self, url: str, key: str, accounts: Sequence[str], seed: int) -> None:
        print(f"seed {seed}")
        self.url = url
        self.key = key
        self.accounts = accounts
        self.random = random.Random(seed)
        self.resting: list[str] = []
        self.numbers = itertools.count()
        self.placed = 0

    async def run(self, seconds: float) -> None:
        async with AsyncExitStack() as stack:
            enter = stack.enter_async_context
            trader = await enter(Client(self.url, self.key))
            witness = await enter(trader.replica())
            proxies = [await enter(CuttingProxy(self.url)) for _ in range(10)]
            clients = [await enter(Client(proxy.url, self.key)) for proxy in proxies]
            replicas = [
                await enter(
                    clients[number % 10].replica(None if number < OF_ALL else self.account_of(number))
                )
                for number in range(WATCHERS)
            ]
            cutting = asyncio.create_task(self.cut(proxies))
            deadline = time.monotonic() + seconds
            await asyncio.gather(*(self.load(trader, deadline) for _ in range(2)))
            cutting.cancel()
            await self.compare(trader, witness, replicas)
        assert sum(replica.stream.reconnects for replica in replicas) >= WATCHERS // 5
        assert [replica.stream.gaps for replica in replicas] == [0] * WATCHERS
        assert not any(replica.fills_missed for replica in replicas)

    def account_of(self, number: int) -> str:
        return self.accounts[number % len(self.accounts)]

    async def cut(self, proxies: list[CuttingProxy]) -> None:
        while True:
            await asyncio.sleep(self.random.uniform(0.02, 0.2))
            self.random.choice(proxies).cut()

    async def load(self, client: Client, deadline: float) -> None:
        """Batches of orders, half of them to rest; cancels in between."""
        while time.monotonic() < deadline:
            if self.placed >= ORDERS_MAX:
                await asyncio.sleep(0.05)  # connections are still cut
                continue
            orders = [self.order(next(self.numbers)) for _ in range(BATCH)]
            for result in await client.place_batch(orders):
                assert result.error is None, result.error
                assert result.order is not None
                self.placed += 1
                if result.order["status"] == "NEW":
                    self.resting.append(result.order["order_id"])
            for _ in range(min(5, len(self.resting) // 2)):
                order_id = self.resting.pop(self.random.randrange(len(self.resting)))
                assert (await client.cancel(order_id))["status"] == "CANCELED"

    def order(self, number: int) -> dict[str, Any]:
        account = self.random.choice(self.accounts)
        side = ("BUY", "SELL")[number % 2]
        if self.random.random() < 0.5:
            return market_order(account, side=side, quantity="0.00100")
        price = "6000.00" if side == "BUY" else "90000.00"
        return limit_order(account, side=side, quantity="0.00100", price=price)

    async def compare(self, client: Client, witness: LiveReplica, replicas: list[LiveReplica]) -> None:
        """Each replica with the server: open orders, positions, and fills, of which the witness has all."""
        orders = await self.open_orders(client)
        found = (await client.request("GET", "/v1/positions"))["items"]
        positions = {(each["account"], each["symbol"]): each for each in found}
        seq = (await client.request("GET", "/v1/system"))["durable_seq"]
        mine = set(self.accounts)

        def has_all() -> bool:
            # Asked after each message: the counts first, since thousands of orders rest.
            if len(witness.orders) < len(orders):
                return False
            return {name for name, each in witness.orders.items() if each["account"] in mine} == orders.keys()

        await witness.wait_for(has_all, SETTLE_SECONDS)
        fills = {name: fill for name, fill in witness.fills.items() if fill["account"] in mine}
        self.check_fills(fills, positions)
        for number, replica in enumerate(replicas):
            accounts = mine if number < OF_ALL else {self.account_of(number)}

            def caught_up(replica: LiveReplica = replica, accounts: set[str] = accounts) -> bool:
                return all(
                    (position := replica.positions.get(place)) is not None
                    and [position[name] for name in _LASTING] == [wanted[name] for name in _LASTING]  # type: ignore[literal-required]
                    for place, wanted in positions.items()
                    if place[0] in accounts
                )

            await replica.wait_for(caught_up, SETTLE_SECONDS)
            wanted = {name: order for name, order in orders.items() if order["account"] in accounts}
            assert {n: o for n, o in replica.orders.items() if o["account"] in accounts} == wanted
            assert {n: f for n, f in replica.fills.items() if f["account"] in accounts} == {
                name: fill for name, fill in fills.items() if fill["account"] in accounts
            }
            assert max(replica.seqs.values()) <= seq + 10_000

    async def open_orders(self, client: Client) -> dict[str, Any]:
        orders: dict[str, Any] = {}
        for account in self.accounts:
            cursor: dict[str, str] = {}
            while True:
                query = {"account": account, "limit": 500, **cursor}
                page = await client.request("GET", "/v1/orders", params=query)
                orders |= {order["order_id"]: order for order in page["items"]}
                if page["next_cursor"] is None:
                    break
                cursor = {"cursor": page["next_cursor"]}
        return orders

    def check_fills(self, fills: dict[str, Any], positions: dict[tuple[str, str], Any]) -> None:
        """They add up to the positions."""
        for (account, symbol), position in positions.items():
            if account in self.accounts:
                sums = sum(
                    Decimal(fill["quantity"]) * (1 if fill["side"] == "BUY" else -1)
                    for fill in fills.values()
                    if (fill["account"], fill["symbol"]) == (account, symbol)
                )
                assert sums == Decimal(position["quantity"])
        assert len(fills) > self.placed / 4


def test_replicas_stay_equal(api: ApiServer) -> None:
    number = len(api.server.reference.account_names)
    accounts = [api.open_account(f"proof-{number}-{each}") for each in range(10)]
    deaf = SlowWatcher(api.url, ADMIN_KEY, accounts, bytes_per_second=0)
    slow = SlowWatcher(api.url, ADMIN_KEY, accounts, bytes_per_second=1_000)
    with deaf, slow:
        asyncio.run(Proof(api.url, ADMIN_KEY, accounts, seed=1).run(seconds=1.5))
        waiting = api.call(lambda: [client.waiting_bytes for client in api.server.hub.clients])
        assert max(waiting, default=0) <= WAITING_BYTES_MAX


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_replicas_stay_equal_for_longer(tmp_path: Path, seed: int) -> None:
    with ServerProcess(tmp_path / "data") as process:
        accounts = open_accounts(process, 20)
        before = psutil.Process(process.process.pid).memory_info().rss
        deaf = SlowWatcher(process.url, PROCESS_KEY, accounts, bytes_per_second=0)
        slow = SlowWatcher(process.url, PROCESS_KEY, accounts, bytes_per_second=1_000)
        with deaf, slow:
            asyncio.run(Proof(process.url, PROCESS_KEY, accounts, seed).run(seconds=30))
            grown = psutil.Process(process.process.pid).memory_info().rss - before
            assert grown < MEMORY_MIB_MAX << 20
            # Or its pings are not answered; who does not read that it is closed is cut off a little later.
            assert deaf.close_code() in (CLOSE_TOO_SLOW, CLOSE_SILENT, None)
            assert slow.close_code() in (CLOSE_TOO_SLOW, CLOSE_SILENT, None)


def open_accounts(process: ServerProcess, count: int) -> list[str]:
    async def main() -> list[str]:
        names = [f"proof-{number}" for number in range(count)]
        async with Client(process.url, PROCESS_KEY) as client:
            for name in names:
                body = {
                    "account": name,
                    "deposit": "100000000",
                    "leverage": 10,
                    "limits": {"MAX_OPEN_ORDERS": 100_000},
                }
                await client.request("POST", "/v1/accounts", content=json.dumps(body))
            while True:
                market = (await client.request("GET", "/v1/market"))["items"]
                if all(each["mark"] for each in market):
                    return names
                await asyncio.sleep(0.05)

    return asyncio.run(main())
