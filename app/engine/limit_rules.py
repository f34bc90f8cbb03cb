"""Which limits may be set where, to what, and which two of them contradict each other."""

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

_LIMITS = len(Limit)

_QUANTITY = int(Limit.MAX_ORDER_QUANTITY)
_POSITION = int(Limit.MAX_POSITION)
_NOTIONAL = int(Limit.MAX_ORDER_NOTIONAL)
_GROSS = int(Limit.MAX_GROSS_EXPOSURE)
_NET = int(Limit.MAX_NET_EXPOSURE)
_MARK_AGE = int(Limit.MAX_MARK_AGE)
_HALT_AGE = int(Limit.MARK_HALT_AGE)


@inline
def _may_carry(scope: int, limit: int) -> bool:
    """Whether a scope may carry a limit."""
    account = scope == Scope.ACCOUNT
    symbol = scope == Scope.SYMBOL
    pair = scope == Scope.ACCOUNT_SYMBOL
    if limit == Limit.MAX_OPEN_ORDERS:
        return bool(account or pair)
    if limit == Limit.MAX_POSITION:
        return bool(symbol or pair)
    if limit == Limit.VENUE_REJECTIONS:
        return bool(account or symbol)
    if limit == Limit.MARK_HALT_AGE:
        return bool(symbol)
    if (
        limit == Limit.MAX_LEVERAGE
        or limit == Limit.MAX_REPEATED_ORDERS
        or limit == Limit.MAX_ORDER_TO_TRADE_RATIO
        or limit == Limit.MAX_CORRELATED_EXPOSURE
    ):
        return bool(account)
    if (
        limit == Limit.MAX_ORDER_QUANTITY
        or limit == Limit.MAX_ORDER_NOTIONAL
        or limit == Limit.PRICE_COLLAR_BPS
        or limit == Limit.PRICE_MOVE_BPS
        or limit == Limit.MAX_MARK_AGE
    ):
        return True
    return bool(account or scope == Scope.FIRM)


@inline
def value_min(limit: int) -> int:
    """The smallest value that means something: none of these could be kept at 0."""
    return int(
        limit == Limit.MAX_REPEATED_ORDERS
        or limit == Limit.MAX_ORDER_TO_TRADE_RATIO
        or limit == Limit.VENUE_REJECTIONS
        or limit == Limit.MARK_HALT_AGE
    )


@inline
def value_max(limit: int) -> int:
    if limit == Limit.ORDER_RATE or limit == Limit.CANCEL_RATE:
        return RATE_MAX
    if limit == Limit.PRICE_COLLAR_BPS or limit == Limit.PRICE_MOVE_BPS:
        return PRICE_BPS_MAX
    if limit == Limit.MAX_LEVERAGE:
        return LEVERAGE_MAX
    if (
        limit == Limit.MAX_REPEATED_ORDERS
        or limit == Limit.MAX_ORDER_TO_TRADE_RATIO
        or limit == Limit.VENUE_REJECTIONS
        or limit == Limit.MAX_OPEN_ORDERS
    ):
        return COUNT_MAX
    return MONEY_MAX


@inline
def rule_code(scope: int, limit: int, value: int) -> int:
    """Why a scope cannot carry this value of this limit by itself; Code.NONE where it can."""
    if limit >= _LIMITS or not value_min(limit) <= value <= value_max(limit):
        return Code.INVALID_VALUE
    return Code.NONE if _may_carry(scope, limit) else Code.WRONG_SCOPE


@inline
def _above(limits: Array, smaller: int, larger: int) -> bool:
    """Whether `smaller` is above `larger`. 0 forbids, and contradicts nothing."""
    low = limit_in(limits, smaller)
    high = limit_in(limits, larger)
    return bool(low != UNLIMITED and high != 0 and low > high)


@inline
def contradiction(limits: Array, limit: int) -> int:
    """The limit of the same scope that `limit`, as the scope now has it, contradicts; -1 if none.

    `limits` begins with the scope's record. What a wider scope says is no contradiction: the
    tightest applies.
    """
    if (limit == _QUANTITY or limit == _POSITION) and _above(limits, _QUANTITY, _POSITION):
        return _POSITION if limit == _QUANTITY else _QUANTITY
    if (limit == _MARK_AGE or limit == _HALT_AGE) and _above(limits, _MARK_AGE, _HALT_AGE):
        return _HALT_AGE if limit == _MARK_AGE else _MARK_AGE
    if (limit == _NOTIONAL or limit == _GROSS) and _above(limits, _NOTIONAL, _GROSS):
        return _GROSS if limit == _NOTIONAL else _NOTIONAL
    if (limit == _NET or limit == _GROSS) and _above(limits, _NET, _GROSS):
        return _GROSS if limit == _NET else _NET
    return -1
