"""WebSocket figures: durable orders, pipelined one by one, and in batches."""

from contextlib import ExitStack
from statistics import median
from typing import Any

from loadtests.figures import AT_LEAST, Figure
from loadtests.http_figures import LOAD, ROUNDS_MAX, accepted
from loadtests.processes import Server, baseline_server, bot4_server, generate

CONNECTIONS = 4
IN_FLIGHT = 64
BATCH = 500
BATCHES_IN_FLIGHT = 2
WARMUP_SECONDS = 0.7
SECONDS = 2.0


def _single(server: Server, *, echo: bool) -> dict[str, Any]:
    shape = {"connections": CONNECTIONS, "in_flight": IN_FLIGHT, "batch": 0}
    return accepted(generate(server, "ws", warmup=WARMUP_SECONDS, seconds=SECONDS, echo=echo, **shape))


def _batched(server: Server, *, echo: bool) -> dict[str, Any]:
    shape = {"connections": CONNECTIONS, "in_flight": BATCHES_IN_FLIGHT, "batch": BATCH}
    return accepted(generate(server, "ws", warmup=WARMUP_SECONDS, seconds=SECONDS, echo=echo, **shape))


def measure_ws(rounds: int) -> list[Figure]:
    rounds = min(rounds, ROUNDS_MAX)
    results: dict[str, list[dict[str, Any]]] = {"single": [], "echo": [], "batch": [], "batch_echo": []}
    with ExitStack() as stack:
        bot4 = stack.enter_context(bot4_server())
        echo = stack.enter_context(baseline_server("echo", 0))
        for _ in range(rounds):
            results["single"].append(_single(bot4, echo=False))
            results["echo"].append(_single(echo, echo=True))
        for _ in range(rounds):
            results["batch"].append(_batched(bot4, echo=False))
            results["batch_echo"].append(_batched(echo, echo=True))
    rate = {name: median(each["orders_per_second"] for each in found) for name, found in results.items()}
    common: dict[str, Any] = {"part": "ws", "unit": "orders/s", "bound": AT_LEAST}
    return [
        Figure(
            claim=f"durable orders over WebSocket, {CONNECTIONS} x {IN_FLIGHT} in flight",
            measured=rate["single"],
            target=30_000,
            baseline=rate["echo"],
            baseline_name="WebSocket echo",
            details={"load": LOAD, "rounds": {name: results[name] for name in ("single", "echo")}},
            **common,
        ),
        Figure(
            claim=f"durable orders over WebSocket, batches of {BATCH}",
            measured=rate["batch"],
            target=100_000,
            baseline=rate["batch_echo"],
            baseline_name="WebSocket echo of the same batches",
            details={
                "load": f"{CONNECTIONS} connections x {BATCHES_IN_FLIGHT} batches in flight, {LOAD}",
                "rounds": {name: results[name] for name in ("batch", "batch_echo")},
            },
            **common,
        ),
    ]
