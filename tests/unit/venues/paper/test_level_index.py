"""Where the level of a price is, against a dict; and few prices that are near one another collide."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.engine.capacity import SMALL_CAPACITY
from app.engine.directory import directory_of
from app.engine.jit import inline
from app.engine.state import allocate as allocate_engine
from app.venues.paper import level_index
from app.venues.paper.records import NOWHERE
from app.venues.paper.state import PaperLimits, PaperState, allocate, attach
from tests.models.paper_desk import small_capacity
from tests.support.engine import for_python

SLOTS = 16


@for_python
@inline
def find(directory: NDArray[np.int64], book_side: int, key: int) -> tuple[int, int, int]:
    """The level that is found, the one that is expected, and where the search begins."""
    view = attach(directory)
    return (
        level_index.find_level(view, book_side, key),
        level_index.expected_level(view, book_side, key),
        level_index.level_home(view, book_side, key),
    )


@for_python
@inline
def change(directory: NDArray[np.int64], number: int, there: bool) -> None:
    if there:
        level_index.forget_level(attach(directory), number)
    else:
        level_index.add_level(attach(directory), number)


def made(orders: int = SLOTS) -> tuple[PaperState, NDArray[np.int64]]:
    capacity = small_capacity(orders=orders)
    state = allocate(capacity, PaperLimits(8, 8), allocate_engine(SMALL_CAPACITY).instruments)
    return state, directory_of(state)


large = st.sampled_from([2**62, -(2**62), 2**33, 2**33 + 1])
places = st.tuples(st.integers(0, 3), st.integers(-9, 9) | large)


@settings(deadline=None)
@given(st.lists(places, max_size=60))
def test_like_a_dict(steps: list[tuple[int, int]]) -> None:
    """Levels that come and go, of four sides, in a table that is at most half full."""
    state, directory = made()
    known: dict[tuple[int, int], int] = {}
    for place in steps:
        if place in known:
            change(directory, known.pop(place), True)
        elif len(known) < SLOTS:
            number = next(each for each in range(SLOTS) if each not in known.values())
            state.levels[number]["book_side"], state.levels[number]["key"] = place
            change(directory, number, False)
            known[place] = number
        for book_side, key in {*steps}:
            found, expected, _ = find(directory, book_side, key)
            assert found == known.get((book_side, key), NOWHERE)
            assert found in (expected, NOWHERE), "by the hash alone it is the same where it is there"
    for number in known.values():
        change(directory, number, True)
    assert not state.level_index.any()


def test_eight_neighbours_stand_in_one_cache_line() -> None:
    _, directory = made(orders=1 << 10)
    for first in (-16, -8, 0, 8, 80_000):
        homes = [find(directory, 0, first + offset)[2] for offset in range(8)]
        assert homes == list(range(homes[0], homes[0] + 8)) and homes[0] % 8 == 0


def test_prices_near_one_another_do_not_collide() -> None:
    _, directory = made(orders=1 << 12)
    homes = [find(directory, side, key)[2] for side in (0, 1) for key in range(10_000, 10_512)]
    assert len(set(homes)) > 900, "of 1,024 in 8,192 places"
