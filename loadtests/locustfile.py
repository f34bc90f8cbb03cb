"""Locust users of account `load`: single orders, batches and WebSocket orders.

`make load` runs them against a server of their own. By hand, from the top folder:

    locust -f loadtests/locustfile.py --headless --users 30 --run-time 30s --host http://127.0.0.1:8000

The key is BOT4_LOAD_KEY, or the administrator's of the data folder. An answer that is not
the one that a healthy server gives counts as a failure, with what was wrong.
"""

import itertools
import os
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import orjson
from locust import FastHttpUser, User, constant_throughput, task
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from loadtests.order_bodies import OrderBodies

BATCH_ORDERS = 50
ANSWER_SECONDS_MAX = 10.0
# Orders of the mix rest, fill, or end unfilled where the market has moved.
_GOOD_STATUSES = ("NEW", "PARTIALLY_FILLED", "FILLED", "CANCELED")


def load_key() -> str:
    """The API key of the load. Raises SystemExit where there is none."""
    key = os.environ.get("BOT4_LOAD_KEY")
    file = Path(os.environ.get("BOT4_DATA_DIR") or "data") / "admin.key"
    if not key and not file.is_file():
        raise SystemExit(f"no key: set BOT4_LOAD_KEY, or BOT4_DATA_DIR to a folder with admin.key ({file})")
    return key or file.read_text().strip()


def new_bodies() -> OrderBodies:
    return OrderBodies(f"l{secrets.token_hex(6)}-", seed=secrets.randbelow(1 << 30))


def wrong_in_order(order: Any, client_order_id: str) -> str | None:
    """What is wrong with an accepted order as the server shows it; None if nothing is."""
    if not isinstance(order, dict):
        return f"not an order: {order!r}"
    if order.get("client_order_id") != client_order_id:
        return f"an answer to another order: {order.get('client_order_id')!r}"
    if order.get("status") not in _GOOD_STATUSES:
        return f"status {order.get('status')!r}, code {order.get('code')!r}"
    return None


def client_order_id_of(body: bytes) -> str:
    found: str = orjson.loads(body)["client_order_id"]
    return found


class _HttpUser(FastHttpUser):  # type: ignore[misc, unused-ignore]  # locust's stubs are partial
    abstract = True
    network_timeout = ANSWER_SECONDS_MAX

    def on_start(self) -> None:
        self.headers = {"Authorization": f"Bearer {load_key()}", "Content-Type": "application/json"}
        self.bodies = new_bodies()

    def post(self, path: str, body: bytes, status: int, wrong: Callable[[Any], str | None]) -> None:
        with self.client.post(
            path, data=body.decode(), headers=self.headers, catch_response=True
        ) as response:
            if response.status_code != status:
                response.failure(f"{response.status_code}: {response.text[:200]}")
                return
            problem = wrong(orjson.loads(response.content))
            if problem is not None:
                response.failure(problem)


class SingleOrders(_HttpUser):
    """One order a request."""

    weight = 6
    wait_time = constant_throughput(20)

    @task
    def place(self) -> None:
        body = next(self.bodies)
        sent = client_order_id_of(body)
        self.post("/v1/orders", body, 201, lambda order: wrong_in_order(order, sent))


class Batches(_HttpUser):
    """Fifty orders a request."""

    weight = 1
    wait_time = constant_throughput(2)

    @task
    def place(self) -> None:
        body = self.bodies.batch(BATCH_ORDERS)
        sent = [order["client_order_id"] for order in orjson.loads(body)["orders"]]
        self.post("/v1/orders/batch", body, 200, lambda answer: wrong_in_batch(answer, sent))


def wrong_in_batch(answer: Any, sent: list[str]) -> str | None:
    results = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(results, list) or len(results) != len(sent):
        return "not as many results as orders"
    for result, client_order_id in zip(results, sent, strict=True):
        problem = wrong_in_order(result.get("order", result), client_order_id)
        if result.get("status") != 201 or problem is not None:
            return problem or f"status {result.get('status')}"
    return None


class SocketOrders(User):  # type: ignore[misc, unused-ignore]
    """Orders over one WebSocket, each awaited; their latencies stand in Locust's table as WS."""

    weight = 3
    wait_time = constant_throughput(50)

    def on_start(self) -> None:
        self.bodies = new_bodies()
        self.numbers = itertools.count(1)
        self.opened = ExitStack()
        self.socket: ClientConnection | None = None

    def on_stop(self) -> None:
        self.opened.close()

    def _connected(self) -> ClientConnection:
        """The connection, opened again where it was lost."""
        if self.socket is None:
            parts = urlsplit(self.host or "")
            self.opened.close()
            self.socket = self.opened.enter_context(
                connect(
                    f"ws://{parts.netloc}/v1/trade",
                    additional_headers={"Authorization": f"Bearer {load_key()}"},
                    compression=None,
                    open_timeout=ANSWER_SECONDS_MAX,
                )
            )
        return self.socket

    @task
    def place(self) -> None:
        body = next(self.bodies)
        number = next(self.numbers)
        failure: Exception | None = None
        answer = b""
        started = perf_counter()
        try:
            socket = self._connected()
            started = perf_counter()  # opening a connection is no part of an order
            socket.send(b'{"id":%d,"op":"order.place","params":%b}' % (number, body), text=True)
            answer = socket.recv(ANSWER_SECONDS_MAX, decode=False)
        except (OSError, TimeoutError, WebSocketException) as error:
            failure = error
            self.socket = None
        taken_ms = (perf_counter() - started) * 1e3
        if failure is None:
            problem = wrong_in_reply(orjson.loads(answer), number, client_order_id_of(body))
            failure = AssertionError(problem) if problem else None
        self.environment.events.request.fire(
            request_type="WS",
            name="order.place",
            response_time=taken_ms,
            response_length=len(answer),
            exception=failure,
            context={},
        )


def wrong_in_reply(reply: Any, number: int, client_order_id: str) -> str | None:
    if not isinstance(reply, dict) or reply.get("id") != number:
        return f"an answer to another request: {str(reply)[:200]}"
    if reply.get("status") != 201:
        return f"status {reply.get('status')}: {str(reply.get('error'))[:200]}"
    return wrong_in_order(reply.get("result"), client_order_id)
