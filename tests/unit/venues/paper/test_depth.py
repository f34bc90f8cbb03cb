"""Displayed depth and how much of it is taken: it stays taken for as long as it is displayed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.venues.paper.state import PaperLimits
from tests.models.paper_desk import BUY, SELL, Desk, brief

LEVELS = 10  # as many as `Desk.depth` tells


def taken(desk: Desk, number: int, side: int, quantity: int) -> int:
    reports = brief(desk.market(number, side, quantity))
    return sum(row[3] for row in reports if row[0] == "TRADE")


def test_what_was_taken_stays_taken() -> None:
    desk = Desk()
    desk.show(SELL, (100, 10))
    assert taken(desk, 0, BUY, 6) == 6
    desk.show(SELL, (100, 10))
    assert desk.depth() == ([], [(100, 4)]), "the same ones, shown again"
    desk.show(SELL, (100, 13))
    assert desk.depth() == ([], [(100, 7)]), "what was added can be taken"
    desk.show(SELL, (100, 5))
    assert desk.depth() == ([], [])
    desk.show(SELL, (100, 0))
    desk.show(SELL, (100, 5))
    assert desk.depth() == ([], [(100, 5)]), "a level that was removed is forgotten"


@pytest.mark.parametrize(("side", "best_first"), [(BUY, [99, 98, 97]), (SELL, [101, 102, 103])])
def test_the_best_goes_first(side: int, best_first: list[int]) -> None:
    desk = Desk()
    desk.show(side, *((price, 2) for price in (best_first[1], best_first[2], best_first[0])))
    trades = [row[2:] for row in brief(desk.market(0, SELL if side == BUY else BUY, 5)) if row[0] == "TRADE"]
    assert trades == [(best_first[0], 2), (best_first[1], 2), (best_first[2], 1)]


def test_the_market_never_crosses_itself() -> None:
    desk = Desk()
    desk.show(SELL, (101, 1), (102, 1), (103, 1))
    desk.show(BUY, (102, 5))
    assert desk.depth() == ([(102, 5)], [(103, 1)]), "what the other side has passed was stale"
    desk.show(SELL, (102, 0))
    assert desk.depth() == ([(102, 5)], [(103, 1)]), "to remove passes nothing"


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_full_ladder_drops_the_worst(side: int) -> None:
    desk = Desk(limits=PaperLimits(depth_levels=4))
    prices = [90, 91, 92, 93] if side == BUY else [113, 112, 111, 110]
    desk.show(side, *((price, 1) for price in prices))
    worse, better = (89, 94) if side == BUY else (114, 109)
    desk.show(side, (worse, 1))
    assert [price for price, _ in desk.depth()[side]] == prices[::-1]
    desk.show(side, (better, 1))
    assert [price for price, _ in desk.depth()[side]] == [better, *prices[:0:-1]]


updates = st.tuples(st.sampled_from([BUY, SELL]), st.integers(95, 105), st.integers(0, 9), st.integers(0, 12))


@settings(max_examples=150, deadline=None)
@given(st.lists(updates, max_size=25))
def test_like_a_dict(steps: list[tuple[int, int, int, int]]) -> None:
    """By price and side: what is displayed, and what of it was taken."""
    desk = Desk()
    books: dict[int, dict[int, tuple[int, int]]] = {BUY: {}, SELL: {}}
    for number, (side, price, quantity, wanted) in enumerate(steps):
        other = SELL if side == BUY else BUY
        if quantity:
            sign = 1 if side == BUY else -1
            books[other] = {at: row for at, row in books[other].items() if sign * (at - price) > 0}
        _, consumed = books[side].pop(price, (0, 0))
        if quantity:
            books[side][price] = (quantity, min(consumed, quantity))
        desk.show(side, (price, quantity))
        for at in sorted(books[side], reverse=side == BUY):
            displayed, consumed = books[side][at]
            traded = min(wanted, displayed - consumed)
            wanted -= traded
            books[side][at] = (displayed, consumed + traded)
        taken(desk, number, other, steps[number][3]) if steps[number][3] else None
        expected = [
            [
                (at, displayed - consumed)
                for at, (displayed, consumed) in sorted(books[each].items(), reverse=each == BUY)
                if displayed > consumed
            ][:LEVELS]
            for each in (BUY, SELL)
        ]
        assert list(desk.depth()) == expected
