"""A page in a real browser trades over `WS /v1/trade` and shows what came of it."""

import contextlib
import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.conftest import unavailable
from tests.e2e.browser import find_chromium, open_page
from tests.e2e.clients import HttpClient
from tests.e2e.recordings import MarketRecording
from tests.support.process import ADMIN_KEY, ServerProcess

HERE = Path(__file__).parent
SCREENSHOT = HERE.parents[1] / "build/e2e/trade_page.png"
QUIET_SECONDS = 1_200


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *_arguments: object) -> None:  # noqa: A002  # as the base class has it
        """Nobody reads it."""


@contextlib.contextmanager
def _page_server() -> Iterator[str]:
    """Serves this folder; where."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_QuietHandler, directory=str(HERE)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def chromium() -> str:
    program = find_chromium()
    if program is None:
        unavailable("there is no Chromium: apt-get install chromium")
    assert program is not None
    return program


def _page_url(host: str, server: ServerProcess, key: str) -> str:
    socket = f"{server.url.replace('http', 'ws', 1)}/v1/trade"
    return f"{host}/trade_page.html#{urlencode({'socket': socket, 'key': key})}"


def test_a_page_trades(chromium: str, data_dir: Path, tmp_path: Path) -> None:
    recording = MarketRecording().quiet(QUIET_SECONDS).write(tmp_path / "quiet.txt")
    with (
        ServerProcess(data_dir, BOT4_FEED=f"replay:{recording}") as server,
        HttpClient(server.url) as http,
        _page_server() as host,
        open_page(chromium, tmp_path / "profile") as page,
    ):
        page.navigate(_page_url(host, server, "not-a-key"))
        page.await_text("#connection", "closed with 4001")
        assert page.text("#problem") == "401 UNAUTHORIZED"

        page.navigate("about:blank")  # a new address behind the # alone would not load the page again
        page.navigate(_page_url(host, server, ADMIN_KEY))
        page.await_text("#connection", "open as admin")
        page.click("#buy")
        page.await_text("#fills tr td:nth-child(2)", "FILLED")
        shown = page.evaluate("[...document.querySelectorAll('#fills td')].map((cell) => cell.textContent)")
        order = http.order(shown[0])
        (fill,) = order["fills"]
        assert shown[1:] == ["FILLED", "BUY", fill["price"], fill["quantity"], fill["fee"]]
        assert shown[3:5] == ["60010.00", "0.20000"]
        assert http.positions()["BTC-USDT"]["quantity"] == "0.20000"

        page.click("#buy-all")
        page.await_text("#problem", "422 MAX_ORDER_NOTIONAL")
        assert page.evaluate("document.querySelectorAll('#fills tr').length") == 1
        page.screenshot(SCREENSHOT)
        assert SCREENSHOT.stat().st_size > 0

        server.kill()
        page.await_text("#connection", "closed with 1006")
