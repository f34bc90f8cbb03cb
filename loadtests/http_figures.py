"""HTTP figures: durable orders in a closed loop, beside servers that do nothing, alternating."""

from contextlib import ExitStack
from statistics import median
from typing import Any

from loadtests.figures import AT_LEAST, Figure
from loadtests.processes import Server, baseline_server, bot4_server, generate

CONNECTIONS = 64
WARMUP_SECONDS = 0.7
SECONDS = 2.5
ROUNDS_MAX = 3
_ORDERS_PER_SECOND = 18_000

LOAD = (
    "account load, half resting and half taking orders over 8 symbols of the synthetic market, each with a "
    "client order id of its own, answered when durable; server and its journal on one core, the generator "
    "on another"
)


def _run(server: Server, seconds: float = SECONDS) -> dict[str, Any]:
    return generate(server, "http", connections=CONNECTIONS, warmup=WARMUP_SECONDS, seconds=seconds)


def accepted(result: dict[str, Any]) -> dict[str, Any]:
    """The same result; an error if orders were refused that should not have been."""
    refused, statuses = result["refused"], result["refused_statuses"]
    if refused:
        raise RuntimeError(f"{refused} orders were refused {statuses}: {result['refused_example']}")
    return result


def measure_http(rounds: int) -> list[Figure]:
    results: dict[str, list[dict[str, Any]]] = {}
    with ExitStack() as stack:
        servers = {"bot4": stack.enter_context(bot4_server())}
        probe = accepted(_run(servers["bot4"], 0.5))
        for kind in ("bare", "framework"):
            servers[kind] = stack.enter_context(baseline_server(kind, round(probe["answer_bytes"])))
        for _ in range(min(rounds, ROUNDS_MAX)):
            for name, server in servers.items():
                results.setdefault(name, []).append(accepted(_run(server)))
    rate = {name: median(each["answers_per_second"] for each in found) for name, found in results.items()}
    cpu = {
        name: median(each["server_cpu_us_per_answer"] for each in found) for name, found in results.items()
    }
    busy = median(each["generator_busy"] for each in results["bare"])
    details = {
        "load": f"{CONNECTIONS} keep-alive connections, {LOAD}",
        "generator": f"{rate['bare']:.0f} requests/s against the bare no-op with {busy:.0%} of its core",
        "server_cpu_us_per_order": cpu,
        "rounds": results,
    }
    claim = f"durable orders over HTTP, {CONNECTIONS} connections"
    common: dict[str, Any] = {"part": "http", "unit": "orders/s", "measured": rate["bot4"], "bound": AT_LEAST}
    return [
        Figure(claim=claim, target=_ORDERS_PER_SECOND, details=details, **common),
        Figure(
            claim="  beside a bare ASGI no-op",
            target=0.5,
            of_ratio=True,
            baseline=rate["bare"],
            baseline_name="bare ASGI no-op",
            **common,
        ),
        Figure(
            claim="  beside FastAPI with a pydantic model, no-op",
            target=2.5,
            of_ratio=True,
            baseline=rate["framework"],
            baseline_name="FastAPI no-op",
            **common,
        ),
    ]
