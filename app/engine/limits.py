"""Limits as the checks see them: the tightest of the scopes that set one; token buckets."""

from app.engine.jit import force_inline
from app.engine.positions import position_index
from app.engine.state import Array, State
from app.engine.types import Scope

UNLIMITED = (1 << 62) - 1

TOKEN = 1_000_000  # one order or cancel, in the unit of buckets
_REFILL_US_MAX = 1_000_000  # a bucket holds what refills in one second


@force_inline
def limit_in(limits: Array, limit: int) -> int:
    """The value of one limit in one scope's record, UNLIMITED where it is not set."""
    record = limits[0]
    if (record.set_mask >> limit) & 1:
        return record.value[limit]
    return UNLIMITED


@force_inline
def is_overridden(limits: Array, limit: int) -> bool:
    """Whether the value that stands in the scope's record is an override's."""
    return limits[0].override_mask >> limit & 1 == 1


@force_inline
def tightest(st: State, limit: int, account: int, symbol: int) -> tuple[int, int]:
    """The smallest value over firm, account, symbol and account+symbol, and its scope."""
    value = limit_in(st.firm_limits, limit)
    scope = Scope.FIRM
    other = limit_in(st.account_limits[account:], limit)
    if other < value:
        value = other
        scope = Scope.ACCOUNT
    other = limit_in(st.symbol_limits[symbol:], limit)
    if other < value:
        value = other
        scope = Scope.SYMBOL
    other = limit_in(st.account_symbol_limits[position_index(st, account, symbol) :], limit)
    if other < value:
        value = other
        scope = Scope.ACCOUNT_SYMBOL
    return value, scope


@force_inline
def tokens_at(tokens: int, since_ts: int, rate: int, ts: int) -> int:
    """What a bucket of `rate` a second, `tokens` at `since_ts`, holds at `ts`, in millionths.

    One that was never used (`since_ts` 0) is full.
    """
    elapsed_us = min(max(ts - since_ts, 0), _REFILL_US_MAX)
    if since_ts == 0:
        elapsed_us = _REFILL_US_MAX
    return min(tokens + elapsed_us * rate, rate * TOKEN)
