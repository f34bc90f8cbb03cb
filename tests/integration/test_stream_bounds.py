"""Bounds of the streams: who does not read, and what is too large or too much."""

import json
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from app.api.websocket import handshake, stream, stream_session
from app.streams import fan_out, hub
from tests.support.api import ADMIN_KEY, ApiServer, limit_order
from tests.support.slow_watcher import SlowWatcher
from tests.support.stream import Watcher, check_chain, place, watch, without


def test_who_reads_nothing_is_closed_and_can_resume(
    api: ApiServer, client: httpx.Client, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fan_out, "WAITING_BYTES_MAX", 1 << 20)
    client.put(
        f"/v1/limits/accounts/{account}", json={"limits": {"MAX_OPEN_ORDERS": 100_000}, "reason": "a test"}
    )
    body = {"orders": [limit_order(account)] * 500}
    with SlowWatcher(api.url, ADMIN_KEY, [account], bytes_per_second=0) as deaf, watch(api) as honest:
        honest.subscribe({"name": "orders", "account": account}, batch=True)
        honest.snapshot("orders", account)
        deadline = time.monotonic() + 30
        while len(api.server.hub.clients) == 2:
            assert time.monotonic() < deadline
            assert client.post("/v1/orders/batch", json=body).status_code == 200
            honest.wait_until_quiet(0.05)
            assert max(api.call(lambda: [each.waiting_bytes for each in api.server.hub.clients])) <= 1 << 20
        assert deaf.close_code() == fan_out.CLOSE_TOO_SLOW
        honest.wait_until_quiet()
        check_chain(honest.of("orders", account))
    client.delete("/v1/orders", params={"account": account})


def test_the_market_is_conflated_for_who_is_behind(
    api: ApiServer, client: httpx.Client, account: str
) -> None:
    with watch(api) as watcher:
        watcher.subscribe(
            {"name": "book", "symbol": "BTC-USDT"},
            {"name": "positions", "account": account},
            {"name": "orders", "account": account},
        )
        watcher.snapshot("orders", account)
        before = len(watcher.seen)
        (behind,) = api.call(lambda: list(api.server.hub.clients))
        api.call(behind.pause)
        for number in range(4):
            place(client, limit_order(account, price=f"{40_000 + number}.00"))
            time.sleep(0.15)  # longer than states are held back for
        api.call(behind.resume)
        book = watcher.snapshot("book", "BTC-USDT", before)
        position = watcher.snapshot("positions", account, before)
        watcher.wait_until_quiet()
        assert book["data"] == [without(client.get("/v1/market/BTC-USDT/book").json(), "ts")]
        assert position["data"] == client.get(f"/v1/accounts/{account}/positions").json()["items"]
        since = watcher.seen[before:]
        assert [message.get("channel") for message in since].count("book") == 1
        assert [message.get("channel") for message in since].count("orders") == 8
        check_chain(watcher.of("orders", account))


MALFORMED: list[tuple[str, int]] = [
    ("", 400),
    ("nonsense", 400),
    ("[]", 400),
    ("null", 400),
    ('{"op":"subscribe"}', 400),
    ('{"id":1,"op":"subscribe","channels":[]}', 400),
    ('{"id":1,"op":"subscribe","channels":[{"name":"nothing"}]}', 400),
    ('{"id":1,"op":"subscribe","channels":[{"name":"book"}]}', 400),
    ('{"id":1,"op":"subscribe","channels":[{"name":"orders","symbol":"BTC-USDT"}]}', 400),
    ('{"id":1,"op":"subscribe","channels":[{"name":"candles","symbol":"BTC-USDT","interval":"5m"}]}', 400),
    ('{"id":1,"op":"subscribe","channels":[{"name":"orders"}],"from_seq":-1}', 400),
    ('{"id":1,"op":"subscribe","channels":[{"name":"orders"}],"from_seq":"1"}', 400),
    ('{"id":1,"op":"subscribe","channels":[{"name":"orders"}],"batch":1}', 400),
    ('{"id":1,"op":"subscribe","channels":[{"name":"book","symbol":"NO-SUCH"}]}', 404),
    ('{"id":1,"op":"subscribe","channels":[{"name":"orders","account":"nobody"}]}', 404),
    ('{"id":1,"op":"order.place"}', 400),
    ('{"id":{},"op":"ping"}', 400),
    ('{"id":1,"op":"ping","more":1}', 400),
    ("[" * 5_000, 400),
    ('{"id":1,"op":"' + "x" * 900_000 + '"}', 400),
]


def test_malformed_messages_get_an_error_and_do_no_harm(watcher: Watcher) -> None:
    for number, (text, status) in enumerate(MALFORMED):
        before = len(watcher.seen)
        watcher.socket.send(text)
        answer = watcher.wait(lambda message: "error" in message, before)
        assert answer["status"] == status, (number, answer)
        assert len(json.dumps(answer)) < 2_000
    assert watcher.ask("ping")["status"] == 200


def test_a_message_too_large_or_binary_ends_the_connection(api: ApiServer) -> None:
    with watch(api) as watcher:
        watcher.socket.send("x" * ((1 << 20) + 1))
        assert watcher.close_code() == 1009
    with watch(api) as watcher:
        watcher.socket.send(b"binary")
        assert watcher.close_code() == stream_session.CLOSE_BINARY
        assert watcher.seen[0]["error"]["code"] == "INVALID_REQUEST"


def test_ten_thousand_subscriptions_are_too_many(watcher: Watcher, account: str) -> None:
    symbols = ("BTC-USDT", "ETH-USDT")
    many = [{"name": "trades", "symbol": symbol} for symbol in symbols] * 128
    assert watcher.subscribe(*many)["status"] == 200  # the same two again and again
    refused = watcher.subscribe(*many, {"name": "marks"})
    assert refused["error"]["code"] == "INVALID_REQUEST"
    for _ in range(40):
        watcher.send(id=0, op="subscribe", channels=many)
    assert watcher.ask("ping")["status"] == 200
    assert watcher.subscribe({"name": "orders", "account": account})["status"] == 200


def test_subscriptions_of_a_connection_are_bounded(
    watcher: Watcher, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_session, "SUBSCRIPTIONS_MAX", 2)
    assert watcher.subscribe({"name": "marks"}, {"name": "orders", "account": account})["status"] == 200
    refused = watcher.subscribe({"name": "fills", "account": account})
    assert (refused["status"], refused["error"]["code"]) == (422, "TOO_MANY_SUBSCRIPTIONS")
    assert watcher.subscribe({"name": "marks"})["status"] == 200
    watcher.ask("unsubscribe", channels=[{"name": "marks"}])
    assert watcher.subscribe({"name": "fills", "account": account})["status"] == 200


def test_connections_are_bounded_by_key(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    _, key = api.make_key("viewer")
    monkeypatch.setattr(hub, "CONNECTIONS_PER_KEY_MAX", 1)
    with watch(api, key) as first:
        first.ask("ping")
        with watch(api, key) as second:
            assert second.close_code() == stream.CLOSE_TRY_LATER
        assert first.ask("ping")["status"] == 200
    with watch(api, key) as third:
        assert third.ask("ping")["status"] == 200


def test_connections_without_a_key_are_bounded(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "UNKNOWN_MAX", 1)
    with watch(api, None) as first:
        with pytest.raises(InvalidStatus) as refused, watch(api, None):
            pass
        assert refused.value.response.status_code == 503
        assert first.ask("auth", key=ADMIN_KEY)["status"] == 200


def test_a_snapshot_too_large_is_refused_by_name(
    client: httpx.Client, watcher: Watcher, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.documents import stream_items as stream_contents

    monkeypatch.setattr(stream_contents, "SNAPSHOT_ORDERS_MAX", 1)
    for _ in range(2):
        place(client, limit_order(account))
    watcher.subscribe({"name": "orders", "account": account}, {"name": "fills", "account": account})
    refused = watcher.wait(lambda message: "error" in message)
    assert (refused["status"], refused["error"]["code"]) == (422, "SNAPSHOT_TOO_LARGE")
    watcher.snapshot("fills", account)  # the others are there
    watcher.subscribe({"name": "orders", "account": account, "from_seq": watcher.seen[-1]["seq"]})
    watcher.wait(lambda message: message.get("type") == "resumed")


def test_broken_frames_end_their_own_connection_only(api: ApiServer, watcher: Watcher) -> None:
    address = urlsplit(api.url)
    assert address.hostname is not None and address.port is not None
    head = (
        f"GET /v1/stream HTTP/1.1\r\nHost: {address.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Authorization: Bearer {ADMIN_KEY}\r\n\r\n"
    ).encode()
    broken: list[Any] = [
        b"\x81\x05hello",  # not masked
        b"\xff\x80\0\0\0\0",  # reserved bits
        b"\x83\x80\0\0\0\0",  # a reserved operation
        b"\x89\xfe\x00\x80\0\0\0\0" + b"x" * 128,  # a ping too long
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",  # a length without end
        b"\x81\x82\0\0\0\0\xff\xff",  # not UTF-8
        b"GET / HTTP/1.1\r\n\r\n",
    ]
    for frame in broken:
        with socket.create_connection((address.hostname, address.port), timeout=10) as raw:
            raw.sendall(head)
            assert raw.recv(1 << 16).startswith(b"HTTP/1.1 101")
            raw.sendall(frame)
            while raw.recv(1 << 16):
                pass
    assert watcher.ask("ping")["status"] == 200


def test_the_server_says_goodbye(api: ApiServer) -> None:
    with watch(api) as watcher:
        watcher.socket.close(1000)
        for _ in watcher.socket:  # what was on its way, then the end; any other end raises
            pass
        assert watcher.socket.close_code == 1000
