"""Histograms of durations: percentiles are right to a sixteenth, whatever was recorded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.runtime.latency import Histogram

HOUR_NS = 3_600 * 10**9
NEAR = 1 / 16  # half of a bucket, which is an eighth of a power of two


def histogram_of(durations: list[int]) -> Histogram:
    histogram = Histogram()
    for duration in durations:
        histogram.record(duration)
    return histogram


def test_nothing_was_recorded() -> None:
    assert Histogram().percentile_us(50) is None
    assert Histogram().summary_us() == {"count": 0, "p50": None, "p95": None, "p99": None, "p99.9": None}


@given(st.integers(0, HOUR_NS))
def test_a_duration_comes_back(duration: int) -> None:
    found = histogram_of([duration]).percentile_us(50)
    assert found is not None
    assert found * 1_000 == pytest.approx(duration, rel=NEAR)


@given(st.lists(st.integers(0, HOUR_NS), min_size=1, max_size=50), st.integers(1, 100))
def test_a_percentile_is_that_of_the_sorted_list(durations: list[int], percent: int) -> None:
    rank = -(-len(durations) * percent // 100)
    found = histogram_of(durations).percentile_us(percent)
    assert found is not None
    assert found * 1_000 == pytest.approx(sorted(durations)[rank - 1], rel=NEAR)


def test_small_durations_are_exact() -> None:
    assert [histogram_of([ns]).percentile_us(100) for ns in range(8)] == [ns / 1_000 for ns in range(8)]


def test_many_of_one_duration_count_as_so_many() -> None:
    histogram = Histogram()
    histogram.record(4, 950)
    histogram.record(7, 50)
    assert histogram.summary_us() == {
        "count": 1_000,
        "p50": 0.004,
        "p95": 0.004,
        "p99": 0.007,
        "p99.9": 0.007,
    }


def test_what_no_clock_should_say_is_counted_at_the_ends() -> None:
    histogram = histogram_of([-1, 10**30])
    assert histogram.total == 2
    assert histogram.percentile_us(50) == 0
    longest = histogram.percentile_us(100)
    assert longest is not None and longest * 1_000 > HOUR_NS
