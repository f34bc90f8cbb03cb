"""kill -9 at random moments under load: what was acknowledged is there, once, after every restart."""

import asyncio
import itertools
import json
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from app.engine.engine import Engine
from app.engine.state import state_hash
from app.runtime.recovery import recover
from app.runtime.replay import replay
from tests.support.process import AUTHORIZATION, ServerProcess

IN_FLIGHT = 64
LOAD_SECONDS = (0.02, 0.6)
FINAL = {"FILLED", "CANCELED", "REJECTED", "EXPIRED"}

Order = dict[str, Any]


class Client:
    """Sends random orders and cancels, and remembers every answer it got."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.acknowledged: dict[str, Order] = {}  # by client order id, the newest answer
        self.working: list[str] = []
        self.numbers = itertools.count(1)
        self.sent: dict[int, str] = {}
        self.unanswered: set[str] = set()

    def _request(self) -> dict[str, Any]:
        number = next(self.numbers)
        if self.working and self.random.random() < 0.3:
            client_order_id = self.working.pop(self.random.randrange(len(self.working)))
            self.sent[number] = client_order_id
            order_id = self.acknowledged[client_order_id]["order_id"]
            return {"id": number, "op": "order.cancel", "params": {"order_id": order_id}}
        client_order_id = f"crash-{number}"
        self.sent[number] = client_order_id
        self.unanswered.add(client_order_id)
        order = {
            "account": "load",
            "symbol": self.random.choice(("BTC-USDT", "ETH-USDT")),
            "side": self.random.choice(("BUY", "SELL")),
            "type": "MARKET",
            "quantity": "0.01",
            "client_order_id": client_order_id,
        }
        if self.random.random() < 0.7:
            far = {"BUY": "900.00", "SELL": "99000.00"}
            order |= {"type": "LIMIT", "price": far[order["side"]]}
        return {"id": number, "op": "order.place", "params": order}

    def _note(self, answer: dict[str, Any]) -> None:
        client_order_id = self.sent.pop(answer["id"])
        if "error" in answer:
            assert answer["error"]["code"] in {"ORDER_CLOSED", "ORDER_PENDING"}, answer
            return
        order = answer["result"]
        self.unanswered.discard(client_order_id)
        self.acknowledged[client_order_id] = order
        if order["status"] == "NEW":
            self.working.append(client_order_id)

    async def load(self, url: str) -> None:
        """Keep requests in flight until the connection breaks."""
        self.sent.clear()
        try:
            async with connect(
                f"{url.replace('http', 'ws')}/v1/trade", additional_headers=AUTHORIZATION
            ) as socket:
                for _ in range(IN_FLIGHT):
                    await socket.send(json.dumps(self._request()))
                await self._exchange(socket)
        except (ConnectionClosed, OSError):
            return

    async def _exchange(self, socket: ClientConnection) -> None:
        while True:
            for answer in _answers(await socket.recv()):
                self._note(answer)
                await socket.send(json.dumps(self._request()))


def _answers(message: str | bytes) -> Iterator[dict[str, Any]]:
    parsed = json.loads(message)
    yield from parsed if isinstance(parsed, list) else [parsed]


async def _load_and_kill(server: ServerProcess, client: Client, seconds: float) -> None:
    load = asyncio.create_task(client.load(server.url))
    await asyncio.sleep(seconds)
    await asyncio.to_thread(server.kill)
    await load


def _all_orders(server: ServerProcess) -> dict[str, Order]:
    """Every order of the account by client order id; fails where one is there twice."""
    orders: dict[str, Order] = {}
    with httpx.Client(base_url=server.url, headers=AUTHORIZATION, timeout=30) as http:
        parameters = {"account": "load", "status": "all", "limit": "500"}
        while True:
            page = http.get("/v1/orders", params=parameters).raise_for_status().json()
            for order in page["items"]:
                assert order["client_order_id"] not in orders, f"twice: {order}"
                orders[order["client_order_id"]] = order
            if page["next_cursor"] is None:
                return orders
            parameters["cursor"] = page["next_cursor"]


def _check(client: Client, orders: dict[str, Order]) -> None:
    for client_order_id, known in client.acknowledged.items():
        order = orders.get(client_order_id)
        assert order is not None, f"lost: {known}"
        assert order["order_id"] == known["order_id"]
        assert order["seq"] >= known["seq"]
        assert float(order["filled_quantity"]) >= float(known["filled_quantity"])
        if known["status"] in FINAL:
            assert order["status"] == known["status"], (known, order)
    for client_order_id in orders.keys() - client.acknowledged.keys():
        # The answer was lost with the connection: it may have taken effect, but only if it was sent.
        assert client_order_id in client.unanswered


@pytest.mark.parametrize(
    "points", [pytest.param(6, id="short"), pytest.param(50, id="long", marks=pytest.mark.slow)]
)
def test_nothing_acknowledged_is_lost(points: int, data_dir: Path) -> None:
    seed = int(os.environ.get("BOT4_TEST_SEED", time.time_ns() % 1_000_000))
    print(f"seed {seed}: BOT4_TEST_SEED={seed} repeats it")
    client = Client(seed)
    server = ServerProcess(data_dir)
    with server:
        for _ in range(points):
            asyncio.run(_load_and_kill(server, client, client.random.uniform(*LOAD_SECONDS)))
            server.start()
            _check(client, _all_orders(server))
        assert client.acknowledged, "the load never got through"
        assert server.stop() == 0
    recovered = Engine()
    recover(server.journal, recovered)
    assert state_hash(recovered.state) == replay(server.journal).state_hash
