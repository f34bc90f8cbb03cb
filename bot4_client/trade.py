"""Order entry over `WS /v1/trade`: any number of requests in flight, over one connection that reconnects.

A request whose connection is lost is sent again on the next one. That is safe: every order has a
client order id, under which the server does a thing once; a cancel or an amend that turns out to be
done already gets the order as its reply.
"""

import asyncio
import itertools
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple, Self, cast

import httpx
import orjson
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from bot4_client.backoff import Backoff
from bot4_client.connection import open_socket, refusal
from bot4_client.errors import (
    Bot4Error,
    OutcomeUnknown,
    Refused,
    Unavailable,
    closed_error,
    error_of,
)
from bot4_client.types import CanceledOrders, CancelScope, Order, OrderType, Side, TimeInForce

logger = logging.getLogger(__name__)

WAIT_SECONDS = 30.0

Number = str | int | Decimal


class BatchResult(NamedTuple):
    """Either of the two is set."""

    order: Order | None
    error: Bot4Error | None


class _Lost(Exception):
    """The connection ended before the reply came."""


class _Closed(Exception):
    """By the caller."""


class Trade:
    """Use it as a context manager, or call `start` and `close`."""

    def __init__(
        self, url: str, key: str, http: httpx.AsyncClient, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        """`url`: of the server, http or https. `wait_seconds`: what a request may take, retries included."""
        self._url = url.rstrip("/").replace("http", "ws", 1) + "/v1/trade"
        self._key = key
        self._http = http
        self._wait_seconds = wait_seconds
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._socket: ClientConnection | None = None
        self._connected = asyncio.Event()
        self._failure: Bot4Error | None = None
        self._task: asyncio.Task[None] | None = None
        self._settings: dict[tuple[str, str | None], Mapping[str, Any]] = {}
        self._closed = False
        self.reconnects = -1

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End the connection; open requests end with OutcomeUnknown."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._closed = True
        self._connected.set()

    # Requests.

    async def place(
        self,
        *,
        account: str,
        symbol: str,
        side: Side,
        type: OrderType,  # noqa: A002  # as the API calls it
        quantity: Number,
        price: Number | None = None,
        stop_price: Number | None = None,
        time_in_force: TimeInForce | None = None,
        expire_at: int | None = None,
        post_only: bool = False,
        reduce_only: bool = False,
        client_order_id: str | None = None,
        self_trade_prevention: str | None = None,
    ) -> Order:
        """The order, durable, with the fills of its arrival. Raises Refused, Forbidden, Unavailable."""
        order = order_request(
            account=account,
            symbol=symbol,
            side=side,
            type=type,
            quantity=quantity,
            price=price,
            stop_price=stop_price,
            time_in_force=time_in_force,
            expire_at=expire_at,
            post_only=post_only or None,
            reduce_only=reduce_only or None,
            client_order_id=client_order_id,
            self_trade_prevention=self_trade_prevention,
        )
        found = await self._ask("order.place", order, (order["client_order_id"],))
        return cast(Order, found)

    async def place_batch(self, orders: Sequence[Mapping[str, Any]]) -> list[BatchResult]:
        """Up to 1,000 orders, applied one after the other; members as in `place`."""
        requests = [order_request(**order) for order in orders]
        ids = tuple(request["client_order_id"] for request in requests)
        found = await self._ask("order.place_batch", {"orders": requests}, ids)
        return [_batch_result(each) for each in found["results"]]

    async def cancel(self, order_id: str) -> Order:
        """The canceled order. Raises Refused (ORDER_CLOSED: it ended before), Unavailable."""
        return await self._cancel({"order_id": order_id}, partial(self.order, order_id))

    async def cancel_by_client_id(self, account: str, client_order_id: str) -> Order:
        """As `cancel`, by the id under which the account placed the order."""
        named = {"account": account, "client_order_id": client_order_id}
        return await self._cancel(named, partial(self.order_by_client_id, account, client_order_id))

    async def amend(
        self,
        order_id: str,
        *,
        price: Number | None = None,
        stop_price: Number | None = None,
        quantity: Number | None = None,
    ) -> Order:
        """`quantity` is the new total, the filled part included; `stop_price` is for a stop that waits."""
        named = {"order_id": order_id, **_changes(price, stop_price, quantity)}
        return await self._amend(named, partial(self.order, order_id))

    async def amend_by_client_id(
        self,
        account: str,
        client_order_id: str,
        *,
        price: Number | None = None,
        stop_price: Number | None = None,
        quantity: Number | None = None,
    ) -> Order:
        """As `amend`, by the id under which the account placed the order."""
        named = {
            "account": account,
            "client_order_id": client_order_id,
            **_changes(price, stop_price, quantity),
        }
        return await self._amend(named, partial(self.order_by_client_id, account, client_order_id))

    async def cancel_all(
        self, account: str | None = None, symbol: str | None = None, *, scope: CancelScope | None = None
    ) -> CanceledOrders:
        """Of an account or, with `scope="firm"` in its place, of all accounts that the key may trade."""
        given = {"account": account, "symbol": symbol, "scope": scope}
        params = {name: value for name, value in given.items() if value is not None}
        found = await self._ask("order.cancel_all", params)
        return cast(CanceledOrders, found)

    async def order(self, order_id: str) -> Order:
        return await self._read(f"/v1/orders/{order_id}")

    async def order_by_client_id(self, account: str, client_order_id: str) -> Order:
        return await self._read(f"/v1/orders/by-client-id/{account}/{client_order_id}")

    async def cancel_on_disconnect(
        self, *, enabled: bool, grace_ms: int = 0, account: str | None = None
    ) -> None:
        """Have the server cancel an account's orders when the connection is lost; asked anew on each one."""
        params: dict[str, Any] = {"enabled": enabled, "grace_ms": grace_ms, "account": account}
        self._settings["session.cancel_on_disconnect", account] = params
        await self._ask("session.cancel_on_disconnect", params)

    async def cancel_all_after(self, timeout_ms: int, account: str | None = None) -> None:
        """The dead-man timer: each call starts the time anew, 0 disarms."""
        await self._ask("session.cancel_all_after", {"timeout_ms": timeout_ms, "account": account})

    # On the way.

    async def _cancel(self, params: Mapping[str, str], read: Callable[[], Awaitable[Order]]) -> Order:
        try:
            return cast(Order, await self._ask("order.cancel", params))
        except Refused as error:
            if error.after_loss and error.code == "ORDER_CLOSED":
                order = await read()
                if order["status"] == "CANCELED":
                    return order
            raise

    async def _amend(self, params: Mapping[str, str], read: Callable[[], Awaitable[Order]]) -> Order:
        try:
            return cast(Order, await self._ask("order.amend", params))
        except Refused as error:
            if error.after_loss and error.code == "NOTHING_TO_AMEND":
                return await read()
            raise

    async def _read(self, path: str) -> Order:
        try:
            response = await self._http.get(path)
        except httpx.HTTPError as error:
            raise Unavailable(0, {"code": "UNREACHABLE", "detail": str(error)}) from error
        if response.status_code != 200:
            raise error_of(response.status_code, response.json())
        return cast(Order, response.json())

    async def _ask(self, op: str, params: Mapping[str, Any], client_order_ids: tuple[str, ...] = ()) -> Any:
        """The result, after as many tries as the time allows."""
        backoff = Backoff()
        last: Bot4Error | None = None
        lost = False
        try:
            async with asyncio.timeout(self._wait_seconds):
                while True:
                    try:
                        return await self._ask_once(op, params)
                    except Unavailable as error:
                        last = error
                    except Refused as error:
                        error.after_loss = lost
                        raise
                    except _Lost:
                        lost = True
                        continue
                    except _Closed:
                        break
                    await asyncio.sleep(backoff.next())
        except TimeoutError:
            logger.debug("no answer to %s in time", op)
        if lost or last is None:
            raise OutcomeUnknown(f"no answer to {op}", client_order_ids)
        raise last

    async def _ask_once(self, op: str, params: Mapping[str, Any]) -> Any:
        await self._connected.wait()
        if self._failure is not None:
            raise self._failure
        if self._closed:
            raise _Closed
        assert self._socket is not None
        number = next(self._numbers)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            request = {"id": number, "op": op, "params": params}
            try:
                await self._socket.send(orjson.dumps(request).decode())
            except ConnectionClosed:
                raise _Lost from None
            answer = await future
        finally:
            self._waiting.pop(number, None)
        if "error" in answer:
            raise error_of(answer["status"], answer["error"])
        return answer["result"]

    async def _run(self) -> None:
        """Keep one connection until reconnecting is useless."""
        backoff = Backoff()
        try:
            while True:
                try:
                    async with open_socket(self._url, self._key) as socket:
                        self.reconnects += 1
                        backoff.reset()
                        await self._serve(socket)
                        self._failure = closed_error(socket.close_code, socket.close_reason or "")
                except InvalidStatus as error:
                    self._failure = refusal(error)
                except (OSError, InvalidHandshake, TimeoutError) as error:
                    logger.debug("no connection: %s", error)
                if self._failure is not None:
                    self._connected.set()  # wakes all waiters
                    return
                await asyncio.sleep(backoff.next())
        finally:
            self._lose()

    async def _serve(self, socket: ClientConnection) -> None:
        self._socket = socket
        try:
            for (op, _), params in self._settings.items():
                await socket.send(orjson.dumps({"id": 0, "op": op, "params": params}).decode())
            self._connected.set()
            async for text in socket:
                found = orjson.loads(text)
                for answer in found if isinstance(found, list) else (found,):
                    future = self._waiting.get(answer["id"])
                    if future is not None and not future.done():
                        future.set_result(answer)
        except ConnectionClosed:
            logger.debug("the connection was lost")
        finally:
            self._connected.clear()
            self._socket = None
            self._lose()

    def _lose(self) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(_Lost())


def _changes(price: Number | None, stop_price: Number | None, quantity: Number | None) -> dict[str, str]:
    given = {"price": price, "stop_price": stop_price, "quantity": quantity}
    return {name: str(value) for name, value in given.items() if value is not None}


def _batch_result(found: Mapping[str, Any]) -> BatchResult:
    if "error" in found:
        return BatchResult(None, error_of(found["status"], found["error"]))
    return BatchResult(found["order"], None)


def order_request(**members: Any) -> dict[str, Any]:
    """An order as the API takes it: decimals as text, nothing that is None, a client order id in any case."""
    order = {name: value for name, value in members.items() if value is not None}
    for name in ("quantity", "price", "stop_price"):
        if name in order:
            order[name] = str(order[name])
    order.setdefault("client_order_id", uuid.uuid4().hex)
    return order
