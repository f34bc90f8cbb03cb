"""Fill or kill: all at once or nothing, just where the same order would fill if it were let try."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.codes import Code
from app.engine.types import OrderFlag, SelfTradePrevention, TimeInForce
from tests.models.paper_desk import BUY, SELL, Desk, brief

FOK, IOC = TimeInForce.FOK, TimeInForce.IOC
TAKER = 60

makers = st.lists(
    st.tuples(st.integers(1, 3), st.integers(100, 103), st.integers(1, 5), st.booleans()), max_size=6
)
depths = st.lists(st.tuples(st.integers(100, 103), st.integers(1, 5)), max_size=3)


def book(long: int, rests: list[tuple[int, int, int, bool]], shown: list[tuple[int, int]]) -> Desk:
    """Accounts 1 to 3 are long; their asks rest, some reduce-only, before and behind what is shown."""
    desk = Desk()
    for account in range(1, 4):
        desk.show(SELL, (50, long))
        desk.market(50 + account, BUY, long, account=account)
        desk.show(SELL, (50, 0))
    for number, (account, price, quantity, reduces) in enumerate(rests):
        flags = OrderFlag.REDUCE_ONLY if reduces else 0
        desk.place(number, SELL, price, quantity, account=account, flags=flags)
    desk.show(SELL, *shown)
    return desk


@settings(max_examples=200, deadline=None)
@given(
    long=st.integers(1, 6),
    rests=makers,
    shown=depths,
    mode=st.sampled_from(SelfTradePrevention),
    price=st.integers(100, 103),
    quantity=st.integers(1, 12),
    account=st.integers(1, 4),
)
def test_just_where_immediate_or_cancel_fills_entirely(
    long: int,
    rests: list[tuple[int, int, int, bool]],
    shown: list[tuple[int, int]],
    mode: SelfTradePrevention,
    price: int,
    quantity: int,
    account: int,
) -> None:
    order: dict[str, Any] = {"account": account, "self_trade_prevention": mode}
    tried = book(long, rests, shown).place(TAKER, BUY, price, quantity, time_in_force=IOC, **order)
    filled = sum(row[3] for row in brief(tried) if row[:2] == ("TRADE", TAKER))
    desk = book(long, rests, shown)
    before = desk.depth()
    killed = desk.place(TAKER, BUY, price, quantity, time_in_force=FOK, **order)
    if filled == quantity:
        assert killed == tried
    else:
        assert brief(killed) == [("CANCELED", TAKER, Code.INSUFFICIENT_LIQUIDITY)]
        assert desk.depth() == before


@pytest.mark.parametrize(("quantity", "fills"), [(8, True), (9, False)])
def test_all_that_there_is(quantity: int, fills: bool) -> None:
    """3 are shown at 100, 5 rest at 101, and 7 more are beyond the limit."""
    desk = Desk()
    desk.show(SELL, (100, 3), (102, 7))
    desk.place(0, SELL, 101, 5, account=1)
    reports = brief(desk.place(1, BUY, 101, quantity, account=2, time_in_force=FOK))
    if fills:
        assert [row[2:] for row in reports if row[1] == 1] == [(100, 3), (101, 5)]
    else:
        assert reports == [("CANCELED", 1, Code.INSUFFICIENT_LIQUIDITY)]


def test_what_may_only_reduce_is_no_more_than_the_position() -> None:
    """Two orders of one account that protect the same 4: they are 4 together."""
    for quantity, fills in ((4, True), (5, False)):
        desk = book(4, [(1, 100, 4, True), (1, 101, 4, True)], [])
        reports = brief(desk.place(TAKER, BUY, 103, quantity, account=4, time_in_force=FOK))
        assert (reports[0][0] == "TRADE") == fills
