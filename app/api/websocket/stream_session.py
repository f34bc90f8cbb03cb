"""Stream session: one connection of `WS /v1/stream` with a known key: its requests and its rights."""

import asyncio
import logging
from typing import Any

from app.api.auth import Principal
from app.api.http.asgi import Receive
from app.api.services import Services
from app.api.websocket.connection import WebSocketConnection
from app.api.websocket.handshake import CLOSE_UNAUTHORIZED, Id, answer_frame, refusal_frame
from app.api.websocket.stream_messages import decode_request
from app.api.websocket.trade_messages import request_id
from app.documents.problems import Problem, forbidden, internal_error, invalid_request, problem_of
from app.documents.raw_events import EVERY_INDEX, SnapshotTooLarge
from app.streams.catch_up import CatchUp, Gone
from app.streams.client import Client, Subscription
from app.streams.hub import Hub
from app.streams.topics import EVERY, OF_ACCOUNTS, Channel, Topic

logger = logging.getLogger(__name__)

SUBSCRIPTIONS_MAX = 256
# Forbidden requests until the connection is closed.
FORBIDDEN_MAX = 16

CLOSE_BINARY = 1003
CLOSE_FORBIDDEN = 4003

_Place = tuple[Channel, str]


class StreamSession:
    def __init__(
        self, services: Services, hub: Hub, catch_up: CatchUp, principal: Principal, wire: WebSocketConnection
    ) -> None:
        self._services = services
        self._hub = hub
        self._catch_up = catch_up
        self._principal = principal
        self._wire = wire
        self._client: Client
        self._subscriptions: dict[_Place, tuple[Topic, Subscription]] = {}
        self._forbidden = 0
        self._room = asyncio.Event()

    def open(self) -> None:
        """Join the hub. Raises TooManyConnections."""
        self._client = self._hub.connect(self._principal.number, self._wire, self._room.set)
        self._wire.watch(self._pause, self._client.resume, self._client.end)
        self._principal.watchers.add(self._revoked)
        if self._principal.revoked_ts:  # between the check of the key and the watch on it
            self._revoked()

    def ended(self) -> None:
        """Whether the connection is gone, or this side is done with it."""
        self._principal.watchers.discard(self._revoked)
        for topic, subscription in self._subscriptions.values():
            self._catch_up.leave(topic, subscription)
        self._subscriptions.clear()
        self._hub.disconnect(self._client)

    def _pause(self) -> None:
        self._room.clear()
        self._client.pause()

    def _revoked(self) -> None:
        self._client.close(CLOSE_UNAUTHORIZED, "the key was revoked")

    async def run(self, receive: Receive) -> None:
        """Handle messages one after the other until the connection ends."""
        while True:
            message = await receive()
            if message["type"] != "websocket.receive" or self._client.closed:
                return
            text = message.get("text")
            if text is None:
                problem = invalid_request("messages are text, not binary")
                self._client.send(refusal_frame(None, problem))
                self._client.close(CLOSE_BINARY, "messages are text")
                return
            try:
                await self._handle(text)
            except Gone:
                return
            await asyncio.sleep(0)  # `receive` does not suspend while there is more: let others have a turn

    async def _handle(self, text: str) -> None:
        """Answer one message, exactly once."""
        identity: Id = None
        try:
            request = decode_request(text)
            identity = request["id"]
            if request["op"] == "subscribe":
                await self._subscribe(identity, request)
            elif request["op"] == "unsubscribe":
                self._unsubscribe(identity, request)
            else:
                self._answer(identity, {"ts": self._services.clock.now()})
        except Gone:
            raise
        except Exception as error:  # noqa: BLE001  # an expected one becomes its problem, a bug a logged 500
            self._refuse(request_id(text) if identity is None else identity, error)

    def _answer(self, identity: Id, result: Any) -> None:
        self._client.send(answer_frame(identity, result))

    def _refuse(self, identity: Id, error: Exception) -> None:
        problem = problem_of(error)
        if problem is None and isinstance(error, SnapshotTooLarge):
            problem = Problem(422, "SNAPSHOT_TOO_LARGE", str(error))
        if problem is None:
            logger.error("a request on the stream socket failed", exc_info=error)
            problem = internal_error()
        self._client.send(refusal_frame(identity, problem))
        if problem.status == 403:
            self._forbidden += 1
            if self._forbidden >= FORBIDDEN_MAX:
                self._client.close(CLOSE_FORBIDDEN, "this key may not read what was asked for")

    # Topics.

    async def _subscribe(self, identity: Id, request: Any) -> None:
        """All of the channels or, where one of them cannot be, none; the answer comes before their data."""
        topics: dict[_Place, tuple[Topic, int | None]] = {}
        for channel in request["channels"]:
            from_seq = channel.get("from_seq", request.get("from_seq"))
            for topic in self._topics(channel):
                topics[topic.channel, topic.key] = topic, from_seq
        if len(self._subscriptions | topics) > SUBSCRIPTIONS_MAX:
            raise Problem(
                422,
                "TOO_MANY_SUBSCRIPTIONS",
                f"a connection has at most {SUBSCRIPTIONS_MAX} subscriptions",
                limit=SUBSCRIPTIONS_MAX,
                observed=len(self._subscriptions | topics),
            )
        self._answer(identity, {"channels": [_shown(topic) for topic, _ in topics.values()]})
        for place, (topic, from_seq) in topics.items():
            self._leave(place)
            try:
                subscription = await self._catch_up.watch(
                    self._client, self._wait_for_room, topic, from_seq, packed=bool(request.get("batch"))
                )
            except SnapshotTooLarge as error:
                self._refuse(identity, error)
            else:
                self._subscriptions[place] = topic, subscription

    def _unsubscribe(self, identity: Id, request: Any) -> None:
        ended = []
        for channel in request["channels"]:
            for topic in self._topics(channel):
                if self._leave((topic.channel, topic.key)):
                    ended.append(_shown(topic))  # noqa: PERF401  # leaving is what this is about
        self._answer(identity, {"channels": ended})

    def _leave(self, place: _Place) -> bool:
        found = self._subscriptions.pop(place, None)
        if found is not None:
            self._catch_up.leave(*found)
        return found is not None

    async def _wait_for_room(self) -> bool:
        """Wait until the client has read; False if it has gone."""
        while self._client.paused and not self._client.closed:
            self._room.clear()
            await self._room.wait()
        return not self._client.closed

    def _topics(self, request: Any) -> list[Topic]:
        """The topics of a requested channel. Raises Problem: unknown, or not for this key."""
        channel = Channel(request["name"])
        if channel in OF_ACCOUNTS:
            return self._account_topics(channel, request.get("account"))
        if channel is Channel.SYSTEM:
            return [Topic(channel, EVERY, EVERY_INDEX)]
        symbol = request.get("symbol")
        if symbol is None:
            return [Topic(channel, EVERY, EVERY_INDEX)]
        index = self._services.reference.symbols.get(symbol)
        if index is None:
            raise Problem(404, "UNKNOWN_SYMBOL", f"there is no symbol {symbol!r}")
        interval = request.get("interval", "")
        key = f"{symbol}/{interval}" if interval else symbol
        return [Topic(channel, key, index, interval)]

    def _account_topics(self, channel: Channel, account: str | None) -> list[Topic]:
        """One topic of all accounts for keys that may read all; a trader has one for each of its accounts."""
        known, own = self._services.reference.accounts, self._principal.accounts
        if account is None:
            if own is None:
                return [Topic(channel, EVERY, EVERY_INDEX)]
            return [Topic(channel, name, known[name]) for name in sorted(own) if name in known]
        if not self._principal.may_read(account):
            raise forbidden(f"this key may not read account {account!r}")
        if account not in known:
            raise Problem(404, "UNKNOWN_ACCOUNT", f"there is no account {account!r}")
        return [Topic(channel, account, known[account])]


def _shown(topic: Topic) -> dict[str, str]:
    return {"name": topic.channel, "key": topic.key}
