"""Backoff: pauses that grow, within bounds, and differ."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.backoff import Backoff


@given(st.integers(0, 2**32), st.integers(1, 80))
def test_waits_double_up_to_the_longest_and_never_fall_below_half(seed: int, failures: int) -> None:
    backoff = Backoff(1.0, 60.0, random.Random(seed))
    waits = [backoff.next_seconds() for _ in range(failures)]
    for number, wait_seconds in enumerate(waits):
        full_seconds = min(60.0, 2.0**number)
        assert full_seconds / 2 <= wait_seconds <= full_seconds
    backoff.reset()
    assert backoff.next_seconds() <= 1.0


def test_two_clients_do_not_wait_the_same() -> None:
    waits = [Backoff(1.0, 60.0, random.Random(seed)).next_seconds() for seed in range(50)]
    assert len(set(waits)) == 50


@pytest.mark.parametrize(("first_seconds", "max_seconds"), [(0.0, 1.0), (2.0, 1.0), (-1.0, 1.0)])
def test_impossible_waits(first_seconds: float, max_seconds: float) -> None:
    with pytest.raises(ValueError, match="not possible"):
        Backoff(first_seconds, max_seconds, random.Random(1))


def test_the_global_generator_is_left_alone() -> None:
    """Whoever has seeded it gets the same numbers, however often something is retried meanwhile."""
    random.seed(1)
    expected = random.random()
    random.seed(1)
    Backoff(1.0, 60.0).next_seconds()
    assert random.random() == expected
