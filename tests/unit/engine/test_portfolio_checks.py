"""The checks of portfolio risk: which comes first, where they end, and whom they spare."""

import pytest

from app.engine.codes import Code
from app.engine.engine import Verdict
from app.engine.types import EventKind, Limit, OrderFlag, Scope
from tests.support.engine import BUY, SELL, Command, Desk, bought, limit, pack, place
from tests.support.sampled_desk import PRICE, sampled_desk
from tests.unit.engine.test_portfolio_risk import correlated_limit, value_at_risk, var_limit

VAR, CORRELATED = Code.MAX_PORTFOLIO_VAR, Code.MAX_CORRELATED_EXPOSURE


def explained(made: Desk, command: Command) -> list[Verdict]:
    found = made.engine.explain(pack([command]), made.ts)
    return [each for each in found if each.code in (VAR, CORRELATED)]


def test_the_firm_then_the_account_then_what_is_correlated() -> None:
    made = sampled_desk()
    refusals = []
    for ease in (None, var_limit(10**15, Scope.FIRM), var_limit(10**15)):
        made.send(*([ease] if ease else [var_limit(0, Scope.FIRM), var_limit(0), correlated_limit(0)]))
        event = made.one(place(0, 0, BUY, 1, PRICE))
        refusals.append((event.code, event.scope))
    assert refusals == [(VAR, Scope.FIRM), (VAR, Scope.ACCOUNT), (CORRELATED, Scope.ACCOUNT)]


@pytest.mark.parametrize("short_of", [0, 1])
@pytest.mark.parametrize("which", [VAR, CORRELATED])
def test_exactly_what_is_allowed(which: Code, short_of: int) -> None:
    made = sampled_desk()
    exact = value_at_risk(made, [3 * PRICE]) if which == VAR else 3 * PRICE
    made.send((var_limit if which == VAR else correlated_limit)(exact - short_of))
    event = made.one(place(0, 0, BUY, 3, PRICE))
    if short_of:
        assert (event.code, event.limit, event.observed) == (which, exact - 1, exact)
    else:
        assert event.kind == EventKind.ORDER_ACCEPTED


def test_symbols_that_move_together_count_together() -> None:
    made = sampled_desk(common=1.0)
    made.send(correlated_limit(5 * PRICE))
    bought(made, 3, PRICE, symbol=0)
    assert made.one(place(0, 1, SELL, 3, PRICE)).observed == 6 * PRICE, "the sign is no matter"
    assert made.one(place(0, 2, BUY, 5, PRICE)).kind == EventKind.ORDER_ACCEPTED, "it moves by itself"
    assert made.one(place(0, 1, SELL, 2, PRICE)).kind == EventKind.ORDER_ACCEPTED


@pytest.mark.parametrize("strict", [var_limit(1), var_limit(1, Scope.FIRM), correlated_limit(1)])
def test_what_only_reduces_passes_and_may_do_no_more(strict: Command) -> None:
    made = sampled_desk()
    bought(made, 5, PRICE)
    made.send(strict)
    event = made.one(place(0, 0, SELL, 5, PRICE))
    assert event.kind == EventKind.ORDER_ACCEPTED
    assert made.order(event.order_id)["flags"] & OrderFlag.REDUCE_ONLY
    assert made.one(place(0, 0, SELL, 1, PRICE)).code in (VAR, CORRELATED)


def test_an_account_is_explained_always_and_the_firm_where_it_has_the_limit() -> None:
    made = sampled_desk()
    order = place(0, 0, BUY, 1, PRICE)
    assert [(each.code, each.scope) for each in explained(made, order)] == [
        (VAR, Scope.ACCOUNT),
        (CORRELATED, Scope.ACCOUNT),
    ]
    made.send(var_limit(0, Scope.FIRM))
    found = explained(made, order)
    assert [(each.code, each.scope, each.passed) for each in found] == [
        (VAR, Scope.FIRM, False),
        (VAR, Scope.ACCOUNT, True),
        (CORRELATED, Scope.ACCOUNT, True),
    ]
    value = value_at_risk(made, [PRICE])
    assert [each.observed for each in found] == [value, value, PRICE]


def test_without_limits_no_row_is_made() -> None:
    made = sampled_desk()
    bought(made, 5, PRICE)
    assert made.account(0)["portfolio_version"] < made.engine.state.firm[0]["model_version"]
    made.send(limit(Limit.MAX_PORTFOLIO_VAR, 10**15, Scope.ACCOUNT, 0))
    made.one(place(0, 0, BUY, 1, PRICE))
    assert made.account(0)["portfolio_version"] == made.engine.state.firm[0]["model_version"]
