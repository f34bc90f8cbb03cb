"""Connections that answer plain order requests themselves: cut, mixed, pipelined, broken off."""

import json
import random
import socket
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

import pytest

from app.api.http import order_connection
from tests.support.api import ADMIN_KEY, ApiServer, limit_order

_SECONDS_MAX = 10


def request(method: str, path: str, body: Any = None, key: str = ADMIN_KEY, extra: str = "") -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {key}\r\n{extra}"
    if body is not None:
        head += f"Content-Length: {len(content)}\r\n"
    return head.encode() + b"\r\n" + content


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    content: Any


class RawClient:
    """Sends bytes; reads whole responses."""

    def __init__(self, api: ApiServer, receive_buffer: int | None = None) -> None:
        address = urlsplit(api.url)
        assert address.hostname is not None
        self._socket = socket.socket()
        self._socket.settimeout(_SECONDS_MAX)
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.connect((address.hostname, address.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self.sent = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)
        self.sent += len(data)

    def send_pieces(self, data: bytes, chance: random.Random) -> None:
        at = 0
        while at < len(data):
            size = chance.choice((1, 3, 20, 100, 400, 5_000))
            self.send(data[at : at + size])
            at += size

    def send_until_stuck(self, data: bytes, times: int) -> int:
        """Send the same again and again until nothing more is taken; how many bytes were."""
        sent = 0
        self._socket.settimeout(0.5)
        try:
            while sent < times * len(data):
                sent += self._socket.send(data[sent % len(data) :])
        except TimeoutError:
            pass
        self._socket.settimeout(_SECONDS_MAX)
        return sent

    def read_all(self) -> bytes:
        """Until the server closes."""
        found = self._buffer
        while data := self._socket.recv(1 << 16):
            found += data
        return found

    def read_what_is_there(self, seconds: float) -> bytes:
        self._socket.settimeout(seconds)
        try:
            return self._socket.recv(1 << 16)
        except TimeoutError:
            return b""
        finally:
            self._socket.settimeout(_SECONDS_MAX)

    def read_head(self) -> bytes:
        return self.read_until(b"\r\n\r\n")

    def read_until(self, end: bytes) -> bytes:
        """What has come by the time in which `end` is in it."""
        while end not in self._buffer:
            self._fill()
        return self._buffer

    def _fill(self) -> None:
        data = self._socket.recv(1 << 20)
        if not data:
            raise ConnectionError("closed")
        self._buffer += data

    def read(self) -> Response:
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        if status == 100:
            return Response(status, headers, None)
        length = int(headers["content-length"])
        while len(self._buffer) < length:
            self._fill()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Response(status, headers, json.loads(body))

    def ended(self) -> bool:
        """Whether the server has closed and said nothing more."""
        return not self._buffer and not self._socket.recv(1)


@pytest.fixture
def client(api: ApiServer) -> Iterator[RawClient]:
    with RawClient(api) as client:
        yield client


def test_a_connection_is_kept_for_all_kinds_of_requests(client: RawClient, account: str) -> None:
    client.send(request("POST", "/v1/orders", limit_order(account, client_order_id="kept")))
    placed = client.read()
    assert placed.status == 201
    assert placed.headers["content-type"] == "application/json"
    assert "date" in placed.headers and "connection" not in placed.headers
    order_id = placed.content["order_id"]
    client.send(request("POST", "/v1/orders", limit_order(account, client_order_id="kept")))
    replayed = client.read()
    assert (replayed.status, replayed.headers["idempotency-replayed"]) == (200, "true")
    assert replayed.content["order_id"] == order_id
    client.send(request("GET", f"/v1/orders/{order_id}"))
    assert client.read().content["order_id"] == order_id
    client.send(request("PATCH", f"/v1/orders/{order_id}", {"quantity": "0.005"}))
    assert client.read().content["quantity"] == "0.00500"
    client.send(request("POST", "/v1/orders/batch", {"orders": [limit_order(account)] * 3}))
    assert [result["status"] for result in client.read().content["results"]] == [201] * 3
    client.send(request("DELETE", f"/v1/orders/{order_id}"))
    assert client.read().content["status"] == "CANCELED"
    client.send(request("DELETE", f"/v1/orders/{order_id}"))
    closed = client.read()
    assert (closed.status, closed.content["code"]) == (409, "ORDER_CLOSED")
    assert closed.headers["content-type"] == "application/problem+json"


def test_pipelined_requests_in_any_pieces_are_answered_in_order(client: RawClient, account: str) -> None:
    """Plain ones, ones that the framework answers, chunked and refused ones, all on one connection."""
    seed = 20261126
    print(f"seed {seed}")
    chance = random.Random(seed)
    sent = bytearray()
    expected: list[tuple[int, str | None]] = []
    for number in range(150):
        order = limit_order(account, client_order_id=f"p-{number}")
        draw = chance.random()
        if draw < 0.5:
            sent += request("POST", "/v1/orders", order)
            expected.append((201, f"p-{number}"))
        elif draw < 0.6:
            body = json.dumps(order).encode()
            head = request("POST", "/v1/orders", extra="Transfer-Encoding: chunked\r\n")
            sent += head + b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:5], len(body) - 5, body[5:])
            expected.append((201, f"p-{number}"))
        elif draw < 0.7:
            sent += request("GET", f"/v1/orders/{number + 1}")
            expected.append((404, None))
        elif draw < 0.8:
            sent += request("POST", "/v1/orders", order | {"quantity": "-1"})
            expected.append((400, None))
        elif draw < 0.9:
            sent += request("DELETE", f"/v1/orders/{number + 1}")
            expected.append((404, None))
        else:
            sent += request("POST", "/v1/orders", order, key="wrong")
            expected.append((401, None))
    client.send_pieces(bytes(sent), chance)
    for status, client_order_id in expected:
        found = client.read()
        assert found.status == status, found
        assert found.content.get("client_order_id") == client_order_id


def test_what_is_not_plain_is_answered_all_the_same(client: RawClient, account: str) -> None:
    order = limit_order(account)
    whole = request("POST", "/v1/orders", order, extra="Expect: 100-continue\r\n")
    head, _, body = whole.partition(b"\r\n\r\n")
    client.send(head + b"\r\n\r\n")
    assert client.read().status == 100
    client.send(body)
    assert client.read().status == 201
    client.send(request("POST", "/v1/orders?", order))
    assert client.read().status == 201
    client.send(request("POST", "/v1/orders?x=1", order))
    unknown = client.read()
    assert (unknown.status, unknown.content["errors"][0]["path"]) == (400, "x")
    client.send(request("POST", "/v1/orders", order, extra="Connection: close\r\n"))
    last = client.read()
    assert (last.status, last.headers["connection"]) == (201, "close")
    assert client.ended()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /v1/orders HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /v1/orders HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST /v1/orders HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", 400),
        (b"POST /v1/orders HTTP/9.9\r\n\r\n", 400),
        (b"POST /v1/orders HTTP/1.1\r\nBroken header: x\r\n\r\n", 400),
        (request("POST", "/v1/orders", extra="Content-Length: 99999999\r\n"), 413),
        (request("POST", "/v1/orders/batch", extra="Content-Length: 999999999\r\n"), 413),
    ],
)
def test_broken_heads_end_the_connection(
    api: ApiServer, client: RawClient, account: str, head: bytes, status: int
) -> None:
    client.send(request("POST", "/v1/orders", limit_order(account)))
    assert client.read().status == 201
    client.send(head)
    assert client.read_all().startswith(b"HTTP/1.1 %d " % status)
    with RawClient(api) as other:
        other.send(request("POST", "/v1/orders", limit_order(account)))
        assert other.read().status == 201


def test_a_revoked_key_is_refused_on_open_connections(
    api: ApiServer, client: RawClient, account: str
) -> None:
    number, key = api.make_key("trader", account)
    order = request("POST", "/v1/orders", limit_order(account), key=key)
    for _ in range(2):  # the second time its head is known
        client.send(order)
        assert client.read().status == 201
    with api.client() as admin:
        assert admin.delete(f"/v1/keys/{number}").status_code == 200
    client.send(order)
    assert client.read().status == 401


def test_more_heads_than_are_remembered(
    client: RawClient, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_connection, "HEADS_MAX", 3)
    for number in range(10):
        client.send(request("POST", "/v1/orders", limit_order(account), extra=f"X-Number: {number}\r\n"))
        assert client.read().status == 201


def test_a_client_that_does_not_read_is_not_read_either(api: ApiServer, account: str) -> None:
    """What it sends stays with it; when it reads, it gets all answers, in order."""
    # Fifty megabytes: the system may hold up to 37 of a connection that nobody reads (tcp_rmem, tcp_wmem).
    count, orders = 400, [limit_order(account, quantity="0.000001")] * 1_000
    batch = request("POST", "/v1/orders/batch", {"orders": orders})
    with RawClient(api, receive_buffer=4_096) as slow, RawClient(api) as other:
        sent = slow.send_until_stuck(batch, count)
        assert sent < count * len(batch), "the server took everything"
        other.send(request("POST", "/v1/orders", limit_order(account)))
        assert other.read().status == 201
        for _ in range(sent // len(batch)):
            assert slow.read().status == 200
        slow.send(batch[sent % len(batch) :])
        assert slow.read().status == 200


def test_a_client_that_goes_away_before_its_answer(api: ApiServer, account: str) -> None:
    for _ in range(20):
        with RawClient(api) as gone:
            gone.send(request("POST", "/v1/orders", limit_order(account)) * 2)
    with RawClient(api) as other:
        other.send(request("POST", "/v1/orders", limit_order(account)))
        assert other.read().status == 201


def test_idle_connections_are_closed_and_slow_bodies_are_not(
    api: ApiServer, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = order_connection.OrderConnection.connection_made

    def impatient(self: Any, transport: Any) -> None:
        self.timeout_keep_alive = 0.2
        made(self, transport)

    monkeypatch.setattr(order_connection.OrderConnection, "connection_made", impatient)
    order = request("POST", "/v1/orders", limit_order(account))
    with RawClient(api) as client:
        for earlier in (order, request("GET", "/v1/orders/1")):
            client.send(earlier)
            client.read()
            client.send(order[:-10])
            time.sleep(0.5)
            client.send(order[-10:])
            assert client.read().status == 201
        assert client.ended()
