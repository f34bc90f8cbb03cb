"""SIGTERM, whatever is open and under way: what is in effect is answered, the rest ends."""

import asyncio
import contextlib
import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.support.process import AUTHORIZATION, ServerProcess

KEY = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
HANDSHAKE = f"Host: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n{KEY}"
CHUNKED = "Transfer-Encoding: chunked\r\n"
AUTHORIZED = "".join(f"{name}: {value}\r\n" for name, value in AUTHORIZATION.items())

OPEN = {
    "nothing": b"",
    "half a head": b"GET /v1/system HTTP/1.1\r\nHost: ",
    "half a body": f"POST /v1/orders HTTP/1.1\r\n{AUTHORIZED}Content-Length: 90\r\n\r\n{{".encode(),
    "half a body without a key": b"POST /v1/accounts HTTP/1.1\r\nContent-Length: 90000\r\n\r\n{",
    "a handshake with a body": f"GET /v1/trade HTTP/1.1\r\n{HANDSHAKE}Content-Length: 1\r\n\r\n".encode(),
    "a chunked handshake": f"GET /v1/trade HTTP/1.1\r\n{HANDSHAKE}{CHUNKED}\r\n".encode(),
    "a socket without a key": f"GET /v1/trade HTTP/1.1\r\n{HANDSHAKE}\r\n".encode(),
    "a stream": f"GET /v1/stream HTTP/1.1\r\n{HANDSHAKE}{AUTHORIZED}\r\n".encode(),
    "a frame that is not whole": f"GET /v1/trade HTTP/1.1\r\n{HANDSHAKE}{AUTHORIZED}\r\n".encode()
    + b"\x81\xfe",
}


@pytest.fixture
def server(data_dir: Path) -> Iterator[ServerProcess]:
    with ServerProcess(data_dir) as server:
        yield server


def _order(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "account": "load",
        "symbol": "BTC-USDT",
        "side": "BUY",
        "type": "LIMIT",
        "quantity": "0.01",
        "price": "900.00",
        "client_order_id": f"stop-{number}",
        **changes,
    }


def _orders_in_effect(server: ServerProcess) -> set[str]:
    """As the next start finds them."""
    server.start()
    with httpx.Client(base_url=server.url, headers=AUTHORIZATION, trust_env=False, timeout=30) as client:
        found: set[str] = set()
        parameters: dict[str, Any] = {"account": "load", "limit": 500}
        while True:
            page = client.get("/v1/orders", params=parameters).json()
            found |= {order["client_order_id"] for order in page["items"] if order["client_order_id"]}
            if not page["next_cursor"]:
                return found
            parameters["cursor"] = page["next_cursor"]


def test_a_stop_is_a_stop_whatever_is_open(server: ServerProcess) -> None:
    place = urlsplit(server.url)
    assert place.hostname is not None and place.port is not None
    with contextlib.ExitStack() as stack:
        for data in OPEN.values():
            for _ in range(3):
                client = stack.enter_context(socket.create_connection((place.hostname, place.port), 10))
                client.sendall(data)
        time.sleep(0.5)
        children = psutil.Process(server.process.pid).children(recursive=True)
        assert server.stop() == 0
    output = server.output()
    assert "Traceback" not in output and "AssertionError" not in output
    _, alive = psutil.wait_procs(children, timeout=5)
    assert not alive


def test_peers_that_read_nothing_do_not_hold_up_a_stop(server: ServerProcess) -> None:
    place = urlsplit(server.url)
    assert place.hostname is not None and place.port is not None
    ping = b"\x89\xfd\0\0\0\0" + b"x" * 125
    with contextlib.ExitStack() as stack:
        for begin, more in (
            (OPEN["a stream"], ping * 1_000),
            (OPEN["a frame that is not whole"][:-2], ping * 1_000),
            (b"", f"GET /openapi.json HTTP/1.1\r\n{AUTHORIZED}\r\n".encode() * 100),
        ):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            client.settimeout(1)
            client.connect((place.hostname, place.port))
            client.sendall(begin)
            _send_until_stuck(client, more)
        assert server.stop() == 0
    assert "Traceback" not in server.output()


def _send_until_stuck(client: socket.socket, data: bytes) -> None:
    with contextlib.suppress(TimeoutError):
        for _ in range(1_000):
            client.sendall(data)
        raise AssertionError("everything was taken")


async def _load_socket(server: ServerProcess, ops: int) -> tuple[set[str], int | None]:
    """Send orders and the signal behind them; what was answered as placed, and the close code."""
    answered: set[str] = set()
    url = server.url.replace("http", "ws", 1) + "/v1/trade"
    async with connect(url, additional_headers=AUTHORIZATION, proxy=None) as client:
        for number in range(ops):
            if number % 4 == 3:
                orders = [_order(10_000 + 4 * number + part) for part in range(4)]
                message = {"id": number, "op": "order.place_batch", "params": {"orders": orders}}
            else:
                message = {"id": number, "op": "order.place", "params": _order(number)}
            await client.send(json.dumps(message))
            if number == ops // 2:
                server.process.send_signal(signal.SIGTERM)
        try:
            while True:
                result = json.loads(await client.recv())["result"]
                found = result["results"] if "results" in result else [{"order": result}]
                answered |= {item["order"]["client_order_id"] for item in found}
        except ConnectionClosed as closed:
            return answered, None if closed.rcvd is None else closed.rcvd.code


def test_orders_in_flight_on_a_socket_are_answered_before_it_ends(server: ServerProcess) -> None:
    answered, code = asyncio.run(_load_socket(server, 400))
    assert server.process.wait(30) == 0
    assert code == 1012
    assert answered
    assert _orders_in_effect(server) == answered


def test_a_stream_is_told_that_the_server_stops(server: ServerProcess) -> None:
    async def watch() -> int | None:
        url = server.url.replace("http", "ws", 1) + "/v1/stream"
        async with connect(url, additional_headers=AUTHORIZATION, proxy=None) as client:
            await client.send('{"op":"subscribe","id":1,"channels":[{"name":"system"}]}')
            await client.recv()
            server.process.send_signal(signal.SIGTERM)
            try:
                while True:
                    await client.recv()
            except ConnectionClosed as closed:
                return None if closed.rcvd is None else closed.rcvd.code

    assert asyncio.run(watch()) == 1012
    assert server.process.wait(30) == 0


@pytest.mark.parametrize("query", ["", "?"], ids=["plain", "uvicorn's way"])
def test_orders_in_flight_over_http_are_answered(server: ServerProcess, query: str) -> None:
    """On many connections, each with an order under way."""
    place = urlsplit(server.url)
    assert place.hostname is not None and place.port is not None
    answered: set[str] = set()
    with contextlib.ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection((place.hostname, place.port), 10))
            for _ in range(100)
        ]
        for client in clients:  # all are accepted
            client.sendall(f"DELETE /v1/orders/1 HTTP/1.1\r\n{AUTHORIZED}\r\n".encode())
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 404 ")
        for number, client in enumerate(clients):
            body = json.dumps(_order(number)).encode()
            head = f"POST /v1/orders{query} HTTP/1.1\r\n{AUTHORIZED}Content-Length: {len(body)}\r\n\r\n"
            client.sendall(head.encode() + body)
            if number == 50:
                server.process.send_signal(signal.SIGTERM)
        for number, client in enumerate(clients):
            found = b""
            with contextlib.suppress(ConnectionResetError):
                while data := client.recv(1 << 16):
                    found += data
            if found.startswith(b"HTTP/1.1 201 "):
                answered.add(f"stop-{number}")
            else:
                assert not found, "an order is answered, or it is not in effect"
    assert server.process.wait(30) == 0
    assert answered
    assert _orders_in_effect(server) == answered
