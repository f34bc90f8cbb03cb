"""Integer arithmetic of the kernels against Python's unlimited integers."""

from functools import cache
from itertools import product
from random import Random
from typing import Any

import numpy as np
import pytest

from app.engine import arithmetic, positions
from app.engine.capacity import PRICE_MAX
from app.engine.limit_rules import PRICE_BPS_MAX
from app.engine.records import COMMAND_KINDS
from app.engine.state import DTYPES, PERSISTENT
from app.engine.types import Side
from tests.support.engine import BUY, SELL, for_python

multiply_divide = for_python(arithmetic.multiply_divide)
basis_points_of = for_python(arithmetic.basis_points_of)
long_reach = for_python(positions.long_reach)
short_reach = for_python(positions.short_reach)
reducible_by = for_python(positions.reducible_by)


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


@cache
def reachable(held: int, buys: tuple[int, int], sells: tuple[int, int]) -> tuple[int, int]:
    """The highest and the lowest position of all orders in which open orders may fill, step by step.

    Of each side: steps of plain orders, and of reduce-only ones, which never trade through flat.
    """
    found = [(held, held)]
    for plain, reduce_only, direction in ((*buys, 1), (*sells, -1)):
        rests = [(plain - 1, reduce_only)] if plain > 0 else []
        if reduce_only > 0 and held * direction < 0:
            rests.append((plain, reduce_only - 1))
        for rest in rests:
            after = (rest, sells) if direction > 0 else (buys, rest)
            found.append(reachable(held + direction, *after))
    return max(high for high, _ in found), min(low for _, low in found)


def test_reach_is_what_the_fills_of_open_orders_can_lead_to() -> None:
    steps = range(4)
    for held, buy, reduce_buy, sell, reduce_sell in product(range(-4, 5), steps, steps, steps, steps):
        reached = (
            long_reach(held, buy + reduce_buy, reduce_buy),
            short_reach(held, sell + reduce_sell, reduce_sell),
        )
        expected = reachable(held, (buy, reduce_buy), (sell, reduce_sell))
        assert reached == expected, (held, buy, reduce_buy, sell, reduce_sell)


@pytest.mark.parametrize("side", [BUY, SELL])
def test_an_order_reduces_a_position_as_long_as_each_step_makes_it_smaller(side: Side) -> None:
    direction = 1 if side == BUY else -1
    for held in range(-5, 6):
        steps = 0
        while abs(held + direction * (steps + 1)) < abs(held + direction * steps):
            steps += 1
        assert reducible_by(held, side) == steps


@pytest.mark.parametrize("dtype", [*COMMAND_KINDS, *(DTYPES[name] for name in (*PERSISTENT, "events"))])
def test_records_have_no_gaps(dtype: np.dtype[Any]) -> None:
    """Copying may leave a gap between fields unset, and records are compared and hashed as bytes."""
    if dtype.fields is not None:
        assert sum(field[0].itemsize for field in dtype.fields.values()) == dtype.itemsize
