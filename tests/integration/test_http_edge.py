"""What a connection may cost before its key is known, and in which order it is answered."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.api.http import request_parser
from app.api.http import sweep as connection_sweep
from app.api.order_entry.request_bodies import decode_orders
from app.api.websocket.trade_messages import decode_request
from app.documents.problems import Problem
from tests.integration.test_order_protocol import RawClient, request
from tests.support.api import ADMIN_KEY, ApiServer, limit_order

KIB = 1 << 10
MIB = 1 << 20
GET = request("GET", "/v1/system")
CHUNKED = "Transfer-Encoding: chunked\r\n"


@pytest.fixture
def raw(api: ApiServer) -> Iterator[RawClient]:
    with RawClient(api) as client:
        yield client


@pytest.fixture
def account(account: str, client: httpx.Client) -> Iterator[str]:
    """Its orders do not outlast the test."""
    yield account
    assert client.delete("/v1/orders", params={"account": account}).status_code == 200


def _send_on(client: RawClient, begin: bytes, more: bytes, bytes_max: int) -> int:
    """Send `more` again and again until the server has enough; how many bytes it was sent."""
    client.send(begin)
    try:
        while client.sent < bytes_max and not client.read_what_is_there(0.0001):
            client.send(more)
    except ConnectionError:
        pass
    return client.sent


def _kept(api: ApiServer) -> int:
    """Bytes that connections hold of what is not answered."""

    def count() -> int:
        found = 0
        for each in list(api.server.http_protocol.sweep._connections):
            connection: Any = each
            found += len(getattr(connection, "_held", b""))
            cycle = getattr(connection, "cycle", None)
            found += len(cycle.body) if cycle is not None else 0
            parser = getattr(connection, "parser", None)
            headers = parser.headers if parser is not None else []
            found += sum(len(name) + len(value) for name, value in headers)
        return found

    return api.call(count)


# S3: heads.


ENDLESS = {
    "short headers": (b"GET / HTTP/1.1\r\n", b"".join(b"x-%d: y\r\n" % number for number in range(20))),
    "equal headers": (b"GET / HTTP/1.1\r\n", b"a:\r\n" * 50),
    "one long value": (b"GET / HTTP/1.1\r\nx: ", b"y" * 3_000),
    "blanks": (b"GET / HTTP/1.1\r\nx: ", b" " * 3_000),
    "one long name": (b"GET / HTTP/1.1\r\n", b"y" * 3_000),
    "a long target": (b"GET /", b"y" * 3_000),
    "trailers": (request("POST", "/v1/orders", extra=CHUNKED) + b"0\r\n", b"a:b\r\n" * 40),
    "one long trailer": (request("POST", "/v1/orders", extra=CHUNKED) + b"0\r\nx: ", b"y" * 3_000),
    "extensions of chunks": (request("POST", "/v1/orders", extra=CHUNKED) + b"5;y=", b"y" * 3_000),
    "a plain head without an end": (request("POST", "/v1/orders", {})[:60] + b"\r\nx: ", b"y" * 3_000),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_head_without_an_end_is_refused_while_it_comes(api: ApiServer, kind: str) -> None:
    begin, more = ENDLESS[kind]
    with RawClient(api) as client:
        client.send(begin)
        answer = b""
        while client.sent < 200 * KIB and not answer:
            client.send(more)
            answer = client.read_what_is_there(0.002)
        assert answer.startswith(b"HTTP/1.1 431 "), answer
        assert b"HEADERS_TOO_LARGE" in answer and b"connection: close" in answer
        assert client.sent < 80 * KIB
        assert client.ended()


def test_a_head_of_megabytes_in_one_write_is_not_kept(api: ApiServer) -> None:
    for begin, more in ENDLESS.values():
        with RawClient(api) as client:
            _send_on(client, begin + more * (256 * KIB // len(more)), more * 100, 2 * MIB)
            assert _kept(api) < MIB


@pytest.mark.parametrize(
    ("headers", "status"), [(90, 200), (101, 431)], ids=["as many as may be", "one too many"]
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/system"), ("DELETE", "/v1/orders/1")])
def test_headers_are_counted(raw: RawClient, method: str, path: str, headers: int, status: int) -> None:
    more = "".join(f"X-{number}: y\r\n" for number in range(headers))
    raw.send(request(method, path, extra=more))
    expected = 404 if status == 200 and method == "DELETE" else status
    assert raw.read().status == expected


@pytest.mark.parametrize(("size", "status"), [(60 * KIB, 200), (66 * KIB, 431)])
def test_the_bytes_of_a_head_are_counted(raw: RawClient, size: int, status: int) -> None:
    raw.send(GET + request("GET", "/v1/system", extra=f"X-Long: {'y' * size}\r\n"))
    assert [raw.read().status, raw.read().status] == [200, status]


def test_trailers_are_no_headers(raw: RawClient, account: str) -> None:
    body = json.dumps(limit_order(account)).encode()
    whole = request("POST", "/v1/orders", key="wrong", extra=CHUNKED) + b"%x\r\n%b\r\n0\r\n" % (
        len(body),
        body,
    )
    raw.send(whole + f"Authorization: Bearer {ADMIN_KEY}\r\n\r\n".encode())
    assert raw.read().status == 401


def test_thousands_of_pipelined_requests_wait_as_bytes(api: ApiServer) -> None:
    """Each is begun when the one before it is answered, and not read when there are too many."""
    count = 20_000
    with RawClient(api) as client:
        client.send_until_stuck(b"GET /health/live HTTP/1.1\r\n\r\n" * 1_000, count // 1_000)

        def waiting() -> int:
            connections: Any = api.server.http_protocol.sweep._connections
            return max(len(each.pipeline) for each in connections if hasattr(each, "pipeline"))

        assert api.call(waiting) <= request_parser._PIECE_BYTES // 20
        assert _kept(api) < MIB
        for _ in range(100):
            assert client.read().status == 200


# S5: the key before the body.


@pytest.mark.parametrize(
    "path", ["/v1/orders", "/v1/orders/batch", "/v1/accounts", "/v1/risk/check", "/v1/keys"]
)
@pytest.mark.parametrize("key", ["wrong", "b4_" + "x" * 43])
def test_a_wrong_key_is_answered_before_the_body(api: ApiServer, path: str, key: str) -> None:
    for extra in (f"Content-Length: {MIB}\r\n", CHUNKED):
        with RawClient(api) as client:
            client.send(request("POST", path, key=key, extra=extra) + b"1\r\n{")
            found = client.read()
            assert (found.status, found.headers["connection"]) == (401, "close")
            assert client.ended()


@pytest.mark.parametrize("path", ["/v1/orders/batch", "/v1/accounts", "/nowhere"])
def test_bodies_without_a_key_are_not_kept(api: ApiServer, path: str) -> None:
    clients = [RawClient(api) for _ in range(20)]
    try:
        for client in clients:
            head = f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {MIB}\r\n\r\n".encode()
            try:
                client.send(head + b"[" * (400 * KIB))
            except ConnectionError:
                continue
        assert _kept(api) < 20 * 17 * KIB
        for client in clients:
            assert client.read_all()[:12] in (b"HTTP/1.1 401", b"HTTP/1.1 404")
    finally:
        for client in clients:
            client._socket.close()


def test_a_short_body_with_a_wrong_key_does_not_end_the_connection(raw: RawClient, account: str) -> None:
    wrong = request("POST", "/v1/accounts", {"account": "x"}, key="wrong")
    raw.send(wrong[:-5])
    assert raw.read().status == 401
    raw.send(wrong[-5:] + request("POST", "/v1/orders", limit_order(account)))
    assert raw.read().status == 201


def test_who_waits_to_be_asked_for_the_body_is_not_without_a_key(raw: RawClient) -> None:
    extra = f"Expect: 100-continue\r\nContent-Length: {MIB}\r\n"
    raw.send(request("POST", "/v1/orders/batch", key="wrong", extra=extra))
    assert raw.read().status == 401
    assert raw.ended()


UNKNOWN_MEMBERS = "{" + ",".join(f'"{number:05x}":1' for number in range(95_000)) + "}"
JUNK = {
    "unknown members": UNKNOWN_MEMBERS,
    "unknown members of an order": '{"orders":[' + UNKNOWN_MEMBERS + "]}",
    "lists": "[" + "[]," * 300_000 + "[]]",
    "wrong items": '{"orders":[' + "1," * 300_000 + "1]}",
    "wrong orders": json.dumps({"orders": [{"side": number} for number in range(1_000)]}),
    "a few thousand members": "{" + ",".join(f'"{number}":1' for number in range(2_000)) + "}",
}


@pytest.mark.parametrize("kind", JUNK)
def test_what_is_wrong_is_looked_for_within_bounds(client: httpx.Client, kind: str) -> None:
    text = JUNK[kind][:MIB]
    for decode in (decode_orders, decode_request):
        with pytest.raises(Problem) as refused:
            decode(text.encode())
        assert refused.value.status == 400
        assert len(refused.value.content["errors"]) <= 20
    for path in ("/v1/orders/batch", "/v1/accounts", "/v1/limits/firm"):
        method = "PUT" if path.endswith("firm") else "POST"
        response = client.request(method, path, content=text.encode())
        assert (response.status_code, response.json()["code"]) == (400, "INVALID_REQUEST")
        assert len(response.text) < 8_000


def test_a_batch_of_a_thousand_whole_orders_is_not_too_much(client: httpx.Client, account: str) -> None:
    """Numbers with fractions, which are read again exactly, included."""
    order = limit_order(account, stop_price=None, time_in_force="GTC", expire_at=None, post_only=False)
    order |= {"reduce_only": False, "client_order_id": None, "self_trade_prevention": "NONE"}
    for quantity in ("0.0012345", 0.0012345):
        body = {"orders": [order | {"quantity": quantity}] * 1_000}
        response = client.post("/v1/orders/batch", json=body)
        assert response.status_code == 200
        assert {result["status"] for result in response.json()["results"]} == {422}


# S8: answers in their order.


def _not_plain(order: dict[str, Any]) -> dict[str, bytes]:
    body = json.dumps(order).encode()
    chunked = request("POST", "/v1/orders", extra=CHUNKED) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return {"chunked": chunked, "an empty query": request("POST", "/v1/orders?", order)}


UNREADABLE = {
    "garbage": b"\x00\x01garbage\r\n\r\n",
    "no version": b"GET / HTTP/9.9\r\n\r\n",
    "a bad header": b"GET / HTTP/1.1\r\nbad header: x\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
}


@pytest.mark.parametrize("garbage", UNREADABLE)
@pytest.mark.parametrize("kind", ["chunked", "an empty query"])
def test_an_order_is_answered_before_what_cannot_be_read(
    api: ApiServer, account: str, kind: str, garbage: str, caplog: pytest.LogCaptureFixture
) -> None:
    for before in (1, 3):
        with RawClient(api) as client:
            client.send(_not_plain(limit_order(account))[kind] * before + UNREADABLE[garbage])
            answers = [client.read() for _ in range(before)]
            assert [answer.status for answer in answers] == [201] * before
            last = client.read()
            assert (last.status, last.content["code"]) == (400, "INVALID_REQUEST")
            assert last.headers["connection"] == "close"
            assert client.ended()
    assert "Traceback" not in caplog.text


def test_a_body_that_breaks_off_takes_its_own_turn_and_has_no_effect(
    api: ApiServer, client: httpx.Client, account: str
) -> None:
    order_id = client.post("/v1/orders", json=limit_order(account)).json()["order_id"]
    placed = _not_plain(limit_order(account))["chunked"]
    for method, path in (
        ("DELETE", f"/v1/orders/{order_id}"),
        ("POST", "/v1/orders"),
        ("POST", "/v1/accounts"),
        ("GET", "/v1/system"),
    ):
        broken = request(method, path, extra=CHUNKED) + b"2\r\n{}\r\nno size\r\n"
        for before in (0, 1, 2):
            with RawClient(api) as raw:
                raw.send(placed * before + broken)
                assert [raw.read().status for _ in range(before)] == [201] * before
                assert raw.read().status == 400
                assert raw.ended()
    assert client.get(f"/v1/orders/{order_id}").json()["status"] == "NEW"


def test_a_head_too_large_behind_an_order(api: ApiServer, account: str) -> None:
    with RawClient(api) as client:
        client.send(_not_plain(limit_order(account))["an empty query"] + request("GET", "/" + "x" * 70_000))
        assert client.read().status == 201
        assert client.read().status == 431
        assert client.ended()


def test_a_slow_answer_is_not_overtaken(
    api: ApiServer, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable = api.server.loop.durable

    async def slow_durable() -> None:
        await asyncio.sleep(0.2)
        await durable()

    monkeypatch.setattr(api.server.loop, "durable", slow_durable)
    with RawClient(api) as client:
        client.send(request("GET", "/v1/limits/firm") + UNREADABLE["garbage"])
        time.sleep(0.1)
        client.send(b"more of it")
        assert client.read().status == 200
        assert client.read().status == 400
        assert client.ended()


# S14.


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/orders/"), ("GET", "/v1/accounts/"), ("PUT", "/v1/limits/firm/")]
)
def test_nobody_is_sent_elsewhere(raw: RawClient, method: str, path: str) -> None:
    raw.send(request(method, path, {}).replace(b"Host: test", b"Host: evil.example"))
    found = raw.read()
    assert found.status in (404, 405)
    assert "location" not in found.headers


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/orders", "DELETE, GET, POST"),
        ("/v1/orders/1", "DELETE, GET, PATCH"),
        ("/v1/keys", "GET, POST"),
        ("/v1/limits/firm", "GET, PUT"),
        ("/health/live", "GET"),
        ("/openapi.json", "GET"),
    ],
)
def test_allow_names_all_that_may_be_done(client: httpx.Client, path: str, allowed: str) -> None:
    response = client.request("TRACE", path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)


def test_few_open_files_are_said_so(caplog: pytest.LogCaptureFixture) -> None:
    assert connection_sweep.connections_for(4_608) == 4_096
    assert not caplog.text
    assert connection_sweep.connections_for(1_024) == 512
    assert connection_sweep.connections_for(256) == 128
    assert "allows this process 256 open files: at most 128 connections" in caplog.text
    assert "ulimit -n 4608" in caplog.text
    with pytest.raises(connection_sweep.TooFewFiles, match=r"64 open files.*ulimit -n"):
        connection_sweep.connections_for(64)
