"""What the venue knows of those who trade: positions, states, permissions, from its own trades and events."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.capacity import SMALL_CAPACITY
from app.engine.codes import Code
from app.engine.types import EventKind, InstrumentStatus, OrderFlag, Permission, Scope, TradingState
from app.venues.paper import PaperVenue
from tests.models.paper_desk import BUY, SELL, Desk, brief
from tests.models.paper_records import Event
from tests.support import engine as engine_support
from tests.support.engine import bought, trading_state

REDUCE_ONLY = OrderFlag.REDUCE_ONLY


def held(desk: Desk, account: int, symbol: int = 0) -> int:
    state = desk.venue.state
    return int(state.holdings[symbol * len(state.holders) + account]["quantity"])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([BUY, SELL]), st.integers(1, 3), st.integers(1, 9)), max_size=20))
def test_positions_move_with_the_trades_that_are_reported(steps: list[tuple[int, int, int]]) -> None:
    desk = Desk()
    desk.show(BUY, (99, 10**6))
    desk.show(SELL, (101, 10**6))
    expected = dict.fromkeys(range(1, 4), 0)
    for number, (side, account, quantity) in enumerate(steps):
        desk.market(number, side, quantity, account=account)
        expected[account] += quantity if side == BUY else -quantity
        assert {each: held(desk, each) for each in expected} == expected
        settled = Event(EventKind.POSITION_SETTLED, 0, account=account)
        if quantity == 9:
            desk.send(settled)
            expected[account] = 0


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_reduce_only_order_goes_to_flat_and_no_further(side: int) -> None:
    desk = Desk()
    desk.show(BUY, (99, 100))
    desk.show(SELL, (101, 100))
    desk.market(0, side, 7, account=1)
    other = SELL if side == BUY else BUY
    price = 99 if side == BUY else 101
    assert brief(desk.market(1, other, 9, account=1, flags=REDUCE_ONLY)) == [
        ("TRADE", 1, price, 7),
        ("CANCELED", 1, Code.REDUCE_ONLY),
    ]
    assert held(desk, 1) == 0


def state_set(scope: Scope, state: TradingState) -> Event:
    return Event(EventKind.TRADING_STATE_SET, 0, account=1, symbol=0, scope=scope, state=state)


def permission_set(scope: Scope, permission: Permission) -> Event:
    return Event(EventKind.PERMISSION_SET, 0, account=1, symbol=0, scope=scope, permission=permission)


def refusal(desk: Desk, number: int, account: int = 1, symbol: int = 0) -> int:
    """Why an order that would open a position may not."""
    row = brief(desk.place(number, BUY, 90, 1, account=account, symbol=symbol))[-1]
    return int(row[2]) if row[0] == "CANCELED" else Code.NONE


@pytest.mark.parametrize(
    ("scope", "others"),
    [(Scope.FIRM, [True, True]), (Scope.ACCOUNT, [False, True]), (Scope.SYMBOL, [True, False])],
)
def test_a_trading_state_holds_for_its_scope_until_it_ends(scope: Scope, others: list[bool]) -> None:
    desk = Desk()
    desk.send(state_set(scope, TradingState.REDUCING))
    assert refusal(desk, 0) == Code.REDUCING_ONLY
    found = [refusal(desk, 1, account=2), refusal(desk, 2, symbol=1)]
    assert found == [Code.REDUCING_ONLY if each else Code.NONE for each in others]
    desk.send(state_set(scope, TradingState.ACTIVE))
    assert refusal(desk, 3) == Code.NONE


def test_what_is_said_of_the_symbol_counts_before_what_is_said_of_the_account() -> None:
    desk = Desk()
    desk.send(permission_set(Scope.ACCOUNT, Permission.DENIED))
    assert refusal(desk, 0) == Code.SYMBOL_RESTRICTED
    desk.send(permission_set(Scope.ACCOUNT_SYMBOL, Permission.ALLOWED))
    assert [refusal(desk, 1), refusal(desk, 2, symbol=1)] == [Code.NONE, Code.SYMBOL_RESTRICTED]
    desk.send(permission_set(Scope.ACCOUNT, Permission.DEFAULT))
    desk.send(permission_set(Scope.ACCOUNT_SYMBOL, Permission.DENIED))
    assert [refusal(desk, 3), refusal(desk, 4, symbol=1)] == [Code.SYMBOL_RESTRICTED, Code.NONE]


def test_depth_beyond_the_highest_price_is_not_traded_with() -> None:
    desk = Desk()
    desk.show(SELL, (100, 1), (200, 1))
    desk.send(Event(EventKind.INSTRUMENT_SET, 0, status=InstrumentStatus.TRADING, max_price=150))
    assert desk.depth() == ([], [(100, 1)])
    desk.show(SELL, (150, 2), (151, 2))
    assert desk.depth() == ([], [(100, 1), (150, 2)])


@pytest.mark.parametrize("status", [InstrumentStatus.CANCEL_ONLY, InstrumentStatus.HALTED])
def test_a_closed_instrument_takes_no_order_and_trades_when_it_opens(status: InstrumentStatus) -> None:
    desk = Desk()
    desk.place(0, BUY, 100, 5, account=1)
    desk.send(Event(EventKind.INSTRUMENT_SET, 0, status=status))
    assert brief(desk.place(1, BUY, 100, 5)) == [("REJECTED", 1, Code.SYMBOL_NOT_TRADING)]
    assert desk.show(SELL, (99, 3)) == []
    opened = desk.send(Event(EventKind.INSTRUMENT_SET, 0, status=InstrumentStatus.TRADING))
    assert brief(opened) == [("TRADE", 0, 100, 3)]


def test_it_begins_with_what_the_engine_says() -> None:
    made = engine_support.desk(symbols=2)
    bought(made, -5, 1_000, account=1, symbol=1)
    made.send(trading_state(TradingState.HALTED, Scope.ACCOUNT, 0))
    state = PaperVenue(made.engine.state, SMALL_CAPACITY).state
    assert state.holdings[len(state.holders) + 1]["quantity"] == -5
    assert state.holders["state"][:2].tolist() == [TradingState.HALTED, TradingState.ACTIVE]
    assert state.listings["max_price"][0] == made.engine.state.instruments[0]["max_price"] > 0
