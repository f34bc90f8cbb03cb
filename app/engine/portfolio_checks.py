"""Portfolio checks: value at risk, and exposure in correlated symbols."""

from app.engine.capacity import MONEY_MAX
from app.engine.codes import Code
from app.engine.effect import Effect
from app.engine.jit import force_inline, inline
from app.engine.limits import UNLIMITED, limit_in
from app.engine.portfolio import correlated_exposure, ready_row, value_at_risk_with
from app.engine.state import State
from app.engine.types import Limit, Scope
from app.engine.verdicts import judge_limit


@inline
def _check_value_at_risk(
    st: State, explain: bool, account: int, allowed: int, effect: Effect, unit: int
) -> int:
    """Of an account, or of the firm if it is -1: explained only if it has the limit."""
    if allowed == UNLIMITED and (account < 0 or not explain):
        return Code.NONE
    row = ready_row(st, account, explain)
    exposure = st.firm[0].exposure if account < 0 else st.accounts[account].exposure
    enough = -1 if explain else allowed
    up = effect.up * unit
    down = effect.down * unit
    gross = effect.growth * unit
    after = value_at_risk_with(st, row, exposure, st.candidate[0].symbol, up, down, gross, enough)
    scope = Scope.FIRM if account < 0 else Scope.ACCOUNT
    return judge_limit(st, explain, Code.MAX_PORTFOLIO_VAR, allowed, after, scope, effect.reducing)


@inline
def _check_correlated(st: State, explain: bool, allowed: int, effect: Effect, unit: int) -> int:
    if allowed == UNLIMITED and not explain:
        return Code.NONE
    order = st.candidate[0]
    row = ready_row(st, order.account, explain)
    exposure = correlated_exposure(st, row, st.accounts[order.account].exposure, order.symbol)
    after = exposure + effect.growth * unit
    code = Code.MAX_CORRELATED_EXPOSURE
    return judge_limit(st, explain, code, allowed, after, Scope.ACCOUNT, effect.reducing)


@inline
def _check_limited(
    st: State, explain: bool, effect: Effect, firm_var: int, account_var: int, correlated: int
) -> int:
    order = st.candidate[0]
    instrument = st.instruments[order.symbol]
    unit = instrument.mark * instrument.multiplier
    if effect.worst > MONEY_MAX // max(unit, 1):  # only explained; a check before has refused it
        return Code.NONE
    return (
        _check_value_at_risk(st, explain, -1, firm_var, effect, unit)
        or _check_value_at_risk(st, explain, order.account, account_var, effect, unit)
        or _check_correlated(st, explain, correlated, effect, unit)
    )


@force_inline
def check_portfolio(st: State, explain: bool, effect: Effect) -> int:
    """MAX_PORTFOLIO_VAR of firm and account, then MAX_CORRELATED_EXPOSURE of the account.

    The checks before have seen to it that the candidate's exposure fits. An order that only
    reduces, towards a position of none and not beyond, passes the former whatever it hedges;
    one that is not must keep the bound within the limit, though it were above already.
    """
    account = st.candidate[0].account
    firm_var = limit_in(st.firm_limits, Limit.MAX_PORTFOLIO_VAR)
    account_var = limit_in(st.account_limits[account:], Limit.MAX_PORTFOLIO_VAR)
    correlated = limit_in(st.account_limits[account:], Limit.MAX_CORRELATED_EXPOSURE)
    if not explain and firm_var == account_var == correlated == UNLIMITED:
        return Code.NONE
    return _check_limited(st, explain, effect, firm_var, account_var, correlated)
