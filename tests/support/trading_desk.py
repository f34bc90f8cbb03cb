"""An instrument of a test's own on a running server: its book and mark are what the test says."""

import time
from decimal import Decimal
from itertools import count
from typing import Any, Self

import httpx
import numpy as np

from app.commands.administration import set_policy
from app.engine.types import Policy, Side
from app.market.types import LEVEL_UPDATE, FeedState, LevelKind
from tests.support.api import ApiServer

REASON = "because a test says so"
_SECONDS_MAX = 20
_numbers = count(1)

Levels = list[tuple[str, str]]  # price and quantity


class TradingDesk:
    """Orders in one instrument (tick 0.01, step 0.001) of accounts with a million and leverage 5."""

    def __init__(self, api: ApiServer, client: httpx.Client, **changes: Any) -> None:
        self.api = api
        self.client = client
        self.symbol = f"D{next(_numbers)}-USDT"
        body = {
            "symbol": self.symbol,
            "base": self.symbol.partition("-")[0],
            "quote": "USDT",
            "price_tick": "0.01",
            "quantity_step": "0.001",
            "min_quantity": "0.001",
            "max_quantity": "90000",
            **changes,
        }
        created = client.post("/v1/instruments", json=body)
        assert created.status_code == 201, created.text
        self._instrument = api.server.reference.instruments[api.server.reference.symbols[self.symbol]]
        self.book([("150.00", "100")], [("150.02", "100")])

    @classmethod
    def of(cls, api: ApiServer, client: httpx.Client) -> Self:
        return cls(api, client)

    # The market.

    def _level(self, price: str, quantity: str, side: Side) -> tuple[int, ...]:
        instrument = self._instrument
        ticks, steps = instrument.ticks(price), instrument.steps(quantity)
        return (ticks, steps, instrument.index, int(side), int(LevelKind.SET))

    def depth(self, bids: Levels, asks: Levels) -> None:
        """The whole displayed book is this from now on; the mark stays."""
        clear = (0, 0, self._instrument.index, 0, int(LevelKind.CLEAR))
        rows = [clear, *(self._level(*each, Side.BUY) for each in bids)]
        rows += [self._level(*each, Side.SELL) for each in asks]
        market = self.api.server.market

        def show() -> None:
            market.on_feed_state(self._instrument.index, FeedState.LIVE)
            market.on_levels(np.array(rows, LEVEL_UPDATE))

        self.api.call(show)
        time.sleep(0.05)  # it is applied in the next tick

    def mark(self, price: str) -> None:
        """The mark is this from now on; the depth stays."""
        ticks = self._instrument.ticks(price)
        self.api.call(lambda: self.api.server.market.on_mark(self._instrument.index, ticks))
        instruments = self.api.server.engine.state.instruments
        deadline = time.monotonic() + _SECONDS_MAX
        while int(instruments[self._instrument.index]["mark"]) != ticks:
            assert time.monotonic() < deadline, "the mark has not come"
            time.sleep(0.005)

    def book(self, bids: Levels, asks: Levels) -> None:
        """Depth, and the mark in the middle of its best prices."""
        self.depth(bids, asks)
        middle = (Decimal(bids[0][0]) + Decimal(asks[0][0])) / 2
        self.mark(str(middle.quantize(Decimal("0.01"))))

    def quote(self, bids: Levels, asks: Levels) -> None:
        """Depth as a feed tells it: whether there is a mark is for the market to say."""
        self.depth(bids, asks)
        bid = self._instrument.ticks(bids[0][0]) if bids else 0
        ask = self._instrument.ticks(asks[0][0]) if asks else 0
        self.api.call(lambda: self.api.server.market.on_touch(self._instrument.index, bid, ask))
        time.sleep(0.5)  # more than a mark waits before it enters

    def market(self) -> dict[str, Any]:
        """As it is shown."""
        items = self.client.get("/v1/market").json()["items"]
        return next(dict(item) for item in items if item["symbol"] == self.symbol)

    def at(self, price: str) -> None:
        """A tight book around a price, and the mark there."""
        middle = Decimal(price)
        self.depth([(str(middle - Decimal("0.01")), "100")], [(str(middle + Decimal("0.01")), "100")])
        self.mark(price)

    # Accounts.

    def account(self, **limits: Any) -> str:
        name = f"desk-{next(_numbers)}"
        body = {
            "account": name,
            "deposit": "1000000",
            "leverage": 5,
            "limits": {"MAX_GROSS_EXPOSURE": "9000000", **limits},
        }
        response = self.client.post("/v1/accounts", json=body)
        assert response.status_code == 201, response.text
        return name

    def limit(self, scope: str, **limits: Any) -> None:
        body = {"limits": limits, "reason": REASON}
        response = self.client.put(f"/v1/limits/{scope}", json=body)
        assert response.status_code == 200, response.text

    def position(self, account: str) -> Decimal:
        items = self.client.get(f"/v1/accounts/{account}/positions").json()["items"]
        mine = [Decimal(item["quantity"]) for item in items if item["symbol"] == self.symbol]
        return mine[0] if mine else Decimal(0)

    def kill_switch(self, scope: str, action: str, **more: Any) -> dict[str, Any]:
        body = {"scope": scope, "action": action, "reason": REASON, **more}
        response = self.client.post("/v1/kill-switch", json=body)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def policy(self, which: Policy, value: int) -> None:
        """Set a rule of the firm, as a start does."""
        record = set_policy(which, value, 0)

        def submit() -> None:
            self.api.server.loop.submit(record)

        self.api.call(submit)

    # Orders.

    def send(self, account: str, side: str, quantity: str, price: str = "", **more: Any) -> httpx.Response:
        """LIMIT where there is a price, MARKET where not, unless `type` says otherwise."""
        body = {"account": account, "symbol": self.symbol, "side": side, "quantity": quantity, **more}
        body.setdefault("type", "LIMIT" if price else "MARKET")
        if price:
            body["price"] = price
        return self.client.post("/v1/orders", json=body)

    def take(self, account: str, side: str, quantity: str, price: str = "", **more: Any) -> str:
        """The id of an order that is accepted."""
        response = self.send(account, side, quantity, price, **more)
        assert response.status_code == 201, response.text
        return str(response.json()["order_id"])

    def refused(self, response: httpx.Response) -> str:
        """The code of a refusal."""
        assert response.status_code >= 400, response.text
        return str(response.json()["code"])

    def order(self, order_id: str) -> dict[str, Any]:
        response = self.client.get(f"/v1/orders/{order_id}")
        assert response.status_code == 200, response.text
        return dict(response.json())

    def status(self, order_id: str) -> tuple[str, str | None]:
        order = self.order(order_id)
        return order["status"], order["code"]

    def amend(self, order_id: str, **changes: str) -> httpx.Response:
        return self.client.patch(f"/v1/orders/{order_id}", json=changes)

    def close(self, account: str, **body: Any) -> httpx.Response:
        return self.client.post(f"/v1/accounts/{account}/positions/{self.symbol}/close", json=body)
