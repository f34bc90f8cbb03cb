"""Catching up with a running server's streams: a snapshot or what was missed, and then no gap."""

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest

from app.documents import stream_items
from app.documents.raw_events import SnapshotTooLarge
from app.streams import catch_up
from app.streams.catch_up import CatchUp, Gone
from app.streams.client import Client, Subscription
from app.streams.history import RecentEvents
from app.streams.topics import Channel, Topic
from tests.support.api import ApiServer, limit_order
from tests.support.stream import check_chain
from tests.unit.streams.test_streams import Wire

Message = dict[str, Any]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with ApiServer(tmp_path_factory.mktemp("api")) as server:
        server.open_market()
        yield server


@pytest.fixture
def account(api: ApiServer) -> str:
    return api.open_account(f"test-{len(api.server.reference.account_names)}")


async def _has_room() -> bool:
    return True


class Watcher:
    """A client of the server's hub."""

    def __init__(self, api: ApiServer, topic: Topic) -> None:
        self._api = api
        self.hub = api.server.hub
        self.topic = topic
        self.wire = Wire()
        self.client: Client = api.call(lambda: self.hub.connect(1, self.wire, lambda: None))
        self.catch_up = CatchUp(self.hub)

    def watch(
        self,
        from_seq: int | None = None,
        packed: bool = False,
        room: Callable[[], Awaitable[bool]] = _has_room,
    ) -> Subscription:
        return self._api.run(self.catch_up.watch(self.client, room, self.topic, from_seq, packed=packed))

    def leave(self, subscription: Subscription) -> None:
        def end() -> None:
            self.catch_up.leave(self.topic, subscription)
            self.hub.disconnect(self.client)

        self._api.call(end)

    @property
    def is_watched(self) -> bool:
        return self._api.call(lambda: self.hub.find(self.topic) is not None)

    def told(self) -> list[Message]:
        """All messages of the topic, once everything that has happened is written."""

        def publish() -> list[bytes]:
            self.hub.publish()
            return self.wire.messages

        self._api.call(publish)
        self._api.call(lambda: None)  # a turn of the loop: the connections are written to
        frames = [json.loads(each) for each in self._api.call(lambda: self.wire.messages)]
        every = [item for frame in frames for item in (frame if isinstance(frame, list) else [frame])]
        return [each for each in every if each["type"] != "heartbeat"]


@pytest.fixture
def watcher(api: ApiServer, account: str) -> Watcher:
    index = api.server.reference.accounts[account]
    return Watcher(api, Topic(Channel.ORDERS, account, index))


@pytest.fixture
def http(api: ApiServer) -> Iterator[httpx.Client]:
    with api.client() as client:
        yield client


def place(http: httpx.Client, account: str, price: str = "49000.00") -> str:
    response = http.post("/v1/orders", json=limit_order(account, price=price))
    assert response.status_code == 201, response.text
    return str(response.json()["order_id"])


def ids_of(messages: list[Message]) -> list[str]:
    return [item["order_id"] for message in messages for item in message["data"]]


@pytest.mark.parametrize("packed", [False, True])
def test_who_is_new_gets_a_snapshot_and_what_follows(
    watcher: Watcher, http: httpx.Client, account: str, packed: bool
) -> None:
    first = place(http, account)
    subscription = watcher.watch(packed=packed)
    second = place(http, account)
    messages = watcher.told()
    assert messages[0]["type"] == "snapshot"
    assert "resumed" not in messages[0]
    assert ids_of(messages[:1]) == [first]
    assert set(ids_of(messages[1:])) == {second}
    check_chain(messages)
    watcher.leave(subscription)
    assert not watcher.is_watched


def test_who_comes_back_gets_what_was_missed(watcher: Watcher, http: httpx.Client, account: str) -> None:
    place(http, account)
    seq = watcher.hub.seq
    missed = [place(http, account), place(http, account)]
    subscription = watcher.watch(from_seq=seq)
    live = place(http, account)
    messages = watcher.told()
    kinds = [message["type"] for message in messages]
    assert "snapshot" not in kinds
    at = kinds.index("resumed")
    assert list(dict.fromkeys(ids_of(messages[:at]))) == missed
    assert set(ids_of(messages[at + 1 :])) == {live}
    assert messages[0]["prev_seq"] == seq
    assert messages[at]["seq"] == messages[at - 1]["seq"]
    assert messages[at + 1]["prev_seq"] == messages[at]["seq"]
    watcher.leave(subscription)


def test_a_resume_within_a_tick_begins_right_behind_it(
    watcher: Watcher, http: httpx.Client, account: str
) -> None:
    orders = [limit_order(account, price=f"4800{number}.00") for number in range(3)]
    results = http.post("/v1/orders/batch", json={"orders": orders}).json()["results"]
    seq = results[0]["order"]["seq"]
    assert seq < results[-1]["order"]["seq"]
    subscription = watcher.watch(from_seq=seq)
    messages = watcher.told()
    assert messages[0]["prev_seq"] == seq
    assert min(item["seq"] for message in messages[:-1] for item in message["data"]) > seq
    watcher.leave(subscription)


def test_what_memory_has_forgotten_is_read_from_the_journal(
    api: ApiServer, watcher: Watcher, http: httpx.Client, account: str
) -> None:
    seq = watcher.hub.seq
    missed = [place(http, account) for _ in range(5)]

    def forget() -> None:
        watcher.hub.recent = RecentEvents(watcher.hub.seq)

    api.call(forget)
    later = place(http, account)
    subscription = watcher.watch(from_seq=seq)
    messages = watcher.told()
    assert messages[-1]["type"] == "resumed"
    assert list(dict.fromkeys(ids_of(messages[:-1]))) == [*missed, later]
    check_chain([{"type": "snapshot", "seq": seq}, *messages[:-1]])
    watcher.leave(subscription)


@pytest.mark.parametrize("too_old", [False, True])
def test_a_resume_that_cannot_be_is_a_snapshot_that_says_so(
    watcher: Watcher, http: httpx.Client, account: str, too_old: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = place(http, account)
    seq = watcher.hub.seq
    if too_old:
        monkeypatch.setattr(catch_up, "RESUME_COMMANDS_MAX", 0)
        place(http, account)
    subscription = watcher.watch(from_seq=seq if too_old else seq + 1_000)
    first, *others = watcher.told()
    assert (first["type"], first["resumed"], others) == ("snapshot", False, [])
    assert order_id in ids_of([first])
    watcher.leave(subscription)


def test_a_state_begins_with_how_it_is(api: ApiServer, account: str) -> None:
    found = Watcher(api, Topic(Channel.ACCOUNTS, account, api.server.reference.accounts[account]))
    subscription = found.watch(from_seq=5)
    (first,) = found.told()[:1]
    assert (first["type"], first["resumed"]) == ("snapshot", False), "states have no resume"
    assert [each["account"] for each in first["data"]] == [account]
    found.leave(subscription)
    assert not found.is_watched


def test_a_stream_stays_while_somebody_watches(api: ApiServer, watcher: Watcher) -> None:
    other = Watcher(api, watcher.topic)
    mine, its = watcher.watch(), other.watch()
    watcher.leave(mine)
    assert other.is_watched
    other.leave(its)
    assert not other.is_watched


def test_who_has_gone_leaves_nothing(api: ApiServer, watcher: Watcher) -> None:
    async def has_ended() -> bool:
        return False

    api.call(watcher.client.pause)
    with pytest.raises(Gone):
        watcher.watch(room=has_ended)
    assert not watcher.is_watched
    api.call(lambda: watcher.client.close(4000, "the test has seen enough"))
    api.call(watcher.client.resume)
    with pytest.raises(Gone):
        watcher.watch()
    assert not watcher.is_watched


def test_a_snapshot_that_is_too_large_leaves_nothing(
    watcher: Watcher, http: httpx.Client, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(http, account)
    monkeypatch.setattr(stream_items, "SNAPSHOT_ORDERS_MAX", 0)
    with pytest.raises(SnapshotTooLarge):
        watcher.watch()
    assert not watcher.is_watched
