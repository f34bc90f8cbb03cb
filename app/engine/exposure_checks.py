"""Exposure checks: what an account or the firm could come to hold, be worth, trade and lose.

Each checks the worst case of all open orders. An order that only reduces passes
(`Effect.reducing`); if it passes for that reason alone, the candidate becomes a reduce-only order.
"""

from app.engine.arithmetic import multiply_divide
from app.engine.capacity import MONEY_MAX, SUM_MAX
from app.engine.codes import Code
from app.engine.effect import Effect
from app.engine.jit import force_inline, inline
from app.engine.limits import UNLIMITED, limit_in
from app.engine.positions import equity_of, position_index
from app.engine.state import State
from app.engine.types import Limit, Scope, Side
from app.engine.verdicts import judge, judge_limit, passes

_HUNDRED = 100
_INT64_MAX = (1 << 63) - 1
_SMALL = 1 << 31


@force_inline
def _base_units(steps: int, step: int) -> int:
    """Steps in 1e-8 of the base currency, as far as 64 bits reach."""
    return _INT64_MAX if steps > _INT64_MAX // step else steps * step


@force_inline
def _is_within(steps: int, step: int, allowed: int) -> bool:
    """Whether this many steps are at most `allowed`, in 1e-8 of the base currency."""
    if allowed == UNLIMITED:
        return True
    if steps < _SMALL and step < _SMALL:  # a product is cheaper than a quotient, where it fits
        return steps * step <= allowed
    return steps <= allowed // step


@force_inline
def _judge_position(st: State, explain: bool, allowed: int, steps: int, scope: int, reducing: bool) -> int:
    step = st.instruments[st.candidate[0].symbol].quantity_step_e8
    passed = passes(st, explain, _is_within(steps, step, allowed), reducing)
    return judge(st, explain, Code.MAX_POSITION, passed, allowed, _base_units(steps, step), scope)


@force_inline
def _check_position(st: State, explain: bool, effect: Effect) -> int:
    order = st.candidate[0]
    at = position_index(st, order.account, order.symbol)
    total = st.instruments[order.symbol].worst + effect.growth
    account_max = limit_in(st.account_symbol_limits[at:], Limit.MAX_POSITION)
    symbol_max = limit_in(st.symbol_limits[order.symbol :], Limit.MAX_POSITION)
    reducing = effect.reducing
    code = _judge_position(st, explain, account_max, effect.opens, Scope.ACCOUNT_SYMBOL, reducing)
    return code or _judge_position(st, explain, symbol_max, total, Scope.SYMBOL, reducing)


@force_inline
def _judge_both(
    st: State, explain: bool, code: int, limit: int, of_firm: int, of_account: int, reducing: bool
) -> int:
    """Judge a limit that both the firm and the account may have, with the exposure of each."""
    firm_max = limit_in(st.firm_limits, limit)
    account_max = limit_in(st.account_limits[st.candidate[0].account :], limit)
    refused = judge_limit(st, explain, code, firm_max, of_firm, Scope.FIRM, reducing)
    return refused or judge_limit(st, explain, code, account_max, of_account, Scope.ACCOUNT, reducing)


@force_inline
def _check_gross(st: State, explain: bool, of_firm: int, of_account: int, reducing: bool) -> int:
    limit = Limit.MAX_GROSS_EXPOSURE
    return _judge_both(st, explain, Code.MAX_GROSS_EXPOSURE, limit, of_firm, of_account, reducing)


@force_inline
def _check_net(st: State, explain: bool, effect: Effect, unit: int) -> int:
    """Signed exposure, if all open orders of the candidate's side fill."""
    order = st.candidate[0]
    firm = st.firm[0]
    holder = st.accounts[order.account]
    buy = order.side == Side.BUY
    change = (effect.up if buy else -effect.down) * unit
    of_firm = max((firm.upper if buy else -firm.lower) + change, 0)
    of_account = max((holder.upper if buy else -holder.lower) + change, 0)
    limit = Limit.MAX_NET_EXPOSURE
    return _judge_both(st, explain, Code.MAX_NET_EXPOSURE, limit, of_firm, of_account, effect.reducing)


@inline
def leverage_of(exposure: int, equity: int) -> int:
    """Exposure over equity in hundredths, rounded up; UNLIMITED if there is exposure without equity."""
    if exposure <= 0:
        return 0
    if equity <= 0 or exposure // equity >= UNLIMITED // _HUNDRED:
        return UNLIMITED
    rest = exposure % equity
    if equity < _HUNDRED:  # the quotient times a hundred fits where the exposure times a hundred may not
        return exposure // equity * _HUNDRED + (rest * _HUNDRED + equity - 1) // equity
    below = multiply_divide(equity - rest, _HUNDRED, equity)  # so that it is rounded up
    return exposure // equity * _HUNDRED + _HUNDRED - below


@force_inline
def _check_margin(st: State, explain: bool, exposure: int, effect: Effect) -> int:
    """What fills may cost beyond the mark is lost to equity once they have come: it is no margin."""
    account = st.candidate[0].account
    holder = st.accounts[account]
    equity = equity_of(st, account)
    cost = holder.open_cost + effect.added_cost
    allowed = limit_in(st.account_limits[account:], Limit.MAX_LEVERAGE)
    leverage = leverage_of(exposure, equity - cost) if explain or allowed != UNLIMITED else 0
    margin = (exposure + holder.leverage - 1) // holder.leverage + cost
    reducing = effect.reducing
    code = judge_limit(st, explain, Code.MAX_LEVERAGE, allowed, leverage, Scope.ACCOUNT, reducing)
    return code or judge_limit(st, explain, Code.INSUFFICIENT_MARGIN, equity, margin, Scope.ACCOUNT, reducing)


@force_inline
def _check_capacity(st: State, explain: bool, effect: Effect, unit: int) -> int:
    """Nothing may leave the range of the engine's numbers, whatever the limits allow."""
    firm = st.firm[0]
    holder = st.accounts[st.candidate[0].account]
    beyond = effect.worst > MONEY_MAX // unit
    money = MONEY_MAX + 1 if beyond else firm.exposure + effect.growth * unit
    money = max(
        money, firm.open_notional + effect.added, abs(holder.cash) + holder.open_notional + effect.added
    )
    if abs(firm.equity) > SUM_MAX:  # as only fills can have made it: transfers and marks stop there
        money = MONEY_MAX + 1
    exempt = effect.reducing and not beyond
    return judge_limit(st, explain, Code.POSITION_CAPACITY, MONEY_MAX, money, Scope.FIRM, exempt)


@force_inline
def check_exposure(st: State, explain: bool, effect: Effect) -> int:
    order = st.candidate[0]
    instrument = st.instruments[order.symbol]
    unit = max(instrument.mark * instrument.multiplier, 1)
    code = _check_capacity(st, explain, effect, unit)
    if code or effect.worst > MONEY_MAX // unit:
        return code
    cost = effect.growth * unit
    exposure = st.accounts[order.account].exposure + cost
    return (
        _check_position(st, explain, effect)
        or _check_gross(st, explain, st.firm[0].exposure + cost, exposure, effect.reducing)
        or _check_net(st, explain, effect, unit)
        or _check_margin(st, explain, exposure, effect)
    )


@force_inline
def check_turnover(st: State, explain: bool, effect: Effect) -> int:
    firm = st.firm[0]
    holder = st.accounts[st.candidate[0].account]
    of_firm = firm.day_traded + firm.open_notional + effect.added
    of_account = holder.day_traded + holder.open_notional + effect.added
    limit = Limit.MAX_DAILY_NOTIONAL
    return _judge_both(st, explain, Code.MAX_DAILY_NOTIONAL, limit, of_firm, of_account, effect.reducing)


@force_inline
def check_losses(st: State, explain: bool, reducing: bool) -> int:
    account = st.candidate[0].account
    firm = st.firm[0]
    holder = st.accounts[account]
    equity = equity_of(st, account)
    firm_loss = firm.day_start_equity - firm.equity
    firm_fall = firm.peak_equity - firm.equity
    loss = holder.day_start_equity - equity
    fall = holder.peak_equity - equity
    code = _judge_both(st, explain, Code.DAILY_LOSS, Limit.DAILY_LOSS, firm_loss, loss, reducing)
    return code or _judge_both(st, explain, Code.MAX_DRAWDOWN, Limit.MAX_DRAWDOWN, firm_fall, fall, reducing)
