"""Connections that send half of something, or nothing, or read nothing: each is ended, and alone."""

import asyncio
import base64
import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from app.api.http import connection as watched_protocol
from app.api.websocket import handshake as socket_handshake
from tests.integration.test_order_protocol import RawClient, request
from tests.support.api import ADMIN_KEY, ApiServer, limit_order

PROMPT_SECONDS = 0.3


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEAD_SECONDS_MAX", "BODY_SECONDS_MAX", "UNREAD_SECONDS_MAX"):
        monkeypatch.setattr(watched_protocol, name, PROMPT_SECONDS)


@pytest.fixture
def honest(api: ApiServer, account: str) -> Iterator[RawClient]:
    """Somebody who goes on trading beside it all."""
    order = request("POST", "/v1/orders", limit_order(account))
    with RawClient(api) as client:
        client.send(order)
        assert client.read().status == 201
        yield client
    with RawClient(api) as client:
        client.send(order)
        assert client.read().status == 201


HANDSHAKE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n" % base64.b64encode(os.urandom(16))
)
CLOSE_4001 = b"\x0f\xa1"  # in a frame of that kind
ORDER = request("POST", "/v1/orders", {"account": "a" * 30})
CHUNKED = request("POST", "/v1/orders", extra="Transfer-Encoding: chunked\r\n")

HALVES = {
    "a letter": b"G",
    "a head": b"GET /v1/system HTTP/1.1\r\nHost: test\r\nX-Slow: ",
    "a plain head": ORDER[:60],
    "the body of a plain request": ORDER[:-5],
    "the body of another route": request("POST", "/v1/accounts", {"account": "b"})[:-5],
    "a chunk": CHUNKED + b"20\r\n{",
    "a handshake": HANDSHAKE[:-20],
}


@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
def test_half_a_request_is_answered_and_the_connection_closed(
    api: ApiServer, honest: RawClient, half: bytes
) -> None:
    with RawClient(api) as slow:
        slow.send(half)
        found = slow.read()
        assert (found.status, found.content["code"]) == (408, "REQUEST_TIMEOUT")
        assert found.headers["connection"] == "close"
        assert slow.ended()


def test_a_head_that_comes_byte_by_byte_has_the_same_time(api: ApiServer, honest: RawClient) -> None:
    """What comes keeps no deadline away: it counts from the first byte."""
    with RawClient(api) as slow:
        found = b""
        deadline = time.monotonic() + 10
        while not found:
            assert time.monotonic() < deadline
            slow.send(b"x" if slow.sent else HALVES["a head"])
            found = slow.read_what_is_there(0.05)
        assert found.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("noise", [b"", b"\r\n"])
def test_who_opens_a_connection_and_asks_nothing_is_closed(
    api: ApiServer, honest: RawClient, noise: bytes
) -> None:
    with RawClient(api) as silent:
        if noise:
            silent.send(noise)
        assert silent.ended()


def test_half_a_request_behind_a_whole_one(api: ApiServer, account: str) -> None:
    order = request("POST", "/v1/orders", limit_order(account))
    for whole, status in ((order, 201), (request("GET", "/v1/orders/1"), 404)):
        for half in (order[:40], order[:-5]):
            with RawClient(api) as slow:
                slow.send(whole + half)
                assert slow.read().status == status
                assert slow.read().status == 408
                assert slow.ended()


def test_who_reads_nothing_is_cut_off(api: ApiServer, honest: RawClient, account: str) -> None:
    """With its answers, which nobody keeps."""
    orders = [limit_order(account, quantity="0.000001")] * 1_000
    batch = request("POST", "/v1/orders/batch", {"orders": orders})
    connections = api.server.http_protocol.sweep._connections
    with RawClient(api, receive_buffer=4_096) as deaf:
        before = api.call(lambda: set(connections))
        with contextlib.suppress(ConnectionError):
            deaf.send_until_stuck(batch, 60)
        deadline = time.monotonic() + 10
        while len(api.call(lambda: before & connections)) == len(before):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_who_asks_for_nothing_more_while_the_answer_is_made_is_waited_for(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deadlines are for what the client has to do."""
    entered: list[Any] = []

    async def slow_durable() -> None:
        entered.append(True)
        await asyncio.sleep(4 * PROMPT_SECONDS + 1)

    monkeypatch.setattr(api.server.loop, "durable", slow_durable)
    with RawClient(api) as client:
        client.send(request("GET", "/v1/limits/firm"))
        assert client.read().status == 200
    assert entered


def test_connections_are_bounded_in_total(
    api: ApiServer, honest: RawClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = api.server.http_protocol.sweep
    monkeypatch.setattr(sweep, "connections_max", len(api.call(lambda: set(sweep._connections))) + 1)
    with RawClient(api) as last:
        last.send(request("GET", "/v1/orders/1"))
        assert last.read().status == 404
        with RawClient(api) as refused:
            found = refused.read()
            assert (found.status, found.content["code"]) == (503, "OVERLOADED")
            assert refused.ended()
        last.send(request("GET", "/v1/orders/1"))
        assert last.read().status == 404


@pytest.mark.parametrize("path", [b"stream", b"trade"])
@pytest.mark.parametrize("message", [b"", b"\x81", b"\x81\xfe\x40\x00abcdefgh", b"\x01\x81abcd\x00"])
def test_who_shows_no_key_in_time_is_closed(
    api: ApiServer, honest: RawClient, monkeypatch: pytest.MonkeyPatch, path: bytes, message: bytes
) -> None:
    """Nothing, half a frame, or a part of a message after the handshake."""
    monkeypatch.setattr(socket_handshake, "AUTH_SECONDS_MAX", PROMPT_SECONDS)
    with RawClient(api) as slow:
        slow.send(HANDSHAKE.replace(b"stream", path))
        slow.send(message)
        assert slow.read_until(CLOSE_4001).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("path", [b"stream", b"trade"])
def test_those_without_a_key_take_no_places_from_others(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch, path: bytes
) -> None:
    monkeypatch.setattr(socket_handshake, "UNKNOWN_MAX", 1)
    handshake = HANDSHAKE.replace(b"stream", path)
    with RawClient(api) as first, RawClient(api) as second, RawClient(api) as third:
        first.send(handshake)
        assert first.read_head().startswith(b"HTTP/1.1 101 ")
        second.send(handshake)
        assert second.read_head().startswith(b"HTTP/1.1 503 ")
        third.send(handshake[:-2] + f"Authorization: Bearer {ADMIN_KEY}\r\n\r\n".encode())
        assert third.read_head().startswith(b"HTTP/1.1 101 ")
