"""Messages cut out of bytes that come in any pieces, and what keeps them from being read."""

import asyncio
import random
from collections.abc import Callable

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from app.api.websocket.frame_reader import (
    FRAGMENTS_MAX,
    HELD_BYTES_MAX,
    MESSAGES_PER_TURN,
    UNKNOWN_BYTES_MAX,
    FrameReader,
    Wait,
)

BYTES_MAX = 1 << 20


class Transport(asyncio.Transport):
    """Remembers whether it is read."""

    def __init__(self) -> None:
        super().__init__()
        self._reads = True
        self.closing = False

    def pause_reading(self) -> None:
        self._reads = False

    def resume_reading(self) -> None:
        self._reads = True

    def is_reading(self) -> bool:
        return self._reads

    def is_closing(self) -> bool:
        return self.closing


class Peer:
    """An owner that remembers what it is told, and a client's frames."""

    transport: asyncio.Transport

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.own = self.transport = Transport()
        self.told: list[object] = []
        self.is_queue_full = False
        protocol = ServerProtocol(state=State.OPEN, max_size=BYTES_MAX)
        self.reader = FrameReader(self, protocol, loop, BYTES_MAX)
        self.reader.end_wait(Wait.HANDSHAKE)

    def handle_message(self, message: bytes, *, is_text: bool) -> None:
        self.told.append(message.decode() if is_text else message)

    def handle_ping(self) -> None:
        self.told.append("ping")

    def handle_pong(self, payload: bytes) -> None:
        self.told.append(("pong", payload))

    def handle_close(self) -> None:
        self.told.append("close")

    def end_as_the_protocol_says(self) -> None:
        self.told.append("broken")
        self.own.closing = True

    def fail(self, code: int, reason: str) -> None:
        self.told.append(code)
        self.own.closing = True

    def take(self, text: bytes) -> None:
        self.told.append(text)


def frame(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


def told(*pieces: bytes, takes: bool = True, known: bool = True) -> list[object]:
    """What an owner is told of these."""

    async def run() -> list[object]:
        peer = Peer(asyncio.get_running_loop())
        if known:
            peer.reader.admit()
        if takes:
            peer.reader.take = peer.take
        for piece in pieces:
            if not peer.own.closing:
                peer.reader.feed(piece)
            await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        return peer.told

    return asyncio.run(run())


MIXED = [
    (frame(Opcode.TEXT, b'{"a":1}'), b'{"a":1}'),
    (frame(Opcode.TEXT, "ü€".encode()), "ü€".encode()),
    (frame(Opcode.PING, b"x"), "ping"),
    (frame(Opcode.PONG, b"y"), ("pong", b"y")),
    (frame(Opcode.TEXT, b"z" * 200), b"z" * 200),
    (frame(Opcode.TEXT, b"z" * 70_000), b"z" * 70_000),
    (frame(Opcode.TEXT, b"ab", fin=False) + frame(Opcode.CONT, b"c"), b"abc"),
    (frame(Opcode.BINARY, b"bin"), b"bin"),
    (frame(Opcode.TEXT, b""), b""),
]


def test_frames_in_any_pieces() -> None:
    chance = random.Random(20261129)
    for _ in range(50):
        chosen = chance.choices(MIXED, k=8)
        data = b"".join(raw for raw, _ in chosen)
        pieces, at = [], 0
        while at < len(data):
            size = chance.choice((1, 2, 7, 100, 5_000, 100_000)) if len(data) - at < 2_000 else 5_000
            pieces.append(data[at : at + size])
            at += size
        assert told(*pieces) == [expected for _, expected in chosen]


def test_messages_that_nobody_takes_are_the_owners() -> None:
    assert told(frame(Opcode.TEXT, b"a") + frame(Opcode.BINARY, b"b"), takes=False) == ["a", b"b"]


@pytest.mark.parametrize(
    "data",
    [
        Frame(Opcode.TEXT, b"not masked").serialize(mask=False),
        frame(Opcode.TEXT, b"\xff"),
        frame(Opcode.TEXT, b"\xc3", fin=False) + frame(Opcode.CONT, b"\xff"),
        frame(Opcode.CONT, b"of nothing"),
        b"\x83\x80\0\0\0\0",
        frame(Opcode.TEXT, b"x" * (BYTES_MAX + 1)),
    ],
    ids=["not masked", "no UTF-8", "no UTF-8 in pieces", "a continuation", "no opcode", "too large"],
)
@pytest.mark.parametrize("takes", [True, False])
def test_what_is_against_the_rules(data: bytes, takes: bool) -> None:
    assert told(data + frame(Opcode.TEXT, b"more"), takes=takes) == ["broken"]


def test_fragments_are_counted() -> None:
    data = frame(Opcode.TEXT, b"", fin=False) + frame(Opcode.CONT, b"", fin=False) * FRAGMENTS_MAX
    assert told(*[data[at : at + 500] for at in range(0, len(data), 500)]) == [1009]


def test_before_the_key_one_message_is_read() -> None:
    data = frame(Opcode.PING, b"") + frame(Opcode.TEXT, b"key") + frame(Opcode.TEXT, b"more")
    assert told(data, takes=False, known=False) == ["ping", "key"]


@pytest.mark.parametrize(
    "data",
    [
        frame(Opcode.TEXT, b"x" * (UNKNOWN_BYTES_MAX + 1)),
        frame(Opcode.PING, b"x" * 100) * 200,
        frame(Opcode.TEXT, b"x" * 9_000, fin=False) + frame(Opcode.CONT, b"x" * 9_000, fin=False),
    ],
)
def test_before_the_key_bytes_are_counted(data: bytes) -> None:
    found = told(*[data[at : at + 1_000] for at in range(0, len(data), 1_000)], takes=False, known=False)
    assert found[-1] == 1009


def _in_a_loop(act: Callable[[Peer], None]) -> None:
    async def run() -> None:
        act(Peer(asyncio.get_running_loop()))

    asyncio.run(run())


def test_nothing_is_read_while_something_waits() -> None:
    def act(peer: Peer) -> None:
        reader = peer.reader
        assert peer.own.is_reading()
        for reason in (Wait.KEY, Wait.PEER):
            reader.wait(reason)
        reader.feed(frame(Opcode.PING, b""))
        reader.end_wait(Wait.KEY)
        assert reader.waits_for(Wait.PEER) and not peer.own.is_reading()
        assert not peer.told and len(reader) > 0
        reader.end_wait(Wait.PEER)
        assert peer.own.is_reading()
        peer.is_queue_full = True
        reader.steer()
        assert not peer.own.is_reading()

    _in_a_loop(act)


def test_no_more_is_held_than_is_needed() -> None:
    def act(peer: Peer) -> None:
        peer.reader.admit()
        large = frame(Opcode.TEXT, b"x" * 4 * HELD_BYTES_MAX)
        peer.reader.feed(large[: 2 * HELD_BYTES_MAX])
        peer.reader.steer()
        assert peer.own.is_reading(), "of one frame the rest is needed"
        peer.reader.wait(Wait.TURN)
        peer.reader.feed(large[2 * HELD_BYTES_MAX :])
        assert not peer.own.is_reading()

    _in_a_loop(act)


def test_many_frames_take_turns() -> None:
    async def run() -> tuple[int, int]:
        peer = Peer(asyncio.get_running_loop())
        peer.reader.admit()
        peer.reader.take = peer.take
        peer.reader.feed(frame(Opcode.TEXT, b"a") * (2 * MESSAGES_PER_TURN))
        at_once = len(peer.told)
        for _ in range(5):
            await asyncio.sleep(0)
        return at_once, len(peer.told)

    assert asyncio.run(run()) == (MESSAGES_PER_TURN, 2 * MESSAGES_PER_TURN)
