"""`bot4_client` against a real server, over connections that are cut."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bot4_client import Channel, Client, Forbidden, OutcomeUnknown, Refused, Unauthorized, stream
from tests.support.api import ADMIN_KEY, ApiServer, limit_order, market_order
from tests.support.cutting_proxy import CuttingProxy

Run = Callable[[Callable[[Client, CuttingProxy], Awaitable[None]]], None]


@pytest.fixture
def run(api: ApiServer) -> Run:
    """Run a test with a client that reaches the server through a proxy."""

    def run(test: Callable[[Client, CuttingProxy], Awaitable[None]]) -> None:
        async def main() -> None:
            async with (
                asyncio.timeout(30),
                CuttingProxy(api.url) as proxy,
                Client(proxy.url, ADMIN_KEY) as client,
            ):
                await test(client, proxy)

        asyncio.run(main())

    return run


def test_orders_are_placed_amended_and_canceled(run: Run, account: str) -> None:
    async def test(client: Client, _proxy: CuttingProxy) -> None:
        order = await client.place(**limit_order(account, client_order_id="mine"))
        assert (order["status"], order["client_order_id"]) == ("NEW", "mine")
        again = await client.place(**limit_order(account, client_order_id="mine"))
        assert again["order_id"] == order["order_id"]
        order = await client.amend(order["order_id"], price="48000", quantity="0.005")
        assert (order["price"], order["quantity"]) == ("48000.00", "0.00500")
        assert await client.trade.order_by_client_id(account, "mine") == order | {"fills": []}
        assert (await client.cancel(order["order_id"]))["status"] == "CANCELED"
        with pytest.raises(Refused) as refused:
            await client.cancel(order["order_id"])
        assert (refused.value.status, refused.value.code) == (409, "ORDER_CLOSED")
        found = await client.place_batch([market_order(account), limit_order(account, price="0.001")])
        assert found[0].order is not None and found[0].order["status"] == "FILLED"
        assert found[1].error is not None and found[1].error.code == "PRICE_TICK"
        await client.place(**limit_order(account))
        assert (await client.cancel_all(account))["canceled"] == 1
        positions = await client.request("GET", f"/v1/accounts/{account}/positions")
        assert positions["items"][0]["quantity"] == "0.01000"
        with pytest.raises(Refused, match="UNKNOWN_SYMBOL"):
            await client.request("GET", "/v1/market/NO-SUCH/book")

    run(test)


def test_a_lost_answer_does_not_place_an_order_twice(run: Run, account: str) -> None:
    async def lose(client: Client, proxy: CuttingProxy, work: Awaitable[Any]) -> Any:
        """Let the request pass and its answer not."""
        await client.trade.cancel_all_after(0, account)  # connected
        proxy.deaf = True
        task = asyncio.ensure_future(work)
        await asyncio.sleep(0.1)
        proxy.deaf = False
        proxy.cut()
        return await task

    async def test(client: Client, proxy: CuttingProxy) -> None:
        order = await lose(client, proxy, client.place(**limit_order(account)))
        found = await client.request("GET", "/v1/orders", params={"account": account, "status": "all"})
        assert [each["order_id"] for each in found["items"]] == [order["order_id"]]
        amended = await lose(client, proxy, client.amend(order["order_id"], price="48000"))
        assert amended["price"] == "48000.00"
        canceled = await lose(client, proxy, client.cancel(order["order_id"]))
        assert canceled["status"] == "CANCELED"
        batch = await lose(client, proxy, client.place_batch([market_order(account)] * 3))
        assert len({each.order["order_id"] for each in batch}) == 3
        found = await client.request("GET", "/v1/orders", params={"account": account, "status": "all"})
        assert len(found["items"]) == 4
        assert client.trade.reconnects == 4

    run(test)


def test_an_answer_that_never_comes_is_an_unknown_outcome(api: ApiServer, account: str) -> None:
    async def main() -> None:
        async with CuttingProxy(api.url) as proxy, Client(proxy.url, ADMIN_KEY, wait_seconds=0.5) as client:
            await client.cancel_all(account)
            proxy.deaf = True
            with pytest.raises(OutcomeUnknown) as unknown:
                await client.place(**limit_order(account, client_order_id="lost"))
            assert unknown.value.client_order_ids == ("lost",)
            proxy.deaf = False
            order = await client.trade.order_by_client_id(account, "lost")
            assert order["status"] == "NEW"

    asyncio.run(main())


def test_a_wrong_key_is_not_tried_again(api: ApiServer, account: str) -> None:
    async def main() -> None:
        async with Client(api.url, "wrong") as client:
            with pytest.raises(Unauthorized):
                await client.place(**limit_order(account))
            with pytest.raises(Unauthorized):
                async for _ in client.stream(Channel("marks")):
                    pass
        number, key = api.make_key("trader", account)
        async with Client(api.url, key) as client:
            with pytest.raises(Forbidden):
                async for _ in client.stream(Channel("orders", "alpha")):
                    pass
            await client.place(**limit_order(account))
            with api.client() as admin:
                admin.delete(f"/v1/keys/{number}")
            with pytest.raises(Unauthorized):
                await client.place(**limit_order(account))

    asyncio.run(main())


def test_a_replica_stays_equal_through_cuts(run: Run, account: str, api: ApiServer) -> None:
    async def test(client: Client, proxy: CuttingProxy) -> None:
        await client.place(**limit_order(account, client_order_id="before"))
        async with client.replica(account) as replica, Client(api.url, ADMIN_KEY) as direct:
            assert len(replica.orders) == 1
            for number in range(5):
                proxy.cut()
                await direct.place(**limit_order(account, client_order_id=f"r-{number}"))
                await direct.place(**market_order(account))
            await direct.cancel((await direct.trade.order_by_client_id(account, "r-0"))["order_id"])
            await replica.wait_for(lambda: len(replica.fills) == 5 and len(replica.orders) == 5)
            found = await direct.request("GET", "/v1/orders", params={"account": account})
            assert replica.orders == {order["order_id"]: order for order in found["items"]}
            found = await direct.request("GET", f"/v1/accounts/{account}/positions")
            position = found["items"][0]
            await replica.wait_for(lambda: list(replica.positions.values()) == [position])
            equity = (await direct.request("GET", f"/v1/accounts/{account}"))["equity"]
            await replica.wait_for(lambda: replica.accounts[account]["equity"] == equity)
            assert replica.stream.reconnects > 0
            assert (replica.stream.gaps, replica.fills_missed) == (0, False)

    run(test)


def test_a_gap_begins_the_stream_anew(run: Run, account: str, monkeypatch: pytest.MonkeyPatch) -> None:
    follows = stream.Stream._follows
    lost: list[Any] = []

    def lose_one(self: stream.Stream, message: stream.Message) -> bool:
        if message["type"] == "update" and not lost:
            lost.append(message)
            return follows(self, message | {"prev_seq": message["prev_seq"] - 1})
        return follows(self, message)

    async def test(client: Client, _proxy: CuttingProxy) -> None:
        async with client.replica(account) as replica:
            monkeypatch.setattr(stream.Stream, "_follows", lose_one)
            order = await client.place(**limit_order(account))
            del order["fills"]
            await replica.wait_for(lambda: replica.orders == {order["order_id"]: order})
            assert replica.stream.gaps == 1

    run(test)


def test_orders_are_named_by_client_order_id(run: Run, account: str) -> None:
    async def test(client: Client, _proxy: CuttingProxy) -> None:
        await client.place(**limit_order(account, client_order_id="mine"))
        amended = await client.amend_by_client_id(account, "mine", quantity="0.005")
        assert amended["quantity"] == "0.00500"
        assert (await client.cancel_by_client_id(account, "mine"))["status"] == "CANCELED"
        with pytest.raises(Refused, match="UNKNOWN_ORDER"):
            await client.cancel_by_client_id(account, "other")

    run(test)


def test_everybodys_orders_are_canceled_with_the_word(run: Run, account: str) -> None:
    async def test(client: Client, _proxy: CuttingProxy) -> None:
        await client.place(**limit_order(account))
        for symbol in (None, "BTC-USDT"):
            with pytest.raises(Refused, match="scope=firm"):
                await client.cancel_all(symbol=symbol)
        assert (await client.cancel_all(scope="firm"))["canceled"] >= 1

    run(test)
