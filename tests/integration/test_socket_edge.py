"""WebSockets before their key is known, and those that do not read: bounded, answered, ended."""

import base64
import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from app.api.websocket import connection, frame_reader
from tests.integration.test_order_protocol import RawClient, request
from tests.integration.test_trade_frames import frame, ping_op
from tests.support.api import ADMIN_KEY, ApiServer, limit_order

MIB = 1 << 20
PATHS = ["/v1/trade", "/v1/stream"]
AUTH = frame(0x81, json.dumps({"op": "auth", "key": ADMIN_KEY}).encode())
PING = frame(0x89, b"x" * 100)


@pytest.fixture
def account(account: str, client: httpx.Client) -> Iterator[str]:
    """Its orders do not outlast the test."""
    yield account
    assert client.delete("/v1/orders", params={"account": account}).status_code == 200


def handshake(path: str = "/v1/trade", *, known: bool = False, **changes: str | None) -> bytes:
    """With other headers, or without some; `method`, `version` and `more` change what is around them."""
    method, version = changes.pop("method", "GET"), changes.pop("version", "1.1")
    more = changes.pop("more", "")
    headers: dict[str, str | None] = {
        "Host": "test",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    if known:
        headers["Authorization"] = f"Bearer {ADMIN_KEY}"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if value is not None)
    return f"{method} {path} HTTP/{version}\r\n{lines}{more}\r\n".encode()


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# S2: handshakes that are none.


NONE = {
    "a body": (handshake(Content_Length="1"), 400),
    "a long body": (handshake(Content_Length="99999"), 400),
    "a chunked body": (handshake(Transfer_Encoding="chunked"), 400),
    "another method": (handshake(method="POST"), 405),
    "another method with a body": (handshake(method="PUT", Content_Length="5"), 405),
    "an old version of HTTP": (handshake(version="1.0"), 400),
    "an old version": (handshake(Sec_WebSocket_Version="8"), 426),
    "no version": (handshake(Sec_WebSocket_Version=None), 400),
    "two versions": (handshake(more="Sec-WebSocket-Version: 13\r\n"), 400),
    "no key": (handshake(Sec_WebSocket_Key=None), 400),
    "two keys": (handshake(more="Sec-WebSocket-Key: x\r\n"), 400),
    "a short key": (handshake(Sec_WebSocket_Key="eHg="), 400),
    "a key that is not base64": (handshake(Sec_WebSocket_Key="?" * 24), 400),
    "a key beyond ASCII": (handshake().replace(b"Key: ", b"Key: \xff"), 400),
    "no host": (handshake(Host=None), 400),
    "two origins": (handshake(more="Origin: http://a\r\nOrigin: http://b\r\n"), 400),
    "a long line": (handshake(more=f"X-Long: {'y' * 9_000}\r\n"), 431),
    "a long target": (handshake("/" + "y" * 9_000), 431),
    "long lists": (handshake(more=f"Sec-WebSocket-Protocol: {'a,' * 3_000}\r\n"), 431),
    "subprotocols that are none": (handshake(Sec_WebSocket_Protocol="a,,@"), 400),
    "options that are none": (handshake(Connection="Upgrade, @"), 400),
    "many headers": (handshake(more="".join(f"X-{number}: y\r\n" for number in range(120))), 431),
    "a target beyond ASCII": (handshake("/v1/\xff"), 400),
    "another host's target": (handshake("http://test/v1/trade"), 400),
    "no path of ours": (handshake("/nowhere"), 403),
    "a bad list": (handshake(Sec_WebSocket_Protocol=",;,"), 400),
}


@pytest.mark.parametrize("kind", NONE)
def test_what_is_no_handshake_is_answered_and_closed(api: ApiServer, kind: str) -> None:
    data, status = NONE[kind]
    for before in (b"", request("GET", "/v1/orders/1")):
        with RawClient(api) as client:
            client.send(before + data + b"more")
            if before:
                assert client.read().status == 404
            assert client.read_all().startswith(b"HTTP/1.1 %d " % status)
    connections = api.server.http_protocol.sweep._connections
    wait_until(lambda: not any(getattr(each, "in_handshake", False) for each in connections))


def test_the_version_that_is_spoken_is_named(api: ApiServer) -> None:
    with RawClient(api) as client:
        client.send(NONE["an old version"][0])
        assert client.read().headers["sec-websocket-version"] == "13"


def test_a_handshake_without_an_answer_is_not_kept(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever keeps the application from answering: the connection is looked at like any other."""
    monkeypatch.setattr(connection, "HANDSHAKE_SECONDS_MAX", 0.2)

    async def silent(self: Any) -> None:
        return None

    monkeypatch.setattr(connection.WebSocketConnection, "run_asgi", silent)
    with RawClient(api) as client:
        client.send(handshake(known=True))
        with contextlib.suppress(ConnectionResetError):
            assert client.ended()


# S14: in turn.


def test_a_handshake_behind_requests_waits_for_their_answers(api: ApiServer, account: str) -> None:
    """And what comes behind it in the same segment is not lost."""
    order = request("POST", "/v1/orders?", limit_order(account))
    plain = request("POST", "/v1/orders", limit_order(account))
    for before in (order, order * 3, plain, plain + order, order + plain, request("GET", "/v1/orders/1")):
        for pieces in (1, 2):
            with RawClient(api) as client:
                data = before + handshake(known=True) + frame(0x81, ping_op("first"))
                cut = len(data) - 20 if pieces == 2 else len(data)
                client.send(data[:cut])
                client.send(data[cut:])
                for _ in range(before.count(b"HTTP/1.1")):
                    assert client.read().status in (201, 404)
                found = client.read_until(b'"first"')
                assert found.startswith(b"HTTP/1.1 101 ")
                assert found.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize("protocol", ["h2c", "TLS/1.0"])
def test_other_protocols_are_passed_over(api: ApiServer, protocol: str) -> None:
    with RawClient(api) as client:
        extra = f"Upgrade: {protocol}\r\nConnection: Upgrade\r\n"
        client.send(request("GET", "/v1/orders/1", extra=extra) + request("GET", "/v1/orders/1"))
        found = client.read()
        assert (found.status, found.headers["connection"]) == (404, "close")
        assert client.ended()


# S5: the key before everything else.


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "first",
    [
        frame(0x81, b"{" + b'"a":1,' * 160_000 + b'"b":1}')[:40_000],
        frame(0x81, b" " * 17_000),
        frame(0x82, b" " * 17_000),
        frame(0x01, b" " * 9_000) + frame(0x80, b" " * 9_000),
        frame(0x89, b"x" * 100) * 200,
        frame(0x01, b" ") + frame(0x00, b"") * 9_000,
    ],
    ids=["members", "text", "binary", "fragments", "pings", "empty fragments"],
)
def test_before_the_key_little_is_taken(api: ApiServer, path: str, first: bytes) -> None:
    with RawClient(api) as client:
        client.send(handshake(path))
        assert client.read_head().startswith(b"HTTP/1.1 101 ")
        try:
            client.send(first)
            found = client.read_all()
        except ConnectionResetError:
            return
        assert b"\x03\xf1" in found  # 1009


@pytest.mark.parametrize("path", PATHS)
def test_many_members_in_the_first_message(api: ApiServer, path: str) -> None:
    message = b'{"op":"auth","key":"' + ADMIN_KEY.encode() + b'"' + b',"a":1' * 2_500 + b"}"
    with RawClient(api) as client:
        client.send(handshake(path) + frame(0x81, message))
        found = client.read_until(b"\x0f\xa1")  # 4001
        assert b"INVALID_REQUEST" in found and found.count(b"unknown field") < 4, "the first alone is named"


@pytest.mark.parametrize("path", PATHS)
def test_what_comes_behind_the_key_waits_for_it(api: ApiServer, path: str) -> None:
    """All in one segment, and more than may come before a key."""
    behind = b"".join(frame(0x81, b'{"op":"ping","id":%d}' % number) for number in range(1_000, 2_000))
    assert len(behind) > frame_reader.UNKNOWN_BYTES_MAX
    with RawClient(api) as client:
        client.send(handshake(path) + AUTH + PING + behind)
        found = client.read_until(b'"id":1999')
        assert found.index(b'"role"') < found.index(b'"id":1000')


# S6: who does not read.


SENT = {
    "pings": PING * 100,
    "messages": frame(0x81, b'{"op":"ping","id":1}') * 100,
    "refused messages": frame(0x81, b"{}") * 100,
}


def _session_bytes(wire: Any) -> int:
    return len(wire.reader) + int(wire.transport.get_write_buffer_size())


@pytest.mark.parametrize("path", PATHS)
def test_a_flood_of_the_smallest_frames_is_taken_in_turns(api: ApiServer, path: str) -> None:
    with RawClient(api) as busy, RawClient(api) as other:
        busy.send(handshake(path, known=True))
        busy.read_head()
        wire = api.call(lambda: _socket_of(api))
        busy.send_until_stuck(frame(0x89, b"") * 1_000, 1_000)
        for _ in range(20):
            other.send(request("GET", "/v1/orders/1"))
            assert other.read().status == 404
            assert api.call(lambda: _session_bytes(wire)) < MIB


def _socket_of(api: ApiServer) -> Any:
    """The newest one."""
    sockets = [
        each
        for each in api.server.http_protocol.sweep._connections
        if isinstance(each, connection.WebSocketConnection)
    ]
    return max(sockets, key=lambda each: each._opened)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", SENT)
def test_who_does_not_read_is_not_read_and_then_closed(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch, path: str, kind: str
) -> None:
    bytes_max = 64 << 20
    with RawClient(api, receive_buffer=4_096) as deaf, RawClient(api) as other:
        deaf.send(handshake(path, known=True))
        assert deaf.read_head().startswith(b"HTTP/1.1 101 ")
        wire = api.call(lambda: _socket_of(api))
        sent = deaf.send_until_stuck(SENT[kind], bytes_max // len(SENT[kind]))
        assert sent < bytes_max // len(SENT[kind]) * len(SENT[kind]), "everything was taken"
        assert api.call(lambda: _session_bytes(wire)) < 2 * MIB
        assert not api.call(wire.transport.is_reading)
        other.send(request("GET", "/v1/orders/1"))
        assert other.read().status == 404
        monkeypatch.setattr(connection, "UNREAD_SECONDS_MAX", 0.2)
        monkeypatch.setattr(connection, "CLOSE_SECONDS_MAX", 0.2)
        wait_until(lambda: wire not in api.call(lambda: set(api.server.http_protocol.sweep._connections)))


@pytest.mark.parametrize("path", PATHS)
def test_who_reads_late_gets_all_pongs(api: ApiServer, path: str) -> None:
    count = 40_000
    with RawClient(api) as late:
        late.send(handshake(path, known=True))
        late.read_head()
        late.send_until_stuck(PING * 100, count // 100)
        time.sleep(0.2)
        pong = b"\x8a\x64" + b"x" * 100
        found = late.read_until(pong)
        while found.count(pong) < late.sent // 1_000_000:
            late._fill()
            found = late._buffer


def test_fragments_of_a_message_are_bounded(api: ApiServer) -> None:
    with RawClient(api) as client:
        client.send(handshake(known=True))
        client.read_head()
        client.send(frame(0x01, b"{") + frame(0x00, b"") * (frame_reader.FRAGMENTS_MAX + 1))
        assert client.read_until(b"\x03\xf1")


def test_pings_behind_the_end_are_not_answered(api: ApiServer) -> None:
    """This side has closed: only the client's own close is waited for."""
    with RawClient(api) as client:
        client.send(handshake(known=True))
        client.read_head()
        client.send(frame(0x82, b"binary"))
        assert client.read_until(b"\x03\xeb")  # 1003
        client.send(PING * 10 + frame(0x88, b"\x03\xe8"))
        assert b"\x8a\x64" not in client.read_all()
