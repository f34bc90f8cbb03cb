"""Kernels for figures and tests only: single steps of the engine's kernels, by themselves."""

import numpy as np
from numpy.typing import NDArray

from app.engine.codes import Code
from app.engine.correlation import Floats, take_sample
from app.engine.effect import NEW
from app.engine.jit import kernel
from app.engine.orders import load_candidate
from app.engine.prefetch import AHEAD, THEN, prefetch_checked, prefetch_repeats
from app.engine.rates import take_tokens
from app.engine.risk import check_order
from app.engine.state import FLOAT, LANES, SAMPLE_ROWS, SERIES_ROWS, aligned_zeros, attach


@kernel
def nothing(_directory: NDArray[np.int64], start: int, count: int) -> int:
    """The cost of a call from Python."""
    return count - start


@kernel
def check_orders(directory: NDArray[np.int64], start: int, count: int) -> int:
    """How many of `State.commands[start:count]` would pass as new orders; places none of them.

    Takes rate tokens as a real check does, and prefetches: the cost of the decision alone in a batch of
    `place`.
    """
    st = attach(directory)
    passed = 0
    for i in range(start, count):
        if i + AHEAD < count:
            prefetch_checked(st, st.commands, i + AHEAD)
        if i + THEN < count:
            prefetch_repeats(st, st.commands, i + THEN)
        load_candidate(st, i)
        lacking = take_tokens(st, st.candidate[0].account)
        code = check_order(st, explain=False, how=NEW, fault=0, duplicate=False, lacking=lacking)
        passed += code == Code.NONE
    return passed


def covariance_arrays(count: int) -> tuple[Floats, Floats, Floats]:
    """Series, sample and S of `count` symbols, empty, for `update_covariance`."""
    width = -(-count // LANES) * LANES
    return (
        aligned_zeros(SERIES_ROWS * width, FLOAT),
        aligned_zeros(SAMPLE_ROWS * width, FLOAT),
        aligned_zeros(width * width, FLOAT),
    )


@kernel
def update_covariance(series: Floats, sample: Floats, sums: Floats, count: int, decay: float) -> None:
    """One sample over arrays of any size: SAMPLE_MARKS does the same to the engine's own."""
    take_sample(series, sample, sums, count, decay)
