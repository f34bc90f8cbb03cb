"""Silent client: a WebSocket client that sends, and reads only when it is told to."""

import contextlib
from socket import SO_RCVBUF, SOL_SOCKET
from socket import socket as Socket  # noqa: N812  # `socket` is the fixture's name
from typing import Self
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.protocol import State
from websockets.uri import parse_uri

from tests.support.api import ADMIN_KEY, ApiServer

_SECONDS_MAX = 10


class SilentClient:
    """A WebSocket client that reads nothing until it is told to."""

    def __init__(self, api: ApiServer) -> None:
        address = urlsplit(api.url)
        assert address.hostname is not None
        self._socket = Socket()
        self._socket.settimeout(_SECONDS_MAX)
        self._socket.setsockopt(SOL_SOCKET, SO_RCVBUF, 4_096)  # so that little fits in between
        self._socket.connect((address.hostname, address.port))
        self._protocol = ClientProtocol(parse_uri(f"ws://{address.netloc}/v1/trade"), max_size=None)
        request = self._protocol.connect()
        request.headers["Authorization"] = f"Bearer {ADMIN_KEY}"
        self._protocol.send_request(request)
        self._flush()
        while self._protocol.state is not State.OPEN:
            self._protocol.receive_data(self._socket.recv(1 << 16))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    def _flush(self) -> None:
        self.send_bytes(b"".join(self._protocol.data_to_send()))

    def send_bytes(self, data: bytes) -> None:
        self._socket.sendall(data)

    def send(self, text: str) -> None:
        self._protocol.send_text(text.encode())
        self._flush()

    def send_until_stuck(self, text: str, times: int) -> int:
        """Send the same again and again until nothing more is taken; how many were taken whole."""
        self._socket.settimeout(1)
        taken = 0
        with contextlib.suppress(TimeoutError):
            while taken < times:
                self.send(text)
                taken += 1
        self._socket.settimeout(_SECONDS_MAX)
        return taken

    def read_close_code(self) -> int:
        while self._protocol.close_rcvd is None:
            data = self._socket.recv(1 << 20)
            assert data, "closed without a word"
            self._protocol.receive_data(data)
            self._protocol.events_received()
        return self._protocol.close_rcvd.code
