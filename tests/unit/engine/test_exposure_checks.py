"""Limits of what may be held, traded and lost: met exactly they let pass, by one more they refuse."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine import exposure_checks
from app.engine.capacity import MONEY_MAX
from app.engine.codes import Code
from app.engine.limits import UNLIMITED
from app.engine.types import EventKind, Limit, Scope
from app.runtime.views import EventView
from tests.support.engine import (
    BUY,
    SELL,
    Desk,
    bought,
    desk,
    for_python,
    instrument,
    limit,
    mark,
    place,
    transfer,
)

leverage_of = for_python(exposure_checks.leverage_of)

E8 = 10**8
CASH = 100_000


@settings(deadline=None)
@given(st.integers(0, MONEY_MAX), st.integers(-10, MONEY_MAX) | st.integers(-10, 250))
def test_leverage_is_rounded_up(exposure: int, equity: int) -> None:
    """In hundredths; against Python's integers, which do not overflow."""
    if exposure == 0:
        expected = 0
    elif equity <= 0 or exposure // equity >= UNLIMITED // 100:
        expected = UNLIMITED
    else:
        expected = -(-exposure * 100 // equity)
    assert leverage_of(exposure, equity) == expected


def free(symbols: int = 1) -> Desk:
    """A desk without fees, whose accounts own 100,000: prices of 1,000 are figures for the head."""
    made = desk(symbols=symbols, cash=CASH)
    made.send(*(instrument(symbol, maker_fee_ppm=0, taker_fee_ppm=0) for symbol in range(symbols)))
    return made


def in_scope(which: Limit, value: int, scope: Scope) -> tuple[Limit, int, Scope, int, int]:
    account = 0 if scope in (Scope.ACCOUNT, Scope.ACCOUNT_SYMBOL) else -1
    symbol = 0 if scope in (Scope.SYMBOL, Scope.ACCOUNT_SYMBOL) else -1
    return which, value, scope, account, symbol


def refused(event: EventView, code: Code, limit: int, observed: int, scope: Scope) -> None:
    assert event.kind == EventKind.ORDER_REJECTED
    assert (Code(event.code), event.limit, event.observed, event.scope) == (code, limit, observed, scope)


@pytest.mark.parametrize(
    ("which", "code", "scope", "unit"),
    [
        (Limit.MAX_POSITION, Code.MAX_POSITION, Scope.ACCOUNT_SYMBOL, E8),
        (Limit.MAX_POSITION, Code.MAX_POSITION, Scope.SYMBOL, E8),
        (Limit.MAX_GROSS_EXPOSURE, Code.MAX_GROSS_EXPOSURE, Scope.FIRM, 1_000),
        (Limit.MAX_GROSS_EXPOSURE, Code.MAX_GROSS_EXPOSURE, Scope.ACCOUNT, 1_000),
        (Limit.MAX_NET_EXPOSURE, Code.MAX_NET_EXPOSURE, Scope.FIRM, 1_000),
        (Limit.MAX_NET_EXPOSURE, Code.MAX_NET_EXPOSURE, Scope.ACCOUNT, 1_000),
        (Limit.MAX_DAILY_NOTIONAL, Code.MAX_DAILY_NOTIONAL, Scope.FIRM, 1_000),
        (Limit.MAX_DAILY_NOTIONAL, Code.MAX_DAILY_NOTIONAL, Scope.ACCOUNT, 1_000),
        (Limit.MAX_LEVERAGE, Code.MAX_LEVERAGE, Scope.ACCOUNT, 1),  # a step is a hundredth of the cash
    ],
)
@pytest.mark.parametrize("side", [BUY, SELL])
def test_exactly_what_is_allowed(which: Limit, code: Code, scope: Scope, unit: int, side: int) -> None:
    """Four steps are open and three more come: seven are allowed, of six there is one too much."""
    for allowed in (7, 6):
        made = free()
        made.one(place(0, 0, side, 4, 1_000))
        made.send(limit(*in_scope(which, allowed * unit, scope)))
        event = made.one(place(0, 0, side, 3, 1_000))
        if allowed == 7:
            assert event.kind == EventKind.ORDER_ACCEPTED
        else:
            refused(event, code, 6 * unit, 7 * unit, scope)


def test_of_the_firm_what_others_hold_counts() -> None:
    made = free()
    bought(made, 30, 1_000, account=1)
    made.send(limit(Limit.MAX_GROSS_EXPOSURE, 50_000))
    assert made.one(place(0, 0, BUY, 20, 1_000)).kind == EventKind.ORDER_ACCEPTED
    refused(made.one(place(0, 0, SELL, 21, 1_000)), Code.MAX_GROSS_EXPOSURE, 50_000, 51_000, Scope.FIRM)


def test_long_and_short_make_up_for_each_other_in_net_exposure_alone() -> None:
    made = free(symbols=2)
    bought(made, 30, 1_000)
    made.send(limit(Limit.MAX_NET_EXPOSURE, 20_000, Scope.ACCOUNT, 0))
    assert made.one(place(0, 1, SELL, 20, 1_000)).kind == EventKind.ORDER_ACCEPTED, "30 long, 20 short"
    event = made.one(place(0, 1, BUY, 1, 1_000))
    refused(event, Code.MAX_NET_EXPOSURE, 20_000, 31_000, Scope.ACCOUNT)  # what is open need not fill


def test_margin_is_what_the_leverage_asks_for_and_what_fills_cost() -> None:
    made = free()
    assert made.one(place(0, 0, BUY, 1_000, 1_000)).kind == EventKind.ORDER_ACCEPTED, "ten times the cash"
    refused(made.one(place(0, 0, BUY, 1, 1_000)), Code.INSUFFICIENT_MARGIN, CASH, 100_100, Scope.ACCOUNT)
    other = free()
    event = other.one(place(0, 0, BUY, 1_000, 1_001))
    refused(event, Code.INSUFFICIENT_MARGIN, CASH, 101_000, Scope.ACCOUNT)  # a tick of each is lost at once


@pytest.mark.parametrize("scope", [Scope.FIRM, Scope.ACCOUNT])
@pytest.mark.parametrize(
    ("which", "code"), [(Limit.DAILY_LOSS, Code.DAILY_LOSS), (Limit.MAX_DRAWDOWN, Code.MAX_DRAWDOWN)]
)
def test_losses_to_the_limit_let_orders_pass(which: Limit, code: Code, scope: Scope) -> None:
    """Beyond it a breaker trips at once, so the refusal is that of the restricted account."""
    made = free()
    bought(made, 10, 1_000)
    made.send(limit(*in_scope(which, 100, scope)))
    made.send(mark(0, 990))
    assert made.one(place(0, 0, BUY, 1, 990)).kind == EventKind.ORDER_ACCEPTED
    made.send(mark(0, 989))
    assert made.one(place(0, 0, BUY, 1, 989)).code == Code.REDUCING_ONLY
    state = made.engine.state
    cause = state.firm[0]["state_cause"] if scope == Scope.FIRM else state.accounts[0]["state_cause"]
    assert cause == code
    assert made.one(place(0, 0, SELL, 10, 989)).kind == EventKind.ORDER_ACCEPTED, "what reduces passes"


def test_nothing_leaves_the_range_of_numbers() -> None:
    made = desk(cash=0)
    made.send(instrument(0, maker_fee_ppm=0, taker_fee_ppm=0), transfer(0, MONEY_MAX - 999_000))
    assert made.one(place(0, 0, BUY, 999, 1_000)).kind == EventKind.ORDER_ACCEPTED
    refused(
        made.one(place(0, 0, BUY, 1, 1_000)), Code.POSITION_CAPACITY, MONEY_MAX, MONEY_MAX + 1_000, Scope.FIRM
    )
