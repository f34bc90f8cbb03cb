"""What the tests ask a server, over HTTP and over `WS /v1/trade`."""

import contextlib
import itertools
import json
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import httpx
from websockets.sync.client import ClientConnection, connect

from tests.support.process import AUTHORIZATION

SECONDS_MAX = 30.0

Content = dict[str, Any]


def order(side: str, quantity: str, **members: str | bool) -> Content:
    """A market order for BTC-USDT of alpha, unless `members` say otherwise."""
    content = {"account": "alpha", "symbol": "BTC-USDT", "side": side, "type": "MARKET", "quantity": quantity}
    return content | members


class HttpClient:
    """`http` for what has no method of its own."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, headers=AUTHORIZATION, timeout=SECONDS_MAX)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def get(self, path: str) -> Content:
        content: Content = self.http.get(path).raise_for_status().json()
        return content

    def place(self, request: Content) -> Content:
        response = self.http.post("/v1/orders", json=request)
        assert response.status_code == 201, response.text
        content: Content = response.json()
        return content

    def order(self, order_id: str) -> Content:
        return self.get(f"/v1/orders/{order_id}")

    def positions(self, account: str = "alpha") -> dict[str, Content]:
        """By symbol."""
        return {each["symbol"]: each for each in self.get(f"/v1/accounts/{account}/positions")["items"]}

    def book(self, symbol: str = "BTC-USDT", depth: int = 20) -> tuple[dict[str, str], dict[str, str]]:
        """Quantity by price, best first: bids, asks."""
        content = self.get(f"/v1/market/{symbol}/book?depth={depth}")
        return dict(content["bids"]), dict(content["asks"])

    def await_market(self, request: Content) -> None:
        """Until this order would be taken: each symbol's market appears in its own time."""
        deadline = time.monotonic() + SECONDS_MAX
        while not (verdict := self.http.post("/v1/risk/check", json=request).raise_for_status().json())[
            "passed"
        ]:
            assert verdict["code"] == "MARKET_DATA_STALE", verdict
            assert time.monotonic() < deadline, verdict
            time.sleep(0.02)

    def await_status(self, order_id: str, status: str) -> Content:
        deadline = time.monotonic() + SECONDS_MAX
        while (found := self.order(order_id))["status"] != status:
            assert time.monotonic() < deadline, found
            time.sleep(0.02)
        return found


class TradeClient:
    """`WS /v1/trade`, one request at a time; see `trade_client`."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    def authenticate(self, key: str) -> None:
        self._socket.send(json.dumps({"op": "auth", "key": key}))
        answer = self._receive()
        assert answer["status"] == 200, answer

    def place(self, request: Content) -> Content:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "op": "order.place", "params": request}))
        answer = self._receive()
        assert (answer["id"], answer["status"]) == (number, 201), answer
        content: Content = answer["result"]
        return content

    def _receive(self) -> Content:
        content: Content = json.loads(self._socket.recv(SECONDS_MAX))
        return content


@contextlib.contextmanager
def trade_client(url: str, key: str) -> Iterator[TradeClient]:
    """Connected, and authenticated by its first message."""
    with connect(f"{url.replace('http', 'ws', 1)}/v1/trade", open_timeout=SECONDS_MAX) as socket:
        client = TradeClient(socket)
        client.authenticate(key)
        yield client
