"""The processes of a measurement: servers on one core, the generator on another.

Everything listens on 127.0.0.1 on a free port, keeps its data in a temporary folder and
ends with the measurement; only processes that were started here are stopped, by their id.
"""

import contextlib
import json
import os
import re
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import psutil

from loadtests.machine import BUILD, ROOT, cores, started_on

START_SECONDS_MAX = 240.0  # compiling the kernels for the first time is part of it
STOP_SECONDS_MAX = 20.0
SETTLE_SECONDS = 3.0  # database and cache start beside the server, on its core
_READY = re.compile(r"bot4 is ready: (\S+)")
_ANY_URL = re.compile(r"(http://\S+)")


class Server:
    """A running server: where it is and which key opens it."""

    def __init__(self, process: "subprocess.Popen[str]", url: str, key: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self.process = process
        self.url = url
        self.host = parts.hostname
        self.port = parts.port
        self.key = key


def build_folder() -> Path:
    BUILD.mkdir(exist_ok=True)
    return BUILD


@contextlib.contextmanager
def bot4_server(feed: str = "synthetic", settings: Mapping[str, str] | None = None) -> Iterator[Server]:
    """The real server, `bot4 serve`, with data in a folder that is removed afterwards."""
    key = f"bench-{secrets.token_urlsafe(32)}"
    with tempfile.TemporaryDirectory(prefix="bench-data-", dir=build_folder()) as data:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BOT4_")}
        if "BOT4_KERNEL_CACHE" in os.environ:
            environment["BOT4_KERNEL_CACHE"] = os.environ["BOT4_KERNEL_CACHE"]
        environment |= {
            "BOT4_HOST": "127.0.0.1",
            "BOT4_PORT": "0",
            "BOT4_DATA_DIR": data,
            "BOT4_FEED": feed,
            "BOT4_ADMIN_KEY": key,
            "BOT4_LOG_LEVEL": "WARNING",
        } | dict(settings or {})
        with _running(["app.cli", "serve"], environment, _READY, key) as server:
            time.sleep(SETTLE_SECONDS)
            _move_what_follows(server)
            yield server


def _move_what_follows(server: Server) -> None:
    """Move projections, database and cache to the generator's core, where they use what it leaves.

    On one core with the server they would delay the kernel's own threads, which sync the journal.
    """
    pinned = cores()
    if pinned is not None:
        for child in psutil.Process(server.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.cpu_affinity([pinned[1]])


@contextlib.contextmanager
def baseline_server(kind: str, answer_bytes: int) -> Iterator[Server]:
    """One of `loadtests.baselines`."""
    arguments = ["loadtests.baselines", kind, str(answer_bytes)]
    with _running(arguments, dict(os.environ), _ANY_URL, "none") as server:
        time.sleep(0.3)
        yield server


@contextlib.contextmanager
def _running(
    arguments: list[str], environment: dict[str, str], ready: re.Pattern[str], key: str
) -> Iterator[Server]:
    pinned = cores()
    with started_on(pinned[0] if pinned else None):
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        yield Server(process, _url_from(process, ready), key)
    finally:
        _stop(process)


def _url_from(process: "subprocess.Popen[str]", ready: re.Pattern[str]) -> str:
    """Read the server's output until it prints its URL; later output is read and dropped."""
    assert process.stdout is not None
    said: deque[str] = deque(maxlen=20)
    timer = threading.Timer(START_SECONDS_MAX, process.kill)
    timer.start()
    try:
        for line in process.stdout:
            said.append(line)
            found = ready.search(line)
            if found:
                threading.Thread(target=_drain, args=(process.stdout,), daemon=True).start()
                return found[1]
    finally:
        timer.cancel()
    raise RuntimeError(f"a server did not start: {''.join(said)}")


def _drain(stream: IO[str]) -> None:
    for line in stream:
        if "ERROR" in line or "CRITICAL" in line:
            print(line, end="", file=sys.stderr)


def _stop(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def generate(server: Server, kind: str, **job: Any) -> dict[str, Any]:
    """Run one load against a server; returns its result. Raises RuntimeError."""
    prefix = f"b{secrets.token_hex(6)}-"
    document = {
        "kind": kind,
        "host": server.host,
        "port": server.port,
        "key": server.key,
        "prefix": prefix,
        **job,
    }
    pinned = cores()
    before = _cpu_seconds(server)
    with started_on(pinned[1] if pinned else None):
        process = subprocess.Popen(
            [sys.executable, "-m", "loadtests.generator"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    try:
        out, errors = process.communicate(json.dumps(document), timeout=job["warmup"] + job["seconds"] + 60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise RuntimeError("a load generator did not end") from None
    if process.returncode:
        raise RuntimeError(f"a load generator failed: {errors.strip()[-500:]}")
    found: dict[str, Any] = json.loads(out)
    # Of the server's processor, whatever else the machine is busy with.
    found["server_cpu_us_per_answer"] = (_cpu_seconds(server) - before) / found["all_answers"] * 1e6
    return found


def _cpu_seconds(server: Server) -> float:
    times = psutil.Process(server.process.pid).cpu_times()
    return float(times.user + times.system)
