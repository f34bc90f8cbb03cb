"""How long the event loop of a server is held: the longest time between two of its rounds.

The probe runs once in each round. On a machine that others use, too, a round may seem long because
the processor was taken away: so what counts is the best of several tries. Processors differ, too: a bound
in milliseconds is that of a processor which does the reference work in `REFERENCE_SECONDS`.
"""

import asyncio
import json
import socket
from time import perf_counter, thread_time
from urllib.parse import urlsplit

from tests.support.api import ADMIN_KEY, ApiServer

_RECEIVE_BYTES = 1 << 20
_SECONDS_MAX = 60

REFERENCE_SECONDS = 0.002
_REFERENCE = {"orders": [{"account": f"account-{n}", "price": "100.25", "quantity": n} for n in range(200)]}


def slowness() -> float:
    """How many times as long as on the reference processor Python takes here and now; at least 1."""
    taken = []
    for _ in range(15):
        before = thread_time()
        for _ in range(10):
            json.loads(json.dumps(_REFERENCE))
        taken.append(thread_time() - before)
    return max(1.0, sorted(taken)[len(taken) // 2] / REFERENCE_SECONDS)


class LoopProbe:
    """Watches a server's loop between `start` and `stop`."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._running = False
        self._last = self._last_cpu = 0.0
        self.held = self.held_cpu = 0.0

    def start(self) -> None:
        self._server.call(self._begin)

    def stop(self) -> float:
        """The longest round in seconds."""
        self._server.call(self._end)
        return min(self.held, self.held_cpu)

    def _begin(self) -> None:
        self._running = True
        self.held = self.held_cpu = 0.0
        self._last, self._last_cpu = perf_counter(), thread_time()
        asyncio.get_running_loop().call_soon(self._beat)

    def _beat(self) -> None:
        now, cpu = perf_counter(), thread_time()
        self.held = max(self.held, now - self._last)
        self.held_cpu = max(self.held_cpu, cpu - self._last_cpu)
        self._last, self._last_cpu = now, cpu
        if self._running:
            asyncio.get_running_loop().call_soon(self._beat)

    def _end(self) -> None:
        self._beat()
        self._running = False


def ask(
    server: ApiServer, method: str, target: str, body: bytes = b"", accept: str = "*/*"
) -> tuple[int, int]:
    """One request by a plain socket, whose answer is only read: the status, and its size in bytes.

    A client that parsed would hold the interpreter that the server needs.
    """
    address = urlsplit(server.url)
    assert address.hostname is not None
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_KEY}\r\nAccept: {accept}\r\n"
        f"Connection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port), timeout=_SECONDS_MAX) as connection:
        connection.sendall(head.encode() + body)
        first = connection.recv(_RECEIVE_BYTES)
        size = len(first)
        buffer = bytearray(_RECEIVE_BYTES)
        while count := connection.recv_into(buffer):
            size += count
    return int(first.split(b" ", 2)[1]), size
