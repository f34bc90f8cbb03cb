"""A stream resumes over kill -9: what memory has lost is read from the journal, and nothing is missing."""

from pathlib import Path
from typing import Any

import httpx

from tests.support.api import limit_order, market_order
from tests.support.process import ADMIN_KEY, AUTHORIZATION, ServerProcess
from tests.support.stream import Watcher, check_chain, watch

CHANNELS = ("orders", "fills", "risk")


def place(client: httpx.Client, *orders: dict[str, Any]) -> None:
    response = client.post("/v1/orders/batch", json={"orders": orders})
    assert {result["status"] for result in response.json()["results"]} == {201}, response.text


def await_market(client: httpx.Client) -> None:
    while client.post("/v1/orders", json=market_order("alpha")).status_code != 201:
        pass


def follow(watcher: Watcher, from_seq: int | None) -> None:
    """Read all that comes on the channels until it is quiet."""
    again = {} if from_seq is None else {"from_seq": from_seq}
    watcher.subscribe(*({"name": name, "account": "load"} for name in CHANNELS), **again)
    watcher.wait_until_quiet()


def test_a_stream_resumes_from_the_journal(tmp_path: Path) -> None:
    process = ServerProcess(tmp_path / "data")
    seqs: list[int] = []
    with process, httpx.Client(base_url=process.url, headers=AUTHORIZATION, trust_env=False) as client:
        await_market(client)
        with watch(process.url, ADMIN_KEY) as watcher:
            follow(watcher, None)
            place(client, *[market_order("load", quantity="0.001") for _ in range(20)])
            watcher.wait_until_quiet()
            first = {name: watcher.of(name, "load") for name in CHANNELS}
        seqs.append(min(messages[-1]["seq"] for messages in first.values()))
        # Nobody watches: many ticks, then the end without a word.
        for _ in range(30):
            place(client, *[market_order("load", quantity="0.001") for _ in range(10)])
        client.put(
            "/v1/limits/accounts/load", json={"limits": {"MAX_OPEN_ORDERS": 1_000}, "reason": "a test"}
        )
        place(client, *[limit_order("load", price="900.00", quantity="0.01") for _ in range(3)])
        fills = client.get("/v1/system").json()["counts"]["fills"] - 1  # the first was of alpha
        process.kill()

    with process, httpx.Client(base_url=process.url, headers=AUTHORIZATION, trust_env=False) as client:
        with watch(process.url, ADMIN_KEY) as watcher:
            follow(watcher, seqs[0])
            place(client, limit_order("load", price="900.00", quantity="0.01"))
            watcher.wait_until_quiet()
            again = {name: watcher.of(name, "load") for name in CHANNELS}
        for name in CHANNELS:
            assert not [message for message in again[name] if message["type"] == "snapshot"]
            check_chain([{"type": "resumed", "seq": seqs[0]}, *again[name]])
        shown = [
            fill["fill_id"]
            for messages in (first["fills"], again["fills"])
            for message in messages
            for fill in message.get("data", ())
        ]
        assert len(set(shown)) == fills
        changes = [item for message in again["risk"] for item in message.get("data", ())]
        assert [item["value"] for item in changes if item["event"] == "limit"] == [1_000]
        orders: dict[str, Any] = {}
        for message in first["orders"] + again["orders"]:
            for order in message.get("data", ()):
                orders[order["order_id"]] = order
        working = {name: order for name, order in orders.items() if order["status"] == "NEW"}
        page = client.get("/v1/orders", params={"account": "load"}).json()["items"]
        assert working == {order["order_id"]: order for order in page}
        assert len(working) == 4
