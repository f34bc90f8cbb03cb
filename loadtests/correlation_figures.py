"""Figures of correlation and value at risk: the update of the covariance, a sample, the check."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from statistics import median
from time import perf_counter
from typing import Any

import numba
import numpy as np
from numba.core import config
from numpy.typing import NDArray

from app.commands.records import command
from app.engine.correlation import Sample, decay_and_add
from app.engine.state import SAMPLE_ROWS
from app.engine.types import CommandKind, Limit, ReportKind, Scope
from loadtests.engine_figures import BATCH, without_garbage_collection
from loadtests.figures import AT_LEAST, AT_MOST, Figure
from loadtests.firm import ACCOUNTS, SYMBOLS, Firm, commands_of
from loadtests.kernels import check_orders, covariance_arrays, update_covariance

SIZES = (100, 500)
_BURST_US = 3_000.0  # the duration of a timed burst
_DECAY = 2 ** (-1 / 600)
_WIDE = 10**18
_PASSES = 20

Floats = NDArray[np.float64]


class NumpyUpdate:
    """The same maths on whole arrays: log returns, means, weights, covariance."""

    def __init__(self, marks: NDArray[np.int64]) -> None:
        self.last = marks.astype(np.float64)
        self.mean = np.zeros(len(marks))
        self.weight = np.zeros(len(marks))
        self.weight_squares = np.zeros(len(marks))
        self.sums = np.zeros((len(marks), len(marks)))

    def update(self, marks: NDArray[np.int64]) -> None:
        levels = marks.astype(np.float64)
        deviation = np.log(levels / self.last) - self.mean
        self.last = levels
        before = self.weight * _DECAY
        self.weight = before + 1.0
        self.weight_squares = self.weight_squares * _DECAY**2 + 1.0
        self.mean += deviation / self.weight
        shocks = np.sqrt(before / self.weight) * deviation
        self.sums *= _DECAY
        self.sums += np.outer(shocks, shocks)


@contextmanager
def _without_vector_instructions() -> Iterator[None]:
    before = config.LOOP_VECTORIZE, config.SLP_VECTORIZE
    config.LOOP_VECTORIZE = config.SLP_VECTORIZE = 0
    try:
        yield
    finally:
        config.LOOP_VECTORIZE, config.SLP_VECTORIZE = before


def _compiled_passes() -> Callable[..., None]:
    """The pass over S, many times in one call: without what a call from Python costs."""
    one = numba.njit(error_model="numpy")(decay_and_add.py_func)  # type: ignore[attr-defined]  # numba's

    @numba.njit(error_model="numpy")  # type: ignore[untyped-decorator]  # numba's
    def passes(sums: Floats, shocks: Floats, decay: float, count: int) -> None:
        for _ in range(_PASSES):
            one(sums, shocks, decay, count)

    passes(np.zeros(64), np.zeros(8), _DECAY, 8)
    compiled: Callable[..., None] = passes
    return compiled


def _duration_us(call: Callable[[], object]) -> float:
    """Microseconds of one call, from a burst of them."""
    started = perf_counter()
    call()
    once = (perf_counter() - started) * 1e6
    count = max(math.ceil(_BURST_US / max(once, 0.1)), 3)
    started = perf_counter()
    for _ in range(count):
        call()
    return (perf_counter() - started) * 1e6 / count


def _medians(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Each call's microseconds, measured in turns, so that a slow moment meets all of them."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    with without_garbage_collection():
        for _ in range(3 * rounds):
            for name, call in calls.items():
                taken[name].append(_duration_us(call))
    return {name: median(values) for name, values in taken.items()}


def _two_marks(count: int) -> list[NDArray[np.int64]]:
    random = np.random.default_rng(1)
    first = random.integers(10**6, 10**8, count)
    return [first, first + random.integers(-(10**3), 10**3, count)]


def _updates(count: int) -> dict[str, Callable[[], object]]:
    """The whole update and the pass over the covariance, in every way that is compared."""
    marks = _two_marks(count)
    series, sample, sums = covariance_arrays(count)
    samples = cycle([sample, sample.copy()])
    for values in marks:
        next(samples)[:count] = values  # the first row
    numpy_marks = cycle(marks)
    numpy_update = NumpyUpdate(marks[0])
    vectorised = _compiled_passes()
    with _without_vector_instructions():
        scalar = _compiled_passes()
    for _ in range(10):  # numbers as they are when it has run for a while
        update_covariance(series, next(samples), sums, count, _DECAY)
        numpy_update.update(next(numpy_marks))
    shocks = sample[Sample.SHOCK * len(sample) // SAMPLE_ROWS :][: len(sample) // SAMPLE_ROWS]
    return {
        "kernel": lambda: update_covariance(series, next(samples), sums, count, _DECAY),
        "numpy": lambda: numpy_update.update(next(numpy_marks)),
        "passes": lambda: vectorised(sums, shocks, _DECAY, count),
        "scalar passes": lambda: scalar(sums, shocks, _DECAY, count),
    }


def _update_figures(rounds: int) -> list[Figure]:
    figures = []
    for count in SIZES:
        found = _medians(_updates(count), rounds)
        details = {"microseconds": found, "load": f"{count} symbols, each mark new"}
        figures += [
            Figure(
                part="correlation",
                claim=f"correlation update of {count} symbols per second, beside NumPy",
                measured=1e6 / found["kernel"],
                unit="updates/s",
                target=10 if count == 100 else None,
                bound=AT_LEAST,
                of_ratio=True,
                baseline=1e6 / found["numpy"],
                baseline_name="NumPy",
                details=details,
            ),
            Figure(
                part="correlation",
                claim=f"the pass over the covariance, {count} symbols, per second",
                measured=1e6 * _PASSES / found["passes"],
                unit="passes/s",
                target=2,
                bound=AT_LEAST,
                of_ratio=True,
                baseline=1e6 * _PASSES / found["scalar passes"],
                baseline_name="compiled without vectorisation",
                details=details,
            ),
            Figure(
                part="correlation",
                claim=f"correlation update, {count} symbols",
                measured=found["kernel"],
                unit="us",
                target=100 if count == 500 else None,
                bound=AT_MOST,
                details=details,
            ),
        ]
    return figures


def _set_limits(firm: Firm, which: dict[Limit, tuple[Scope, ...]], state: int) -> None:
    places = [(limit, Scope.FIRM, -1) for limit, scopes in which.items() if Scope.FIRM in scopes]
    places += [
        (limit, Scope.ACCOUNT, account)
        for limit, scopes in which.items()
        if Scope.ACCOUNT in scopes
        for account in range(ACCOUNTS)
    ]
    firm.apply(
        commands_of(
            command(CommandKind.SET_LIMIT, code=limit, scope=scope, account=account, value=_WIDE, state=state)
            for limit, scope, account in places
        )
    )


_PORTFOLIO_LIMITS = {
    Limit.MAX_PORTFOLIO_VAR: (Scope.FIRM, Scope.ACCOUNT),
    Limit.MAX_CORRELATED_EXPOSURE: (Scope.ACCOUNT,),
}


def _sampled_firm() -> Firm:
    """A firm that holds a position in nearly everything."""
    firm = Firm()
    for _ in range(8):
        events = firm.apply(firm.orders_that_trade(BATCH))
        firm.apply(firm.reports(events.copy(), ReportKind.TRADE))
    return firm


def _sample_us(firm: Firm) -> float:
    """Of new marks' SAMPLE_MARKS, from Python."""
    firm.set_marks(firm.random.integers(-20, 20, SYMBOLS))
    started = perf_counter()
    firm.sample_marks()
    return (perf_counter() - started) * 1e6


def _check_ns(firm: Firm) -> float:
    """Of one check in a batch."""
    directory = firm.engine.directory
    passed = check_orders(directory, 0, BATCH)
    if passed != BATCH:
        raise RuntimeError(f"{BATCH - passed} of the orders to be checked do not pass")
    started = perf_counter()
    for _ in range(10):
        check_orders(directory, 0, BATCH)
    return (perf_counter() - started) * 1e9 / (10 * BATCH)


def _first_checks_us(firm: Firm) -> float:
    """Of each account's first check after a sample, which makes its row anew."""
    firm.sample_marks()
    directory = firm.engine.directory
    orders = firm.orders(ACCOUNTS)
    orders["account"] = np.arange(ACCOUNTS)
    firm.engine.state.commands[:ACCOUNTS] = orders
    started = perf_counter()
    check_orders(directory, 0, ACCOUNTS)
    return (perf_counter() - started) * 1e6 / ACCOUNTS


def _check_figures(rounds: int) -> list[Figure]:
    firm = _sampled_firm()
    without, limited, samples, first = [], [], [], []
    with without_garbage_collection():
        for _ in range(3 * rounds):
            _set_limits(firm, _PORTFOLIO_LIMITS, 0)
            firm.engine.state.commands[:BATCH] = firm.orders(BATCH)
            without.append(_check_ns(firm))
            _set_limits(firm, _PORTFOLIO_LIMITS, 1)
            firm.engine.state.commands[:BATCH] = firm.orders(BATCH)
            limited.append(_check_ns(firm))
            samples.append(_sample_us(firm))
            first.append(_first_checks_us(firm))
    shape = f"{ACCOUNTS} accounts x {SYMBOLS} symbols, a position in nearly all"
    details: dict[str, Any] = {"load": shape, "rounds": {"without": without, "limited": limited}}
    return [
        Figure(
            part="correlation",
            claim="a check in batch, value at risk of firm and account and correlated exposure limited",
            measured=median(limited) / 1e3,
            unit="us",
            baseline=median(without) / 1e3,
            baseline_name="the same orders, these not limited",
            details=details,
        ),
        Figure(
            part="correlation",
            claim=f"one sample of {SYMBOLS} symbols: returns, covariance, correlation",
            measured=median(samples),
            unit="us",
            details={"load": shape, "rounds": samples},
        ),
        Figure(
            part="correlation",
            claim="an account's first check after a sample, its portfolio made anew",
            measured=median(first),
            unit="us",
            details={"load": f"{shape}; the firm's row is among them", "rounds": first},
        ),
    ]


def measure_correlation(rounds: int) -> list[Figure]:
    return [*_update_figures(rounds), *_check_figures(rounds)]
