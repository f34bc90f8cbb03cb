"""Integer arithmetic of the kernels against Python's unlimited integers."""

from random import Random
from typing import Any

import numpy as np
import pytest

from app.engine import arithmetic, positions
from app.engine.capacity import PRICE_MAX
from app.engine.limit_rules import PRICE_BPS_MAX
from app.engine.records import COMMAND_KINDS
from app.engine.state import DTYPES, PERSISTENT
from tests.engine_support import for_python

multiply_divide = for_python(arithmetic.multiply_divide)
basis_points_of = for_python(arithmetic.basis_points_of)
long_reach = for_python(positions.long_reach)
short_reach = for_python(positions.short_reach)

BIGGEST = 2**63 - 1


@pytest.mark.parametrize(
    ("a", "b", "c"),
    [
        (0, 0, 1),
        (0, 1, 1),
        (BIGGEST, 0, 1),
        (BIGGEST, 1, 1),
        (BIGGEST, 2**61 - 1, 2**61 - 1),
        (BIGGEST, 2**61 - 2, 2**61 - 1),
        (BIGGEST, 1, 2**61 - 1),
        (BIGGEST - 1, 2**60, 2**60 + 1),
        (2**62, 2, 3),
        (2**62 + 1, 2**60 - 1, 2**60),
        (3, 2**60, 2**61 - 1),
    ],
)
def test_multiply_divide_at_the_ends(a: int, b: int, c: int) -> None:
    assert multiply_divide(a, b, c) == a * b // c


def test_multiply_divide_of_random_numbers() -> None:
    random = Random(1)
    for _ in range(5_000):
        a = random.getrandbits(random.randint(1, 63))
        c = random.randint(1, 2 ** random.randint(1, 61) - 1)
        b = random.randint(0, c)
        assert multiply_divide(a, b, c) == a * b // c, (a, b, c)


def test_basis_points() -> None:
    random = Random(2)
    ends = [(0, 0), (PRICE_MAX, PRICE_BPS_MAX), (1, 9_999), (1, 10_000), (PRICE_MAX, 1)]
    for value, basis_points in ends + [
        (random.randint(0, PRICE_MAX), random.randint(0, PRICE_BPS_MAX)) for _ in range(2_000)
    ]:
        assert basis_points_of(value, basis_points) == value * basis_points // 10_000


@pytest.mark.parametrize(
    ("position", "expected"),
    [
        ((10, 0, 0, 0, 0), (10, 10)),
        ((10, 5, 7, 0, 0), (15, 3)),
        ((-10, 5, 7, 0, 0), (-5, -17)),
        ((10, 5, 30, 0, 30), (15, 0)),  # reduce-only orders trade up to a position of none
        ((10, 5, 37, 0, 30), (15, -7)),
        ((10, 5, 11, 0, 4), (15, -1)),
        ((-10, 37, 3, 30, 0), (7, -13)),
        ((-10, 4, 3, 4, 0), (-6, -13)),
        ((10, 5, 0, 5, 0), (10, 10)),  # none is left to reduce on that side
        ((0, 5, 5, 5, 5), (0, 0)),
    ],
)
def test_reach(position: tuple[int, ...], expected: tuple[int, int]) -> None:
    """Of quantity, open buys and sells, and the reduce-only part of each."""
    held, buys, sells, reduce_buys, reduce_sells = position
    assert (long_reach(held, buys, reduce_buys), short_reach(held, sells, reduce_sells)) == expected


@pytest.mark.parametrize("dtype", [*COMMAND_KINDS, *(DTYPES[name] for name in (*PERSISTENT, "events"))])
def test_records_have_no_gaps(dtype: np.dtype[Any]) -> None:
    """Copying may leave a gap between fields unset, and records are compared and hashed as bytes."""
    if dtype.fields is not None:
        assert sum(field[0].itemsize for field in dtype.fields.values()) == dtype.itemsize
