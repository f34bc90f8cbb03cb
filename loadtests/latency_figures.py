"""Latency figures: durable orders over HTTP at constant rates, from when each was due."""

from typing import Any

from loadtests.figures import Figure, median_of_rounds
from loadtests.http_figures import CONNECTIONS, LOAD, ROUNDS_MAX, accepted
from loadtests.processes import bot4_server, generate

RATES = (2_000, 5_000)
WARMUP_SECONDS = 1.0
SECONDS = 4.0


def measure_latency(rounds: int) -> list[Figure]:
    results: dict[int, list[dict[str, Any]]] = {rate: [] for rate in RATES}
    shape = {"connections": CONNECTIONS, "warmup": WARMUP_SECONDS, "seconds": SECONDS}
    with bot4_server() as server:
        for _ in range(min(rounds, ROUNDS_MAX)):
            for rate, found in results.items():
                found.append(accepted(generate(server, "http_open", rate=rate, **shape)))
    figures = []
    for rate, found in results.items():
        middle = median_of_rounds([each["latency_ms"] for each in found])
        load = f"open loop, {rate} orders/s over {CONNECTIONS} connections, {LOAD}"
        figures += [
            Figure(
                part="latency",
                claim=f"durable order over HTTP at {rate:,} orders/s, {name}",
                measured=middle[name],
                unit="ms",
                details={"load": load, "rounds": found} if name == "p50" else {},
            )
            for name in ("p50", "p99", "p99.9")
        ]
    return figures
