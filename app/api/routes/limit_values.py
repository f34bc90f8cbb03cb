"""Every limit: its unit, the scopes that may carry it, how scopes combine, and what it is used by now."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, NamedTuple

from app.documents.problems import Problem, invalid_field
from app.documents.schemas import Limits
from app.engine.limit_rules import RULES
from app.engine.limits import UNLIMITED
from app.engine.state import State
from app.engine.types import Limit, Scope
from app.runtime.decimals import JsonNumber, decimal_text
from app.runtime.reference import INTEGER_MAX, MONEY, money_text
from app.runtime.risk_figures import account_portfolio, firm_portfolio


class LimitUnit(Enum):
    """`value` is how it is named to clients."""

    BASE = "base currency"
    QUOTE = "quote currency"
    ORDERS = "orders"
    PER_SECOND = "per second"
    BASIS_POINTS = "basis points"
    MICROSECONDS = "microseconds"
    HUNDREDTHS = "hundredths"
    MESSAGES = "messages for a fill"
    REJECTIONS = "rejections"


_AMOUNTS = (LimitUnit.BASE, LimitUnit.QUOTE)

Used = Callable[[State, int, int, int], int]  # of state, account, symbol, now; indexes are -1 where none


class LimitFacts(NamedTuple):
    """`tightest`: each order meets the smallest value over all scopes; else each scope counts by itself."""

    unit: LimitUnit
    used: Used | None = None
    tightest: bool = False


def _pair(state: State, account: int, symbol: int) -> int:
    return symbol * len(state.accounts) + account


def _open_orders(state: State, account: int, symbol: int, _now: int) -> int:
    if symbol < 0:
        return int(state.accounts[account]["open_orders"])
    return int(state.positions[_pair(state, account, symbol)]["open_orders"])


def _position(state: State, account: int, symbol: int, _now: int) -> int:
    holder = state.instruments[symbol] if account < 0 else state.positions[_pair(state, account, symbol)]
    return int(holder["worst"]) * int(state.instruments[symbol]["quantity_step_e8"])


def _gross_exposure(state: State, account: int, _symbol: int, _now: int) -> int:
    return int((state.firm[0] if account < 0 else state.accounts[account])["exposure"])


def _value_at_risk(state: State, account: int, _symbol: int, _now: int) -> int:
    return (firm_portfolio(state) if account < 0 else account_portfolio(state, account)).value_at_risk


def _correlated_exposure(state: State, account: int, _symbol: int, _now: int) -> int:
    return account_portfolio(state, account).correlated_exposure


def _holder(state: State, account: int) -> Any:
    return state.firm[0] if account < 0 else state.accounts[account]


def _net_exposure(state: State, account: int, _symbol: int, _now: int) -> int:
    holder = _holder(state, account)
    return max(abs(int(holder["upper"])), abs(int(holder["lower"])))


def _equity(state: State, account: int) -> int:
    holder = _holder(state, account)
    if account < 0:
        return int(holder["equity"])
    return int(holder["cash"]) + int(holder["position_value"])


def _leverage(state: State, account: int, _symbol: int, _now: int) -> int:
    exposure, equity = int(state.accounts[account]["exposure"]), _equity(state, account)
    return 0 if exposure <= 0 else UNLIMITED if equity <= 0 else -(-exposure * 100 // equity)


def _held_leverage(state: State, account: int, _symbol: int, _now: int) -> int:
    value, equity = int(state.accounts[account]["gross_value"]), _equity(state, account)
    return 0 if value <= 0 else UNLIMITED if equity <= 0 else -(-value * 100 // equity)


def _daily_notional(state: State, account: int, _symbol: int, _now: int) -> int:
    holder = _holder(state, account)
    return int(holder["day_traded"]) + int(holder["open_notional"])


def _day_loss(state: State, account: int, _symbol: int, _now: int) -> int:
    return max(int(_holder(state, account)["day_start_equity"]) - _equity(state, account), 0)


def _drawdown(state: State, account: int, _symbol: int, _now: int) -> int:
    return max(int(_holder(state, account)["peak_equity"]) - _equity(state, account), 0)


def _order_to_trade(state: State, account: int, _symbol: int, _now: int) -> int:
    record = state.accounts[account]
    return -(-int(record["messages"]) // max(int(record["day_fills"]), 1))


def _rejections(state: State, account: int, symbol: int, _now: int) -> int:
    return int((state.instruments[symbol] if account < 0 else state.accounts[account])["rejections"])


def _mark_age(state: State, _account: int, symbol: int, now: int) -> int:
    instrument = state.instruments[symbol]
    return max(now - int(instrument["mark_ts"]), 0) if int(instrument["mark"]) else 0


LIMITS: dict[Limit, LimitFacts] = {
    Limit.MAX_ORDER_QUANTITY: LimitFacts(LimitUnit.BASE, tightest=True),
    Limit.MAX_ORDER_NOTIONAL: LimitFacts(LimitUnit.QUOTE, tightest=True),
    Limit.MAX_OPEN_ORDERS: LimitFacts(LimitUnit.ORDERS, _open_orders),
    Limit.MAX_POSITION: LimitFacts(LimitUnit.BASE, _position),
    Limit.MAX_GROSS_EXPOSURE: LimitFacts(LimitUnit.QUOTE, _gross_exposure),
    Limit.ORDER_RATE: LimitFacts(LimitUnit.PER_SECOND),
    Limit.PRICE_COLLAR_BPS: LimitFacts(LimitUnit.BASIS_POINTS, tightest=True),
    Limit.MAX_MARK_AGE: LimitFacts(LimitUnit.MICROSECONDS, tightest=True),
    Limit.MAX_PORTFOLIO_VAR: LimitFacts(LimitUnit.QUOTE, _value_at_risk),
    Limit.MAX_CORRELATED_EXPOSURE: LimitFacts(LimitUnit.QUOTE, _correlated_exposure),
    Limit.CANCEL_RATE: LimitFacts(LimitUnit.PER_SECOND),
    Limit.MAX_REPEATED_ORDERS: LimitFacts(LimitUnit.ORDERS),
    Limit.PRICE_MOVE_BPS: LimitFacts(LimitUnit.BASIS_POINTS, tightest=True),
    Limit.MAX_NET_EXPOSURE: LimitFacts(LimitUnit.QUOTE, _net_exposure),
    Limit.MAX_LEVERAGE: LimitFacts(LimitUnit.HUNDREDTHS, _leverage),
    Limit.MAX_DAILY_NOTIONAL: LimitFacts(LimitUnit.QUOTE, _daily_notional),
    Limit.DAILY_LOSS: LimitFacts(LimitUnit.QUOTE, _day_loss),
    Limit.MAX_DRAWDOWN: LimitFacts(LimitUnit.QUOTE, _drawdown),
    Limit.MAX_ORDER_TO_TRADE_RATIO: LimitFacts(LimitUnit.MESSAGES, _order_to_trade),
    Limit.VENUE_REJECTIONS: LimitFacts(LimitUnit.REJECTIONS, _rejections),
    Limit.MARK_HALT_AGE: LimitFacts(LimitUnit.MICROSECONDS, _mark_age),
    Limit.MAINTENANCE_LEVERAGE: LimitFacts(LimitUnit.HUNDREDTHS, _held_leverage),
}
assert set(LIMITS) == set(Limit)
assert set(Limits.model_fields) == {limit.name for limit in Limit}

# The second may not be below the first, in one scope: then it could never be reached. 0 forbids, and
# contradicts nothing.
CONTRADICTIONS = (
    (Limit.MAX_ORDER_QUANTITY, Limit.MAX_POSITION),
    (Limit.MAX_ORDER_NOTIONAL, Limit.MAX_GROSS_EXPOSURE),
    (Limit.MAX_NET_EXPOSURE, Limit.MAX_GROSS_EXPOSURE),
    (Limit.MAX_MARK_AGE, Limit.MARK_HALT_AGE),
    (Limit.MAX_LEVERAGE, Limit.MAINTENANCE_LEVERAGE),
)


def limit_text(limit: Limit, value: int) -> str | int | None:
    """A value as it is shown; None where there is no limit."""
    if value < 0 or value >= UNLIMITED:
        return None
    return money_text(value) if LIMITS[limit].unit in _AMOUNTS else value


def limit_units(limit: Limit, value: str | int | JsonNumber) -> int:
    """A value of a request in the engine's unit. Raises Problem."""
    if LIMITS[limit].unit not in _AMOUNTS:
        text = decimal_text(value)
        if not text.isdigit() or int(text) >= INTEGER_MAX:
            raise invalid_field(limit.name, "must be a whole number, and fit")
        units = int(text)
    else:
        try:
            units = MONEY.parse(decimal_text(value))
        except ValueError:
            raise invalid_field(limit.name, "must have at most 8 decimals and fit") from None
    rule = RULES[limit]
    if not rule.value_min <= units <= rule.value_max:
        least, most = limit_text(limit, rule.value_min), limit_text(limit, rule.value_max)
        raise Problem(422, "INVALID_VALUE", f"{limit.name} must be from {least} to {most}")
    return units


def limit_values(limits: Limits, scope: Scope) -> dict[Limit, int | None]:
    """The limits that a request names, in the engine's units; None removes one. Raises Problem."""
    values: dict[Limit, int | None] = {}
    for name in sorted(limits.model_fields_set, key=lambda name: Limit[name]):
        limit, value = Limit[name], getattr(limits, name)
        check_scope(limit, scope)
        values[limit] = None if value is None else limit_units(limit, value)
    return values


# How the scopes are called where one is told which of them may carry a limit.
SCOPE_NAMES = {
    Scope.FIRM: "firm",
    Scope.ACCOUNT: "account",
    Scope.SYMBOL: "symbol",
    Scope.ACCOUNT_SYMBOL: "account+symbol",
}


def check_scope(limit: Limit, scope: Scope) -> None:
    """Raises Problem where the scope cannot carry the limit; it names those that can."""
    allowed = [name for each, name in SCOPE_NAMES.items() if each in RULES[limit].scopes]
    if SCOPE_NAMES[scope] not in allowed:
        raise Problem(
            422,
            "WRONG_SCOPE",
            f"{limit.name} cannot be set for: {SCOPE_NAMES[scope]}. It can be set for: {', '.join(allowed)}",
            limit=limit.name,
            scope=SCOPE_NAMES[scope],
            allowed_scopes=allowed,
        )


def check_contradictions(record: Any, values: Mapping[Limit, int | None]) -> None:
    """Raises Problem where limits of one scope would contradict each other after a change.

    `record`: the scope's LIMITS.
    """
    for smaller, larger in CONTRADICTIONS:
        if smaller not in values and larger not in values:
            continue
        low, high = (_after(record, values, limit) for limit in (smaller, larger))
        if high and low > high and low < UNLIMITED:
            raise Problem(
                422,
                "LIMIT_CONTRADICTION",
                f"{smaller.name} {limit_text(smaller, low)} would be above {larger.name} "
                f"{limit_text(larger, high)}: it could never be reached",
                limit=limit_text(larger, high),
                observed=limit_text(smaller, low),
            )


def _after(record: Any, values: Mapping[Limit, int | None], limit: Limit) -> int:
    if limit in values:
        value = values[limit]
        return UNLIMITED if value is None else value
    return int(record["value"][limit]) if int(record["set_mask"]) >> limit & 1 else UNLIMITED
