"""Resting orders: the best price first, of one price who came first."""

from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.codes import Code
from app.venues.paper.state import PaperLimits
from tests.models.paper_desk import BUY, SELL, Desk, brief, small_capacity

ORDERS = 12

sides = st.sampled_from([BUY, SELL])


def totals(resting: dict[int, tuple[int, int, int]], side: int) -> list[tuple[int, int]]:
    """(price, quantity) of one side, the best first."""
    prices = {price for each, price, _ in resting.values() if each == side}
    return [
        (price, sum(left for each, at, left in resting.values() if (each, at) == (side, price)))
        for price in sorted(prices, reverse=side == BUY)
    ]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, ORDERS - 1), sides, st.integers(1, 5), st.integers(1, 9)),
        max_size=40,
    )
)
def test_like_a_dict_of_lists(steps: list[tuple[int, int, int, int]]) -> None:
    """Orders come, become smaller where they are, and go; each fill takes the best that came first."""
    desk = Desk(small_capacity(orders=64))
    resting: dict[int, tuple[int, int, int]] = {}  # by slot, in the order of their coming
    taker = ORDERS
    for slot, side, offset, quantity in steps:
        price = 100 - offset if side == BUY else 100 + offset
        if slot not in resting:
            desk.place(slot, side, price, quantity, account=1)
            resting[slot] = (side, price, quantity)
        elif quantity <= 3:
            desk.cancel(slot)
            del resting[slot]
        else:
            taker += 1
            other = SELL if side == BUY else BUY
            in_turn = [number for number, row in resting.items() if row[0] == side]
            in_turn.sort(key=lambda number: -resting[number][1] if side == BUY else resting[number][1])
            left, expected = quantity, []
            for number in in_turn:
                _, at, there = resting[number]
                traded = min(left, there)
                if traded:
                    expected.append((number, at, traded))
                    left -= traded
                    resting[number] = (side, at, there - traded)
                    if traded == there:
                        del resting[number]
            reports = brief(desk.market(taker % 50 + ORDERS, other, quantity, account=2))
            assert [row[1:] for row in reports if row[0] == "TRADE" and row[1] < ORDERS] == expected
        assert desk.depth() == (totals(resting, BUY), totals(resting, SELL))


def test_a_full_ladder_takes_no_new_price() -> None:
    desk = Desk(limits=PaperLimits(ladder_levels=2))
    for number, price in enumerate((99, 98)):
        desk.place(number, BUY, price, 1)
    assert brief(desk.place(2, BUY, 99, 5)) == [("NEW", 2)], "a price that it has"
    assert brief(desk.place(3, BUY, 97, 1))[-1] == ("REJECTED", 3, Code.VENUE_CAPACITY)
    assert brief(desk.place(4, SELL, 101, 1)) == [("NEW", 4)], "the other side has a ladder of its own"
    desk.cancel(1)
    assert brief(desk.place(5, BUY, 97, 1)) == [("NEW", 5)], "the place was given back"


def test_levels_are_used_again() -> None:
    desk = Desk(small_capacity(orders=4))
    for price in range(1, 200):
        desk.place(0, BUY, price, 1)
        desk.cancel(0)
    assert desk.venue.state.venue[0]["levels_used"] == 1
