"""What the live feed is made of: trade numbers, HTTP, rate limits."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.market.binance import BinanceSpot
from app.market.depth_requests import DepthRequests, RequestLimits
from app.market.http_get import Answer, HttpError, get
from app.market.messages import DepthSnapshot
from app.market.trade_dedup import AHEAD_MAX, REMEMBERED_MAX, TradeNumbers
from tests.support.market import BTC, ETH, snapshot

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def test_trades_count_once_and_missing_ones_are_known() -> None:
    numbers = TradeNumbers()
    assert [numbers.admit(each) for each in (5, 6, 6, 9, 7)] == [True, True, False, True, True]
    assert (numbers.missing, numbers.repeated) == (1, 1)
    assert numbers.admit(8)
    assert numbers.missing == 0
    numbers.restart()
    assert numbers.admit(100) and numbers.missing == 0
    assert [numbers.admit(-1), numbers.admit(-1)] == [True, True], "of an exchange that does not number them"


def test_a_damaged_trade_number_does_not_hide_what_follows() -> None:
    numbers = TradeNumbers()
    assert all(numbers.admit(each) for each in (1, 2, 500_000, 3, 4, 10 * AHEAD_MAX, 5, 6))


@given(st.lists(st.integers(0, 300), max_size=200))
def test_every_trade_is_told_exactly_once(ids: list[int]) -> None:
    numbers = TradeNumbers()
    told = [each for each in ids if numbers.admit(each)]
    assert sorted(told) == sorted(set(ids))
    assert numbers.repeated == len(ids) - len(told)


def test_trade_numbers_remembered_are_bounded() -> None:
    numbers = TradeNumbers()
    for trade_id in range(3 * REMEMBERED_MAX):
        numbers.admit(trade_id)
    assert len(numbers._known) == len(numbers._order) == REMEMBERED_MAX


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Its URL; every connection is done with at the end."""
    handled: list[asyncio.Task[None]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handled.append(task)
        try:
            await handler(reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client had heard enough
        finally:
            writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*handled)


async def _ask(
    handler: Handler, timeout_seconds: float = 5.0, bytes_max: int = 1_000, path: str = "/"
) -> Answer:
    async with serving(handler) as url:
        return await get(url + path, timeout_seconds=timeout_seconds, bytes_max=bytes_max)


def _says(*parts: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0.001)

    return handler


@pytest.mark.parametrize(
    "parts",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",),
        (b"HTTP/1.1 200 OK\r\nContent-", b"Length: 5\r\n\r", b"\nhe", b"llo"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n", b"3\r\nllo\r\n0\r\n\r\n"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello",),
    ],
)
def test_reads_an_answer_however_it_comes(parts: tuple[bytes, ...]) -> None:
    answer = asyncio.run(_ask(_says(*parts)))
    assert (answer.status, answer.body) == (200, b"hello")


def test_a_request_names_its_target_and_headers_come_back() -> None:
    seen: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")

    answer = asyncio.run(_ask(handler, path="/api/v3/depth?symbol=X&limit=5"))
    assert answer.status == 429 and answer.headers["retry-after"] == "7"
    assert seen[0].startswith(b"GET /api/v3/depth?symbol=X&limit=5 HTTP/1.1\r\nHost: 127.0.0.1:")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((b"",), "disconnected without sending a response"),
        (
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",),
            "closed connection without sending",
        ),
        ((b"SSH-2.0-OpenSSH_9.2\r\n\r\n",), "illegal status line"),
        ((b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000,), "longer than 1000 bytes"),
        (
            (b"HTTP/1.1 200 OK\r\n" + b"".join(b"A%d: b\r\n" % n for n in range(200)) + b"\r\n",),
            "more than 100",
        ),
        ((b"HTTP/1.1 200 OK\r\n" + b"".join(b"A%d: b\r\n" % n for n in range(20_000)),), "too long"),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 200_000,), "too long"),
    ],
)
def test_answers_that_are_none(parts: tuple[bytes, ...], message: str) -> None:
    with pytest.raises(HttpError, match=message):
        asyncio.run(_ask(_says(*parts)))


def test_nobody_is_waited_for_too_long() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    with pytest.raises(TimeoutError):
        asyncio.run(_ask(silent, timeout_seconds=0.05))


def test_nobody_listens() -> None:
    with pytest.raises(HttpError):
        asyncio.run(get("http://127.0.0.1:9/", timeout_seconds=5, bytes_max=10))


class Exchange:
    """Answers snapshots as told, and notes when it was asked."""

    def __init__(self, *statuses: int, headers: bytes = b"") -> None:
        self.statuses = list(statuses)
        self.asked_seconds: list[float] = []
        self._headers = headers

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked_seconds.append(asyncio.get_running_loop().time())
        status = self.statuses.pop(0) if self.statuses else 200
        body = snapshot(7, [("1.00", "1.0")], [("2.00", "1.0")])
        writer.write(
            b"HTTP/1.1 %d X\r\n%bContent-Length: %d\r\n\r\n%b" % (status, self._headers, len(body), body)
        )


async def _request(
    exchange: Exchange, limits: RequestLimits, symbols: int = 1, refuse: int = 0
) -> tuple[list[DepthSnapshot], DepthRequests]:
    """The snapshots accepted; the first `refuse` of them are of no use to who asks."""
    accepted: list[DepthSnapshot] = []
    seen: list[DepthSnapshot] = []
    enough = asyncio.Event()

    def accept(found: DepthSnapshot) -> bool:
        seen.append(found)
        if len(seen) <= refuse:
            return False
        accepted.append(found)
        if len(accepted) == symbols:
            enough.set()
        return True

    async with serving(exchange) as url:
        requests = DepthRequests(BinanceSpot([BTC, ETH], rest_url=url), accept, limits, random.Random(1))
        for symbol in range(symbols):
            requests.want(symbol)
            requests.want(symbol)
        await asyncio.wait_for(enough.wait(), 20)
    return accepted, requests


def test_a_snapshot_is_asked_for_until_it_is_of_use() -> None:
    limits = RequestLimits(backoff_first_seconds=0.001, backoff_seconds_max=0.002)
    exchange = Exchange(500, 404)
    accepted, requests = asyncio.run(_request(exchange, limits, refuse=2))
    assert accepted == [DepthSnapshot(0, 7, [(100, 100_000)], [(200, 100_000)])]
    assert (requests.requests, requests.failures, requests.refusals) == (5, 2, 0)


def test_each_symbol_is_asked_for_once_at_a_time() -> None:
    exchange = Exchange()
    accepted, requests = asyncio.run(_request(exchange, RequestLimits(), symbols=2))
    assert sorted(each.symbol for each in accepted) == [0, 1]
    assert requests.requests == 2


def test_requests_keep_to_their_rate() -> None:
    """A burst of two, then one each 50 ms; whatever the machine does, none comes sooner."""
    limits = RequestLimits(
        rate_per_second=20, burst=2, backoff_first_seconds=0.001, backoff_seconds_max=0.001
    )
    exchange = Exchange(500, 500, 500, 500)
    asyncio.run(_request(exchange, limits))
    assert len(exchange.asked_seconds) == 5
    assert exchange.asked_seconds[4] - exchange.asked_seconds[0] >= 0.13


@pytest.mark.parametrize("status", [429, 418])
def test_a_refusal_stops_all_requests_for_as_long_as_it_says(status: int) -> None:
    limits = RequestLimits(backoff_first_seconds=0.001, backoff_seconds_max=0.001)
    exchange = Exchange(status, headers=b"Retry-After: 1\r\n")
    _, requests = asyncio.run(_request(exchange, limits))
    assert requests.refusals == 1
    assert exchange.asked_seconds[1] - exchange.asked_seconds[0] >= 0.9
