"""A headless Chromium, driven through its DevTools protocol: no driver program, no library for it.

https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from websockets.sync.client import ClientConnection, connect

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--remote-debugging-port=0",
    "--window-size=900,400",
)
_START_SECONDS_MAX = 60.0
_ANSWER_SECONDS_MAX = 30.0
_STOP_SECONDS_MAX = 10.0
# A screenshot comes as one message.
_MESSAGE_BYTES_MAX = 1 << 25


def find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, _NAMES)), None)


class Page:
    """One tab; see `open_page`."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    def navigate(self, url: str) -> None:
        found = self._ask("Page.navigate", url=url)
        assert "errorText" not in found, found

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, of what JSON knows."""
        found = self._ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def text(self, selector: str) -> str | None:
        """What an element shows; None while there is none."""
        found = self.evaluate(f"document.querySelector({json.dumps(selector)})?.textContent")
        assert found is None or isinstance(found, str)
        return found

    def await_text(self, selector: str, wanted: str) -> None:
        """Until an element shows this."""
        deadline = time.monotonic() + _ANSWER_SECONDS_MAX
        while (shown := self.text(selector)) != wanted:
            assert time.monotonic() < deadline, f"{selector} shows {shown!r}, not {wanted!r}"
            time.sleep(0.02)

    def click(self, selector: str) -> None:
        """As a person does: with the mouse, where the element is."""
        element = f"document.querySelector({json.dumps(selector)})"
        x, y = self.evaluate(
            f"(({{left, top, width, height}}) => [left + width / 2, top + height / 2])"
            f"({element}.getBoundingClientRect())"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self._ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def screenshot(self, path: Path) -> None:
        """As PNG."""
        found = self._ask("Page.captureScreenshot", format="png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        deadline = time.monotonic() + _ANSWER_SECONDS_MAX
        while True:
            answer = json.loads(self._socket.recv(max(0.0, deadline - time.monotonic())))
            if answer.get("id") == number:
                break
        assert "error" not in answer, answer
        found: dict[str, Any] = answer["result"]
        return found


@contextlib.contextmanager
def open_page(program: str, profile: Path) -> Iterator[Page]:
    """The page of a browser of its own; `profile` is a folder that is not there yet."""
    log = profile.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = _page_url(process, profile, log)
        with connect(url, max_size=_MESSAGE_BYTES_MAX, open_timeout=_ANSWER_SECONDS_MAX) as socket:
            yield Page(socket)
    finally:
        _stop(process)


def _page_url(process: "subprocess.Popen[bytes]", profile: Path, log: Path) -> str:
    """Where the first page is debugged: the port is in a file that the browser writes."""
    port_file = profile / "DevToolsActivePort"
    deadline = time.monotonic() + _START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        lines = port_file.read_text().splitlines() if port_file.exists() else []
        if len(lines) >= 2:
            targets = httpx.get(f"http://127.0.0.1:{lines[0]}/json/list", timeout=_ANSWER_SECONDS_MAX).json()
            for target in targets:
                if target["type"] == "page":
                    return str(target["webSocketDebuggerUrl"])
        time.sleep(0.05)
    raise RuntimeError(f"the browser did not start:\n{log.read_text(errors='replace')}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End it and what it has started, all of which is in its own session."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS_MAX)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
