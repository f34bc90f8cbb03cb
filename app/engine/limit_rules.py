"""Limit rules: each limit's unit, scopes and values, and which limits contradict each other."""

from enum import Enum
from typing import NamedTuple

from app.engine.capacity import MONEY_MAX
from app.engine.codes import Code
from app.engine.jit import inline
from app.engine.limits import UNLIMITED, limit_in
from app.engine.state import Array
from app.engine.types import Limit, Scope

RATE_MAX = 1_000_000_000  # a second; a second's tokens fit into 64 bits
PRICE_BPS_MAX = 1_000_000
LEVERAGE_MAX = 100_000  # hundredths: 1,000 times the equity
COUNT_MAX = 1_000_000_000


class LimitUnit(Enum):
    """`value` is the name that clients see."""

    BASE = "base currency"
    QUOTE = "quote currency"
    ORDERS = "orders"
    PER_SECOND = "per second"
    BASIS_POINTS = "basis points"
    MICROSECONDS = "microseconds"
    HUNDREDTHS = "hundredths"
    MESSAGES = "messages for a fill"
    REJECTIONS = "rejections"


class LimitRule(NamedTuple):
    """A limit's unit, scopes and values: 0 forbids, unless that could not be kept.

    `tightest`: each order meets the smallest value over all scopes; else each scope counts by itself.
    """

    unit: LimitUnit
    scopes: tuple[Scope, ...]
    value_max: int = MONEY_MAX
    value_min: int = 0
    tightest: bool = False


_EVERYWHERE = (Scope.FIRM, Scope.ACCOUNT, Scope.SYMBOL, Scope.ACCOUNT_SYMBOL)
_HOLDERS = (Scope.FIRM, Scope.ACCOUNT)
_ACCOUNT = (Scope.ACCOUNT,)
_OF_ORDERS = (Scope.ACCOUNT, Scope.ACCOUNT_SYMBOL)
_OF_POSITIONS = (Scope.SYMBOL, Scope.ACCOUNT_SYMBOL)

RULES: dict[Limit, LimitRule] = {
    Limit.MAX_ORDER_QUANTITY: LimitRule(LimitUnit.BASE, _EVERYWHERE, tightest=True),
    Limit.MAX_ORDER_NOTIONAL: LimitRule(LimitUnit.QUOTE, _EVERYWHERE, tightest=True),
    Limit.MAX_OPEN_ORDERS: LimitRule(LimitUnit.ORDERS, _OF_ORDERS, COUNT_MAX),
    Limit.MAX_POSITION: LimitRule(LimitUnit.BASE, _OF_POSITIONS),
    Limit.MAX_GROSS_EXPOSURE: LimitRule(LimitUnit.QUOTE, _HOLDERS),
    Limit.ORDER_RATE: LimitRule(LimitUnit.PER_SECOND, _HOLDERS, RATE_MAX),
    Limit.PRICE_COLLAR_BPS: LimitRule(LimitUnit.BASIS_POINTS, _EVERYWHERE, PRICE_BPS_MAX, tightest=True),
    Limit.MAX_MARK_AGE: LimitRule(LimitUnit.MICROSECONDS, _EVERYWHERE, tightest=True),
    Limit.MAX_PORTFOLIO_VAR: LimitRule(LimitUnit.QUOTE, _HOLDERS),
    Limit.MAX_CORRELATED_EXPOSURE: LimitRule(LimitUnit.QUOTE, _ACCOUNT),
    Limit.CANCEL_RATE: LimitRule(LimitUnit.PER_SECOND, _HOLDERS, RATE_MAX),
    Limit.MAX_REPEATED_ORDERS: LimitRule(LimitUnit.ORDERS, _ACCOUNT, COUNT_MAX, 1),
    Limit.PRICE_MOVE_BPS: LimitRule(LimitUnit.BASIS_POINTS, _EVERYWHERE, PRICE_BPS_MAX, tightest=True),
    Limit.MAX_NET_EXPOSURE: LimitRule(LimitUnit.QUOTE, _HOLDERS),
    Limit.MAX_LEVERAGE: LimitRule(LimitUnit.HUNDREDTHS, _ACCOUNT, LEVERAGE_MAX),
    Limit.MAX_DAILY_NOTIONAL: LimitRule(LimitUnit.QUOTE, _HOLDERS),
    Limit.DAILY_LOSS: LimitRule(LimitUnit.QUOTE, _HOLDERS),
    Limit.MAX_DRAWDOWN: LimitRule(LimitUnit.QUOTE, _HOLDERS),
    Limit.MAX_ORDER_TO_TRADE_RATIO: LimitRule(LimitUnit.MESSAGES, _ACCOUNT, COUNT_MAX, 1),
    Limit.VENUE_REJECTIONS: LimitRule(LimitUnit.REJECTIONS, (Scope.ACCOUNT, Scope.SYMBOL), COUNT_MAX, 1),
    Limit.MARK_HALT_AGE: LimitRule(LimitUnit.MICROSECONDS, (Scope.SYMBOL,), value_min=1),
    Limit.MAINTENANCE_LEVERAGE: LimitRule(LimitUnit.HUNDREDTHS, _ACCOUNT, LEVERAGE_MAX, 1),
}

# In one scope the second may not be below the first, which could then never be reached. 0 forbids, and
# contradicts nothing; nor does what a wider scope says: the tightest applies.
CONTRADICTIONS = (
    (Limit.MAX_ORDER_QUANTITY, Limit.MAX_POSITION),
    (Limit.MAX_ORDER_NOTIONAL, Limit.MAX_GROSS_EXPOSURE),
    (Limit.MAX_NET_EXPOSURE, Limit.MAX_GROSS_EXPOSURE),
    (Limit.MAX_MARK_AGE, Limit.MARK_HALT_AGE),
    (Limit.MAX_LEVERAGE, Limit.MAINTENANCE_LEVERAGE),
)

# The same as kernels read it, by the limit's number.
_LIMITS = len(Limit)
_SCOPE_MASKS = tuple(sum(1 << scope for scope in RULES[limit].scopes) for limit in Limit)
_VALUES_MIN = tuple(RULES[limit].value_min for limit in Limit)
_VALUES_MAX = tuple(RULES[limit].value_max for limit in Limit)


@inline
def rule_code(scope: int, limit: int, value: int) -> int:
    """Why a scope cannot carry this value of this limit by itself; Code.NONE if it can."""
    if limit >= _LIMITS or not _VALUES_MIN[limit] <= value <= _VALUES_MAX[limit]:
        return Code.INVALID_VALUE
    return Code.NONE if _SCOPE_MASKS[limit] >> scope & 1 else Code.WRONG_SCOPE


@inline
def contradicts(limits: Array, limit: int) -> bool:
    """Whether a limit, as set in its scope, contradicts another one; `limits` begins with the record."""
    for smaller, larger in CONTRADICTIONS:
        if limit == smaller or limit == larger:
            low = limit_in(limits, smaller)
            high = limit_in(limits, larger)
            if low != UNLIMITED and high != 0 and low > high:
                return True
    return False
