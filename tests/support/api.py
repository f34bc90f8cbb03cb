"""A real server for the tests of the API, in a thread of its own, with a market that stands still."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import numpy as np
import uvloop

from app.bootstrap import Server
from app.engine.types import Side
from app.market.types import LEVEL_UPDATE, FeedState, LevelKind
from app.serving import running_server
from app.settings import PREFIX, Settings

T = TypeVar("T")

ADMIN_KEY = "test-admin-key-0123456789-abcdef"
MARK = 50_000
MARKED_SYMBOLS = ("BTC-USDT", "ETH-USDT")
_SECONDS_MAX = 300


class ApiServer:
    """Serves while the context lasts. No feed, no database, no cache; demo instruments and accounts."""

    url: str
    server: Server

    def __init__(self, data_dir: Path, **variables: str) -> None:
        own = {
            "BOT4_DATA_DIR": str(data_dir),
            "BOT4_PORT": "0",
            "BOT4_FEED": "none",
            "BOT4_ADMIN_KEY": ADMIN_KEY,
            "BOT4_DATABASE_URL": "postgresql://127.0.0.1:1/nowhere",
            "BOT4_REDIS_URL": "redis://127.0.0.1:1",
        }
        self._settings = Settings.model_validate(
            {name.removeprefix(PREFIX).lower(): value for name, value in (own | variables).items()}
        )
        self._thread = threading.Thread(target=self._run)
        self._started = threading.Event()
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(_SECONDS_MAX), "the server did not start"
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001  # the waiting test raises it
            self._failure = error
            self._started.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with running_server(self._settings) as (server, url):
            self.server = server
            self.url = url
            self._started.set()
            await self._stop.wait()

    def call(self, function: Callable[[], T]) -> T:
        """Run a function on the server's thread."""

        async def run() -> T:
            return function()

        return self.run(run())

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the server's thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_SECONDS_MAX)

    def show_market(self) -> None:
        """Marks of 50,000, and 10 whole units displayed at ten ticks on either side of them."""

        def show() -> None:
            for symbol in MARKED_SYMBOLS:
                instrument = self.server.reference.instruments[self.server.reference.symbols[symbol]]
                mark = instrument.ticks(str(MARK))
                quantity = instrument.steps("10")
                levels = [
                    (mark - 10, quantity, instrument.index, Side.BUY, LevelKind.SET),
                    (mark + 10, quantity, instrument.index, Side.SELL, LevelKind.SET),
                ]
                market = self.server.market
                market.on_feed_state(instrument.index, FeedState.LIVE)
                market.on_mark(instrument.index, mark)
                market.on_levels(np.array(levels, LEVEL_UPDATE))
                market.on_trade(instrument.index, mark + 10, quantity, self.server.clock.now())

        self.call(show)

    def open_market(self) -> None:
        """As `show_market`, and wait until the engine has the marks: from then on orders are taken."""
        self.show_market()
        symbols = [self.server.reference.symbols[symbol] for symbol in MARKED_SYMBOLS]
        deadline = time.monotonic() + _SECONDS_MAX
        while not self.server.engine.state.instruments["mark"][symbols].all():
            assert time.monotonic() < deadline, "the marks have not come"
            time.sleep(0.01)

    def client(self, key: str | None = ADMIN_KEY) -> httpx.Client:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False)

    def open_account(self, name: str, **limits: Any) -> str:
        """An account with a million, and limits without which it could not trade."""
        body = {
            "account": name,
            "deposit": "1000000",
            "leverage": 10,
            "limits": {"MAX_GROSS_EXPOSURE": "9000000", **limits},
        }
        with self.client() as client:
            response = client.post("/v1/accounts", json=body)
        assert response.status_code == 201, response.text
        return name

    def make_key(self, role: str, *accounts: str) -> tuple[int, str]:
        """Number and key."""
        with self.client() as client:
            body = {"name": f"{role} of a test", "role": role, "accounts": list(accounts)}
            response = client.post("/v1/keys", json=body)
        assert response.status_code == 201, response.text
        return response.json()["id"], response.json()["key"]


def limit_order(account: str, **changes: Any) -> dict[str, Any]:
    """A buy that rests: far below the market."""
    return {
        "account": account,
        "symbol": "BTC-USDT",
        "side": "BUY",
        "type": "LIMIT",
        "quantity": "0.01",
        "price": "49000.00",
        **changes,
    }


def market_order(account: str, **changes: Any) -> dict[str, Any]:
    order = limit_order(account, **{"type": "MARKET", **changes})
    del order["price"]
    return order
