"""Stream figures: latency and rate of live data for watchers, and its cost to orders.

Beside it runs a bare fan-out under the same uvicorn: it sends each watcher two messages of the same
size for each order, by ASGI's `send`, and does nothing else.

Where the latency of orders is compared, watchers take their messages packed (`batch`), in a process
of their own: the cost of reading is theirs, not the orders'.
"""

from contextlib import ExitStack
from statistics import median
from typing import Any

from loadtests.figures import AT_LEAST, AT_MOST, Figure, median_of_rounds
from loadtests.processes import Server, baseline_server, bot4_server, generate

WARMUP_SECONDS = 0.7
SECONDS = 2.0
ROUNDS_MAX = 3

# An order leads to two messages: it is accepted, and then it rests, is filled or ends.
FEW, FEW_RATE = 10, 600.0
MANY, MANY_RATE = 50, 600.0
ORDER_RATE = 1_000.0
MESSAGE_BYTES = 520


def _run(server: Server, watchers: int, rate: float, *, apart: bool = False) -> dict[str, Any]:
    job = {"watchers": watchers, "rate": rate, "batch": apart, "apart": apart}
    return generate(server, "stream", warmup=WARMUP_SECONDS, seconds=SECONDS, **job)


def measure_stream(rounds: int) -> list[Figure]:
    rounds = min(rounds, ROUNDS_MAX)
    names = ("few", "few_bare", "many", "many_bare", "alone", "watched")
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with ExitStack() as stack:
        bot4 = stack.enter_context(bot4_server())
        bare = stack.enter_context(baseline_server("fanout", MESSAGE_BYTES))
        for _ in range(rounds):
            found["few"].append(_run(bot4, FEW, FEW_RATE))
            found["few_bare"].append(_run(bare, FEW, FEW_RATE))
            found["many"].append(_run(bot4, MANY, MANY_RATE))
            found["many_bare"].append(_run(bare, MANY, MANY_RATE))
            found["alone"].append(_run(bot4, 0, ORDER_RATE, apart=True))
            found["watched"].append(_run(bot4, MANY, ORDER_RATE, apart=True))
    latency = {
        name: median_of_rounds([each["latency_ms"] for each in found[name]]) for name in ("few", "few_bare")
    }
    orders = {
        name: median_of_rounds([each["order_latency_ms"] for each in found[name]])
        for name in ("alone", "watched")
    }
    rates = {name: median(each["messages_per_second"] for each in found[name]) for name in names[:4]}
    return [
        Figure(
            part="stream",
            claim=f"stream messages, {rates['few']:,.0f}/s to {FEW} watchers, durable to client, p99",
            measured=latency["few"]["p99"],
            unit="ms",
            target=0.95,
            bound=AT_MOST,
            baseline=latency["few_bare"]["p99"],
            baseline_name=f"bare fan-out at {rates['few_bare']:,.0f}/s",
            details={"rounds": {name: found[name] for name in ("few", "few_bare")}},
        ),
        Figure(
            part="stream",
            claim=f"stream messages to {MANY} watchers, sustained",
            measured=rates["many"],
            unit="messages/s",
            target=50_000,
            bound=AT_LEAST,
            baseline=rates["many_bare"],
            baseline_name="bare fan-out",
            details={"rounds": {name: found[name] for name in ("many", "many_bare")}},
        ),
        Figure(
            part="stream",
            claim=f"order latency at {ORDER_RATE:,.0f}/s with {MANY} watchers, p99",
            measured=orders["watched"]["p99"],
            unit="ms",
            target=1.2,
            bound=AT_MOST,
            of_ratio=True,
            baseline=orders["alone"]["p99"],
            baseline_name="without watchers",
            details={"rounds": {name: found[name] for name in ("alone", "watched")}},
        ),
    ]
