"""Figures of the engine alone, in this process: one check, checks in batch, orders in batch."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter, perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.engine.types import EventKind, ReportKind
from loadtests.figures import AT_LEAST, Figure, median_of_rounds, percentiles
from loadtests.firm import ACCOUNTS, SYMBOLS, Firm
from loadtests.kernels import check_orders, nothing

CHECK_CALLS = 100_000
BATCH = 8_192
BATCH_ORDERS = 40 * BATCH
WARM_BATCHES = 10  # after single calls, whose many Python objects have taken the caches

SHAPE = f"{ACCOUNTS} accounts x {SYMBOLS} symbols at random, every limit set in every scope"


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _call_percentiles(call: Callable[..., int], directory: NDArray[np.int64]) -> dict[str, float]:
    """Microseconds of single calls, the clock's own reading included."""
    taken = [0] * CHECK_CALLS
    clock = perf_counter_ns
    for i in range(CHECK_CALLS):
        at = i % BATCH
        started = clock()
        call(directory, at, at + 1)
        taken[i] = clock() - started
    return percentiles(np.array(taken) / 1_000)


def measure_checks(rounds: int) -> list[Figure]:
    firm = Firm()
    commands = firm.stamp(firm.orders(BATCH))
    firm.engine.state.commands[:BATCH] = commands
    directory = firm.engine.directory
    if check_orders(directory, 0, BATCH) != BATCH:
        raise RuntimeError("the orders to be checked do not pass")
    nothing(directory, 0, 1)
    checks, empty, rates = [], [], []
    with without_garbage_collection():
        for _ in range(rounds):
            checks.append(_call_percentiles(check_orders, directory))
            empty.append(_call_percentiles(nothing, directory))
            for _ in range(WARM_BATCHES):
                check_orders(directory, 0, BATCH)
            started = perf_counter()
            for _ in range(20):
                check_orders(directory, 0, BATCH)
            rates.append(20 * BATCH / (perf_counter() - started))
    found, base = median_of_rounds(checks), median_of_rounds(empty)
    details: dict[str, Any] = {
        "load": f"{CHECK_CALLS} single calls a round, {SHAPE}; the clock's reading is included",
        "rounds": checks,
        "baseline_rounds": empty,
    }
    figures = [
        Figure(
            part="check",
            claim=f"one pre-trade check called from Python, {name}",
            measured=found[name],
            unit="us",
            target=1.0 if name == "p99" else None,
            baseline=base[name],
            baseline_name="empty kernel",
            details=details if name == "p99" else {},
        )
        for name in ("p50", "p95", "p99", "p99.9")
    ]
    batch = Figure(
        part="check",
        claim="pre-trade checks in batch",
        measured=median(rates),
        unit="checks/s",
        target=7_000_000,
        bound=AT_LEAST,
        details={"load": f"20 batches of {BATCH} after {WARM_BATCHES}, {SHAPE}", "rounds": rates},
    )
    return [*figures, batch]


def _round_of_orders(firm: Firm) -> tuple[float, int]:
    """Seconds in the engine for `BATCH_ORDERS` orders, and the events they left."""
    seconds = 0.0
    events_count = 0
    fills = np.arange(BATCH) % 2 == 0
    kinds = np.where(fills, ReportKind.TRADE, ReportKind.NEW)
    process = firm.engine.process
    for _ in range(BATCH_ORDERS // BATCH):
        placed = firm.stamp(firm.orders(BATCH))
        started = perf_counter()
        events = process(placed)
        seconds += perf_counter() - started
        if not (len(events) == BATCH and (events["kind"] == EventKind.ORDER_ACCEPTED).all()):
            raise RuntimeError("an order of the batch was refused")
        events_count += len(events)
        reports = firm.stamp(firm.reports(events, kinds))
        started = perf_counter()
        events = process(reports)
        seconds += perf_counter() - started
        events_count += len(events)
    return seconds, events_count


def _rates(firm: Firm, rounds: int) -> tuple[list[float], int]:
    """Orders a second of each round, and the events of the last."""
    rates, events = [], 0
    with without_garbage_collection():
        for _ in range(rounds):
            seconds, events = _round_of_orders(firm)
            rates.append(BATCH_ORDERS / seconds)
            firm.cancel_everything()
    return rates, events


def measure_batch(rounds: int) -> list[Figure]:
    firm = Firm()
    _rates(firm, 1)
    fresh, _ = _rates(firm, min(rounds, 5))
    while int(firm.engine.state.firm[0]["orders_used"]) < firm.engine.capacity.orders:
        _rates(firm, 1)
    aged, events = _rates(firm, rounds)
    order = (
        "an order is a PLACE_ORDER command with a client order id, fully checked, reserved and accepted, and "
        "one execution report: every second one a complete TRADE, the others NEW, after which they stay open"
    )
    load = f"batches of {BATCH}, {BATCH_ORDERS} orders a round, {SHAPE}"
    return [
        Figure(
            part="engine",
            claim=f"engine alone in batch, place + execution report, {name}",
            measured=median(rates),
            unit="orders/s",
            target=1_000_000,
            bound=AT_LEAST,
            details={
                "load": load,
                "order": order,
                "events_per_order": events / BATCH_ORDERS,
                "rounds": rates,
            },
        )
        for name, rates in (("first 2 million orders", fresh), ("from then on", aged))
    ]
