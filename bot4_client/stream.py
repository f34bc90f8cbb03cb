"""Stream client of `WS /v1/stream`: it reconnects, resumes, and checks that no message is missing."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, NamedTuple

import orjson
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from bot4_client.backoff import Backoff
from bot4_client.connection import open_socket, refusal
from bot4_client.errors import closed_error, error_of

logger = logging.getLogger(__name__)

# The server sends a heartbeat each 5 seconds.
SILENCE_SECONDS_MAX = 15.0

_LOGS = frozenset(("orders", "fills", "risk"))
_OF_ACCOUNTS = _LOGS | {"positions", "accounts"}

Message = dict[str, Any]


class Channel(NamedTuple):
    """What to watch; members as in the API. Without `account` or `symbol`: all that the key may read."""

    name: str
    account: str | None = None
    symbol: str | None = None
    interval: str | None = None

    def request(self) -> dict[str, Any]:
        return {name: value for name, value in self._asdict().items() if value is not None}


class _Position:
    """The position in one channel and key: `seq` of the last message, `complete` of the last whole one."""

    __slots__ = ("complete", "seq")

    def __init__(self) -> None:
        self.seq: int | None = None
        self.complete: int | None = None


class Stream:
    """Iterate over it: snapshots, updates and `resumed`, in order, for as long as the key is good.

    After a lost connection it continues where it broke off. If the server cannot resume, it begins again with
    a snapshot (`"resumed": false` in the channels of events). `reconnects` and `gaps` count; a gap is a
    message that did not follow the one before, after which the stream begins anew.
    """

    def __init__(self, url: str, key: str, channels: Iterable[Channel], *, batch: bool = True) -> None:
        self._url = url.rstrip("/").replace("http", "ws", 1) + "/v1/stream"
        self._key = key
        self.channels = list(channels)
        self._batch = batch
        self._positions: dict[tuple[str, str], _Position] = {}
        self.reconnects = -1
        self.gaps = 0

    async def __aiter__(self) -> AsyncIterator[Message]:
        """Raises Unauthorized, Forbidden, Refused (an unknown channel)."""
        backoff = Backoff()
        while True:
            try:
                async with open_socket(self._url, self._key) as socket:
                    self.reconnects += 1
                    await socket.send(orjson.dumps(self._subscribe()).decode())
                    async for message in self._messages(socket):
                        backoff.reset()
                        yield message
            except InvalidStatus as error:
                final = refusal(error)
                if final is not None:
                    raise final from None
            except ConnectionClosed:
                final = closed_error(socket.close_code, socket.close_reason or "")
                if final is not None:
                    raise final from None
            except (OSError, InvalidHandshake, TimeoutError) as error:
                logger.debug("no stream: %s", error)
            await asyncio.sleep(backoff.next())

    async def _messages(self, socket: ClientConnection) -> AsyncIterator[Message]:
        """Messages until there is a gap, or the connection ends."""
        while True:
            async with asyncio.timeout(SILENCE_SECONDS_MAX):
                found = orjson.loads(await socket.recv())
            for message in found if isinstance(found, list) else (found,):
                if "status" in message:
                    self._answered(message)
                elif message["type"] != "heartbeat":
                    if not self._follows(message):
                        self.gaps += 1
                        logger.warning("a gap in %s of %s", message["channel"], message["key"])
                        self._positions.clear()
                        return
                    yield message

    def _subscribe(self) -> dict[str, Any]:
        channels = [channel.request() for channel in self.channels]
        if self._positions:
            channels = list(self._again())
        return {"op": "subscribe", "id": 1, "batch": self._batch, "channels": channels}

    def _again(self) -> Iterator[dict[str, Any]]:
        """The channels and keys of before, the logs from their positions."""
        for (name, key), position in self._positions.items():
            request: dict[str, Any] = {"name": name}
            if key != "*" and name in _OF_ACCOUNTS:
                request["account"] = key
            elif key != "*":
                request["symbol"], _, interval = key.partition("/")
                if interval:
                    request["interval"] = interval
            if name in _LOGS and position.complete is not None:
                request["from_seq"] = position.complete
            yield request

    def _answered(self, answer: Message) -> None:
        if "error" in answer:
            raise error_of(answer["status"], answer["error"])
        for channel in answer["result"]["channels"]:
            position = self._positions.setdefault((channel["name"], channel["key"]), _Position())
            position.seq = position.complete  # incomplete groups are sent again

    def _follows(self, message: Message) -> bool:
        position = self._positions[message["channel"], message["key"]]
        if message["type"] == "update" and message["prev_seq"] != position.seq:
            return False
        position.seq = message["seq"]
        if not message.get("more"):
            position.complete = position.seq
        return True
