"""Covariance of the marks' log returns, exponentially weighted, kept up to date sample by sample.

Marks are sampled on one time grid for all symbols, by SAMPLE_MARKS commands. With a decay `d`
= 2 ** (-1 / half_life) and, for each symbol, the weight W = sum(d ** age) of its returns, a
return r moves

    W <- d W + 1,    mean <- mean + (r - mean) / W,    S <- d S + u u',

where u = sqrt((W - 1) / W) (r - mean before), and u = 0 where a symbol has no return. Then

    covariance(i, j) = g(i) S(i, j) g(j),    g = 1 / sqrt((W ** 2 - W2) / W),    W2 = sum(d ** (2 age)).

For symbols with the same history that is pandas' `ewm(halflife=half_life, adjust=True,
ignore_na=False).cov(bias=False)`, and every variance is `.var(bias=False)` of it whatever the
history. Where one symbol began later or had gaps, pandas forgets what was seen of the other
meanwhile; here a return that is missing counts as no deviation. So S is a sum of squares: no
portfolio has a negative variance, no correlation is beyond 1 (pairwise estimates promise neither),
and one pass over S is all that a sample costs. The price is a correlation that is too near to zero
while histories differ; a symbol counts only once it has half the weight of the oldest.

S is symmetric, so its upper triangle is kept. The pass is elementwise along rows, so that it is
vectorised without reordering any sum: the same bits come out with and without vector instructions.
"""

import math
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from app.engine.arithmetic import half_life_decay, log_ratio, log_ratio_of_near
from app.engine.codes import Code
from app.engine.emission import emit, room_for_events
from app.engine.jit import force_inline, inline
from app.engine.portfolio import ROUNDING
from app.engine.state import LANES, SAMPLE_ROWS, SERIES_ROWS, State
from app.engine.types import EventKind, RiskParameter, Scope, SeriesStatus

Floats = NDArray[np.float64]


class Series(IntEnum):
    """Rows of `State.series`: the history of each symbol's returns."""

    MARK = 0  # of the last sample, 0 where there was none
    COUNT = 1
    MEAN = 2
    WEIGHT = 3
    WEIGHT_SQUARES = 4


class Sample(IntEnum):
    """Rows of `State.sample`: the marks of one point of the grid, and the values derived from them."""

    MARK = 0  # 0: none
    SEEN = 1  # 1: there is a return, else 0
    RETURN = 2
    SHOCK = 3  # the vector u


assert len(Series) == SERIES_ROWS
assert len(Sample) == SAMPLE_ROWS

# Below this a variance is not one of prices (a tick in the highest price gives 1e-33), and on the way
# to numbers so small that processors slow down.
_VARIANCE_MIN = 1e-40

_PARAMETERS = len(RiskParameter)
_HALF_LIFE_MAX = 1_000_000
_INTERVAL_US_MIN, _INTERVAL_US_MAX = 100_000, 3_600_000_000
_HORIZON_US_MAX = 365 * 86_400_000_000
_Z_E9_MAX = 10 * 10**9
_MARK_AGE_US_MAX = 86_400_000_000
_PPM = 1_000_000


@force_inline
def row(matrix: Floats, number: int, stride: int) -> Floats:
    return matrix[number * stride : (number + 1) * stride]


@force_inline
def _take_returns(marks: Floats, last: Floats, returns: Floats, seen: Floats, count: int) -> None:
    for i in range(count):
        change = log_ratio_of_near(marks[i], last[i])
        known = (marks[i] > 0.0) & (last[i] > 0.0)
        returns[i] = change if known else 0.0
        seen[i] = 1.0 if known else 0.0
    for i in range(count):
        if seen[i] != 0.0:
            returns[i] = log_ratio(marks[i], last[i], returns[i])
        last[i] = marks[i]


@force_inline
def _move_means(
    returns: Floats, seen: Floats, means: Floats, weights: Floats, shocks: Floats, decay: float, count: int
) -> None:
    for i in range(count):
        deviation = seen[i] * (returns[i] - means[i])
        before = decay * weights[i]
        means[i] += deviation / (before + 1.0)
        shocks[i] = math.sqrt(before / (before + 1.0)) * deviation
        weights[i] = before + seen[i]


@force_inline
def _count_returns(seen: Floats, squares: Floats, counts: Floats, decay: float, count: int) -> None:
    for i in range(count):
        squares[i] = decay * decay * squares[i] + seen[i]
        counts[i] += seen[i]


@force_inline
def decay_and_add(sums: Floats, shocks: Floats, decay: float, count: int) -> None:
    """S <- decay S + u u' for `count` symbols, in the upper triangle, which is all that is kept of S.

    A row of S is as long as `shocks`, whole `LANES`, and shocks beyond the last symbol are zero.
    Each row begins with the `LANES` that hold its diagonal.
    """
    stride = len(shocks)
    end = (count + LANES - 1) // LANES * LANES
    for i in range(count):
        begin = i // LANES * LANES
        tail = shocks[begin:end]
        of_one = sums[i * stride + begin : i * stride + end]
        shock = shocks[i]
        for j in range(end - begin):
            of_one[j] = decay * of_one[j] + shock * tail[j]


@force_inline
def take_sample(series: Floats, sample: Floats, sums: Floats, count: int, decay: float) -> None:
    """Bring series and S up to date with the marks in `sample`, of `count` symbols."""
    stride = len(sample) // SAMPLE_ROWS
    returns, seen = row(sample, Sample.RETURN, stride), row(sample, Sample.SEEN, stride)
    shocks = row(sample, Sample.SHOCK, stride)
    _take_returns(row(sample, Sample.MARK, stride), row(series, Series.MARK, stride), returns, seen, count)
    means, weights = row(series, Series.MEAN, stride), row(series, Series.WEIGHT, stride)
    _move_means(returns, seen, means, weights, shocks, decay, count)
    squares, counts = row(series, Series.WEIGHT_SQUARES, stride), row(series, Series.COUNT, stride)
    _count_returns(seen, squares, counts, decay, count)
    decay_and_add(sums, shocks, decay, count)


@force_inline
def _is_fresh(st: State, symbol: int) -> bool:
    instrument = st.instruments[symbol]
    return instrument.mark > 0 and st.firm[0].ts - instrument.mark_ts <= st.risk_model[0].mark_age_us_max


@inline
def _forget(st: State, symbol: int) -> None:
    """Clear one symbol's row and column of S."""
    stride = len(st.scales)
    row(st.sums, symbol, stride)[:] = 0.0
    for other in range(st.firm[0].symbols):
        st.sums[other * stride + symbol] = 0.0


@inline
def _set_status(st: State, symbol: int) -> None:
    """Set whether a symbol's statistics count, and if not, why."""
    model = st.risk_model[0]
    stride = len(st.scales)
    diagonal = symbol * (stride + 1)
    if 0.0 < st.sums[diagonal] < _VARIANCE_MIN:
        _forget(st, symbol)
    weight = row(st.series, Series.WEIGHT, stride)[symbol]
    squares = row(st.series, Series.WEIGHT_SQUARES, stride)[symbol]
    count = row(st.series, Series.COUNT, stride)[symbol]
    status = SeriesStatus.OK
    if st.instruments[symbol].mark <= 0:
        status = SeriesStatus.NO_MARK
    elif count < model.samples_min or 2.0 * weight < model.weight:
        status = SeriesStatus.TOO_FEW_SAMPLES
    elif st.sums[diagonal] == 0.0:
        status = SeriesStatus.NO_VARIANCE
    elif not _is_fresh(st, symbol):
        status = SeriesStatus.STALE
    measured = status >= SeriesStatus.STALE
    st.statuses[symbol] = status
    st.scales[symbol] = math.sqrt(weight / (weight * weight - squares)) if measured else 0.0


@inline
def _fill_covariance(st: State) -> None:
    """Fill the whole matrix from the upper triangle of S; rows and columns of unmeasured symbols are zero."""
    symbols = st.firm[0].symbols
    stride = len(st.scales)
    for i in range(symbols):
        sums = row(st.sums, i, stride)
        covariance = row(st.covariance, i, stride)
        scale = st.scales[i]
        for j in range(i, symbols):
            covariance[j] = scale * sums[j] * st.scales[j]
        for j in range(i):
            covariance[j] = st.covariance[j * stride + i]


@force_inline
def _separate(
    apart: NDArray[np.int64], covariance: Floats, deviations: Floats, bound: float, count: int
) -> None:
    """One row: -1 if a symbol is known to be correlated less than the threshold, else 0."""
    for j in range(count):
        known = (deviations[j] > 0.0) & (covariance[j] < bound * deviations[j])
        apart[j] = -1 if known else 0


@inline
def _derive(st: State) -> None:
    """Precompute what checks need of the covariance and the parameters."""
    stride = len(st.scales)
    largest = 0.0
    for i in range(st.firm[0].symbols):
        st.deviations[i] = math.sqrt(st.covariance[i * (stride + 1)])
        largest = max(largest, st.deviations[i])
    model = st.risk_model[0]
    model.deviation_max = largest
    horizon = math.sqrt(model.horizon_us / model.interval_us)
    model.factor = model.z_e9 * 1e-9 * horizon * (1.0 + ROUNDING)


@inline
def _find_apart(st: State) -> None:
    """Mark the pairs below the threshold. An unmeasured symbol is never known to be apart."""
    symbols = st.firm[0].symbols
    stride = len(st.scales)
    deviations = st.deviations
    threshold = st.risk_model[0].correlation_threshold_ppm / _PPM
    for i in range(symbols):
        apart = st.apart[i * stride : (i + 1) * stride]
        bound = threshold * deviations[i] if deviations[i] > 0.0 else -math.inf
        _separate(apart, row(st.covariance, i, stride), deviations, bound, symbols)
        apart[i] = 0


@inline
def sample_marks(st: State) -> None:
    """Take the marks of all symbols at one point of the grid; the first command in its interval counts.

    A return leads from one point to the next: over a gap (the server was down, a mark was stale) there is
    none. `limit` of MARKS_SAMPLED is the number of samples with returns so far.
    """
    firm = st.firm[0]
    model = st.risk_model[0]
    point = firm.ts // model.interval_us
    last = model.sampled_ts // model.interval_us
    if point > last:
        stride = len(st.scales)
        marks = row(st.sample, Sample.MARK, stride)
        for symbol in range(firm.symbols):
            marks[symbol] = st.instruments[symbol].mark if _is_fresh(st, symbol) else 0
        if point == last + 1:
            decay = half_life_decay(model.half_life)
            take_sample(st.series, st.sample, st.sums, firm.symbols, decay)
            model.samples += 1
        else:
            row(st.series, Series.MARK, stride)[:] = marks
        model.sampled_ts = firm.ts
        _refresh(st)
    at = emit(st, EventKind.MARKS_SAMPLED)
    st.sample_events[at].samples = model.samples


@inline
def _refresh(st: State) -> None:
    """After a sample or a change of parameters: values derived from the covariance are out of date."""
    symbols = st.firm[0].symbols
    weights = row(st.series, Series.WEIGHT, len(st.scales))
    largest = 0.0
    for symbol in range(symbols):
        largest = max(largest, weights[symbol])
    st.risk_model[0].weight = largest
    for symbol in range(symbols):
        _set_status(st, symbol)
    _fill_covariance(st)
    _derive(st)
    _find_apart(st)
    st.firm[0].model_version += 1


@inline
def _start_anew(st: State) -> None:
    """Discard all returns: those of another interval are not comparable."""
    model = st.risk_model[0]
    model.samples = 0
    model.sampled_ts = 0
    st.series[:] = 0.0
    st.sums[:] = 0.0


@inline
def _emit_parameter(st: State, i: int, parameter: int, old: int, new: int) -> None:
    at = emit(st, EventKind.RISK_MODEL_SET)
    event = st.risk_model_events[at]
    event.scope = Scope.FIRM
    event.parameter = parameter
    event.new_value = new
    event.old_value = old
    event.version = st.risk_model[0].version + 1
    event.notes = st.risk_model_commands[i].notes
    event.actor = st.risk_model_commands[i].actor


@inline
def _emit_changes(st: State, i: int) -> None:
    """Emit RISK_MODEL_SET for each parameter that is to change; if none is, for the first one."""
    c = st.risk_model_commands[i]
    model = st.risk_model[0]
    before = st.firm[0].event_count
    if c.interval_us != model.interval_us:
        _emit_parameter(st, i, RiskParameter.INTERVAL_US, model.interval_us, c.interval_us)
    if c.horizon_us != model.horizon_us:
        _emit_parameter(st, i, RiskParameter.HORIZON_US, model.horizon_us, c.horizon_us)
    if c.z_e9 != model.z_e9:
        _emit_parameter(st, i, RiskParameter.Z_E9, model.z_e9, c.z_e9)
    if c.correlation_threshold_ppm != model.correlation_threshold_ppm:
        _emit_parameter(
            st,
            i,
            RiskParameter.CORRELATION_THRESHOLD_PPM,
            model.correlation_threshold_ppm,
            c.correlation_threshold_ppm,
        )
    if c.mark_age_us_max != model.mark_age_us_max:
        _emit_parameter(st, i, RiskParameter.MARK_AGE_US_MAX, model.mark_age_us_max, c.mark_age_us_max)
    if c.samples_min != model.samples_min:
        _emit_parameter(st, i, RiskParameter.SAMPLES_MIN, model.samples_min, c.samples_min)
    if c.half_life != model.half_life or st.firm[0].event_count == before:
        _emit_parameter(st, i, RiskParameter.HALF_LIFE, model.half_life, c.half_life)


@inline
def set_risk_model(st: State, i: int) -> bool:
    """Set all parameters at once, or nothing; False if it has to be resumed (see `app.engine.engine`)."""
    if room_for_events(st) < _PARAMETERS:
        return False
    c = st.risk_model_commands[i]
    model = st.risk_model[0]
    known = (
        1 <= c.half_life <= _HALF_LIFE_MAX
        and _INTERVAL_US_MIN <= c.interval_us <= _INTERVAL_US_MAX
        and c.interval_us <= c.horizon_us <= _HORIZON_US_MAX
        and 0 < c.z_e9 <= _Z_E9_MAX
        and 0 <= c.correlation_threshold_ppm <= _PPM
        and 0 < c.mark_age_us_max <= _MARK_AGE_US_MAX
        and 2 <= c.samples_min <= _HALF_LIFE_MAX
    )
    if not known:
        at = emit(st, EventKind.COMMAND_REJECTED)
        st.rejection_events[at].code = Code.INVALID_VALUE
        return True
    _emit_changes(st, i)
    if c.interval_us != model.interval_us:
        _start_anew(st)
    model.half_life = c.half_life
    model.interval_us = c.interval_us
    model.horizon_us = c.horizon_us
    model.z_e9 = c.z_e9
    model.correlation_threshold_ppm = c.correlation_threshold_ppm
    model.mark_age_us_max = c.mark_age_us_max
    model.samples_min = c.samples_min
    model.version += 1
    _refresh(st)
    return True
