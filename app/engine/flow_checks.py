"""Checks of how an account sends orders: rates, repeats, messages for each trade."""

from app.engine.codes import Code
from app.engine.jit import force_inline, inline
from app.engine.limits import TOKEN, UNLIMITED, limit_in, tokens_at
from app.engine.repeats import count_repeat
from app.engine.state import NO_SLOT, State
from app.engine.trading_state import trip
from app.engine.types import Limit, Policy, Scope, TradingState
from app.engine.verdicts import refuses, verdict_place


@force_inline
def check_rate(st: State, explain: bool) -> int:
    """Firm's and account's token buckets; a message that passes takes a token of each."""
    account = st.candidate[0].account
    firm = st.firm[0]
    holder = st.accounts[account]
    firm_rate = limit_in(st.firm_limits, Limit.ORDER_RATE)
    account_rate = limit_in(st.account_limits[account:], Limit.ORDER_RATE)
    firm_tokens = tokens_at(firm.order_tokens, firm.order_tokens_ts, firm_rate, firm.ts)
    tokens = tokens_at(holder.order_tokens, holder.order_tokens_ts, account_rate, firm.ts)
    passed = firm_rate == UNLIMITED or firm_tokens >= TOKEN
    if refuses(st, explain, Code.ORDER_RATE, passed, firm_rate, firm_rate + 1, Scope.FIRM):
        return Code.ORDER_RATE
    passed = account_rate == UNLIMITED or tokens >= TOKEN
    if refuses(st, explain, Code.ORDER_RATE, passed, account_rate, account_rate + 1, Scope.ACCOUNT):
        return Code.ORDER_RATE
    if not explain:
        if firm_rate != UNLIMITED:
            firm.order_tokens = firm_tokens - TOKEN
            firm.order_tokens_ts = firm.ts
        if account_rate != UNLIMITED:
            holder.order_tokens = tokens - TOKEN
            holder.order_tokens_ts = firm.ts
    return Code.NONE


@inline
def check_cancel_rate(st: State, account: int, symbol: int) -> int:
    """Of one cancel request. Where trading is stopped cancels are never throttled; mass cancels never are."""
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
    passed = firm_rate == UNLIMITED or firm_tokens >= TOKEN
    if refuses(st, False, Code.CANCEL_RATE, passed, firm_rate, firm_rate + 1, Scope.FIRM):
        return Code.CANCEL_RATE
    passed = account_rate == UNLIMITED or tokens >= TOKEN
    if refuses(st, False, Code.CANCEL_RATE, passed, account_rate, account_rate + 1, Scope.ACCOUNT):
        return Code.CANCEL_RATE
    if firm_rate != UNLIMITED:
        firm.cancel_tokens = firm_tokens - TOKEN
        firm.cancel_tokens_ts = firm.ts
    if account_rate != UNLIMITED:
        holder.cancel_tokens = tokens - TOKEN
        holder.cancel_tokens_ts = firm.ts
    return Code.NONE


@force_inline
def check_repeats(st: State, explain: bool, is_new: bool) -> int:
    allowed = limit_in(st.account_limits[st.candidate[0].account :], Limit.MAX_REPEATED_ORDERS)
    if allowed == UNLIMITED or not is_new:
        return Code.NONE
    count = count_repeat(st, explain)
    if refuses(st, explain, Code.REPEATED_ORDER, count <= allowed, allowed, count, Scope.ACCOUNT):
        return Code.REPEATED_ORDER
    return Code.NONE


@inline
def trip_repeats(st: State) -> None:
    """The candidate has been refused for being sent again and again: its account stops."""
    account = st.candidate[0].account
    verdict = st.verdicts[verdict_place(Code.REPEATED_ORDER)]
    limit = verdict.limit
    observed = verdict.observed
    trip(st, Scope.ACCOUNT, account, -1, TradingState.HALTED, Code.REPEATED_ORDER, limit, observed)


@force_inline
def check_order_to_trade(st: State, explain: bool, reducing: bool) -> int:
    """Messages of the day for each fill of it, this message included."""
    account = st.candidate[0].account
    allowed = limit_in(st.account_limits[account:], Limit.MAX_ORDER_TO_TRADE_RATIO)
    if allowed == UNLIMITED:
        return Code.NONE
    record = st.accounts[account]
    messages = record.messages + 1
    fills = max(record.day_fills, 1)
    ratio = (messages + fills - 1) // fills
    passed = reducing or messages <= st.firm[0].policy[Policy.ORDER_TO_TRADE_FLOOR] or ratio <= allowed
    if refuses(st, explain, Code.MAX_ORDER_TO_TRADE_RATIO, passed, allowed, ratio, Scope.ACCOUNT):
        return Code.MAX_ORDER_TO_TRADE_RATIO
    return Code.NONE


@force_inline
def count_message(st: State, account: int) -> None:
    if account != NO_SLOT:
        st.accounts[account].messages += 1
