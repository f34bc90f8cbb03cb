"""Plain order requests are answered by the connection itself, and nobody can tell by the answers."""

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from app.api.order_protocol import HEADS_MAX
from tests.api_support import ADMIN_KEY, ApiServer, limit_order

_KEEP_ALIVE_SECONDS = 5
_UNREAD_MAX = 100_000


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.body)


class Connection:
    """A socket that sends what it is told, and reads one response at a time."""

    def __init__(self, api: ApiServer, buffer_bytes: int = 0) -> None:
        parts = urlsplit(api.url)
        assert parts.port is not None
        self.socket = socket.socket()
        if buffer_bytes:
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                self.socket.setsockopt(socket.SOL_SOCKET, option, buffer_bytes)
        self.socket.settimeout(30)
        self.socket.connect((parts.hostname, parts.port))
        self.file = self.socket.makefile("rb")

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.socket.sendall(piece)

    def read(self) -> Response:
        status = int(self.file.readline().split()[1])
        headers = {}
        while (line := self.file.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return Response(status, headers, self.file.read(int(headers.get("content-length", "0"))))

    def ended(self) -> bool:
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@pytest.fixture
def connection(api: ApiServer) -> Iterator[Connection]:
    made = Connection(api)
    yield made
    made.close()


def request(
    body: bytes,
    *headers: str,
    line: str = "POST /v1/orders",
    key: str = ADMIN_KEY,
    length: int | None = None,
) -> bytes:
    head = [f"{line} HTTP/1.1", "host: localhost", f"authorization: Bearer {key}", *headers]
    if length != -1:
        head.append(f"content-length: {len(body) if length is None else length}")
    return "\r\n".join((*head, "", "")).encode() + body


def order(account: str, number: int = 0, **changes: Any) -> bytes:
    named = {"client_order_id": f"n{number}"} if number else {}
    return json.dumps(limit_order(account, **named, **changes)).encode()


def comparable(content: dict[str, Any]) -> dict[str, Any]:
    """What two orders with the same content have in common."""
    own = ("order_id", "created_ts", "updated_ts", "seq")
    return {name: value for name, value in content.items() if name not in own}


def test_the_answer_does_not_depend_on_the_way(api: ApiServer, account: str, connection: Connection) -> None:
    body = order(account)
    connection.send(request(body))
    plain = connection.read()
    connection.send(request(body, "expect: 100-continue"))
    assert connection.file.readline().startswith(b"HTTP/1.1 100")
    assert connection.file.readline() == b"\r\n"
    expected = connection.read()
    chunked = request(b"", "transfer-encoding: chunked", length=-1)
    connection.send(chunked, b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
    with api.client() as client:
        through_client = client.post("/v1/orders", content=body)
    others = [expected, connection.read()]
    assert plain.status == through_client.status_code == 201
    for other in others:
        assert other.status == 201
        assert comparable(other.content) == comparable(plain.content)
        assert list(other.content) == list(plain.content)
        assert {**other.headers, "date": "", "content-length": ""} == {
            **plain.headers,
            "date": "",
            "content-length": "",
        }
    assert comparable(through_client.json()) == comparable(plain.content)


@pytest.mark.parametrize("cut", [1, 20, -40, -1])
def test_a_request_in_two_pieces(account: str, connection: Connection, cut: int) -> None:
    for number in (1, 2):  # the first time the head is new, then it is known
        whole = request(order(account, number))
        connection.send(whole[:cut])
        connection.send(whole[cut:])
        assert connection.read().content["client_order_id"] == f"n{number}"


def test_a_request_byte_by_byte(account: str, connection: Connection) -> None:
    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    whole = request(order(account, 1))
    connection.send(*(whole[at : at + 1] for at in range(len(whole))))
    assert connection.read().status == 201


def test_pipelined_requests_of_all_kinds_are_answered_in_their_order(
    account: str, connection: Connection
) -> None:
    connection.send(
        request(order(account, 1))
        + request(b"", line="GET /v1/instruments")
        + request(order(account, 2))
        + request(b"{", line="POST /v1/orders")
        + request(order(account, 3), "transfer-encoding: chunked", length=-1)[: -len(order(account, 3))]
        + b"%x\r\n%b\r\n0\r\n\r\n" % (len(order(account, 3)), order(account, 3))
        + request(b'{"orders":[%b]}' % order(account, 4), line="POST /v1/orders/batch")
        + request(order(account, 1))
    )
    found = [connection.read() for _ in range(7)]
    assert [response.status for response in found] == [201, 200, 201, 400, 201, 200, 200]
    ids = [found[index].content["client_order_id"] for index in (0, 2, 4)]
    assert ids == ["n1", "n2", "n3"]
    assert "items" in found[1].content
    assert found[5].content["results"][0]["order"]["client_order_id"] == "n4"
    assert found[6].headers["idempotency-replayed"] == "true"
    assert found[6].content["order_id"] == found[0].content["order_id"]


def test_cancel_and_amend(account: str, connection: Connection) -> None:
    connection.send(request(order(account, 1)))
    order_id = connection.read().content["order_id"]
    connection.send(request(b'{"quantity":"0.005"}', line=f"PATCH /v1/orders/{order_id}"))
    amended = connection.read()
    assert (amended.status, amended.content["quantity"]) == (200, "0.00500")
    assert "fills" not in amended.content
    for status, code in ((200, None), (409, "ORDER_CLOSED")):
        connection.send(request(b"", line=f"DELETE /v1/orders/{order_id}", length=-1))
        canceled = connection.read()
        assert (canceled.status, canceled.content["code"]) == (status, code)
    connection.send(request(b"", line="DELETE /v1/orders/123456", length=-1))
    assert connection.read().content["code"] == "UNKNOWN_ORDER"


def test_close_is_kept(account: str, connection: Connection) -> None:
    connection.send(request(order(account), "connection: close"))
    response = connection.read()
    assert (response.status, response.headers["connection"]) == (201, "close")
    assert connection.ended()


@pytest.mark.parametrize(
    ("line", "length", "status"),
    [("POST /v1/orders", 1 << 14, 400), ("POST /v1/orders", (1 << 14) + 1, 413)],
)
def test_the_largest_body(connection: Connection, line: str, length: int, status: int) -> None:
    connection.send(request(b" " * length, line=line))
    assert connection.read().status == status


def test_what_is_wrong_is_told_and_the_connection_goes_on(account: str, connection: Connection) -> None:
    cases = [
        (b"", 400, "INVALID_REQUEST"),
        (b"\xff", 400, "INVALID_REQUEST"),
        (order(account, price="0.001"), 422, "PRICE_TICK"),
        (order("nobody"), 422, "UNKNOWN_ACCOUNT"),
        (order(account, quantity=1e-3), 201, None),
    ]
    for body, status, code in cases:
        connection.send(request(body))
        response = connection.read()
        assert (response.status, response.content["code"]) == (status, code)
        kind = "application/json" if status < 400 else "application/problem+json"
        assert response.headers["content-type"] == kind


@pytest.mark.parametrize(
    "head",
    [
        b"POST /v1/orders HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"POST /v1/orders HTTP/1.1\r\nhost: x\r\ncontent-length: -2\r\n\r\n{}",
        b"POST /v1/orders HTTP/1.1\r\nhost x\r\n\r\n",
        b"POST /v1/orders HTTP/9.9\r\nhost: x\r\n\r\n",
        b"\r\n\r\n\r\n\0\0\0\0\r\n\r\n",
    ],
)
def test_malformed_heads_are_refused(connection: Connection, head: bytes) -> None:
    connection.send(head)
    assert connection.read().status in (400, 401, 404)


def test_a_revoked_key_is_refused_though_its_head_is_known(api: ApiServer, account: str) -> None:
    number, key = api.make_key("trader", account)
    connection = Connection(api)
    connection.send(request(order(account), key=key))
    assert connection.read().status == 201
    with api.client() as client:
        assert client.delete(f"/v1/keys/{number}").status_code in (200, 204)
    connection.send(request(order(account), key=key))
    refused = connection.read()
    assert (refused.status, refused.content["code"]) == (401, "UNAUTHORIZED")
    assert refused.headers["www-authenticate"] == "Bearer"
    connection.close()


def test_a_client_that_sends_and_does_not_read_is_not_read_either(api: ApiServer, account: str) -> None:
    slow = Connection(api, buffer_bytes=4_096)
    slow.socket.settimeout(1)
    body = order(account, 1)
    sent = 0
    with contextlib.suppress(TimeoutError):  # once the buffers of both sides are full, nothing more is taken
        while sent < _UNREAD_MAX:
            slow.send(request(body))
            sent += 1
    assert 0 < sent < _UNREAD_MAX
    with api.client() as client:
        assert client.post("/v1/orders", content=order(account, 2)).status_code == 201
    slow.socket.settimeout(30)
    statuses = [slow.read().status for _ in range(sent)]
    assert statuses == [201] + [200] * (sent - 1)
    slow.close()


def test_heads_that_are_always_new_are_forgotten(api: ApiServer, account: str) -> None:
    connection = Connection(api)
    for number in range(HEADS_MAX + 10):
        connection.send(request(b"{}", f"x-number: {number}"))
        assert connection.read().status == 400
    lane = api.server.http_protocol.lane
    assert len(lane._heads) <= HEADS_MAX
    connection.send(request(order(account)))
    assert connection.read().status == 201
    connection.close()


@pytest.mark.slow
def test_an_idle_connection_is_closed_and_a_busy_one_is_not(account: str, connection: Connection) -> None:
    connection.socket.settimeout(3 * _KEEP_ALIVE_SECONDS)
    connection.send(request(order(account)))
    assert connection.read().status == 201
    assert connection.ended()
