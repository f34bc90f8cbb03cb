"""Refusal texts: what was wrong, what is allowed, and whose limit it is.

`limit` and `observed` of an event are integers in the unit of the code. The one table of those
units is here.
"""

from enum import Enum, auto
from typing import Any, NamedTuple

from app.documents.problems import code_name, problem_content, status_of_code
from app.documents.schemas import PlaceOrder
from app.engine.codes import Code
from app.engine.limits import UNLIMITED
from app.engine.types import EventKind, InstrumentStatus, Limit, Scope, TradingState
from app.runtime.decimals import decimal_text
from app.runtime.reference import Reference, money_text
from app.runtime.views import EventView


class Unit(Enum):
    NONE = auto()
    PRICE = auto()  # ticks
    STEPS = auto()
    QUANTITY = auto()  # 1e-8 of the base currency
    MONEY = auto()  # 1e-8 of the quote currency
    NUMBER = auto()  # counts, rates a second, basis points, microseconds, points in time
    TRADING_STATE = auto()
    LIMIT = auto()  # numbers of limits
    CURRENCY = auto()  # its letters, the first in the lowest byte
    INSTRUMENT_STATUS = auto()


_MONEY_CODES = (
    Code.NOTIONAL_MIN,
    Code.MAX_ORDER_NOTIONAL,
    Code.MAX_GROSS_EXPOSURE,
    Code.MAX_NET_EXPOSURE,
    Code.INSUFFICIENT_MARGIN,
    Code.MAX_DAILY_NOTIONAL,
    Code.DAILY_LOSS,
    Code.MAX_DRAWDOWN,
    Code.MAX_PORTFOLIO_VAR,
    Code.MAX_CORRELATED_EXPOSURE,
    Code.NEGATIVE_EQUITY,
    Code.POSITION_CAPACITY,
    Code.VALUE_RANGE,
)

UNITS: dict[int, Unit] = {
    Code.TRADING_HALTED: Unit.TRADING_STATE,
    Code.REDUCING_ONLY: Unit.TRADING_STATE,
    Code.PRICE_INVALID: Unit.PRICE,
    Code.PRICE_TICK: Unit.PRICE,
    Code.STOP_PRICE_INVALID: Unit.PRICE,
    Code.PRICE_COLLAR: Unit.PRICE,
    Code.QUANTITY_STEP: Unit.STEPS,
    Code.QUANTITY_MIN: Unit.STEPS,
    Code.QUANTITY_MAX: Unit.STEPS,
    Code.REDUCE_ONLY: Unit.STEPS,
    Code.MAX_ORDER_QUANTITY: Unit.QUANTITY,
    Code.MAX_POSITION: Unit.QUANTITY,
    Code.EXPIRE_TIME_INVALID: Unit.NUMBER,
    Code.ORDER_RATE: Unit.NUMBER,
    Code.CANCEL_RATE: Unit.NUMBER,
    Code.REPEATED_ORDER: Unit.NUMBER,
    Code.MARKET_DATA_STALE: Unit.NUMBER,
    Code.MAX_OPEN_ORDERS: Unit.NUMBER,
    Code.MAX_LEVERAGE: Unit.NUMBER,
    Code.MAX_ORDER_TO_TRADE_RATIO: Unit.NUMBER,
    Code.ORDER_CAPACITY: Unit.NUMBER,
    Code.STALE_VERSION: Unit.NUMBER,
    Code.LIMIT_CONTRADICTION: Unit.LIMIT,
    Code.MAINTENANCE_LEVERAGE: Unit.NUMBER,
    Code.QUOTE_NOT_SETTLED: Unit.CURRENCY,
    Code.SYMBOL_TRADING: Unit.INSTRUMENT_STATUS,
    **dict.fromkeys(_MONEY_CODES, Unit.MONEY),
}

_DETAILS: dict[int, str] = {
    Code.TRADING_HALTED: "trading is halted ({scope})",
    Code.REDUCING_ONLY: "only orders that reduce a position are taken ({scope})",
    Code.LIMITS_NOT_SET: "no limits are set for this account",
    Code.UNKNOWN_ACCOUNT: "there is no such account",
    Code.UNKNOWN_SYMBOL: "there is no such symbol",
    Code.SYMBOL_NOT_TRADING: "the instrument is not open for trading",
    Code.PRICE_REQUIRED: "an order of this type needs a price",
    Code.PRICE_INVALID: "the price {observed} is not allowed for this order; it may be at most {limit}, "
    "and market and stop orders have none",
    Code.PRICE_TICK: "the price {observed} is not a multiple of the tick {limit}",
    Code.STOP_PRICE_INVALID: "the stop price {observed} is not allowed: only stop and take-profit orders "
    "have one, on the grid of ticks, and it must not be reached already (mark {limit})",
    Code.QUANTITY_STEP: "the quantity {observed} is not a multiple of the step {limit}",
    Code.QUANTITY_MIN: "the quantity {observed} is below the minimum {limit}",
    Code.QUANTITY_MAX: "the quantity {observed} is above the maximum {limit}",
    Code.NOTIONAL_MIN: "the order is worth {observed}, the minimum is {limit}",
    Code.EXPIRE_TIME_INVALID: "expire_at {observed} is not allowed: GTD orders need one after {limit}, "
    "others have none",
    Code.REDUCE_ONLY: "a reduce-only order of {observed} is more than the position to reduce, {limit}",
    Code.POST_ONLY_WOULD_TAKE: "a post-only order must rest in the book, and this one could not",
    Code.DUPLICATE_CLIENT_ORDER_ID: "this client order id was used for another order",
    Code.ORDER_RATE: "more than {limit} orders in a second ({scope})",
    Code.CANCEL_RATE: "more than {limit} cancels in a second ({scope})",
    Code.MARKET_DATA_STALE: "the symbol's mark is missing or too old ({observed} us, allowed are {limit} us)",
    Code.PRICE_COLLAR: "the price is {observed} away from the reference, allowed are {limit} ({scope})",
    Code.MAX_OPEN_ORDERS: "{observed} orders would be open, allowed are {limit} ({scope})",
    Code.MAX_POSITION: "the position could become {observed}, allowed are {limit} ({scope})",
    Code.INSUFFICIENT_MARGIN: "the account would need a margin of {observed} and has {limit}",
    Code.MAX_PORTFOLIO_VAR: "the value at risk could become {observed}, allowed are {limit} ({scope})",
    Code.MAX_CORRELATED_EXPOSURE: "the exposure in this symbol and those correlated with it could become "
    "{observed}, allowed are {limit} ({scope})",
    Code.MAINTENANCE_LEVERAGE: "the positions are {observed} hundredths of the equity, allowed are {limit}",
    Code.NEGATIVE_EQUITY: "the account owes more than it has: its equity is {observed}",
    Code.POSITION_CAPACITY: "what is held and open would be worth {observed}, the engine counts to {limit}",
    Code.ORDER_CAPACITY: "the engine holds as many open orders as it can ({limit})",
    Code.UNKNOWN_ORDER: "there is no such order",
    Code.ORDER_CLOSED: "the order has already ended",
    Code.ORDER_PENDING: "another request for this order is on its way to the venue",
    Code.NOTHING_TO_AMEND: "the order already has these prices and this quantity",
    Code.QUANTITY_BELOW_FILLED: "the quantity must be more than what is already filled",
    Code.VENUE_REJECTED: "the venue refused the order",
    Code.ACCOUNT_CAPACITY: "there is no room for another account",
    Code.SYMBOL_CAPACITY: "there is no room for another instrument",
    Code.INVALID_VALUE: "a value is out of range",
    Code.STALE_VERSION: "this has changed meanwhile: its version is {observed}, not {limit}; read it again",
    Code.WRONG_SCOPE: "this scope cannot carry that limit",
    Code.LIMIT_CONTRADICTION: "{limit} would be above {observed}: one of them could never be reached",
    Code.OVERRIDE_EXISTS: "there is an override of this limit already: end it first",
    Code.OVERRIDE_CAPACITY: "there is no room for another override",
    Code.UNKNOWN_OVERRIDE: "there is no such override, or it has ended",
    Code.SECOND_PERSON_REQUIRED: "this loosens a limit: another person has to approve it",
    Code.CHANGE_CAPACITY: "too many changes wait for approval",
    Code.UNKNOWN_CHANGE: "there is no such change",
    Code.CHANGE_CLOSED: "this change has been decided already",
    Code.CHANGE_STALE: "the values that this change replaces have changed since, or it has waited too long",
    Code.QUOTE_NOT_SETTLED: "the quote currency is {observed}, but accounts are kept in {limit}: only "
    "instruments that are quoted in {limit} can be traded",
    Code.INSTRUMENT_IN_USE: "open orders or the mark of the instrument stand in the way",
    Code.SYMBOL_TRADING: "the instrument is {observed}: only a {limit} one can be settled",
    Code.VALUE_RANGE: "{observed} would leave the range in which the engine counts money; up to {limit} fits",
    Code.MAKER_CANNOT_APPROVE: "the proposer of a change cannot approve it: another person has to",
}
# Of requests that are no orders.
_REQUEST_DETAILS: dict[int, str] = {
    Code.INSUFFICIENT_MARGIN: "the account's margin allows {limit}, but {observed} was requested",
}
_OTHER_DETAIL = "{observed} where {limit} is allowed ({scope})"
# For limits that other accounts use too, when the caller may not see their numbers.
_SHARED_DETAILS: dict[int, str] = {
    Code.MARKET_DATA_STALE: "the symbol's mark is missing or too old ({scope})",
    Code.PRICE_COLLAR: "the price is further from the reference than is allowed ({scope})",
    Code.ORDER_RATE: "more orders in a second than are allowed ({scope})",
    Code.CANCEL_RATE: "more cancels in a second than are allowed ({scope})",
    Code.ORDER_CAPACITY: "the engine holds as many open orders as it can",
}
_SHARED_DETAIL = "more than a limit allows; its numbers are not shown to a key of an account ({scope})"

# Rules of the instrument, which everybody may read.
_PUBLIC = frozenset(
    (
        Code.UNKNOWN_SYMBOL,
        Code.SYMBOL_NOT_TRADING,
        Code.PRICE_INVALID,
        Code.PRICE_TICK,
        Code.STOP_PRICE_INVALID,
        Code.QUANTITY_STEP,
        Code.QUANTITY_MIN,
        Code.QUANTITY_MAX,
        Code.NOTIONAL_MIN,
    )
)


_WORD = (1 << 64) - 1


class Measure(NamedTuple):
    """A check's measured value and limit, as decimal text."""

    limit: str | int | None
    observed: str | int | None
    scope: str | None


def scope_text(reference: Reference, scope: int, account: int, symbol: int) -> str | None:
    """The scope of a limit or state: "firm", "account:a", "symbol:s", "account:a/symbol:s"."""
    if scope == Scope.FIRM:
        return "firm"
    parts = []
    if scope in (Scope.ACCOUNT, Scope.ACCOUNT_SYMBOL) and account >= 0:
        parts.append(f"account:{reference.account_names[account]}")
    if scope in (Scope.SYMBOL, Scope.ACCOUNT_SYMBOL) and symbol >= 0:
        parts.append(f"symbol:{reference.instruments[symbol].symbol}")
    return "/".join(parts) or None


def shown(reference: Reference, code: int, symbol: int, value: int) -> str | int | None:
    """A value in the unit of the code; None if there is no such value, or it stands for no limit."""
    if value >= UNLIMITED:
        return None
    unit = UNITS.get(code, Unit.NONE)
    if unit is Unit.MONEY or unit is Unit.QUANTITY:
        return money_text(value)
    if unit is Unit.NUMBER:
        return value
    if unit is Unit.TRADING_STATE:
        return TradingState(value).name
    if unit is Unit.LIMIT:
        return Limit(value).name
    if unit is Unit.CURRENCY:
        return (value & _WORD).to_bytes(8, "little").rstrip(b"\0").decode(errors="replace")
    if unit is Unit.INSTRUMENT_STATUS:
        return InstrumentStatus(value).name
    if symbol >= 0 and unit is not Unit.NONE:
        instrument = reference.instruments[symbol]
        return instrument.price_text(value) if unit is Unit.PRICE else instrument.quantity_text(value)
    return None


def is_shared(code: int, scope: int) -> bool:
    """Whether the numbers of a check also reveal other accounts: then a trader does not see them."""
    return scope in (Scope.FIRM, Scope.SYMBOL) and code not in _PUBLIC


def measure(
    reference: Reference, code: int, account: int, symbol: int, scope: int, limit: int, observed: int
) -> Measure:
    """`limit` and `observed` in the unit of the code; None if there is no such value."""
    return Measure(
        shown(reference, code, symbol, limit),
        shown(reference, code, symbol, observed),
        scope_text(reference, scope, account, symbol),
    )


_PRICE_CODES = (Code.PRICE_TICK, Code.PRICE_INVALID)
_QUANTITY_CODES = (Code.QUANTITY_STEP, Code.QUANTITY_MIN, Code.QUANTITY_MAX)


def _asked(code: int, found: Measure, request: PlaceOrder | None) -> Measure:
    """The requested value, from the request: it may have had no integer form."""
    if code in _PRICE_CODES:
        asked = request.get("price") if request else None
    elif code == Code.STOP_PRICE_INVALID:
        asked = request.get("stop_price") if request else None
    elif code in _QUANTITY_CODES:
        asked = request.get("quantity") if request else None
    else:
        return found
    if asked is not None:
        return found._replace(observed=decimal_text(asked))
    return found


def _detail(event: EventView, code: int, hidden: bool) -> str:
    text = _DETAILS.get(code, _OTHER_DETAIL)
    if event.kind == EventKind.COMMAND_REJECTED:
        text = _REQUEST_DETAILS.get(code, text)
    return _SHARED_DETAILS.get(code, _SHARED_DETAIL) if hidden and "{limit}" in text else text


def refusal(
    reference: Reference, event: EventView, request: PlaceOrder | None = None, *, shows_shared: bool
) -> dict[str, Any]:
    """The problem document of a refused order or request; its status is in it.

    `shows_shared`: whether the caller may see the numbers of scopes that other accounts are in.
    """
    code = event.code or Code.VENUE_REJECTED
    found = measure(reference, code, event.account, event.symbol, event.scope, event.limit, event.observed)
    found = _asked(code, found, request)
    hidden = not shows_shared and is_shared(code, event.scope)
    if hidden:
        found = found._replace(limit=None, observed=None)
    name = code_name(code) or "REFUSED"
    text = _detail(event, code, hidden)
    detail = text.format(
        limit="unlimited" if found.limit is None else found.limit,
        observed="asked for" if found.observed is None else found.observed,
        scope=found.scope or "engine",
    )
    order_id = str(event.order_id) if event.order_id else None
    return problem_content(status_of_code(code), name, detail, order_id=order_id, **found._asdict())
