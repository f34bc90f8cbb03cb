"""Sorted rows of several ladders in one array, against sorted lists."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.venues.paper import ladder
from app.venues.paper.records import RUNG
from tests.support.engine import Records, for_python

lower_bound = for_python(ladder.lower_bound)
open_row = for_python(ladder.open_row)
close_row = for_python(ladder.close_row)
drop_first_rows = for_python(ladder.drop_first_rows)

WIDTH = 4
keys = st.integers(-(2**62), 2**62)


def rows_of(values: list[int], first: int = 0) -> Records:
    """A ladder from `first` on, between neighbours that must stay as they are."""
    rows = np.full(first + len(values) + WIDTH, -7, np.int64).repeat(2).view(RUNG)
    rows["key"][first : first + len(values)] = values
    rows["level"][first : first + len(values)] = [value + 1 for value in values]
    return rows


@settings(deadline=None)
@given(
    st.lists(st.integers(-20, 20) | keys, unique=True).map(sorted),
    st.integers(-21, 21) | keys,
    st.integers(0, 3),
)
def test_the_first_row_that_is_not_below(values: list[int], key: int, first: int) -> None:
    found = lower_bound(rows_of(values, first), first, len(values), key)
    assert found == first + sum(value < key for value in values)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 12))))
def test_two_ladders_side_by_side_like_sorted_lists(steps: list[tuple[int, int]]) -> None:
    """A key that is there leaves, one that is not comes in, the smallest ones make room."""
    rows = np.zeros(2 * WIDTH, RUNG)
    inside: list[list[int]] = [[], []]
    for number, key in steps:
        first, there = number * WIDTH, inside[number]
        if key not in there and len(there) == WIDTH:
            drop_first_rows(rows, first, WIDTH, 2)
            del there[:2]
        at = int(lower_bound(rows, first, len(there), key))
        if key in there:
            close_row(rows, first, len(there), at)
            there.remove(key)
        else:
            open_row(rows, first, len(there), at)
            rows[at] = (key, key * 10)
            there.append(key)
            there.sort()
        for which, expected in enumerate(inside):
            part = rows[which * WIDTH : which * WIDTH + len(expected)]
            assert part["key"].tolist() == expected
            assert part["level"].tolist() == [each * 10 for each in expected], "whole rows move"
