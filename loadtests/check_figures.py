"""Cost of each limit to an order: the check in batch with this limit alone, beside no limit at all.

A limit is set in every scope that may carry it, by commands. Rounds alternate, and each limit is
measured right after the same orders without any, so other load on the machine affects both.
"""

from collections.abc import Callable
from statistics import median
from time import perf_counter

from app.engine.types import Limit
from loadtests.engine_figures import BATCH, without_garbage_collection
from loadtests.figures import Figure
from loadtests.firm import ACCOUNTS, LIMITS, SYMBOLS, Firm
from loadtests.kernels import check_orders

PASSES = 30  # over the same batch; their median counts

# No order meets these: they are about cancels, what the venue refuses, marks, and what is held.
NOT_OF_ORDERS = (Limit.CANCEL_RATE, Limit.VENUE_REJECTIONS, Limit.MARK_HALT_AGE, Limit.MAINTENANCE_LEVERAGE)
CHECKED = tuple(limit for limit in LIMITS if limit not in NOT_OF_ORDERS)


class Bench:
    """One batch of orders that pass, checked repeatedly under different limits."""

    def __init__(self) -> None:
        self.firm = Firm()
        self.firm.engine.state.commands[:BATCH] = self.firm.stamp(self.firm.orders(BATCH))
        self._orders = self.firm.engine.state.commands[:BATCH].copy()
        self.firm.set_limits(CHECKED, remove=True)

    def nanoseconds(self) -> float:
        """The time of one order under the current limits."""
        self.firm.engine.state.commands[:BATCH] = self._orders
        directory = self.firm.engine.directory
        if check_orders(directory, 0, BATCH) != BATCH:  # and the first pass makes what later ones find
            raise RuntimeError("the orders to be checked do not pass")
        taken = []
        for _ in range(PASSES):
            started = perf_counter()
            check_orders(directory, 0, BATCH)
            taken.append(perf_counter() - started)
        return median(taken) / BATCH * 1e9

    def with_limits(self, limits: tuple[Limit, ...], measure: Callable[[], float]) -> float:
        """The result of `measure` while they are set."""
        self.firm.set_limits(limits)
        try:
            return measure()
        finally:
            self.firm.set_limits(limits, remove=True)


def measure_each_check(rounds: int) -> list[Figure]:
    bench = Bench()
    none: list[float] = []
    every: list[float] = []
    extra: dict[Limit, list[float]] = {limit: [] for limit in CHECKED}
    with without_garbage_collection():
        for _ in range(rounds):
            for limit in CHECKED:
                none.append(bench.nanoseconds())
                extra[limit].append(bench.with_limits((limit,), bench.nanoseconds) - none[-1])
            every.append(bench.with_limits(CHECKED, bench.nanoseconds))
    load = f"batches of {BATCH}, {ACCOUNTS} accounts x {SYMBOLS} symbols at random"
    base = median(none)
    whole = [("no limit that it could meet", none), ("every limit in every scope", every)]
    figures = [_figure(f"an order checked, {name}", taken, load) for name, taken in whole]
    figures += [_figure(f"... {limit.name} more", taken, load, base) for limit, taken in extra.items()]
    return figures


def _figure(claim: str, taken: list[float], load: str, base: float | None = None) -> Figure:
    return Figure(
        part="checks",
        claim=claim,
        measured=median(taken),
        unit="ns",
        baseline=base,
        baseline_name="without any" if base else "",
        details={"load": load, "rounds": taken},
    )
