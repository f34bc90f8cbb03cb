"""Request parser: llhttp, with bounds on what one request may make it keep.

It has no connection. Bytes go in by pieces; their meaning comes out by calls of a
listener, and errors are raised. Its stages:

    BETWEEN  --first byte of a request-->   HEAD
    HEAD     --blank line-->                BODY     (`head_read`)
    BODY     --last byte-->                 BETWEEN  (`request_read`; at once where there is no body)

Bytes of a head are counted as they come, before they are kept, and so is what is no
content within a body: trailers, extensions of chunks. After it has raised, a parser gets
nothing more.
"""

import math
from enum import Enum, auto
from typing import NamedTuple, Protocol

import httptools

from app.api.http.head_reader import HEADERS_MAX
from app.documents.problems import Problem, header_fields_too_large, unreadable_request

# Of one head, and again of what is no content within a body.
HEAD_BYTES_MAX = 64 << 10

# For llhttp at once: this much may be kept beyond what is counted.
_PIECE_BYTES = 4_096
_FIELD_BYTES = 4  # a header's colon, blank and line end

Headers = list[tuple[bytes, bytes]]


class Stage(Enum):
    """The parser's position in a request."""

    BETWEEN = auto()
    HEAD = auto()
    BODY = auto()


class RequestHead(NamedTuple):
    """The head of a request; names of headers are in lower case."""

    method: str
    target: bytes
    http_version: str
    headers: Headers
    keeps_alive: bool
    is_handshake: bool  # of a WebSocket

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header."""
        return next((value for key, value in self.headers if key == name), None)

    def written(self) -> bytes:
        """The head as bytes again, for another parser."""
        lines = [b"%b %b HTTP/%b\r\n" % (self.method.encode(), self.target, self.http_version.encode())]
        lines += [b"%b: %b\r\n" % header for header in self.headers]
        return b"%b\r\n" % b"".join(lines)

    @property
    def content_bytes(self) -> float:
        """The announced length of the body; infinite if it is chunked."""
        for name, value in self.headers:
            if name == b"content-length":
                return int(value)
            if name == b"transfer-encoding":
                return math.inf
        return 0


class Listener(Protocol):
    """Called with the parts of a request, in order."""

    def request_begun(self) -> None: ...

    def head_read(self, head: RequestHead) -> None: ...

    def content_read(self, content: bytes) -> None: ...

    def request_read(self) -> None: ...


class UnreadableRequest(Exception):
    """The bytes are not a request, or too much of one; `problem` is the reply."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class ProtocolChange(Exception):
    """A request asked for another protocol; the bytes that are not HTTP any more begin at `at`."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class _HeadTooLarge(Exception):
    """Stops llhttp."""


class RequestParser:
    """Reads requests, one after the other, for one listener."""

    def __init__(self, listener: Listener) -> None:
        self.stage = Stage.BETWEEN
        self.headers: Headers = []
        self._listener = listener
        self._target = b""
        self._fields = 0
        self._field_bytes = 0  # of the target and of headers
        self._starts_request = True  # a request that begins in this piece begins where the piece does
        self._is_overhead = True  # the whole piece is of a head, or of what is no content
        self._overhead_bytes = 0  # of such pieces
        self._llhttp = httptools.HttpRequestParser(self)
        # What comes behind a request with `Connection: close` is dropped: that one has its answer still.
        self._llhttp.set_dangerous_leniencies(lenient_data_after_close=True)

    @property
    def in_request(self) -> bool:
        """Whether a request has begun and not ended."""
        return self.stage is not Stage.BETWEEN

    def feed(self, data: bytes, at: int) -> int:
        """Read a piece of `data`, from `at` on; returns where the next one begins.

        Raises:
            ProtocolChange: another protocol was requested, and the head that requests it has been read.
            UnreadableRequest: nothing that follows can be read.
        """
        piece = data[at : at + _PIECE_BYTES]
        self._starts_request = not self.in_request
        self._is_overhead = True
        try:
            self._llhttp.feed_data(piece)
        except httptools.HttpParserUpgrade as upgrade:
            raise ProtocolChange(at + upgrade.args[0]) from None
        except httptools.HttpParserError as error:
            raise UnreadableRequest(_head_too_large() if self._too_large else unreadable_request()) from error
        if self.in_request and self._is_overhead:
            self._overhead_bytes += len(piece)
            if self._overhead_bytes > HEAD_BYTES_MAX:
                raise UnreadableRequest(_head_too_large())
        return at + len(piece)

    @property
    def _too_large(self) -> bool:
        return self._fields > HEADERS_MAX or self._field_bytes > HEAD_BYTES_MAX

    def _count(self, size: int) -> None:
        self._field_bytes += size
        if self._too_large:
            raise _HeadTooLarge

    def _note_content(self) -> None:
        self._is_overhead = False
        self._overhead_bytes = 0

    # Called by llhttp.

    def on_message_begin(self) -> None:
        self.stage = Stage.HEAD
        self.headers = []
        self._target = b""
        self._is_overhead, self._starts_request = self._starts_request, False
        self._overhead_bytes = self._field_bytes = self._fields = 0
        self._listener.request_begun()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields += 1
        self._count(len(name) + len(value) + _FIELD_BYTES)
        if self.stage is Stage.HEAD:  # trailers are dropped
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._note_content()
        http_version = self._llhttp.get_http_version()
        self._listener.head_read(
            RequestHead(
                method=self._llhttp.get_method().decode("ascii"),
                target=self._target,
                http_version=http_version,
                headers=self.headers,
                keeps_alive=http_version != "1.0" and self._llhttp.should_keep_alive(),
                is_handshake=self._llhttp.should_upgrade() and _asks_for_websocket(self.headers),
            )
        )
        self.stage = Stage.BODY  # not before: a head that the listener cannot read is still one

    def on_body(self, body: bytes) -> None:
        self._note_content()
        self._listener.content_read(body)

    def on_message_complete(self) -> None:
        self.stage = Stage.BETWEEN
        self._listener.request_read()


def _asks_for_websocket(headers: Headers) -> bool:
    """The last header of each name counts."""
    found = dict(headers)
    options = [option.strip() for option in found.get(b"connection", b"").lower().split(b",")]
    return b"upgrade" in options and found.get(b"upgrade", b"").lower() == b"websocket"


def _head_too_large() -> Problem:
    return header_fields_too_large(
        f"a request's head may have at most {HEAD_BYTES_MAX} bytes and {HEADERS_MAX} headers"
    )
