"""GET requests for a feed that needs a snapshot now and then, bounded in time and size.

No pool, no redirects, no proxy.
"""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import httpx

from app.market.tls import client_context

HEADERS_MAX = 100

_HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "bot4"}


class HttpError(OSError):
    """No response, or one that cannot be parsed."""


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]  # case-insensitive names
    body: bytes


async def get(url: str, *, timeout_seconds: float, bytes_max: int) -> Answer:
    """Raises HttpError; TimeoutError after `timeout_seconds` for all of it."""
    async with asyncio.timeout(timeout_seconds):
        try:
            return await _get(url, bytes_max)
        except httpx.HTTPError as error:
            raise HttpError(str(error) or type(error).__name__) from error


async def _get(url: str, bytes_max: int) -> Answer:
    async with (
        httpx.AsyncClient(
            headers=_HEADERS,
            verify=await client_context(),
            trust_env=False,  # no proxy
            timeout=None,  # noqa: S113  # it would be of each part: all of it together is bounded above
        ) as client,
        client.stream("GET", url) as answer,
    ):
        if len(answer.headers.raw) > HEADERS_MAX:
            raise HttpError(f"the answer has more than {HEADERS_MAX} headers")
        body = bytearray()
        async for part in answer.aiter_raw():
            body += part
            if len(body) > bytes_max:
                raise HttpError(f"the answer is longer than {bytes_max} bytes")
        return Answer(answer.status_code, answer.headers, bytes(body))
