"""Replica: a copy of the server's orders, fills, positions and accounts, kept equal by a stream."""

import asyncio
from collections.abc import Callable
from typing import Any, Self

from bot4_client.stream import Message, Stream
from bot4_client.types import FINAL, Account, Fill, Order, Position

FILLS_MAX = 100_000


class Replica:
    """The state that a stream has sent.

    `orders`: the open ones, by order id. `fills`: the newest, by fill id, in order. `positions`: by account
    and symbol. `accounts`: by name. `fills_missed`: a resume was not possible, so fills in between may be
    missing. `seqs`: by channel and key, the last seq applied.
    """

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.fills: dict[str, Fill] = {}
        self.positions: dict[tuple[str, str], Position] = {}
        self.accounts: dict[str, Account] = {}
        self.fills_missed = False
        self.seqs: dict[tuple[str, str], int] = {}
        self._parts: dict[tuple[str, str], list[Any]] = {}

    def apply(self, message: Message) -> None:
        """Apply one message of a stream; parts of a snapshot take effect when all are there."""
        place = message["channel"], message["key"]
        if message["type"] == "snapshot":
            part = self._parts.setdefault(place, [])
            part += message["data"]
            if message.get("more"):
                return
            self._restart(message, self._parts.pop(place))
        elif message["type"] == "update":
            self._update(message["channel"], message["data"])
        if not message.get("more"):
            self.seqs[place] = message["seq"]

    def _restart(self, message: Message, items: list[Any]) -> None:
        channel, key = message["channel"], message["key"]

        def kept(account: str) -> bool:
            return key not in ("*", account)

        if channel == "orders":
            self.orders = {name: order for name, order in self.orders.items() if kept(order["account"])}
        elif channel == "positions":
            self.positions = {name: each for name, each in self.positions.items() if kept(each["account"])}
        elif channel == "accounts":
            self.accounts = {name: each for name, each in self.accounts.items() if kept(each["account"])}
        elif channel == "fills" and message.get("resumed") is False:
            self.fills_missed = True
        self._update(channel, items)

    def _update(self, channel: str, items: list[Any]) -> None:
        if channel == "orders":
            for order in items:
                if order["status"] in FINAL:
                    self.orders.pop(order["order_id"], None)
                else:
                    self.orders[order["order_id"]] = order
        elif channel == "fills":
            for fill in items:
                self.fills[fill["fill_id"]] = fill
            while len(self.fills) > FILLS_MAX:
                del self.fills[next(iter(self.fills))]
        elif channel == "positions":
            for position in items:
                self.positions[position["account"], position["symbol"]] = position
        elif channel == "accounts":
            for account in items:
                self.accounts[account["account"]] = account


class LiveReplica(Replica):
    """A replica that follows a stream for as long as the context lasts; it is complete on entry."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.stream = stream
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._channels = {channel.name for channel in stream.channels}

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow())
        await self.wait_for(lambda: self._channels <= {channel for channel, _ in self.seqs})
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def wait_for(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until the condition holds. Raises TimeoutError, and the error that ended the stream."""
        async with asyncio.timeout(seconds), self._changed:
            while not condition():
                if self._task is not None and self._task.done():
                    self._task.result()
                    raise RuntimeError("the stream has ended")
                await self._changed.wait()

    async def _follow(self) -> None:
        try:
            async for message in self.stream:
                async with self._changed:
                    self.apply(message)
                    self._changed.notify_all()
        finally:
            async with self._changed:
                self._changed.notify_all()
