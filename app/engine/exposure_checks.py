"""Checks of what an account or the firm could come to hold, be worth, trade and lose.

Each is of the worst that open orders may lead to. What only reduces passes (`Effect.reducing`); where
it passes for that reason alone, the candidate becomes a reduce-only order.
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
from app.engine.verdicts import passes, refuses

_HUNDRED = 100
_INT64_MAX = (1 << 63) - 1
_SMALL = 1 << 31


@force_inline
def _base_units(steps: int, step: int) -> int:
    """Steps in 1e-8 of the base currency, as far as 64 bits reach."""
    return _INT64_MAX if steps > _INT64_MAX // step else steps * step


@force_inline
def _is_within(steps: int, step: int, allowed: int) -> bool:
    """Whether so many steps are no more than `allowed`, in 1e-8 of the base currency."""
    if allowed == UNLIMITED:
        return True
    if steps < _SMALL and step < _SMALL:  # a product is cheaper than a quotient, where it fits
        return bool(steps * step <= allowed)
    return bool(steps <= allowed // step)


@force_inline
def _check_position(st: State, explain: bool, effect: Effect) -> int:
    order = st.candidate[0]
    symbol = order.symbol
    step = st.instruments[symbol].quantity_step_e8
    at = position_index(st, order.account, symbol)
    allowed = limit_in(st.account_symbol_limits[at:], Limit.MAX_POSITION)
    within = _is_within(effect.opens, step, allowed)
    observed = _base_units(effect.opens, step)
    passed = passes(st, explain, within, effect.reducing)
    if refuses(st, explain, Code.MAX_POSITION, passed, allowed, observed, Scope.ACCOUNT_SYMBOL):
        return Code.MAX_POSITION
    allowed = limit_in(st.symbol_limits[symbol:], Limit.MAX_POSITION)
    total = st.instruments[symbol].worst + effect.growth
    within = _is_within(total, step, allowed)
    observed = _base_units(total, step)
    passed = passes(st, explain, within, effect.reducing)
    if refuses(st, explain, Code.MAX_POSITION, passed, allowed, observed, Scope.SYMBOL):
        return Code.MAX_POSITION
    return Code.NONE


@force_inline
def _check_net(st: State, explain: bool, effect: Effect, unit: int) -> int:
    """Exposure with its sign, if all open orders of the candidate's side fill."""
    order = st.candidate[0]
    firm = st.firm[0]
    holder = st.accounts[order.account]
    buy = order.side == Side.BUY
    allowed = limit_in(st.firm_limits, Limit.MAX_NET_EXPOSURE)
    if explain or allowed != UNLIMITED:
        now = firm.upper if buy else -firm.lower
        after = max(now + (effect.up if buy else -effect.down) * unit, 0)
        passed = passes(st, explain, after <= allowed, effect.reducing)
        if refuses(st, explain, Code.MAX_NET_EXPOSURE, passed, allowed, after, Scope.FIRM):
            return Code.MAX_NET_EXPOSURE
    allowed = limit_in(st.account_limits[order.account :], Limit.MAX_NET_EXPOSURE)
    if explain or allowed != UNLIMITED:
        now = holder.upper if buy else -holder.lower
        after = max(now + (effect.up if buy else -effect.down) * unit, 0)
        passed = passes(st, explain, after <= allowed, effect.reducing)
        if refuses(st, explain, Code.MAX_NET_EXPOSURE, passed, allowed, after, Scope.ACCOUNT):
            return Code.MAX_NET_EXPOSURE
    return Code.NONE


@inline
def leverage_of(exposure: int, equity: int) -> int:
    """Exposure over equity in hundredths, rounded up; UNLIMITED where there is no equity for it."""
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
    """What fills may cost beyond the mark is gone from equity once they have come: it is no margin."""
    account = st.candidate[0].account
    holder = st.accounts[account]
    equity = equity_of(st, account)
    cost = holder.open_cost + effect.added_cost
    allowed = limit_in(st.account_limits[account:], Limit.MAX_LEVERAGE)
    if explain or allowed != UNLIMITED:
        leverage = leverage_of(exposure, equity - cost)
        passed = passes(st, explain, leverage <= allowed, effect.reducing)
        if refuses(st, explain, Code.MAX_LEVERAGE, passed, allowed, leverage, Scope.ACCOUNT):
            return Code.MAX_LEVERAGE
    margin = (exposure + holder.leverage - 1) // holder.leverage + cost
    passed = passes(st, explain, margin <= equity, effect.reducing)
    if refuses(st, explain, Code.INSUFFICIENT_MARGIN, passed, equity, margin, Scope.ACCOUNT):
        return Code.INSUFFICIENT_MARGIN
    return Code.NONE


@force_inline
def _check_capacity(st: State, explain: bool, effect: Effect, unit: int) -> int:
    """Nothing may come beyond the range of the engine's numbers, whatever the limits say."""
    firm = st.firm[0]
    holder = st.accounts[st.candidate[0].account]
    beyond = effect.worst > MONEY_MAX // unit
    money = MONEY_MAX + 1 if beyond else firm.exposure + effect.growth * unit
    money = max(
        money, firm.open_notional + effect.added, abs(holder.cash) + holder.open_notional + effect.added
    )
    if abs(firm.equity) > SUM_MAX:  # as only fills can have made it: transfers and marks stop there
        money = MONEY_MAX + 1
    passed = passes(st, explain, money <= MONEY_MAX, effect.reducing and not beyond)
    if refuses(st, explain, Code.POSITION_CAPACITY, passed, MONEY_MAX, money, Scope.FIRM):
        return Code.POSITION_CAPACITY
    return Code.NONE


@force_inline
def check_exposure(st: State, explain: bool, effect: Effect) -> int:
    order = st.candidate[0]
    account = order.account
    instrument = st.instruments[order.symbol]
    unit = max(instrument.mark * instrument.multiplier, 1)
    code = _check_capacity(st, explain, effect, unit)
    if code != Code.NONE or effect.worst > MONEY_MAX // unit:
        return code
    code = _check_position(st, explain, effect)
    if code != Code.NONE:
        return code
    cost = effect.growth * unit
    allowed = limit_in(st.firm_limits, Limit.MAX_GROSS_EXPOSURE)
    exposure = st.firm[0].exposure + cost
    passed = passes(st, explain, exposure <= allowed, effect.reducing)
    if refuses(st, explain, Code.MAX_GROSS_EXPOSURE, passed, allowed, exposure, Scope.FIRM):
        return Code.MAX_GROSS_EXPOSURE
    allowed = limit_in(st.account_limits[account:], Limit.MAX_GROSS_EXPOSURE)
    exposure = st.accounts[account].exposure + cost
    passed = passes(st, explain, exposure <= allowed, effect.reducing)
    if refuses(st, explain, Code.MAX_GROSS_EXPOSURE, passed, allowed, exposure, Scope.ACCOUNT):
        return Code.MAX_GROSS_EXPOSURE
    code = _check_net(st, explain, effect, unit)
    if code != Code.NONE:
        return code
    return _check_margin(st, explain, exposure, effect)


@force_inline
def check_turnover(st: State, explain: bool, effect: Effect) -> int:
    account = st.candidate[0].account
    firm = st.firm[0]
    holder = st.accounts[account]
    allowed = limit_in(st.firm_limits, Limit.MAX_DAILY_NOTIONAL)
    used = firm.day_traded + firm.open_notional + effect.added
    passed = passes(st, explain, used <= allowed, effect.reducing)
    if refuses(st, explain, Code.MAX_DAILY_NOTIONAL, passed, allowed, used, Scope.FIRM):
        return Code.MAX_DAILY_NOTIONAL
    allowed = limit_in(st.account_limits[account:], Limit.MAX_DAILY_NOTIONAL)
    used = holder.day_traded + holder.open_notional + effect.added
    passed = passes(st, explain, used <= allowed, effect.reducing)
    if refuses(st, explain, Code.MAX_DAILY_NOTIONAL, passed, allowed, used, Scope.ACCOUNT):
        return Code.MAX_DAILY_NOTIONAL
    return Code.NONE


@force_inline
def check_losses(st: State, explain: bool, reducing: bool) -> int:
    account = st.candidate[0].account
    firm = st.firm[0]
    holder = st.accounts[account]
    equity = equity_of(st, account)
    firm_limits = st.firm_limits
    limits = st.account_limits[account:]
    allowed = limit_in(firm_limits, Limit.DAILY_LOSS)
    loss = firm.day_start_equity - firm.equity
    passed = passes(st, explain, loss <= allowed, reducing)
    if refuses(st, explain, Code.DAILY_LOSS, passed, allowed, loss, Scope.FIRM):
        return Code.DAILY_LOSS
    allowed = limit_in(limits, Limit.DAILY_LOSS)
    loss = holder.day_start_equity - equity
    passed = passes(st, explain, loss <= allowed, reducing)
    if refuses(st, explain, Code.DAILY_LOSS, passed, allowed, loss, Scope.ACCOUNT):
        return Code.DAILY_LOSS
    allowed = limit_in(firm_limits, Limit.MAX_DRAWDOWN)
    fall = firm.peak_equity - firm.equity
    passed = passes(st, explain, fall <= allowed, reducing)
    if refuses(st, explain, Code.MAX_DRAWDOWN, passed, allowed, fall, Scope.FIRM):
        return Code.MAX_DRAWDOWN
    allowed = limit_in(limits, Limit.MAX_DRAWDOWN)
    fall = holder.peak_equity - equity
    passed = passes(st, explain, fall <= allowed, reducing)
    if refuses(st, explain, Code.MAX_DRAWDOWN, passed, allowed, fall, Scope.ACCOUNT):
        return Code.MAX_DRAWDOWN
    return Code.NONE
