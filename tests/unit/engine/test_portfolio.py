"""The row of a portfolio that is kept step by step, against the one that is made of the positions."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.codes import Code
from app.engine.state import state_hash
from app.engine.types import ReportKind, Scope
from tests.support.engine import (
    BUY,
    SELL,
    Desk,
    cancel,
    instrument,
    mark,
    place,
    report,
    trade,
    working,
)
from tests.support.sampled_desk import PRICE, pass_second, sampled_desk
from tests.unit.engine.test_portfolio_risk import correlated_limit, value_at_risk, var_limit, verdict

SYMBOLS = 3
HUGE = 10**17
TINY = 1e-9  # what roundings may add

symbols = st.integers(0, SYMBOLS - 1)
sides = st.sampled_from([BUY, SELL])


def kept_desk(scope: int = Scope.ACCOUNT) -> Desk:
    """A desk whose row is made, so that from now on it is kept."""
    made = sampled_desk(SYMBOLS)
    made.send(var_limit(HUGE, scope))
    order_id = working(made, place(0, 0, BUY, 1, PRICE))
    made.send(cancel(order_id), report(ReportKind.CANCELED, order_id))
    return made


def bound(made: Desk, symbol: int = 0) -> int:
    """As the check says it of one more step bought."""
    return verdict(made, place(0, symbol, BUY, 1, PRICE), Code.MAX_PORTFOLIO_VAR).observed


def bound_from_positions(made: Desk, accounts: range, symbol: int = 0) -> int:
    """In one go from what each position may become, with one more step bought."""
    middles, radii = [], []
    for each in range(SYMBOLS):
        positions = [made.position(account, each) for account in accounts]
        step = int(made.engine.state.instruments[each]["mark"]) if each == symbol else 0
        upper = sum(position["upper"] for position in positions) + step
        lower = sum(position["lower"] for position in positions)
        middles.append((upper + lower) / 2)
        radii.append((upper - lower) / 2)
    return value_at_risk(made, middles, radii=radii)


@settings(max_examples=60, deadline=None)
@given(
    scope=st.sampled_from([Scope.ACCOUNT, Scope.FIRM]),
    steps=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 1), symbols, sides, st.integers(1, 400)), max_size=20
    ),
)
def test_kept_as_if_it_were_made_anew(scope: Scope, steps: list[tuple[int, int, int, int, int]]) -> None:
    """Whatever is placed, filled, canceled or marked: never below, and above by roundings alone."""
    made = kept_desk(scope)
    orders: list[tuple[int, int]] = []
    accounts = range(1) if scope == Scope.ACCOUNT else range(2)
    for action, account, symbol, side, number in steps:
        if action <= 1:
            orders.append((working(made, place(account, symbol, side, number, PRICE)), number))
        elif action == 2 and orders:
            order_id, quantity = orders.pop(number % len(orders))
            made.send(trade(order_id, made.seq, quantity, PRICE))
        elif action == 3 and orders:
            order_id, _ = orders.pop(number % len(orders))
            made.send(cancel(order_id), report(ReportKind.CANCELED, order_id))
        else:
            made.send(mark(symbol, PRICE - 200 + number))
        exact = bound_from_positions(made, accounts)
        assert exact - 1 <= bound(made) <= exact * (1 + TINY) + 1


@settings(max_examples=60, deadline=None)
@given(orders=st.lists(st.tuples(symbols, sides, st.integers(1, 300)), min_size=1, max_size=5))
def test_no_combination_of_fills_ends_above_it(orders: list[tuple[int, int, int]]) -> None:
    made = kept_desk()
    for symbol, side, quantity in orders:
        working(made, place(0, symbol, side, quantity, PRICE))
    allowed = bound(made)
    for filled in product((False, True), repeat=len(orders)):
        held = [0] * SYMBOLS
        for fills, (symbol, side, quantity) in zip(filled, orders, strict=True):
            held[symbol] += (quantity if side == BUY else -quantity) * PRICE * fills
        assert value_at_risk(made, held) <= allowed + 1


def test_a_sample_makes_it_out_of_date() -> None:
    made = kept_desk()
    working(made, place(0, 0, BUY, 100, PRICE))
    before = bound(made)
    for move in (300, -300, 0):
        pass_second(made, [PRICE + move] * SYMBOLS)
    after = bound(made)
    assert after > before
    assert after == pytest.approx(bound_from_positions(made, range(1)), abs=1)


def test_to_explain_changes_nothing() -> None:
    made = sampled_desk(SYMBOLS)
    working(made, place(0, 0, BUY, 100, PRICE))
    before = state_hash(made.engine.state)
    assert bound(made) == pytest.approx(bound_from_positions(made, range(1)), abs=1)
    assert state_hash(made.engine.state) == before


def test_what_cannot_be_measured_counts_in_full() -> None:
    made = kept_desk()
    made.send(instrument(SYMBOLS), mark(SYMBOLS, 500))
    of_measured = bound(made)
    working(made, place(0, SYMBOLS, BUY, 7, 500))
    assert bound(made) == of_measured + 3_500
    found = verdict(made, place(0, SYMBOLS, SELL, 10, 500), Code.MAX_PORTFOLIO_VAR)
    assert found.observed == pytest.approx(5_000, abs=1), "the worst of both sides"


def test_the_unmeasured_is_correlated_with_everything() -> None:
    made = kept_desk()
    made.send(instrument(SYMBOLS), mark(SYMBOLS, 500), correlated_limit(HUGE))
    working(made, place(0, SYMBOLS, BUY, 7, 500))
    working(made, place(0, 2, BUY, 3, PRICE))

    def correlated(symbol: int, price: int) -> int:
        return verdict(made, place(0, symbol, BUY, 1, price), Code.MAX_CORRELATED_EXPOSURE).observed

    assert correlated(0, PRICE) == PRICE + 3_500, "symbol 2 is known to move by itself"
    assert correlated(2, PRICE) == 4 * PRICE + 3_500
    assert correlated(SYMBOLS, 500) == 3 * PRICE + 8 * 500
