"""Rates: token buckets of the firm and of each account, for orders, amends and cancels a second.

Every request of an account takes a token, even a refused or repeated one: the bound is on the work
that it causes.
"""

from app.engine.codes import Code
from app.engine.jit import force_inline, inline
from app.engine.limits import TOKEN, UNLIMITED, limit_in, tokens_at
from app.engine.state import NO_SLOT, State
from app.engine.types import Limit, Scope
from app.engine.verdicts import judge


@force_inline
def lacking_token(st: State, account: int) -> int:
    """The scope whose bucket is empty, Scope.NONE if neither is."""
    firm = st.firm[0]
    rate = limit_in(st.firm_limits, Limit.ORDER_RATE)
    if rate != UNLIMITED and tokens_at(firm.order_tokens, firm.order_tokens_ts, rate, firm.ts) < TOKEN:
        return Scope.FIRM
    holder = st.accounts[account]
    rate = limit_in(st.account_limits[account:], Limit.ORDER_RATE)
    if rate != UNLIMITED and tokens_at(holder.order_tokens, holder.order_tokens_ts, rate, firm.ts) < TOKEN:
        return Scope.ACCOUNT
    return Scope.NONE


@force_inline
def take_tokens(st: State, account: int) -> int:
    """Take a token of the firm and one of the account, if both have one; returns the scope that lacks one."""
    if account == NO_SLOT:
        return Scope.NONE
    firm = st.firm[0]
    holder = st.accounts[account]
    firm_rate = limit_in(st.firm_limits, Limit.ORDER_RATE)
    account_rate = limit_in(st.account_limits[account:], Limit.ORDER_RATE)
    firm_tokens = tokens_at(firm.order_tokens, firm.order_tokens_ts, firm_rate, firm.ts)
    tokens = tokens_at(holder.order_tokens, holder.order_tokens_ts, account_rate, firm.ts)
    if firm_rate != UNLIMITED and firm_tokens < TOKEN:
        return Scope.FIRM
    if account_rate != UNLIMITED and tokens < TOKEN:
        return Scope.ACCOUNT
    if firm_rate != UNLIMITED:
        firm.order_tokens = firm_tokens - TOKEN
        firm.order_tokens_ts = firm.ts
    if account_rate != UNLIMITED:
        holder.order_tokens = tokens - TOKEN
        holder.order_tokens_ts = firm.ts
    return Scope.NONE


@force_inline
def check_rate(st: State, explain: bool, lacking: int) -> int:
    """`lacking`: as of `take_tokens`."""
    rate = limit_in(st.firm_limits, Limit.ORDER_RATE)
    code = judge(st, explain, Code.ORDER_RATE, lacking != Scope.FIRM, rate, rate + 1, Scope.FIRM)
    rate = limit_in(st.account_limits[st.candidate[0].account :], Limit.ORDER_RATE)
    passed = lacking != Scope.ACCOUNT
    return code or judge(st, explain, Code.ORDER_RATE, passed, rate, rate + 1, Scope.ACCOUNT)


@inline
def check_cancel_rate(st: State, account: int, symbol: int) -> int:
    """Check one cancel request. They are throttled only while trading is ACTIVE, mass cancels never."""
    if account < 0 or symbol < 0:  # of an order that was refused
        return Code.NONE
    firm = st.firm[0]
    holder = st.accounts[account]
    firm_rate = limit_in(st.firm_limits, Limit.CANCEL_RATE)
    account_rate = limit_in(st.account_limits[account:], Limit.CANCEL_RATE)
    if firm_rate == UNLIMITED and account_rate == UNLIMITED:
        return Code.NONE
    if firm.trading_state != 0 or holder.trading_state != 0 or st.instruments[symbol].trading_state != 0:
        return Code.NONE
    firm_tokens = tokens_at(firm.cancel_tokens, firm.cancel_tokens_ts, firm_rate, firm.ts)
    tokens = tokens_at(holder.cancel_tokens, holder.cancel_tokens_ts, account_rate, firm.ts)
    explain = False  # nobody asks what a cancel would meet
    passed = firm_rate == UNLIMITED or firm_tokens >= TOKEN
    code = judge(st, explain, Code.CANCEL_RATE, passed, firm_rate, firm_rate + 1, Scope.FIRM)
    passed = account_rate == UNLIMITED or tokens >= TOKEN
    code = code or judge(st, explain, Code.CANCEL_RATE, passed, account_rate, account_rate + 1, Scope.ACCOUNT)
    if code:
        return code
    if firm_rate != UNLIMITED:
        firm.cancel_tokens = firm_tokens - TOKEN
        firm.cancel_tokens_ts = firm.ts
    if account_rate != UNLIMITED:
        holder.cancel_tokens = tokens - TOKEN
        holder.cancel_tokens_ts = firm.ts
    return Code.NONE
