"""GET requests for a feed that needs a snapshot now and then: no pool, no redirects, no proxy.

Bounded in time and size, and cancelled like anything else, which a blocking client in a thread is not.
"""

import asyncio
import ssl
from typing import NamedTuple
from urllib.parse import urlsplit

import httptools

HEADERS_MAX = 100
READ_BYTES = 1 << 16


class HttpError(OSError):
    """No answer, or none that can be understood."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes


class _Reader:
    """What httptools calls while it parses."""

    def __init__(self, bytes_max: int) -> None:
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.complete = False
        self._bytes_max = bytes_max

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= HEADERS_MAX:
            raise HttpError("too many headers")
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, part: bytes) -> None:
        self.body += part
        if len(self.body) > self._bytes_max:
            raise HttpError(f"the answer is longer than {self._bytes_max} bytes")

    def on_message_complete(self) -> None:
        self.complete = True


async def get(url: str, *, timeout_s: float, bytes_max: int) -> Answer:
    """Raises HttpError; TimeoutError after `timeout_s` for all of it."""
    async with asyncio.timeout(timeout_s):
        try:
            return await _get(url, bytes_max)
        except HttpError:
            raise
        except OSError as error:  # ssl.SSLError too
            raise HttpError(str(error) or type(error).__name__) from error


async def _get(url: str, bytes_max: int) -> Answer:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    tls = ssl.create_default_context() if secure else None
    reader, writer = await asyncio.open_connection(
        parts.hostname, parts.port or (443 if secure else 80), ssl=tls
    )
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = (
            f"GET {target} HTTP/1.1\r\nHost: {parts.netloc.rpartition('@')[2]}\r\n"
            "Accept: application/json\r\nUser-Agent: bot4\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode("ascii"))
        return await _answer(reader, bytes_max)
    finally:
        # Everything has been read or nothing more is wanted: there is nobody to say goodbye to.
        writer.transport.abort()


async def _answer(stream: asyncio.StreamReader, bytes_max: int) -> Answer:
    reader = _Reader(bytes_max)
    parser = httptools.HttpResponseParser(reader)
    received = 0
    try:
        while not reader.complete:
            data = await stream.read(READ_BYTES)
            received += len(data)
            if not data:
                # Without a length the end of the connection is the end of the body.
                if received and not {"content-length", "transfer-encoding"} & reader.headers.keys():
                    break
                raise HttpError("the connection was closed in the middle of an answer")
            if received > 2 * bytes_max + READ_BYTES:  # endless headers or chunks of nothing
                raise HttpError("the answer does not end")
            parser.feed_data(data)
    except httptools.HttpParserError as error:
        if isinstance(error.__context__, HttpError):
            raise error.__context__ from None
        raise HttpError(f"not an HTTP answer: {error}") from error
    return Answer(parser.get_status_code(), reader.headers, bytes(reader.body))
