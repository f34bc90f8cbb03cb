"""Growth figures: an order's cost when many are open, and memory by the number of orders."""

from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from app.engine.engine import Engine
from app.engine.records import COMMAND, EVENT
from app.engine.types import EventKind, ReportKind
from app.venues.paper import PaperStepper, PaperVenue
from loadtests.engine_figures import SHAPE, without_garbage_collection
from loadtests.figures import Figure
from loadtests.firm import Firm, Ids, Records
from loadtests.machine import resident_mib

FEW = 1_000
MANY = 1_000_000
STEP = 500  # cancels and as many new orders, at once
STEPS_PER_ROUND = 200
RATIO_MAX = 1.3
GROWTH_MIB_MAX = 64.0

_ROUTED = (EventKind.ORDER_ACCEPTED, EventKind.CANCEL_REQUESTED)


class Churn:
    """A firm in which this many orders are open, canceled at random and replaced by new ones.

    With `venue` the paper venue's book holds them too; without, reports are made up here and only the
    engine's time counts.
    """

    def __init__(self, open_orders: int, *, venue: bool) -> None:
        self.firm = Firm()
        engine: Engine = self.firm.engine
        self._stepper: PaperStepper | None = None
        if venue:
            self._stepper = PaperStepper(engine, PaperVenue(engine.state, engine.capacity))
        self._open: Ids = np.zeros(0, np.int64)
        self._turn = np.zeros(0, np.int64)
        self.seconds = 0.0
        self.orders = 0
        self._fill(open_orders)

    def _fill(self, count: int) -> None:
        steps = range(0, count, STEP)
        self._open = np.concatenate([self._place(min(STEP, count - first)) for first in steps])

    def age(self) -> None:
        """Go on until every slot of the engine has been used, so that none is new to the memory."""
        slots = self.firm.engine.capacity.orders
        while int(self.firm.engine.state.firm[0]["orders_used"]) < slots:
            self.step()

    def step(self) -> None:
        """Cancel some at random, place as many."""
        if len(self._turn) < STEP:
            self._turn = self.firm.random.permutation(len(self._open))
        chosen, self._turn = self._turn[:STEP], self._turn[STEP:]
        self._apply(self.firm.cancels(self._open[chosen]))
        self._open[chosen] = self._place(len(chosen))

    def cost_us(self, steps: int) -> float:
        """Microseconds of a cancel and a new order, each with its report."""
        self.seconds = 0.0
        before = self.orders
        for _ in range(steps):
            self.step()
        return self.seconds / (self.orders - before) * 1e6

    def _place(self, count: int) -> Ids:
        ids: Ids = self._apply(self.firm.orders(count, distance=(30, 400)))["order_id"]
        self.orders += count
        return ids

    def _apply(self, commands: Records) -> Records:
        """The route events of the commands, one for each, in their order."""
        events = self._by_engine(commands) if self._stepper is None else self._with(self._stepper, commands)
        routed = events[np.isin(events["kind"], _ROUTED)]
        if len(routed) != len(commands):
            raise RuntimeError(f"refused: {np.unique(events['code'])}")
        return routed

    def _by_engine(self, commands: Records) -> Records:
        firm = self.firm
        process = firm.engine.process
        firm.stamp(commands)
        started = perf_counter()
        events = process(commands)
        self.seconds += perf_counter() - started
        events = events.copy()
        cancels = events["kind"] == EventKind.CANCEL_REQUESTED
        reports = firm.stamp(firm.reports(events, np.where(cancels, ReportKind.CANCELED, ReportKind.NEW)))
        started = perf_counter()
        process(reports)
        self.seconds += perf_counter() - started
        return events

    def _with(self, stepper: PaperStepper, commands: Records) -> Records:
        """As the server applies them."""
        firm = self.firm
        records = commands.tobytes()
        started = perf_counter()
        applied = stepper.step(records, firm.seq + 1, firm.now)
        self.seconds += perf_counter() - started
        firm.seq += len(applied.commands) // COMMAND.itemsize
        return np.frombuffer(applied.events, EVENT)


def _compare(rounds: int, *, venue: bool) -> tuple[dict[int, list[float]], Churn]:
    churns = {count: Churn(count, venue=venue) for count in (FEW, MANY)}
    for churn in churns.values():
        churn.age()
    costs: dict[int, list[float]] = {FEW: [], MANY: []}
    with without_garbage_collection():
        for _ in range(rounds):
            for count, churn in churns.items():
                costs[count].append(churn.cost_us(STEPS_PER_ROUND))
    return costs, churns[FEW]


def measure_growth(rounds: int) -> list[Figure]:
    figures = []
    memory: list[Figure] = []
    for venue, name in ((False, "engine"), (True, "engine + paper venue")):
        costs, churn = _compare(max(rounds, 5), venue=venue)
        if venue:
            memory = [measure_memory(churn, 1_000_000)]
        details: dict[str, Any] = {
            "load": f"{STEP} random cancels and {STEP} new resting orders a step, {SHAPE}; "
            "every slot of the engine has been used before, so that neither side meets fresh memory",
            "rounds": {str(count): values for count, values in costs.items()},
        }
        figures.append(
            Figure(
                part="growth",
                claim=f"a cancel and a new order at 1,000,000 open orders, {name}",
                measured=median(costs[MANY]),
                unit="us",
                target=RATIO_MAX,
                of_ratio=True,
                baseline=median(costs[FEW]),
                baseline_name="1,000 open",
                details=details,
            )
        )
    return figures + memory


def measure_memory(churn: Churn, orders: int, say: Callable[[str], None] | None = None) -> Figure:
    """Memory taken by this many further orders, in an engine that has used all its slots."""
    churn.age()
    for _ in range(100):
        churn.step()
    before = resident_mib()
    samples = [before]
    first = churn.orders
    while churn.orders < first + orders:
        for _ in range(max(orders // STEP // 10, 1)):
            churn.step()
        samples.append(resident_mib())
        if say is not None:
            say(f"{churn.orders - first:,} orders, {samples[-1]:.0f} MiB")
    return Figure(
        part="growth",
        claim=f"memory that {churn.orders - first:,} orders leave behind",
        measured=max(samples[-1] - before, 0.0),
        unit="MiB",
        target=GROWTH_MIB_MAX,
        details={
            "load": "engine + paper venue, 1,000 open, after all slots were used",
            "resident_mib": samples,
        },
    )
