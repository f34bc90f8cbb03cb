"""`bot4 feed-server` in this process: what it accepts, and that it serves until told to stop."""

import argparse
import os
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.feed_server.command import SPEED_MAX, UsageError, run
from tests.support.feed import generated_recordings


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else has: who comes so far as to listen on it had nothing else to complain of."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield int(listening.getsockname()[1])


@pytest.fixture
def recordings(tmp_path: Path) -> list[Path]:
    return generated_recordings(tmp_path, 1)


def options(files: list[Path], port: int, **changes: Any) -> argparse.Namespace:
    """What the command line's defaults are."""
    defaults = {"host": "127.0.0.1", "speed": "1", "passes": 0, "times": "now", "seed": 1, "fault": []}
    return argparse.Namespace(files=files, port=port, **(defaults | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"speed": "max"},
        {"speed": "0.001"},
        {"speed": f"{SPEED_MAX:g}"},
        {"passes": 1, "times": "recorded"},
        {"fault": ["drop=0.5", "cut=1"]},
    ],
)
def test_what_is_accepted(changes: dict[str, Any], recordings: list[Path], taken: int) -> None:
    with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{taken}: "):
        run(options(recordings, taken, **changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speed": "0"}, "--speed must be a number above 0, up to 1e+06, or max, not '0'"),
        ({"speed": "-1"}, "--speed must be"),
        ({"speed": "nan"}, "--speed must be"),
        ({"speed": "1e7"}, "--speed must be"),
        ({"passes": -1}, "--passes must be 0 or more"),
        ({"port": 65_536}, "--port must be from 0 to 65535"),
        ({"port": -1}, "--port must be from 0 to 65535"),
        ({"fault": ["sleep=1"]}, "--fault: fault 'sleep' is unknown; allowed: drop, "),
        ({"fault": ["drop=1.1"]}, "--fault: drop must be from 0 to 1, not '1.1'"),
        ({"fault": ["drop=0.1", "cut"]}, "--fault: cut must be from 0 to 1, not ''"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_done(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        run(options([], **({"port": 0} | changes)))
    assert str(error.value).startswith(message)


def test_what_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no file .*missing"):
        run(options([tmp_path / "missing"], 0))
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(UsageError):
        run(options([tmp_path / "empty"], 0))


def stop_after_answer(port: int) -> dict[str, Any]:
    """The server's status, as soon as it answers; then the signal, which it is ready for by now."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            status: dict[str, Any] = httpx.get(f"http://127.0.0.1:{port}/status", trust_env=False).json()
        except httpx.TransportError:
            time.sleep(0.01)
        else:
            os.kill(os.getpid(), signal.SIGTERM)
            return status
    raise TimeoutError("it never answered")


def test_it_serves_until_told_to_stop(recordings: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(stop_after_answer, port)
        run(options(recordings, port, seed=7))
        assert answer.result()["ended"] is False
    place = f"127.0.0.1:{port}"
    assert capsys.readouterr().out.splitlines() == [
        f"seed 7; follow it with BOT4_FEED='binance;ws=ws://{place};rest=http://{place}'",
        f"feed server is ready: http://{place}",
    ]
