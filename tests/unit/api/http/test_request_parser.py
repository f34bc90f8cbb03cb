"""What a listener is told of requests in any pieces, and when the parser has enough."""

import pytest

from app.api.http.head_reader import HEADERS_MAX
from app.api.http.request_parser import (
    HEAD_BYTES_MAX,
    ProtocolChange,
    RequestHead,
    RequestParser,
    Stage,
    UnreadableRequest,
)

POST = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-Y: z\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


class Told:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.parser = RequestParser(self)
        self.begun = 0
        self.heads: list[RequestHead] = []
        self.contents: list[bytes] = []
        self.stages: list[Stage] = []

    def request_begun(self) -> None:
        self.begun += 1
        self.contents.append(b"")
        self.stages.append(self.parser.stage)

    def head_read(self, head: RequestHead) -> None:
        self.heads.append(head)
        self.stages.append(self.parser.stage)

    def content_read(self, content: bytes) -> None:
        self.contents[-1] += content

    def request_read(self) -> None:
        self.stages.append(self.parser.stage)

    def feed(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            at = self.parser.feed(data, at)


def code_of(told: Told, *pieces: bytes) -> str:
    """Why these pieces are not read to their end."""
    for piece in pieces:
        try:
            told.feed(piece)
        except UnreadableRequest as refused:
            return str(refused.problem.code)
    raise AssertionError("all was read")


def test_a_request_cut_anywhere() -> None:
    whole = CHUNKED + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n"
    for size in range(1, len(whole)):
        told = Told()
        for at in range(0, len(whole), size):
            told.feed(whole[at : at + size])
        (head,) = told.heads
        assert (head.method, head.target, head.http_version) == ("POST", b"/a?b=c", "1.1")
        assert head.headers == [(b"host", b"x"), (b"x-y", b"z"), (b"transfer-encoding", b"chunked")]
        assert head.keeps_alive and not head.is_handshake
        assert head.content_bytes == float("inf")
        assert told.contents == [b"abcde"]
        assert told.stages == [Stage.HEAD, Stage.HEAD, Stage.BETWEEN]
        assert not told.parser.in_request


def test_a_head_can_be_written_again() -> None:
    told = Told()
    told.feed(POST + b"Content-Length: 3\r\n\r\n")
    assert told.parser.stage is Stage.BODY
    (head,) = told.heads
    assert head.content_bytes == 3
    again = Told()
    again.feed(head.written())
    assert again.heads == [head]


@pytest.mark.parametrize(
    ("head", "keeps_alive"),
    [
        (b"GET / HTTP/1.1\r\n", True),
        (b"GET / HTTP/1.1\r\nConnection: close\r\n", False),
        (b"GET / HTTP/1.0\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n", False),
    ],
)
def test_whether_the_connection_is_kept(head: bytes, keeps_alive: bool) -> None:
    told = Told()
    told.feed(head + b"\r\n")
    assert told.heads[0].keeps_alive == keeps_alive


@pytest.mark.parametrize(
    ("fields", "is_handshake"),
    [
        (b"Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n", True),
        (b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n", False),
    ],
)
def test_another_protocol(fields: bytes, is_handshake: bool) -> None:
    told = Told()
    head = b"GET / HTTP/1.1\r\n" + fields + b"\r\n"
    with pytest.raises(ProtocolChange) as change:
        told.feed(head + b"\x81\x80")
    assert change.value.at == len(head)
    assert told.heads[0].is_handshake == is_handshake
    assert not told.parser.in_request


@pytest.mark.parametrize(
    "data",
    [b"\x16\x03\x01", b"GET\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"],
)
def test_what_is_no_request(data: bytes) -> None:
    assert code_of(Told(), data) == "INVALID_REQUEST"


@pytest.mark.parametrize("begin", [b"GET / HTTP/1.1\r\n", CHUNKED + b"0\r\n"], ids=["a head", "trailers"])
@pytest.mark.parametrize(
    "more",
    [b"a:\r\n" * 50, b"x: %b\r\n" % (b"y" * 1_000), b"x" * 1_000, b"x:" + b" " * 1_000],
    ids=["short", "long", "a name", "blanks"],
)
def test_overhead_without_an_end(begin: bytes, more: bytes) -> None:
    told = Told()
    assert code_of(told, begin, *[more] * 100) == "HEADERS_TOO_LARGE"
    assert sum(len(name) + len(value) for name, value in told.parser.headers) <= HEAD_BYTES_MAX


def test_extensions_of_a_chunk_without_an_end() -> None:
    assert code_of(Told(), CHUNKED + b"5;", *[b"x" * 1_000] * 100) == "HEADERS_TOO_LARGE"


def test_bounds_are_of_one_head() -> None:
    told = Told()
    fields = b"".join(b"x-%d: y\r\n" % number for number in range(HEADERS_MAX))
    for _ in range(3):
        told.feed(b"GET / HTTP/1.1\r\n" + fields + b"\r\n")
    assert len(told.heads) == 3
    assert code_of(told, b"GET / HTTP/1.1\r\n" + fields + b"one: more\r\n\r\n") == "HEADERS_TOO_LARGE"
    assert len(told.heads) == 3


def test_content_is_not_counted() -> None:
    told = Told()
    told.feed(POST + b"Content-Length: 1000000\r\n\r\n")
    for _ in range(1_000):
        told.feed(b"x" * 1_000)
    assert len(told.contents[0]) == 1_000_000
    assert not told.parser.in_request


def test_what_the_listener_cannot_read_is_no_request() -> None:
    """And it is a head still: its request has no turn."""

    class Refuses(Told):
        def head_read(self, head: RequestHead) -> None:
            raise ValueError(head.target)

    told = Refuses()
    assert code_of(told, b"GET / HTTP/1.1\r\n\r\n") == "INVALID_REQUEST"
    assert told.parser.stage is Stage.HEAD
