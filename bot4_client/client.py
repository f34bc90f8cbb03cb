"""Client of one server with one key: orders, streams, replicas, and plain HTTP for the rest of the API."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Self, cast

import httpx

from bot4_client.errors import Unavailable, error_of
from bot4_client.replica import LiveReplica
from bot4_client.stream import Channel, Stream
from bot4_client.trade import WAIT_SECONDS, BatchResult, Number, Trade
from bot4_client.types import Account, CanceledOrders, CancelScope, Order

HTTP_SECONDS_MAX = 30.0


class Client:
    """`async with Client("http://127.0.0.1:8000", key) as client: ...`

    The trade connection is opened with the context and comes back by itself. `trade` has all of order
    entry; the methods here are its busiest ones.
    """

    def __init__(self, url: str, key: str, wait_seconds: float = WAIT_SECONDS) -> None:
        """`wait_seconds`: how long an order request may take, reconnects and retries included."""
        self._url = url.rstrip("/")
        self._key = key
        self.http = httpx.AsyncClient(
            base_url=self._url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=HTTP_SECONDS_MAX,
            trust_env=False,
        )
        self.trade = Trade(self._url, key, self.http, wait_seconds)

    async def __aenter__(self) -> Self:
        self.trade.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.trade.close()
        await self.http.aclose()

    async def place(self, **order: Any) -> Order:
        """As `Trade.place`."""
        return await self.trade.place(**order)

    async def place_batch(self, orders: Sequence[Mapping[str, Any]]) -> list[BatchResult]:
        """As `Trade.place_batch`."""
        return await self.trade.place_batch(orders)

    async def cancel(self, order_id: str) -> Order:
        """As `Trade.cancel`."""
        return await self.trade.cancel(order_id)

    async def amend(self, order_id: str, **changes: Any) -> Order:
        """As `Trade.amend`."""
        return await self.trade.amend(order_id, **changes)

    async def cancel_by_client_id(self, account: str, client_order_id: str) -> Order:
        """As `Trade.cancel_by_client_id`."""
        return await self.trade.cancel_by_client_id(account, client_order_id)

    async def amend_by_client_id(self, account: str, client_order_id: str, **changes: Any) -> Order:
        """As `Trade.amend_by_client_id`."""
        return await self.trade.amend_by_client_id(account, client_order_id, **changes)

    async def cancel_all(
        self, account: str | None = None, symbol: str | None = None, *, scope: CancelScope | None = None
    ) -> CanceledOrders:
        """As `Trade.cancel_all`."""
        return await self.trade.cancel_all(account, symbol, scope=scope)

    async def transfer(
        self, account: str, amount: Number, reason: str, client_transfer_id: str | None = None
    ) -> dict[str, Any]:
        """Pay in (positive) or out (negative). Raises Bot4Error.

        After Unavailable send it again with the same client transfer id: it moves money once.
        """
        body = {
            "amount": str(amount),
            "reason": reason,
            "client_transfer_id": client_transfer_id or uuid.uuid4().hex,
        }
        found: dict[str, Any] = await self.request("POST", f"/v1/accounts/{account}/transfers", json=body)
        return found

    async def set_leverage(self, account: str, leverage: int, reason: str) -> Account:
        """Returns the changed account. Raises Bot4Error."""
        body = {"leverage": leverage, "reason": reason}
        return cast(Account, await self.request("PATCH", f"/v1/accounts/{account}", json=body))

    async def request(self, method: str, path: str, **options: Any) -> Any:
        """Call any other route of the API; returns its JSON. Raises Bot4Error."""
        try:
            response = await self.http.request(method, path, **options)
        except httpx.HTTPError as error:
            raise Unavailable(0, {"code": "UNREACHABLE", "detail": str(error)}) from error
        if response.status_code >= 400:
            raise error_of(response.status_code, response.json())
        return response.json()

    def stream(self, *channels: Channel, batch: bool = True) -> Stream:
        """Watch channels: iterate over the result."""
        return Stream(self._url, self._key, channels, batch=batch)

    def replica(self, account: str | None = None) -> LiveReplica:
        """Orders, fills, positions and accounts, of one account or of all that the key may read."""
        names = ("orders", "fills", "positions", "accounts")
        return LiveReplica(self.stream(*(Channel(name, account) for name in names)))
