"""The bound of value at risk: what need not fill makes no room for more, and no fill ends above it."""

import math
from fractions import Fraction

import numpy as np
import pytest

from app.engine.codes import Code
from app.engine.types import EventKind, Limit, OrderFlag, OrderType, ReportKind, Scope
from app.runtime.risk_figures import account_portfolio, firm_portfolio
from tests.support.engine import (
    BUY,
    SELL,
    Command,
    Desk,
    amend,
    bought,
    cancel,
    instrument,
    limit,
    mark,
    pack,
    place,
    report,
    risk_model,
    trade,
    working,
)
from tests.support.sampled_desk import PRICE, covariance, sampled_desk
from tests.unit.engine.test_portfolio_risk import value_at_risk, var_limit, verdict

_HELD = 100
_SIDES = pytest.mark.parametrize("direction", [1, -1], ids=["long", "short"])
_SCOPES = pytest.mark.parametrize("scope", [Scope.ACCOUNT, Scope.FIRM], ids=["account", "firm"])


def at_the_limit(direction: int, scope: int) -> tuple[Desk, int]:
    """A desk that holds as much in symbol 0 as is allowed, to a hair; and what is allowed."""
    made = sampled_desk()
    bought(made, direction * _HELD, PRICE)
    allowed = value_at_risk(made, [_HELD * PRICE]) + 1
    made.send(var_limit(allowed, scope))
    return made, allowed


def towards(direction: int) -> tuple[int, int, int]:
    """The side that adds to a position, the one that takes away, a price at which the latter rests."""
    return (BUY, SELL, 2 * PRICE) if direction > 0 else (SELL, BUY, PRICE // 2)


def hedges(direction: int, kind: str, account: int) -> Command:
    """An order against the position that need not fill, of one step more than is held."""
    _, away, far = towards(direction)
    if kind == "stop":
        stop = PRICE // 2 if direction > 0 else 2 * PRICE
        return place(account, 0, away, _HELD + 1, 0, type=OrderType.STOP, stop_price=stop)
    return place(account, 0, away, 1 if kind == "amended" else _HELD + 1, far)


@_SIDES
@_SCOPES
@pytest.mark.parametrize("kind", ["limit", "stop", "amended"])
def test_an_order_that_need_not_fill_makes_no_room(direction: int, scope: int, kind: str) -> None:
    """The limit was passed by: 101 sold at twice the market, 100 bought at the market, and again."""
    made, allowed = at_the_limit(direction, scope)
    add = towards(direction)[0]
    for _ in range(3):
        resting = made.one(hedges(direction, kind, 0))
        if resting.kind == EventKind.ORDER_ACCEPTED and kind == "amended":
            made.send(report(ReportKind.NEW, resting.order_id), amend(resting.order_id, 0, _HELD + 1))
        refused = made.one(place(0, 0, add, _HELD, PRICE))
        assert (refused.code, refused.scope, refused.limit) == (Code.MAX_PORTFOLIO_VAR, scope, allowed)
        shown = account_portfolio(made.engine.state, 0)
        assert shown.position_value_at_risk <= shown.value_at_risk <= allowed


@_SIDES
def test_an_open_order_of_another_account_makes_no_room_for_the_firm(direction: int) -> None:
    made, allowed = at_the_limit(direction, Scope.FIRM)
    add = towards(direction)[0]
    # The other account holds nothing: what it may come to hold counts, though against the firm's position.
    assert made.one(hedges(direction, "limit", 1)).kind == EventKind.ORDER_ACCEPTED
    refused = made.one(place(0, 0, add, 1, PRICE))
    assert (refused.code, refused.scope) == (Code.MAX_PORTFOLIO_VAR, Scope.FIRM)
    assert firm_portfolio(made.engine.state).value_at_risk <= allowed


def test_an_open_order_in_another_symbol_is_no_hedge_until_it_fills() -> None:
    made = sampled_desk(common=1.0)
    bought(made, _HELD, PRICE)
    made.send(var_limit(value_at_risk(made, [2 * _HELD * PRICE])))
    hedge = working(made, place(0, 1, SELL, _HELD, PRICE))
    before = account_portfolio(made.engine.state, 0)
    assert made.one(place(0, 0, BUY, _HELD + 1, PRICE)).code == Code.MAX_PORTFOLIO_VAR
    made.send(trade(hedge, 1, _HELD, PRICE))
    after = account_portfolio(made.engine.state, 0)
    assert after.position_value_at_risk == after.value_at_risk < before.position_value_at_risk
    assert before.position_value_at_risk <= before.value_at_risk
    assert made.one(place(0, 0, BUY, _HELD + 1, PRICE)).kind == EventKind.ORDER_ACCEPTED


@_SIDES
@_SCOPES
def test_what_reduces_passes_up_to_a_position_of_none(direction: int, scope: int) -> None:
    made = sampled_desk()
    bought(made, direction * _HELD, PRICE)
    bought(made, -direction * _HELD, PRICE, symbol=1)  # a hedge; to give it up raises value at risk
    made.send(var_limit(1, scope))
    _, away, _ = towards(direction)
    refused = made.one(place(0, 0, away, _HELD + 1, PRICE))
    assert (refused.code, refused.scope) == (Code.MAX_PORTFOLIO_VAR, scope)
    order_id = working(made, place(0, 0, away, _HELD - 1, PRICE))
    # It has become reduce-only, so as not to open anything either when it is amended.
    assert made.one(amend(order_id, 0, _HELD + 1)).code == Code.REDUCE_ONLY
    assert made.one(amend(order_id, 0, _HELD)).kind == EventKind.REPLACE_REQUESTED
    made.send(report(ReportKind.REPLACED, order_id, price=PRICE, quantity=_HELD))
    assert made.one(place(0, 0, away, 1, PRICE)).code == Code.MAX_PORTFOLIO_VAR
    made.send(trade(order_id, 1, _HELD, PRICE))
    assert made.position(0, 0)["quantity"] == 0
    assert made.one(place(0, 1, towards(direction)[0], _HELD, PRICE)).kind == EventKind.ORDER_ACCEPTED


def test_an_amend_that_only_lowers_the_quantity_passes_above_the_limit() -> None:
    made = sampled_desk()
    order_id = working(made, place(0, 0, BUY, _HELD, PRICE))
    made.send(var_limit(1))
    assert made.one(amend(order_id, PRICE - 5, _HELD - 1)).code == Code.MAX_PORTFOLIO_VAR
    assert made.one(amend(order_id, 0, _HELD - 1)).kind == EventKind.REPLACE_REQUESTED


def test_one_symbol_alone_is_bounded_by_its_worst_case() -> None:
    """Quotes on both sides cost the larger of them, an order to flatten costs nothing."""
    made = sampled_desk()
    made.send(var_limit(10**15))
    working(made, place(0, 0, BUY, 40, PRICE))
    working(made, place(0, 0, SELL, 60, PRICE))
    found = verdict(made, place(0, 0, SELL, 10, PRICE), Code.MAX_PORTFOLIO_VAR)
    assert found.observed == value_at_risk(made, [70 * PRICE])
    bought(made, 100, PRICE)
    found = verdict(made, place(0, 0, SELL, 40, PRICE), Code.MAX_PORTFOLIO_VAR)
    assert found.observed == value_at_risk(made, [140 * PRICE])


def test_what_is_not_measured_counts_at_its_worst_case() -> None:
    made = sampled_desk()
    made.send(instrument(3), mark(3, PRICE))
    bought(made, 10, PRICE, symbol=3)
    working(made, place(0, 3, SELL, 15, PRICE))
    working(made, place(0, 0, SELL, 10, PRICE))
    shown = account_portfolio(made.engine.state, 0)
    assert shown.unmeasured_exposure == 10 * PRICE
    assert shown.value_at_risk == value_at_risk(made, [10 * PRICE], 10 * PRICE)
    found = verdict(made, place(0, 3, BUY, 5, PRICE), Code.MAX_PORTFOLIO_VAR)
    assert found.observed == value_at_risk(made, [10 * PRICE], 15 * PRICE)


def test_a_reduce_only_order_widens_nothing_beyond_a_position_of_none() -> None:
    made = sampled_desk()
    made.send(var_limit(10**15))
    bought(made, 100, PRICE)
    working(made, place(0, 0, SELL, 60, PRICE, flags=OrderFlag.REDUCE_ONLY))
    position = made.position(0, 0)
    assert (position["upper"], position["lower"]) == (100 * PRICE, 40 * PRICE)
    made.send(cancel(working(made, place(0, 0, SELL, 40, PRICE, flags=OrderFlag.REDUCE_ONLY))))
    assert account_portfolio(made.engine.state, 0).value_at_risk == value_at_risk(made, [100 * PRICE])


def exact_bound(made: Desk, middles: list[int], radii: list[int]) -> Fraction:
    """From below, of the covariance as it is, in more digits than floats have."""
    each = range(len(middles))
    matrix = [[Fraction(covariance(made, i, j)) for j in each] for i in each]
    variance = sum(middles[i] * matrix[i][j] * middles[j] for i in each for j in each)
    deviation = _root(Fraction(variance)) + sum(r * _root(matrix[i][i]) for i, r in enumerate(radii))
    model = made.engine.state.risk_model[0]
    intervals = Fraction(int(model["horizon_us"]), int(model["interval_us"]))
    return Fraction(int(model["z_e9"]), 10**9) * _root(intervals) * deviation


def _root(value: Fraction) -> Fraction:
    scale = 10**30
    return Fraction(math.isqrt(value.numerator * scale**2 // value.denominator), scale)


@pytest.mark.parametrize("jump", [1, 7, 1_000])
def test_roundings_of_many_steps_never_undershoot(jump: int) -> None:
    """A hedged portfolio after 100,000 changes of its marks, most of which cancel out."""
    made = sampled_desk(common=1.0)
    made.send(limit(Limit.MAX_GROSS_EXPOSURE, 1 << 60), var_limit(1 << 60), var_limit(1 << 60, Scope.FIRM))
    bought(made, 1_000, PRICE)
    bought(made, -999, PRICE, symbol=1)
    bought(made, 1, PRICE, symbol=2)
    working(made, place(0, 2, BUY, 1, PRICE))
    order = place(0, 2, BUY, 1, PRICE)  # both rows are now up to date
    random = np.random.default_rng(jump)
    moves = [mark(int(s), PRICE * jump + int(m)) for s, m in random.integers((0, -500), (3, 500), (250, 2))]
    commands = pack(made.stamp([*moves, *(mark(symbol, PRICE) for symbol in range(3))]))
    for _ in range(100_000 // len(commands)):
        made.engine.process(commands)
        commands["seq"] += len(commands)
        made.seq += len(commands)
    held = [1_000 * PRICE, -999 * PRICE, 2 * PRICE]
    radii = [0, 0, PRICE]
    exact = exact_bound(made, held, radii)
    size = value_at_risk(made, [1_000 * PRICE * jump])
    for scope in (Scope.ACCOUNT, Scope.FIRM):
        made.send(var_limit(1, Scope.FIRM) if scope == Scope.FIRM else var_limit(1))
        kept = verdict(made, order, Code.MAX_PORTFOLIO_VAR).observed
        assert exact <= kept <= exact + 1 + size * 1e-3  # until the next sample
    made.send(risk_model())  # the rows are out of date: what is explained is made anew
    anew = verdict(made, order, Code.MAX_PORTFOLIO_VAR).observed
    assert exact <= anew <= exact + 1 + float(exact) * 1e-6
    assert anew <= kept
