"""How `WS /v1/trade` reads frames, however a client cuts, mixes or breaks them."""

import json
import random
import struct
import time
from collections.abc import Callable
from socket import create_connection
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from app.api.websocket import trade_session
from tests.support.api import ADMIN_KEY, ApiServer

_SECONDS_MAX = 10
_MASK = b"\x12\x34\x56\x78"


def frame(first: int, payload: bytes, *, masked: bool = True) -> bytes:
    """One frame as a client sends it; `first`: its first byte."""
    size = len(payload)
    bit = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, bit | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, bit | 127, size)
    if not masked:
        return head + payload
    return head + _MASK + bytes(byte ^ _MASK[i % 4] for i, byte in enumerate(payload))


def ping_op(identity: Any, padding: int = 0) -> bytes:
    return json.dumps({"id": identity, "op": "ping"}, ensure_ascii=False).encode() + b" " * padding


class RawClient:
    """Sends bytes; reads frames."""

    def __init__(self, api: ApiServer) -> None:
        address = urlsplit(api.url)
        self._protocol = ClientProtocol(parse_uri(f"ws://{address.netloc}/v1/trade"), max_size=None)
        assert address.hostname is not None
        self._socket = create_connection((address.hostname, address.port), _SECONDS_MAX)
        request = self._protocol.connect()
        request.headers["Authorization"] = f"Bearer {ADMIN_KEY}"
        self._protocol.send_request(request)
        self._socket.sendall(b"".join(self._protocol.data_to_send()))
        self._found: list[Frame] = []
        while self._protocol.state is not State.OPEN:
            self._receive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def _receive(self) -> None:
        data = self._socket.recv(1 << 20)
        if not data:
            raise ConnectionError("closed without a word")
        self._protocol.receive_data(data)
        self._found += [event for event in self._protocol.events_received() if isinstance(event, Frame)]

    def read(self, wanted: Callable[[list[Frame]], bool]) -> list[Frame]:
        deadline = time.monotonic() + _SECONDS_MAX
        while not wanted(self._found):
            assert time.monotonic() < deadline
            self._receive()
        found, self._found = self._found, []
        return found

    def close_code(self) -> int:
        self.read(lambda found: any(each.opcode is Opcode.CLOSE for each in found))
        assert self._protocol.close_rcvd is not None
        return self._protocol.close_rcvd.code


def test_any_frames_in_any_pieces(api: ApiServer) -> None:
    seed = 20261125
    print(f"seed {seed}")
    chance = random.Random(seed)
    data, identities, pongs = bytearray(), [], 0
    for number in range(400):
        identity = f"né-{number}" if chance.random() < 0.2 else f"n-{number}"
        message = ping_op(identity, chance.choice((0, 0, 0, 200, 70_000)))
        identities.append(identity)
        if chance.random() < 0.3:
            cut = chance.randrange(len(message))
            data += frame(0x01, message[:cut])
            if chance.random() < 0.5:
                data += frame(0x89, b"between")
                pongs += 1
            data += frame(0x80, message[cut:])
        else:
            data += frame(0x81, message)
        if chance.random() < 0.1:
            data += frame(0x89, b"after")
            pongs += 1
    with RawClient(api) as client:
        at = 0
        while at < len(data):
            size = chance.choice((1, 2, 3, 7, 64, 1_000, 100_000))
            client.send(bytes(data[at : at + size]))
            at += size
        found = client.read(lambda frames: len(frames) >= len(identities) + pongs)
    answers = [json.loads(bytes(each.data)) for each in found if each.opcode is Opcode.TEXT]
    assert [answer["id"] for answer in answers] == identities
    assert all(answer["status"] == 200 for answer in answers)
    assert sum(each.opcode is Opcode.PONG for each in found) == pongs


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (frame(0x81, b'{"id": "\xff"}'), 1007),
        (frame(0x01, b'{"id": "\xc3') + frame(0x80, b'("}'), 1007),
        (frame(0x81, ping_op(1), masked=False), 1002),
        (frame(0xC1, ping_op(1)), 1002),
        (frame(0x83, b""), 1002),
        (frame(0x80, b"nothing to go on with"), 1002),
        (frame(0x01, b"one") + frame(0x81, b"another within"), 1002),
        (frame(0x81, b"x" * ((1 << 20) + 1))[:100], 1009),
        (frame(0x82, ping_op(1)), 1003),
        (frame(0x88, b"\x03\xe8"), 1000),
    ],
)
def test_what_ends_a_connection(api: ApiServer, broken: bytes, code: int) -> None:
    """What came before it is answered; what comes behind it is not looked at."""
    with RawClient(api) as client:
        client.send(frame(0x81, ping_op("before")))
        before = client.read(lambda frames: len(frames) > 0)
        assert json.loads(bytes(before[0].data))["id"] == "before"
        client.send(broken + frame(0x81, ping_op("behind")))
        frames: list[Frame] = client.read(lambda found: any(each.opcode is Opcode.CLOSE for each in found))
        assert int.from_bytes(frames[-1].data[:2], "big") == code
        assert not any(b"behind" in bytes(each.data) for each in frames if each.opcode is Opcode.TEXT)


def test_answers_wait_for_a_client_that_is_behind_and_reads_on(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trade_session, "OUTGOING_BYTES_MAX", 1 << 30)
    count = 2_000
    identity = "x" * 64
    request = frame(0x81, ping_op(identity)) * 50
    with RawClient(api) as client:
        for _ in range(count // 50):
            client.send(request)
        time.sleep(0.2)
        found = client.read(lambda frames: len(frames) == count)
        assert {json.loads(bytes(each.data))["id"] for each in found} == {identity}
