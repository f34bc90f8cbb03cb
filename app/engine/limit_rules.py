"""Which limits may be set where, to what, and which two of them contradict each other."""

from collections.abc import Iterable
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


class LimitRule(NamedTuple):
    """The scopes that may carry a limit, and its values: 0 forbids, but where 0 could not be kept."""

    scopes: frozenset[Scope]
    value_min: int
    value_max: int


def _rule(scopes: Iterable[Scope], value_max: int = MONEY_MAX, value_min: int = 0) -> LimitRule:
    return LimitRule(frozenset(scopes), value_min, value_max)


_EVERYWHERE = (Scope.FIRM, Scope.ACCOUNT, Scope.SYMBOL, Scope.ACCOUNT_SYMBOL)
_HOLDERS = (Scope.FIRM, Scope.ACCOUNT)
_ACCOUNT = (Scope.ACCOUNT,)

RULES: dict[Limit, LimitRule] = {
    Limit.MAX_ORDER_QUANTITY: _rule(_EVERYWHERE),
    Limit.MAX_ORDER_NOTIONAL: _rule(_EVERYWHERE),
    Limit.MAX_OPEN_ORDERS: _rule((Scope.ACCOUNT, Scope.ACCOUNT_SYMBOL), COUNT_MAX),
    Limit.MAX_POSITION: _rule((Scope.SYMBOL, Scope.ACCOUNT_SYMBOL)),
    Limit.MAX_GROSS_EXPOSURE: _rule(_HOLDERS),
    Limit.ORDER_RATE: _rule(_HOLDERS, RATE_MAX),
    Limit.PRICE_COLLAR_BPS: _rule(_EVERYWHERE, PRICE_BPS_MAX),
    Limit.MAX_MARK_AGE: _rule(_EVERYWHERE),
    Limit.MAX_PORTFOLIO_VAR: _rule(_HOLDERS),
    Limit.MAX_CORRELATED_EXPOSURE: _rule(_ACCOUNT),
    Limit.CANCEL_RATE: _rule(_HOLDERS, RATE_MAX),
    Limit.MAX_REPEATED_ORDERS: _rule(_ACCOUNT, COUNT_MAX, 1),
    Limit.PRICE_MOVE_BPS: _rule(_EVERYWHERE, PRICE_BPS_MAX),
    Limit.MAX_NET_EXPOSURE: _rule(_HOLDERS),
    Limit.MAX_LEVERAGE: _rule(_ACCOUNT, LEVERAGE_MAX),
    Limit.MAX_DAILY_NOTIONAL: _rule(_HOLDERS),
    Limit.DAILY_LOSS: _rule(_HOLDERS),
    Limit.MAX_DRAWDOWN: _rule(_HOLDERS),
    Limit.MAX_ORDER_TO_TRADE_RATIO: _rule(_ACCOUNT, COUNT_MAX, 1),
    Limit.VENUE_REJECTIONS: _rule((Scope.ACCOUNT, Scope.SYMBOL), COUNT_MAX, 1),
    Limit.MARK_HALT_AGE: _rule((Scope.SYMBOL,), value_min=1),
    Limit.MAINTENANCE_LEVERAGE: _rule(_ACCOUNT, LEVERAGE_MAX, 1),
}

# The same as kernels read it, by the limit's number.
_LIMITS = len(Limit)
_SCOPE_MASKS = tuple(sum(1 << scope for scope in RULES[limit].scopes) for limit in Limit)
_VALUES_MIN = tuple(RULES[limit].value_min for limit in Limit)
_VALUES_MAX = tuple(RULES[limit].value_max for limit in Limit)

_QUANTITY = int(Limit.MAX_ORDER_QUANTITY)
_POSITION = int(Limit.MAX_POSITION)
_NOTIONAL = int(Limit.MAX_ORDER_NOTIONAL)
_GROSS = int(Limit.MAX_GROSS_EXPOSURE)
_NET = int(Limit.MAX_NET_EXPOSURE)
_MARK_AGE = int(Limit.MAX_MARK_AGE)
_HALT_AGE = int(Limit.MARK_HALT_AGE)
_LEVERAGE = int(Limit.MAX_LEVERAGE)
_MAINTENANCE = int(Limit.MAINTENANCE_LEVERAGE)


@inline
def rule_code(scope: int, limit: int, value: int) -> int:
    """Why a scope cannot carry this value of this limit by itself; Code.NONE where it can."""
    if limit >= _LIMITS or not _VALUES_MIN[limit] <= value <= _VALUES_MAX[limit]:
        return Code.INVALID_VALUE
    return Code.NONE if _SCOPE_MASKS[limit] >> scope & 1 else Code.WRONG_SCOPE


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
    if (limit == _LEVERAGE or limit == _MAINTENANCE) and _above(limits, _LEVERAGE, _MAINTENANCE):
        return _MAINTENANCE if limit == _LEVERAGE else _LEVERAGE
    return -1
