"""Writer figures: the latency of orders while the database's writer works as fast as it can."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import psutil

from loadtests.figures import Figure, median_of_rounds
from loadtests.http_figures import CONNECTIONS, LOAD, accepted
from loadtests.processes import Server, bot4_server, generate
from loadtests.ws_figures import BATCH, BATCHES_IN_FLIGHT
from loadtests.ws_figures import CONNECTIONS as BATCH_CONNECTIONS

RATE = 2_000
WARMUP_SECONDS = 0.5
SECONDS = 4.0
ROUNDS_MAX = 3
BACKLOG_SECONDS = 5.0  # of batches as fast as they go: more than is written meanwhile
_SNAPSHOT_SECONDS_MIN, _SNAPSHOT_SECONDS_MAX = 3.0, 60.0
RATIO_MAX = 1.2
_BUILT_IN = "the built-in PostgreSQL, on the disk of the journal"


def measure_writer(rounds: int) -> list[Figure]:
    given = os.environ.get("BOT4_BENCH_DATABASE_URL")
    found: dict[str, list[dict[str, Any]]] = {"without": [], "with": []}
    with bot4_server(settings={"BOT4_DATABASE_URL": given} if given else None) as server:
        writer = _writer_of(server)
        with _suspended(writer):
            _add_backlog(server)
            _await_snapshots(server)
        for _ in range(min(rounds, ROUNDS_MAX)):
            with _suspended(writer):
                found["without"].append(_latencies(server))
            before = writer.cpu_times()
            found["with"].append(_latencies(server))
            after = writer.cpu_times()
            found["with"][-1]["writer_cpu_seconds"] = after.user + after.system - before.user - before.system
    middle = {name: median_of_rounds([each["latency_ms"] for each in runs]) for name, runs in found.items()}
    load = (
        f"open loop, {RATE} orders/s over {CONNECTIONS} connections, {LOAD}; the writer hundreds of "
        f"thousands of orders behind, or suspended; {'the given database' if given else _BUILT_IN}"
    )
    return [
        Figure(
            part="writer",
            claim=f"durable order over HTTP at {RATE:,} orders/s, {name}, the writer at full load",
            measured=middle["with"][name],
            unit="ms",
            target=RATIO_MAX if name == "p99" else None,
            of_ratio=True,
            baseline=middle["without"][name],
            baseline_name="the writer suspended",
            details={"load": load, "rounds": found} if name == "p99" else {},
        )
        for name in ("p50", "p99")
    ]


def _children_of(server: Server, module: str) -> list[psutil.Process]:
    children = psutil.Process(server.process.pid).children()
    return [child for child in children if module in child.cmdline()]


def _writer_of(server: Server) -> psutil.Process:
    writers = _children_of(server, "app.store.projector")
    if not writers:
        raise RuntimeError("the server has no writer")
    return writers[0]


def _await_snapshots(server: Server) -> None:
    """Wait until the snapshots that the backlog has caused are made."""
    deadline = time.monotonic() + _SNAPSHOT_SECONDS_MAX
    time.sleep(_SNAPSHOT_SECONDS_MIN)  # any snapshot to come has begun by then
    while _children_of(server, "app.runtime.snapshotter") and time.monotonic() < deadline:
        time.sleep(0.2)


@contextlib.contextmanager
def _suspended(process: psutil.Process) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def _add_backlog(server: Server) -> None:
    shape = {"connections": BATCH_CONNECTIONS, "in_flight": BATCHES_IN_FLIGHT, "batch": BATCH, "echo": False}
    accepted(generate(server, "ws", warmup=0.0, seconds=BACKLOG_SECONDS, **shape))


def _latencies(server: Server) -> dict[str, Any]:
    shape = {"connections": CONNECTIONS, "warmup": WARMUP_SECONDS, "seconds": SECONDS}
    return accepted(generate(server, "http_open", rate=RATE, **shape))
