"""A watcher of orders that reads nothing, or hardly anything, until it is asked how it ended."""

import json
import threading
from collections.abc import Sequence
from socket import SO_RCVBUF, SOL_SOCKET, socket
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.protocol import State
from websockets.uri import parse_uri

_SECONDS_MAX = 30


class SlowWatcher:
    def __init__(self, url: str, key: str, accounts: Sequence[str], bytes_per_second: int) -> None:
        place = urlsplit(url)
        assert place.hostname is not None
        assert place.port is not None
        self._bytes_per_second = bytes_per_second
        self._socket = socket()
        self._socket.settimeout(_SECONDS_MAX)
        self._socket.setsockopt(SOL_SOCKET, SO_RCVBUF, 4_096)  # so that little fits in between
        self._socket.connect((place.hostname, place.port))
        self._protocol = ClientProtocol(parse_uri(f"ws://{place.netloc}/v1/stream"), max_size=None)
        request = self._protocol.connect()
        request.headers["Authorization"] = f"Bearer {key}"
        self._protocol.send_request(request)
        self._flush()
        while self._protocol.state is not State.OPEN:
            self._protocol.receive_data(self._socket.recv(1 << 16))
        channels = [{"name": "orders"}, *({"name": "orders", "account": account} for account in accounts)]
        self._protocol.send_text(json.dumps({"op": "subscribe", "id": 1, "channels": channels}).encode())
        self._flush()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def _flush(self) -> None:
        self._socket.sendall(b"".join(self._protocol.data_to_send()))

    def _read(self) -> None:
        while self._bytes_per_second and not self._stop.wait(1):
            try:
                self._protocol.receive_data(self._socket.recv(self._bytes_per_second))
            except OSError:
                return

    def close_code(self) -> int | None:
        """Read on to the end; None where it came without a word."""
        self._stop.set()
        self._thread.join()
        try:
            while self._protocol.close_rcvd is None and (data := self._socket.recv(1 << 20)):
                self._protocol.receive_data(data)
                self._protocol.events_received()
        except OSError:
            return None
        return None if self._protocol.close_rcvd is None else self._protocol.close_rcvd.code
