"""Conflated depth leaves the same books as all of it."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.market.conflation import newest_levels
from app.market.types import LEVEL_UPDATE, LevelKind

UPDATES = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.integers(0, 3),
        st.integers(0, 2),
        st.integers(0, 1),
        st.sampled_from([LevelKind.SET] * 9 + [LevelKind.CLEAR]),
    ),
    max_size=60,
)


def _books(levels: NDArray[np.void]) -> dict[tuple[int, int], dict[int, int]]:
    books: dict[tuple[int, int], dict[int, int]] = {}
    for price, quantity, symbol, side, kind in levels.tolist():
        if kind == LevelKind.CLEAR:
            books[symbol, 0], books[symbol, 1] = {}, {}
        elif quantity:
            books.setdefault((symbol, side), {})[price] = quantity
        else:
            books.setdefault((symbol, side), {}).pop(price, None)
    return {key: book for key, book in books.items() if book}


@given(UPDATES)
def test_the_books_are_the_same_and_each_price_is_there_once(updates: list[tuple[Any, ...]]) -> None:
    levels = np.array(updates, LEVEL_UPDATE)
    conflated = newest_levels(levels)
    assert _books(conflated) == _books(levels)
    prices = [tuple(row) for row in conflated[["symbol", "side", "price", "kind"]].tolist()]
    assert len(prices) == len(set(prices))
