"""Checks of what an account or the firm could come to hold, be worth and lose.

Each is of the worst case, with all open orders filled, and none refuses what does not make it
worse. Losses and the day's turnover do not get better by a trade: an order that only reduces a
position passes them.
"""

from app.engine.arithmetic import multiply_divide
from app.engine.capacity import MONEY_MAX
from app.engine.codes import Code
from app.engine.jit import force_inline, inline
from app.engine.limits import UNLIMITED, limit_in
from app.engine.positions import equity_of, position_index, worst_case
from app.engine.state import State
from app.engine.types import Limit, Scope, Side
from app.engine.verdicts import refuses

_HUNDRED = 100


@force_inline
def _check_position(st: State, explain: bool, worst: int, growth: int) -> int:
    order = st.candidate[0]
    symbol = order.symbol
    step = st.instruments[symbol].quantity_step_e8
    at = position_index(st, order.account, symbol)
    allowed = limit_in(st.account_symbol_limits[at:], Limit.MAX_POSITION)
    passed = growth <= 0 or worst <= allowed // step
    if refuses(st, explain, Code.MAX_POSITION, passed, allowed, worst * step, Scope.ACCOUNT_SYMBOL):
        return Code.MAX_POSITION
    allowed = limit_in(st.symbol_limits[symbol:], Limit.MAX_POSITION)
    total = st.instruments[symbol].worst + growth
    passed = growth <= 0 or total <= allowed // step
    if refuses(st, explain, Code.MAX_POSITION, passed, allowed, total * step, Scope.SYMBOL):
        return Code.MAX_POSITION
    return Code.NONE


@force_inline
def _net(upper: int, lower: int) -> int:
    return max(abs(upper), abs(lower))


@force_inline
def _check_net(st: State, explain: bool, money: int) -> int:
    """`money`: what the order adds to all buys, negative to all sells."""
    account = st.candidate[0].account
    firm = st.firm[0]
    holder = st.accounts[account]
    up = max(money, 0)
    down = min(money, 0)
    allowed = limit_in(st.firm_limits, Limit.MAX_NET_EXPOSURE)
    if explain or allowed != UNLIMITED:
        after = _net(firm.upper + up, firm.lower + down)
        passed = after <= allowed or after <= _net(firm.upper, firm.lower)
        if refuses(st, explain, Code.MAX_NET_EXPOSURE, passed, allowed, after, Scope.FIRM):
            return Code.MAX_NET_EXPOSURE
    allowed = limit_in(st.account_limits[account:], Limit.MAX_NET_EXPOSURE)
    if explain or allowed != UNLIMITED:
        after = _net(holder.upper + up, holder.lower + down)
        passed = after <= allowed or after <= _net(holder.upper, holder.lower)
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
    if equity < _HUNDRED:
        return (exposure * _HUNDRED + equity - 1) // equity
    below = multiply_divide(equity - rest, _HUNDRED, equity)  # so that it is rounded up
    return exposure // equity * _HUNDRED + _HUNDRED - below


@force_inline
def _check_margin(st: State, explain: bool, exposure: int, growth: int) -> int:
    account = st.candidate[0].account
    equity = equity_of(st, account)
    allowed = limit_in(st.account_limits[account:], Limit.MAX_LEVERAGE)
    if explain or allowed != UNLIMITED:
        leverage = leverage_of(exposure, equity)
        passed = growth <= 0 or leverage <= allowed
        if refuses(st, explain, Code.MAX_LEVERAGE, passed, allowed, leverage, Scope.ACCOUNT):
            return Code.MAX_LEVERAGE
    leverage = st.accounts[account].leverage
    margin = (exposure + leverage - 1) // leverage
    passed = growth <= 0 or margin <= equity
    if refuses(st, explain, Code.INSUFFICIENT_MARGIN, passed, equity, margin, Scope.ACCOUNT):
        return Code.INSUFFICIENT_MARGIN
    return Code.NONE


@force_inline
def check_exposure(st: State, explain: bool, extra: int) -> int:
    order = st.candidate[0]
    account = order.account
    symbol = order.symbol
    instrument = st.instruments[symbol]
    position = st.positions[position_index(st, account, symbol)]
    buy = extra if order.side == Side.BUY else 0
    worst = worst_case(position.quantity, position.open_buy + buy, position.open_sell + extra - buy)
    growth = worst - position.worst
    code = _check_position(st, explain, worst, growth)
    if code != Code.NONE:
        return code
    unit = max(instrument.mark * instrument.multiplier, 1)
    if extra > MONEY_MAX // unit:  # beyond all limits, and beyond 64 bits
        refuses(st, explain, Code.MAX_GROSS_EXPOSURE, False, MONEY_MAX, MONEY_MAX + 1, Scope.FIRM)
        return Code.MAX_GROSS_EXPOSURE
    cost = growth * unit
    allowed = min(limit_in(st.firm_limits, Limit.MAX_GROSS_EXPOSURE), MONEY_MAX)
    exposure = st.firm[0].exposure + cost
    passed = growth <= 0 or exposure <= allowed
    if refuses(st, explain, Code.MAX_GROSS_EXPOSURE, passed, allowed, exposure, Scope.FIRM):
        return Code.MAX_GROSS_EXPOSURE
    allowed = limit_in(st.account_limits[account:], Limit.MAX_GROSS_EXPOSURE)
    exposure = st.accounts[account].exposure + cost
    passed = growth <= 0 or exposure <= allowed
    if refuses(st, explain, Code.MAX_GROSS_EXPOSURE, passed, allowed, exposure, Scope.ACCOUNT):
        return Code.MAX_GROSS_EXPOSURE
    code = _check_net(st, explain, (2 * buy - extra) * unit)
    if code != Code.NONE:
        return code
    return _check_margin(st, explain, exposure, growth)


@force_inline
def check_turnover(st: State, explain: bool, added: int, reducing: bool) -> int:
    """`added`: money by which the order adds to what is open."""
    account = st.candidate[0].account
    firm = st.firm[0]
    holder = st.accounts[account]
    allowed = limit_in(st.firm_limits, Limit.MAX_DAILY_NOTIONAL)
    used = firm.day_traded + firm.open_notional + added
    passed = used <= allowed or added <= 0 or reducing
    passed = passed and (firm.open_notional + added <= MONEY_MAX or added <= 0)
    if refuses(st, explain, Code.MAX_DAILY_NOTIONAL, passed, min(allowed, MONEY_MAX), used, Scope.FIRM):
        return Code.MAX_DAILY_NOTIONAL
    allowed = limit_in(st.account_limits[account:], Limit.MAX_DAILY_NOTIONAL)
    used = holder.day_traded + holder.open_notional + added
    passed = used <= allowed or added <= 0 or reducing
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
    if refuses(st, explain, Code.DAILY_LOSS, reducing or loss <= allowed, allowed, loss, Scope.FIRM):
        return Code.DAILY_LOSS
    allowed = limit_in(limits, Limit.DAILY_LOSS)
    loss = holder.day_start_equity - equity
    if refuses(st, explain, Code.DAILY_LOSS, reducing or loss <= allowed, allowed, loss, Scope.ACCOUNT):
        return Code.DAILY_LOSS
    allowed = limit_in(firm_limits, Limit.MAX_DRAWDOWN)
    fall = firm.peak_equity - firm.equity
    if refuses(st, explain, Code.MAX_DRAWDOWN, reducing or fall <= allowed, allowed, fall, Scope.FIRM):
        return Code.MAX_DRAWDOWN
    allowed = limit_in(limits, Limit.MAX_DRAWDOWN)
    fall = holder.peak_equity - equity
    if refuses(st, explain, Code.MAX_DRAWDOWN, reducing or fall <= allowed, allowed, fall, Scope.ACCOUNT):
        return Code.MAX_DRAWDOWN
    return Code.NONE
