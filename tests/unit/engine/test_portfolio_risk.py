"""Sampling of marks, value at risk, and the checks that use them, in the engine."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.engine.capacity import SMALL_CAPACITY
from app.engine.codes import Code
from app.engine.engine import Engine, Verdict
from app.engine.state import RISK_MODEL_DEFAULTS, state_hash
from app.engine.types import EventKind, Limit, ReportKind, Scope
from app.runtime.risk_figures import account_portfolio, account_portfolios, correlation_of, firm_portfolio
from app.runtime.snapshots import load_newest_snapshot, save_snapshot
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
    sample_marks,
    working,
)
from tests.support.sampled_desk import PRICE, SECOND_US, covariance, pass_second, sampled_desk


def value_at_risk(
    made: Desk, exposures: Sequence[float], unmeasured: int = 0, radii: Sequence[float] = ()
) -> int:
    """The closed form, of signed exposures in money; and with `radii` the bound of all within them."""
    symbols = range(len(exposures))
    variance = sum(exposures[i] * covariance(made, i, j) * exposures[j] for i in symbols for j in symbols)
    deviation = math.sqrt(variance)
    deviation += sum(radius * math.sqrt(covariance(made, i, i)) for i, radius in enumerate(radii))
    z = RISK_MODEL_DEFAULTS["z_e9"] / 1e9
    return math.ceil(z * deviation * math.sqrt(86_400)) + unmeasured


def verdict(made: Desk, command: Command, code: Code) -> Verdict:
    """What the check of that code says to an order."""
    found = made.engine.explain(pack([command]), made.ts)
    return next(each for each in found if each.code == code)


def var_limit(value: int, scope: int = Scope.ACCOUNT) -> Command:
    return limit(Limit.MAX_PORTFOLIO_VAR, value, scope, 0 if scope == Scope.ACCOUNT else -1)


def correlated_limit(value: int) -> Command:
    return limit(Limit.MAX_CORRELATED_EXPOSURE, value, Scope.ACCOUNT, 0)


# --- Value at risk.


def test_value_at_risk_is_the_closed_form() -> None:
    made = sampled_desk()
    bought(made, 300, PRICE, symbol=0)
    bought(made, -200, PRICE, symbol=1)
    working(made, place(0, 2, BUY, 50, PRICE))
    order = place(0, 1, BUY, 100, PRICE)
    for scope in (Scope.FIRM, Scope.ACCOUNT):
        made.send(var_limit(0, scope))
        # Middles and radii of what fills may lead to: -200 to -100 in symbol 1, 0 to 50 in symbol 2.
        expected = value_at_risk(
            made, [300 * PRICE, -150 * PRICE, 25 * PRICE], radii=[0, 50 * PRICE, 25 * PRICE]
        )
        found = verdict(made, order, Code.MAX_PORTFOLIO_VAR)
        assert found.observed == pytest.approx(expected, abs=1)
        assert found.passed  # it reduces
    more = verdict(made, place(0, 0, BUY, 100, PRICE), Code.MAX_PORTFOLIO_VAR)
    expected = value_at_risk(made, [350 * PRICE, -200 * PRICE, 25 * PRICE], radii=[50 * PRICE, 0, 25 * PRICE])
    assert more.observed == pytest.approx(expected, abs=1)
    assert not more.passed


def test_an_order_is_refused_above_the_limit_and_taken_at_it() -> None:
    made = sampled_desk()
    exact = value_at_risk(made, [100 * PRICE, 0, 0])
    made.send(var_limit(exact))
    refused = made.one(place(0, 0, BUY, 101, PRICE))
    assert (refused.kind, refused.code, refused.scope) == (
        EventKind.ORDER_REJECTED,
        Code.MAX_PORTFOLIO_VAR,
        Scope.ACCOUNT,
    )
    assert (refused.limit, refused.observed) == (exact, value_at_risk(made, [101 * PRICE, 0, 0]))
    assert made.one(place(0, 0, BUY, 100, PRICE)).kind == EventKind.ORDER_ACCEPTED
    assert made.one(place(0, 0, BUY, 1, PRICE)).code == Code.MAX_PORTFOLIO_VAR


def test_open_orders_count_until_they_end() -> None:
    made = sampled_desk()
    made.send(var_limit(value_at_risk(made, [100 * PRICE, 0, 0])))
    order_id = working(made, place(0, 0, BUY, 100, PRICE))
    assert made.one(place(0, 0, BUY, 50, PRICE)).code == Code.MAX_PORTFOLIO_VAR
    made.send(cancel(order_id), report(ReportKind.CANCELED, order_id))
    assert made.position(0, 0)["upper"] == made.position(0, 0)["lower"] == 0
    assert made.one(place(0, 0, BUY, 100, PRICE)).kind == EventKind.ORDER_ACCEPTED


def test_the_firm_is_one_portfolio_of_all_accounts() -> None:
    made = sampled_desk()
    bought(made, 100, PRICE, account=1)
    made.send(var_limit(value_at_risk(made, [150 * PRICE, 0, 0]), Scope.FIRM))
    refused = made.one(place(0, 0, BUY, 51, PRICE))
    assert (refused.code, refused.scope) == (Code.MAX_PORTFOLIO_VAR, Scope.FIRM)
    assert made.one(place(0, 0, BUY, 50, PRICE)).kind == EventKind.ORDER_ACCEPTED


def test_what_is_not_measured_counts_in_full() -> None:
    made = sampled_desk()
    made.send(instrument(3), mark(3, PRICE))
    bought(made, 10, PRICE, symbol=3)
    made.send(var_limit(20 * PRICE))
    order = place(0, 3, SELL, 31, PRICE)
    assert verdict(made, order, Code.MAX_PORTFOLIO_VAR).observed == 21 * PRICE
    assert made.one(order).code == Code.MAX_PORTFOLIO_VAR
    both = verdict(made, place(0, 0, BUY, 10, PRICE), Code.MAX_PORTFOLIO_VAR)
    assert both.observed == value_at_risk(made, [10 * PRICE], unmeasured=10 * PRICE)
    assert made.one(place(0, 3, BUY, 10, PRICE)).kind == EventKind.ORDER_ACCEPTED


def test_a_new_sample_takes_effect_at_once() -> None:
    made = sampled_desk()
    bought(made, 100, PRICE)
    made.send(var_limit(value_at_risk(made, [200 * PRICE, 0, 0])))
    assert made.one(place(0, 0, BUY, 50, PRICE)).kind == EventKind.ORDER_ACCEPTED
    pass_second(made, [2 * PRICE, PRICE, PRICE])
    pass_second(made, [PRICE, PRICE, PRICE])
    refused = made.one(place(0, 0, BUY, 1, PRICE))
    assert refused.code == Code.MAX_PORTFOLIO_VAR
    assert refused.observed == pytest.approx(value_at_risk(made, [151 * PRICE, 0, 0]), abs=1)


def test_a_change_of_horizon_takes_effect_at_once() -> None:
    made = sampled_desk()
    made.send(var_limit(value_at_risk(made, [100 * PRICE])))
    assert made.one(place(0, 0, BUY, 100, PRICE)).kind == EventKind.ORDER_ACCEPTED
    made.send(risk_model(horizon_us=4 * 86_400_000_000))
    assert made.one(place(0, 0, BUY, 1, PRICE)).code == Code.MAX_PORTFOLIO_VAR
    observed = verdict(made, place(0, 0, BUY, 100, PRICE), Code.MAX_PORTFOLIO_VAR).observed
    assert observed == pytest.approx(2 * value_at_risk(made, [200 * PRICE]), abs=2)


def test_an_amended_order_is_checked_by_what_it_adds() -> None:
    made = sampled_desk()
    made.send(var_limit(value_at_risk(made, [100 * PRICE])))
    order_id = working(made, place(0, 0, BUY, 60, PRICE))
    assert made.one(amend(order_id, quantity=101)).code == Code.MAX_PORTFOLIO_VAR
    assert made.one(amend(order_id, quantity=100)).kind == EventKind.REPLACE_REQUESTED


# --- Correlated exposure.


def test_exposure_in_correlated_symbols_is_limited() -> None:
    made = sampled_desk(common=1.0)
    bought(made, -100, PRICE, symbol=1)
    bought(made, 500, PRICE, symbol=2)
    made.send(correlated_limit(150 * PRICE))
    refused = made.one(place(0, 0, BUY, 51, PRICE))
    assert (refused.code, refused.scope) == (Code.MAX_CORRELATED_EXPOSURE, Scope.ACCOUNT)
    assert (refused.limit, refused.observed) == (150 * PRICE, 151 * PRICE)
    assert made.one(place(0, 0, BUY, 50, PRICE)).kind == EventKind.ORDER_ACCEPTED
    # Symbol 2 goes its own way: only its own exposure counts, and reducing it is never refused.
    assert made.one(place(0, 2, BUY, 1, PRICE)).observed == 501 * PRICE
    assert made.one(place(0, 2, SELL, 100, PRICE)).kind == EventKind.ORDER_ACCEPTED


def test_the_threshold_says_what_is_correlated() -> None:
    made = sampled_desk(common=1.0)
    bought(made, 100, PRICE, symbol=2)
    order = place(0, 0, BUY, 1, PRICE)
    made.send(correlated_limit(0))
    assert verdict(made, order, Code.MAX_CORRELATED_EXPOSURE).observed == PRICE
    deviations = math.sqrt(covariance(made, 0, 0) * covariance(made, 2, 2))
    correlation = covariance(made, 0, 2) / deviations
    below = max(math.floor(correlation * 1e6), 0)
    made.send(risk_model(correlation_threshold_ppm=below))
    expected = 101 * PRICE if correlation >= 0 else PRICE
    assert verdict(made, order, Code.MAX_CORRELATED_EXPOSURE).observed == expected


def test_what_is_not_measured_is_correlated_with_everything() -> None:
    made = sampled_desk()
    made.send(instrument(3), mark(3, PRICE))
    bought(made, 100, PRICE, symbol=3)
    made.send(correlated_limit(0))
    for symbol, observed in ((0, 101), (2, 101), (3, 101)):
        order = place(0, symbol, BUY, 1, PRICE)
        assert verdict(made, order, Code.MAX_CORRELATED_EXPOSURE).observed == observed * PRICE
    bought(made, 10, PRICE, symbol=2, account=1)
    pass_second(made, [PRICE] * 4)
    order = place(0, 0, BUY, 1, PRICE)
    assert verdict(made, order, Code.MAX_CORRELATED_EXPOSURE).observed == 101 * PRICE


# --- Around.


def test_explaining_changes_nothing() -> None:
    made = sampled_desk()
    bought(made, 100, PRICE)
    for before in ((), (var_limit(10**15), correlated_limit(10**15))):
        made.send(*before)
        pass_second(made, [PRICE] * 3)
        hashed = state_hash(made.engine.state)
        order = place(0, 1, BUY, 10, PRICE)
        unready = made.engine.explain(pack([order]), made.ts)
        assert state_hash(made.engine.state) == hashed
        made.send(place(0, 2, BUY, 1, PRICE), place(0, 2, SELL, 1, PRICE))
        assert {v.code for v in unready} >= {Code.MAX_PORTFOLIO_VAR, Code.MAX_CORRELATED_EXPOSURE}


def test_the_figures_shown_are_those_that_the_checks_use() -> None:
    made = sampled_desk(common=1.0)
    made.send(instrument(3), mark(3, PRICE))
    bought(made, 100, PRICE, symbol=0)
    bought(made, -30, PRICE, symbol=1, account=1)
    bought(made, 20, PRICE, symbol=3)
    working(made, place(0, 2, SELL, 50, PRICE))
    nothing_more = place(0, 3, SELL, 1, PRICE)  # its worst case stays what is held
    found = verdict(made, nothing_more, Code.MAX_PORTFOLIO_VAR).observed
    state = made.engine.state
    mine, firm = account_portfolios(state)[0], firm_portfolio(state)
    assert account_portfolio(state, 0) == mine
    assert mine.exposure == 170 * PRICE and mine.net_exposure == 70 * PRICE
    assert mine.unmeasured_exposure == firm.unmeasured_exposure == 20 * PRICE
    assert firm.exposure == 200 * PRICE and firm.net_exposure == 40 * PRICE
    radii, unmeasured = [0, 0, 25 * PRICE], 20 * PRICE
    bound = value_at_risk(made, [100 * PRICE, 0, -25 * PRICE], unmeasured, radii)
    assert found == mine.value_at_risk == pytest.approx(bound, abs=1)
    held = [100 * PRICE, -30 * PRICE, -25 * PRICE]
    assert firm.value_at_risk == pytest.approx(value_at_risk(made, held, unmeasured, radii), abs=1)
    assert mine.position_value_at_risk == pytest.approx(value_at_risk(made, [100 * PRICE], unmeasured), abs=1)
    assert firm.position_value_at_risk == pytest.approx(value_at_risk(made, held[:2], unmeasured), abs=1)
    # Symbol 3 is not measured, so it counts as correlated with 0 and 2.
    assert mine.correlated_exposure == 170 * PRICE
    assert correlation_of(state)[0, 0] == 1.0 and np.isnan(correlation_of(state)[3]).all()


def test_a_largest_order_is_explained_without_overflow() -> None:
    made = sampled_desk()
    huge: dict[str, Any] = {"max_quantity": 1 << 40}
    made.send(instrument(0, **huge), var_limit(10**9), correlated_limit(10**9))
    verdicts = made.engine.explain(pack([place(0, 0, BUY, 1 << 40, PRICE)]), made.ts)
    assert all(v.observed >= 0 for v in verdicts)


def test_a_copy_that_replays_the_commands_is_the_same() -> None:
    made = sampled_desk()
    made.send(var_limit(10**12), correlated_limit(10**12), var_limit(10**12, Scope.FIRM))
    bought(made, 100, PRICE)
    pass_second(made, [PRICE + 7, PRICE - 3, PRICE])
    made.send(place(0, 1, BUY, 3, PRICE))
    copy = Engine(SMALL_CAPACITY)
    for command in made.log:
        copy.process(pack([command]))
    assert state_hash(copy.state) == state_hash(made.engine.state)


def test_a_snapshot_takes_the_portfolios_along(tmp_path: Path) -> None:
    made = sampled_desk()
    made.send(var_limit(10**12), correlated_limit(10**12), var_limit(10**12, Scope.FIRM))
    bought(made, 100, PRICE)
    made.send(place(0, 1, BUY, 3, PRICE))
    save_snapshot(made.engine, tmp_path)
    copy = Engine(SMALL_CAPACITY)
    assert load_newest_snapshot(copy, tmp_path) == made.seq
    made.ts += SECOND_US
    more = pack(made.stamp([mark(0, PRICE + 5), sample_marks(), place(0, 0, SELL, 200, PRICE)]))
    assert copy.process(more).tobytes() == made.engine.process(more).tobytes()
    assert state_hash(copy.state) == state_hash(made.engine.state)


def test_explaining_again_after_a_command_sees_what_it_changed() -> None:
    made = sampled_desk()
    order = place(0, 0, BUY, 10, PRICE)
    for quantity in (0, 100, 50):
        if quantity:
            made.send(place(0, 0, BUY, quantity, PRICE))
        held = made.position(0, 0)["open_buy"] + 10
        for _ in range(2):
            observed = verdict(made, order, Code.MAX_PORTFOLIO_VAR).observed
            assert observed == pytest.approx(value_at_risk(made, [held * PRICE]), abs=1)
    other = verdict(made, replace(order, account=1), Code.MAX_PORTFOLIO_VAR)
    assert other.observed == pytest.approx(value_at_risk(made, [10 * PRICE]), abs=1)
