"""The covariance kernels against exact logarithms, pandas and a plain-Python twin."""

import gzip
import math
import platform
import re
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from numpy.typing import NDArray

from app.engine.arithmetic import half_life_decay, log_ratio, log_ratio_of_near
from app.engine.correlation import Series, decay_and_add
from loadtests.kernels import covariance_arrays, update_covariance
from tests.models.correlation import History
from tests.support.engine import for_python

RECORDINGS = Path(__file__).parents[4] / "shared" / "data" / "binance"
HALF_LIFE = 60
RELATIVE = 1e-9

Marks = NDArray[np.int64]  # [sample, symbol], 0 where there is none

near_logarithm = for_python(log_ratio_of_near)
full_logarithm = for_python(log_ratio)
decay_of = for_python(half_life_decay)


class Estimate:
    """What the kernel makes of all samples, as covariance and correlation matrices."""

    def __init__(self, marks: Marks, half_life: int = HALF_LIFE) -> None:
        count = marks.shape[1]
        series, sample, sums = covariance_arrays(count)
        decay = decay_of(half_life)
        for values in marks:
            sample[:count] = values  # the first row
            update_covariance(series, sample, sums, count, decay)
        width = len(series) // len(Series)
        rows = series.reshape(len(Series), width)[:, :count]
        upper = np.triu(sums.reshape(width, width)[:count, :count])
        self.sums = upper + np.triu(upper, 1).T
        weight = rows[Series.WEIGHT]
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.sqrt(weight / (weight**2 - rows[Series.WEIGHT_SQUARES]))
            self.covariance = self.sums * np.outer(scale, scale)
            deviation = np.sqrt(np.diag(self.sums))
            self.correlation = self.sums / np.outer(deviation, deviation)


def returns_of(marks: Marks) -> pd.DataFrame:
    """Aligned log returns; NaN where either mark is missing."""
    levels = np.where(marks > 0, marks, np.nan).astype(float)
    return pd.DataFrame(np.log(levels[1:] / levels[:-1]))


def assert_equal_to_pandas(marks: Marks, half_life: int = HALF_LIFE) -> None:
    found = Estimate(marks, half_life)
    window = returns_of(marks).ewm(halflife=half_life, adjust=True, ignore_na=False)
    last = len(marks) - 2
    covariance = window.cov(bias=False).loc[last].to_numpy()
    correlation = window.corr().loc[last].to_numpy()
    # Beside a correlation near zero, both are within rounding of what they are made of.
    typical = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    assert np.all(
        np.abs(found.covariance - covariance) <= RELATIVE * np.maximum(np.abs(covariance), 1e-3 * typical)
    )
    np.testing.assert_allclose(found.correlation, correlation, rtol=RELATIVE, atol=1e-12)


def walk(samples: int, symbols: int, seed: int = 7) -> Marks:
    """Correlated random walks: one market factor, and each symbol's own noise."""
    random = np.random.default_rng(seed)
    factor = random.normal(0, 2e-4, (samples, 1))
    noise = random.normal(0, 3e-4, (samples, symbols)) * random.uniform(0.2, 3, symbols)
    paths = np.exp(np.cumsum(factor + noise, axis=0)) * 10 ** random.uniform(4, 12, symbols)
    return np.rint(paths).astype(np.int64)


def recorded_marks() -> Marks:
    """Mid prices of BTCUSDT and ETHUSDT at whole seconds, in halves of a cent."""
    columns = []
    for name in ("btcusdt", "ethusdt"):
        paths = sorted(RECORDINGS.glob(f"{name}*.gz"))
        if not paths:
            pytest.skip(f"there is no recording of {name} in {RECORDINGS}")
        by_second: dict[int, int] = {}
        with gzip.open(paths[0]) as lines:
            for line in lines:
                received, _, message = line.partition(b" ")
                if b"@bookTicker" in message:
                    quote = orjson.loads(message)["data"]
                    mid = Decimal(quote["b"]) + Decimal(quote["a"])
                    by_second[int(received) // 10**9] = int(mid * 100)
        columns.append(by_second)
    first = max(min(column) for column in columns)
    last = min(max(column) for column in columns)
    marks = []
    newest = [0, 0]
    for second in range(first, last + 1):
        newest = [column.get(second, before) for column, before in zip(columns, newest, strict=True)]
        marks.append(newest)
    return np.array([row for row in marks if all(row)], np.int64)


@pytest.mark.parametrize(
    ("after", "before"),
    [
        *(
            (10**6 + step, 10**6)
            for step in (0, 1, -1, 37, -9_999, 15_000, 16_000, 400_000, -330_000, 600_000)
        ),
        *((3, 2), (2, 3), (1, 1), (1, 1 << 55), (1 << 55, 1), (12_345, 1 << 54), ((1 << 53) - 1, 1 << 53)),
    ],
)
def test_logarithm_is_exact_to_the_last_digits(after: int, before: int) -> None:
    with localcontext() as context:
        context.prec = 50
        exact = float((Decimal(after) / Decimal(before)).ln())
    found = full_logarithm(float(after), float(before), near_logarithm(float(after), float(before)))
    assert found == pytest.approx(exact, rel=2e-15, abs=0)


@pytest.mark.parametrize("half_life", [1, 2, 60, 600, 1_000_000])
def test_decay_halves_after_a_half_life(half_life: int) -> None:
    assert decay_of(half_life) == pytest.approx(2 ** (-1 / half_life), rel=4e-16)


@pytest.mark.parametrize("half_life", [5, 60, 600])
def test_equal_to_pandas_on_recorded_returns(half_life: int) -> None:
    marks = recorded_marks()
    assert len(marks) > 300
    assert_equal_to_pandas(marks, half_life)


@pytest.mark.parametrize("half_life", [1, 20, 300])
def test_equal_to_pandas_on_fifty_symbols(half_life: int) -> None:
    assert_equal_to_pandas(walk(400, 50), half_life)


def test_equal_to_pandas_with_huge_jumps() -> None:
    marks = walk(200, 6)
    marks[50:, 1] *= 1_000_000
    marks[120:, 2] //= 1_000
    assert_equal_to_pandas(marks)


def test_equal_to_pandas_of_one_symbol() -> None:
    assert_equal_to_pandas(walk(50, 1))


def test_variances_are_those_of_pandas_whatever_is_missing() -> None:
    marks = walk(300, 4)
    marks[:100, 1] = 0  # added later
    marks[150:200, 2] = 0  # stale for a while
    marks[np.random.default_rng(3).random(300) < 0.2, 3] = 0
    expected = returns_of(marks).ewm(halflife=HALF_LIFE, ignore_na=False).var(bias=False).iloc[-1]
    np.testing.assert_allclose(np.diag(Estimate(marks).covariance), expected, rtol=RELATIVE)


def test_no_portfolio_has_a_negative_variance_whatever_is_missing() -> None:
    marks = walk(120, 8)
    random = np.random.default_rng(5)
    marks[random.random(marks.shape) < 0.3] = 0
    found = Estimate(marks, 15)
    assert np.linalg.eigvalsh(found.covariance).min() > -1e-12 * np.trace(found.covariance)
    assert np.abs(found.correlation).max() <= 1 + 1e-12


def test_a_correlation_forgets_that_one_symbol_came_later() -> None:
    marks = walk(1_200, 2)
    marks[:200, 1] = 0
    late = Estimate(marks, 40).correlation[0, 1]
    common = Estimate(marks[200:], 40).correlation[0, 1]
    assert late == pytest.approx(common, rel=1e-4)


def test_constant_prices_have_no_variance() -> None:
    marks = walk(50, 3)
    marks[:, 1] = 777
    found = Estimate(marks)
    assert found.sums[1].tolist() == found.sums[:, 1].tolist() == [0.0, 0.0, 0.0]
    assert np.isfinite(found.sums).all()


def test_equal_to_the_twin() -> None:
    marks = walk(80, 5)
    marks[:30, 4] = 0
    marks[40:45, 2] = 0
    found = Estimate(marks)
    twin = History()
    twin.parameters["half_life"] = HALF_LIFE
    for second, row in enumerate(marks.tolist(), start=1_000):
        twin.sample(second * 1_000_000, row)
    typical = math.sqrt(twin.covariance(0, 0) * twin.covariance(1, 1))
    for i in range(5):
        for j in range(5):
            assert found.covariance[i, j] == pytest.approx(
                twin.covariance(i, j), rel=RELATIVE, abs=1e-12 * typical
            )


def _vector_instructions(assembly: str) -> int:
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        return len(re.findall(r"\bv?mulpd\b", assembly))
    if machine in ("aarch64", "arm64"):
        return len(re.findall(r"\bfmul\s*\.?2d|\bfmul\s+v\d+\.2d", assembly))
    pytest.skip(f"the vector instructions of {machine} are not known here")


def test_the_pass_over_the_covariance_is_vectorised() -> None:
    compiled: Any = for_python(decay_and_add)
    compiled(np.zeros(64), np.zeros(8), 0.5, 8)
    (assembly,) = compiled.inspect_asm().values()
    assert _vector_instructions(assembly) >= 2
