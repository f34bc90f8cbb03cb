"""Flow checks of an account's orders: repeats, and messages for each trade."""

from app.engine.codes import Code
from app.engine.jit import force_inline, inline
from app.engine.limits import UNLIMITED, limit_in
from app.engine.repeats import count_repeat
from app.engine.state import NO_SLOT, State
from app.engine.trading_state import trip
from app.engine.types import Limit, Policy, Scope, TradingState
from app.engine.verdicts import judge, judge_limit, verdict_place


@force_inline
def check_repeats(st: State, explain: bool, is_new: bool) -> int:
    allowed = limit_in(st.account_limits[st.candidate[0].account :], Limit.MAX_REPEATED_ORDERS)
    if allowed == UNLIMITED or not is_new:
        return Code.NONE
    count = count_repeat(st, explain)
    return judge_limit(st, explain, Code.REPEATED_ORDER, allowed, count, Scope.ACCOUNT)


@inline
def trip_repeats(st: State) -> None:
    """The candidate has been refused as a repeat: its account stops."""
    account = st.candidate[0].account
    verdict = st.verdicts[verdict_place(Code.REPEATED_ORDER)]
    limit = verdict.limit
    observed = verdict.observed
    trip(st, Scope.ACCOUNT, account, -1, TradingState.HALTED, Code.REPEATED_ORDER, limit, observed)


@force_inline
def check_order_to_trade(st: State, explain: bool, exempt: bool) -> int:
    """Messages of the day per fill, this message included."""
    account = st.candidate[0].account
    allowed = limit_in(st.account_limits[account:], Limit.MAX_ORDER_TO_TRADE_RATIO)
    if allowed == UNLIMITED:
        return Code.NONE
    record = st.accounts[account]
    messages = record.messages + 1
    fills = max(record.day_fills, 1)
    ratio = (messages + fills - 1) // fills
    passed = exempt or messages <= st.firm[0].policy[Policy.ORDER_TO_TRADE_FLOOR] or ratio <= allowed
    return judge(st, explain, Code.MAX_ORDER_TO_TRADE_RATIO, passed, allowed, ratio, Scope.ACCOUNT)


@force_inline
def count_message(st: State, account: int) -> None:
    if account != NO_SLOT:
        st.accounts[account].messages += 1
