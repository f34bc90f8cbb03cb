"""A client of `WS /v1/stream` for tests, that waits for what it wants to see."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.support.api import ADMIN_KEY, ApiServer

SECONDS_MAX = 15

Message = dict[str, Any]


class Watcher:
    """`seen`: all messages, in order, those of packed frames one by one."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.seen: list[Message] = []
        self.frames = 0
        self._number = 1_000  # apart from what tests choose

    def send(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def ask(self, op: str, **members: Any) -> Message:
        """The answer to a request."""
        self._number += 1
        self.send(id=self._number, op=op, **members)
        return self.wait(lambda message: message.get("id") == self._number)

    def subscribe(self, *channels: Message, **members: Any) -> Message:
        return self.ask("subscribe", channels=list(channels), **members)

    def wait(self, wanted: Callable[[Message], bool], since: int = 0) -> Message:
        """The first such message, of those seen from `since` on or those to come."""
        at = since
        deadline = time.monotonic() + SECONDS_MAX
        while True:
            for message in self.seen[at:]:
                at += 1
                if wanted(message):
                    return message
            self.read(deadline - time.monotonic())

    def read(self, seconds: float) -> None:
        """One frame. Raises TimeoutError."""
        found = json.loads(self.socket.recv(max(seconds, 0.001)))
        self.frames += 1
        self.seen += found if isinstance(found, list) else [found]

    def snapshot(self, channel: str, key: str, since: int = 0) -> Message:
        """The first whole one; its parts, which are as many as the server's time asks for, are one here."""
        data: list[Any] = []

        def is_whole(message: Message) -> bool:
            if message.get("type") != "snapshot" or (message["channel"], message["key"]) != (channel, key):
                return False
            data.extend(message["data"])
            return not message.get("more")

        return self.wait(is_whole, since) | {"data": data}

    def update(self, channel: str, key: str, wanted: Callable[[Any], bool] = bool, since: int = 0) -> Any:
        """The first item of an update for which `wanted` is true."""
        found: list[Any] = []

        def matches(message: Message) -> bool:
            if message.get("type") == "update" and message["channel"] == channel and message["key"] == key:
                found.extend(item for item in message["data"] if wanted(item))
            return bool(found)

        self.wait(matches, since)
        return found[0]

    def wait_until_quiet(self, seconds: float = 0.3) -> None:
        """Read until nothing has come for a while."""
        with contextlib.suppress(TimeoutError):
            while True:
                self.read(seconds)

    def of(self, channel: str, key: str) -> list[Message]:
        return [
            message
            for message in self.seen
            if message.get("channel") == channel and message.get("key") == key
        ]

    def close_code(self) -> int:
        """Read on until the server closes."""
        deadline = time.monotonic() + SECONDS_MAX
        while True:
            try:
                self.read(deadline - time.monotonic())
            except ConnectionClosed:
                assert self.socket.close_code is not None
                return self.socket.close_code


def check_chain(messages: list[Message]) -> int:
    """Every message follows the one before; the seq of the last."""
    seq: int | None = None
    for message in messages:
        if message["type"] == "update":
            assert message["prev_seq"] == seq, (seq, message)
        seq = message["seq"]
    assert seq is not None
    return seq


def stream_url(url: str) -> str:
    return url.replace("http", "ws", 1) + "/v1/stream"


@contextlib.contextmanager
def watch(
    api: ApiServer | str, key: str | None = ADMIN_KEY, origin: str | None = None, **options: Any
) -> Iterator[Watcher]:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    url = stream_url(api if isinstance(api, str) else api.url)
    if origin is not None:
        options["origin"] = origin
    with connect(
        url, additional_headers=headers, compression=None, proxy=None, max_size=None, **options
    ) as socket:
        yield Watcher(socket)


def place(client: httpx.Client, order: Message) -> Message:
    response = client.post("/v1/orders", json=order)
    assert response.status_code == 201, response.text
    found: Message = response.json()
    return found


def without(document: Message, *names: str) -> Message:
    return {name: value for name, value in document.items() if name not in names}
