"""The checks of portfolio risk: value at risk, and exposure in correlated symbols."""

from app.engine.capacity import MONEY_MAX
from app.engine.codes import Code
from app.engine.effect import Effect
from app.engine.jit import force_inline, inline
from app.engine.limits import UNLIMITED, limit_in
from app.engine.portfolio import correlated_exposure, ready_row, value_at_risk_with
from app.engine.state import State
from app.engine.types import Limit, Scope
from app.engine.verdicts import passes, refuses


@inline
def _check_value_at_risk(
    st: State, explain: bool, account: int, allowed: int, up: int, down: int, gross: int, harmless: bool
) -> int:
    """Of an account, or of the firm where it is -1; what is `harmless` passes whatever comes out."""
    row = ready_row(st, account, explain)
    exposure = st.firm[0].exposure if account < 0 else st.accounts[account].exposure
    enough = -1 if explain else allowed
    after = value_at_risk_with(st, row, exposure, st.candidate[0].symbol, up, down, gross, enough)
    scope = Scope.FIRM if account < 0 else Scope.ACCOUNT
    passed = passes(st, explain, after <= allowed, harmless)
    if refuses(st, explain, Code.MAX_PORTFOLIO_VAR, passed, allowed, after, scope):
        return Code.MAX_PORTFOLIO_VAR
    return Code.NONE


@inline
def _check_correlated(st: State, explain: bool, allowed: int, gross: int, harmless: bool) -> int:
    order = st.candidate[0]
    row = ready_row(st, order.account, explain)
    exposure = correlated_exposure(st, row, st.accounts[order.account].exposure, order.symbol) + gross
    passed = passes(st, explain, exposure <= allowed, harmless)
    if refuses(st, explain, Code.MAX_CORRELATED_EXPOSURE, passed, allowed, exposure, Scope.ACCOUNT):
        return Code.MAX_CORRELATED_EXPOSURE
    return Code.NONE


@inline
def _check_limited(
    st: State, explain: bool, effect: Effect, firm_var: int, account_var: int, correlated: int
) -> int:
    order = st.candidate[0]
    account = order.account
    instrument = st.instruments[order.symbol]
    unit = instrument.mark * instrument.multiplier
    if effect.worst > MONEY_MAX // max(unit, 1):  # only explained; a check before has refused it
        return Code.NONE
    up = effect.up * unit
    down = effect.down * unit
    gross = effect.growth * unit
    harmless = effect.reducing
    if firm_var != UNLIMITED:  # where it is not, the account's verdict would take its place
        code = _check_value_at_risk(st, explain, -1, firm_var, up, down, gross, harmless)
        if code != Code.NONE:
            return code
    if explain or account_var != UNLIMITED:
        code = _check_value_at_risk(st, explain, account, account_var, up, down, gross, harmless)
        if code != Code.NONE:
            return code
    if explain or correlated != UNLIMITED:
        return _check_correlated(st, explain, correlated, gross, harmless)
    return Code.NONE


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
