"""Walks the paper venue's arrays and checks that they fit together."""

import numpy as np

from app.engine.types import Side
from app.venues.paper import PaperVenue
from app.venues.paper.records import NOWHERE
from app.venues.paper.state import PaperState


def check_book(venue: PaperVenue) -> None:
    st = venue.state
    resting = 0
    levels_in_use: list[int] = []
    for book_side in range(len(st.sides)):
        rungs = _ladder(st, book_side)
        assert np.all(np.diff(rungs["key"]) > 0)
        for rung in rungs:
            levels_in_use.append(int(rung["level"]))
            resting += _check_level(st, book_side, int(rung["key"]), int(rung["level"]))
        _check_displayed(st, book_side)
    assert resting == st.venue[0]["resting"] == np.count_nonzero(st.resting["order_id"] > 0)
    free = _free_levels(st)
    assert sorted(levels_in_use + free) == list(range(st.venue[0]["levels_used"]))
    assert not st.holders["spent"].any() and st.venue[0]["spenders"] == 0
    for symbol in range(len(st.sides) // 2):
        if not st.listings[symbol]["closed"]:
            _check_not_crossed(venue, symbol)


def _ladder(st: PaperState, book_side: int) -> np.ndarray:
    width = len(st.rungs) // len(st.sides)
    return st.rungs[book_side * width : book_side * width + st.sides[book_side]["rungs"]]


def _check_level(st: PaperState, book_side: int, key: int, number: int) -> int:
    level = st.levels[number]
    assert (level["key"], level["book_side"]) == (key, book_side)
    assert key > 0 if book_side % 2 == Side.BUY else key < 0
    slot, previous, quantity, orders = int(level["head"]), NOWHERE, 0, 0
    while slot != NOWHERE:
        order = st.resting[slot]
        assert order["level"] == number and order["previous"] == previous
        assert 0 < order["remaining"] <= order["quantity"]
        quantity += int(order["remaining"])
        orders += 1
        previous, slot = slot, int(order["next"])
    assert (level["tail"], level["quantity"], level["orders"]) == (previous, quantity, orders)
    assert orders > 0
    return orders


def _check_displayed(st: PaperState, book_side: int) -> None:
    width = len(st.depth) // len(st.sides)
    side = st.sides[book_side]
    rows = st.depth[book_side * width : book_side * width + side["depth"]]
    assert np.all(np.diff(rows["key"]) > 0)
    assert np.all(rows["displayed"] > 0)
    assert np.all((rows["consumed"] >= 0) & (rows["consumed"] <= rows["displayed"]))
    used_up = rows[side["depth_top"] :]
    assert np.all(used_up["consumed"] == used_up["displayed"])
    assert side["touched"] == 0


def _free_levels(st: PaperState) -> list[int]:
    free, number = [], int(st.venue[0]["free_level"])
    while number != NOWHERE:
        free.append(number)
        number = int(st.levels[number]["head"])
    return free


def _check_not_crossed(venue: PaperVenue, symbol: int) -> None:
    bids, asks = venue.depth(symbol, 1)
    if len(bids) and len(asks):
        assert bids[0]["price"] < asks[0]["price"]
