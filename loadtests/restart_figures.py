"""Restart figures: the start time of a real server with a large snapshot and a long journal after it.

The journal is made by the engine, the venue and the journal's own writer, without HTTP; commands
come in ticks of a busy server. A running server would have made a snapshot with every sealed
segment. The start time after that is measured too, in the same folder.
"""

import contextlib
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from threading import Event
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import numpy as np
import psutil

from app.engine.types import EventKind
from app.runtime.journal import JournalWriter
from app.runtime.snapshots import save_snapshot
from app.venues.paper.venue import PaperVenue
from loadtests.engine_figures import SHAPE
from loadtests.figures import Figure
from loadtests.firm import Firm, Ids, Records
from loadtests.machine import ROOT
from loadtests.processes import build_folder

OPEN_ORDERS = 1_000_000
COMMANDS = 5_000_000  # behind the snapshot
TICK_ORDERS = 500  # cancels and as many new orders, each with the venue's report
SECONDS_MAX = 10.0
_START_SECONDS_MAX = 240.0
_STOP_SECONDS_MAX = 120.0
_AGO_US = 300_000_000  # the journal's time is of the last minutes, as that of a server that has just died
_POLL_SECONDS = 0.02
_LISTENING = re.compile(r"starting on (\S+),")
_READY = re.compile(r"ready after ([\d.]+) s \((.*)\): (\d+) commands replayed")
# Nothing listens there: that a database starts beside it is no part of a restart.
_NO_SERVERS = {
    "BOT4_DATABASE_URL": "postgresql://127.0.0.1:9/none",
    "BOT4_REDIS_URL": "redis://127.0.0.1:9/0",
}


class _Recorder(Firm):
    """Keeps the commands and events of the tick that is under way, once `recording` is set."""

    def __init__(self) -> None:
        self.recording = False
        self.commands: list[bytes] = []
        self.events: list[bytes] = []
        super().__init__(first_ts=time.time_ns() // 1_000 - _AGO_US)
        self.venue = PaperVenue(self.engine.state, self.engine.capacity)

    def apply(self, commands: Records) -> Records:
        events = super().apply(commands)
        if self.recording:
            self.commands.append(commands.tobytes())
            self.events.append(events.tobytes())
        return events

    def carry_out(self, commands: Records) -> Records:
        """As the server's loop: the venue is given all events, those of its own reports too."""
        events = self.apply(commands).copy()
        caused = [events]
        while caused:
            caused = [self.apply(batch).copy() for batch in self.venue.execute(np.concatenate(caused))]
        return events

    def place(self, count: int) -> Ids:
        events = self.carry_out(self.orders(count, distance=(30, 400)))
        if not (events["kind"] == EventKind.ORDER_ACCEPTED).all():
            raise RuntimeError(f"refused: {np.unique(events['code'])}")
        ids: Ids = events["order_id"]
        return ids


def write_folder(folder: Path, open_orders: int, commands: int) -> int:
    """A snapshot with this many open orders, and at least this many commands after it; the last one's number.

    Orders are canceled at random and replaced by new ones, so that as many stay open. Raises OSError.
    """
    firm = _Recorder()
    steps = [min(TICK_ORDERS, open_orders - first) for first in range(0, open_orders, TICK_ORDERS)]
    ids = np.concatenate([firm.place(count) for count in steps])
    churn = _churn(firm, ids)
    state = firm.engine.state
    while int(state.firm[0]["orders_used"]) < len(state.orders):  # as after many days: each slot was used
        next(churn)
    save_snapshot(firm.engine, folder)
    firm.recording = True
    written = Event()
    failures: list[OSError] = []
    journal = JournalWriter(folder, firm.seq + 1, lambda _seq: written.set(), failures.append)
    last = firm.seq + commands
    while firm.seq < last and not failures:
        first_seq = firm.seq + 1
        next(churn)
        while journal.full:
            written.clear()
            written.wait(1)
        journal.append(b"".join(firm.commands), b"".join(firm.events), first_seq, firm.seq)
        firm.commands.clear()
        firm.events.clear()
    journal.close()
    if failures:
        raise failures[0]
    return firm.seq


def _churn(firm: _Recorder, ids: Ids) -> Iterator[None]:
    """With each `next` a tick: orders are canceled, at random, and as many new ones placed."""
    while True:
        turn = firm.random.permutation(len(ids))
        for first in range(0, len(ids), TICK_ORDERS):
            chosen = turn[first : first + TICK_ORDERS]
            firm.carry_out(firm.cancels(ids[chosen]))
            ids[chosen] = firm.place(len(chosen))
            yield


@dataclass(frozen=True)
class Start:
    """One start of a server. `seconds`: from the process's start until /health/ready; `parts` as it says."""

    seconds: float
    parts: dict[str, float]
    commands: int


def start_server(data: Path) -> Start:
    """Start `bot4 serve` on a folder, wait until it is ready, kill it: the folder's content stays as it was.

    Raises RuntimeError.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BOT4_")}
    if "BOT4_KERNEL_CACHE" in os.environ:
        environment["BOT4_KERNEL_CACHE"] = os.environ["BOT4_KERNEL_CACHE"]
    environment |= _NO_SERVERS | {
        "BOT4_HOST": "127.0.0.1",
        "BOT4_PORT": "0",
        "BOT4_DATA_DIR": str(data),
        "BOT4_ADMIN_KEY": f"bench-{secrets.token_urlsafe(32)}",
    }
    log = data.with_suffix(".log")
    with log.open("wb") as output:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        seconds = _await_ready(process, log, began)
        said = _find(_READY, process, log, began)
        parts = dict(part.rsplit(" ", 1) for part in said[2].split(", "))
        return Start(seconds, {name: float(value) for name, value in parts.items()}, int(said[3]))
    finally:
        _kill(process)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End a server, and wait for its children too: they notice that it is gone, and write until then."""
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait(_STOP_SECONDS_MAX)
    for child in psutil.wait_procs(children, _STOP_SECONDS_MAX)[1]:
        child.kill()


def _find(
    pattern: re.Pattern[str], process: "subprocess.Popen[bytes]", log: Path, began: float
) -> re.Match[str]:
    while True:
        ended = process.poll() is not None
        found = pattern.search(log.read_text(errors="replace"))
        if found:
            return found
        if ended or time.perf_counter() - began > _START_SECONDS_MAX:
            raise RuntimeError(f"a server did not start: {log.read_text(errors='replace')[-2_000:]}")
        time.sleep(_POLL_SECONDS)


def _await_ready(process: "subprocess.Popen[bytes]", log: Path, began: float) -> float:
    url = _find(_LISTENING, process, log, began)[1]
    while time.perf_counter() - began < _START_SECONDS_MAX and process.poll() is None:
        # 503 until then; a new connection each time, as a load balancer makes it
        with contextlib.suppress(HTTPError, URLError, OSError), urlopen(f"{url}/health/ready", timeout=30):
            return time.perf_counter() - began
        time.sleep(_POLL_SECONDS)
    raise RuntimeError(f"a server did not get ready: {log.read_text(errors='replace')[-2_000:]}")


def measure_restart(rounds: int) -> list[Figure]:
    with _folder() as data:
        journal = data / "journal"
        journal.mkdir(mode=0o700)
        last_seq = write_folder(journal, OPEN_ORDERS, COMMANDS)
        size = sum(path.stat().st_size for path in journal.iterdir())
        load = (
            f"{OPEN_ORDERS} open orders in the snapshot, every other slot used, {COMMANDS} commands "
            f"behind it, {size >> 20} MiB, {SHAPE}; files in the system's cache; `bot4 serve` with its "
            "defaults but without database and Redis, from the process's start on"
        )
        starts = [start_server(data) for _ in range(max(min(rounds, 3), 1))]
        began = time.perf_counter()
        _run_snapshotter(journal)
        snapshotter = time.perf_counter() - began
        after = [start_server(data) for _ in range(max(min(rounds, 3), 1))]
    if last_seq < COMMANDS or any(start.commands < COMMANDS for start in starts):
        raise RuntimeError(f"only {starts[0].commands} commands were replayed")
    details = {"load": load, "rounds": [start.seconds for start in starts]}
    return [
        _figure("server ready with 1,000,000 open orders, 5,000,000 commands behind the snapshot", starts,
                SECONDS_MAX, details),
        *_parts(starts),
        _figure("ready once the snapshotter has been there, as it would have been", after, None,
                {"commands": after[0].commands, "parts": [start.parts for start in after]}),
        Figure(part="restart", claim="the snapshotter, at a low priority, over these segments",
               measured=snapshotter, unit="s", details={"load": load}),
    ]  # fmt: skip


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bench-restart-", dir=build_folder()) as name:
        data = Path(name) / "data"
        data.mkdir(mode=0o700)
        yield data


def _figure(claim: str, starts: list[Start], target: float | None, details: dict[str, Any]) -> Figure:
    return Figure(
        part="restart",
        claim=claim,
        measured=median(start.seconds for start in starts),
        unit="s",
        target=target,
        details=details,
    )


def _parts(starts: list[Start]) -> list[Figure]:
    """Seconds by stage, from the server's log; the rest is Python, imports and the first request."""
    names = list(starts[0].parts)
    found = {name: median(start.parts[name] for start in starts) for name in names}
    rest = median(start.seconds - sum(start.parts.values()) for start in starts)
    return [
        Figure(part="restart", claim=f"of these: {name}", measured=seconds, unit="s")
        for name, seconds in (found | {"process and imports": max(rest, 0.0)}).items()
    ]


def _run_snapshotter(journal: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app.runtime.snapshotter", str(journal)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=_START_SECONDS_MAX,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the snapshotter failed: {done.stdout}{done.stderr}")
