"""The pre-trade check in plain Python: a list of verdicts in the order of precedence."""

from collections.abc import Iterator
from dataclasses import replace
from enum import IntEnum
from typing import NamedTuple

from app.engine.codes import Code
from app.engine.types import (
    Fault,
    InstrumentStatus,
    Limit,
    OrderFlag,
    OrderType,
    Permission,
    Policy,
    Scope,
    Side,
    TimeInForce,
    TradingState,
)
from tests.models.engine_effect import PRICED, Effect, collar, effect_of, reference, worth
from tests.models.engine_flow import Verdict
from tests.models.engine_holdings import (
    exposure_verdicts,
    loss_verdicts,
    turnover_verdicts,
    unless_reducing,
)
from tests.models.engine_model import MONEY_MAX, UNLIMITED, Books, Order
from tests.models.engine_reference import past_mark_of
from tests.models.engine_repeats import count_repeat, repeats_with

STOPS = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT)
RISING = {  # what fires when the mark rises
    (OrderType.STOP, Side.BUY),
    (OrderType.STOP_LIMIT, Side.BUY),
    (OrderType.TAKE_PROFIT, Side.SELL),
    (OrderType.TAKE_PROFIT_LIMIT, Side.SELL),
}


class How(IntEnum):
    """How an order comes to be checked."""

    NEW = 0
    AMEND = 1
    FIRE = 2
    CLOSE = 3  # all of a position, and the account's other orders make way
    CLOSE_BESIDE = 4  # all of a position, beside them


class Request(NamedTuple):
    """What is to be checked.

    `before`: the order as it is open now; `lacking`: the scope whose rate leaves no token;
    `decides`: not only explained.
    """

    order: Order
    how: How = How.NEW
    fault: int = 0
    duplicate: bool = False
    before: Order | None = None
    lacking: int = 0
    decides: bool = True


def is_rising(order: Order) -> bool:
    return (OrderType(order.type), Side(order.side)) in RISING


def notional(books: Books, order: Order) -> int:
    return worth(books, order) * order.quantity * books.instruments[order.symbol].multiplier


def only_reduces(books: Books, order: Order) -> bool:
    """Whether the order alone makes the position smaller, whatever else is open."""
    if order.account < 0 or order.symbol < 0:
        return False
    return order.left <= books.reducible(order.account, order.symbol, order.side)


def only_lowers(request: Request) -> bool:
    """Whether it is an amend to less at the same prices."""
    order, before = request.order, request.before
    if request.how != How.AMEND or request.fault or before is None:
        return False
    same = (order.price, order.stop_price) == (before.price, before.stop_price)
    return same and order.quantity < before.quantity


def closes_all(books: Books, request: Request) -> bool:
    """Whether it is there to close all of a position at once."""
    order = request.order
    if request.fault or request.how in (How.AMEND, How.FIRE):
        return False
    all_of_it = books.reducible(order.account, order.symbol, order.side)
    return order.type == OrderType.MARKET and order.reduce_only and 0 < all_of_it == order.quantity


def is_restricted(books: Books, order: Order) -> bool:
    """Whether the order passes where only what reduces may: from then on it is held to the position."""
    if order.account < 0 or order.symbol < 0:
        return False
    return books.restriction(order.account, order.symbol) != Code.NONE and only_reduces(books, order)


def verdicts(books: Books, request: Request) -> Iterator[Verdict]:
    """Every check's verdict, as far as the order can be valued."""
    if only_lowers(request):
        yield from _quantities(books, request, closing=False)
        return
    yield from _reference(books, request)
    if request.order.account < 0 or request.order.symbol < 0:
        return
    closing = closes_all(books, request)
    if request.how != How.FIRE:
        yield from _prices(books, request)
        yield from _quantities(books, request, closing=closing)
        if not closing and not _is_sane(books, request):
            return
        yield from _instructions(books, request)
        if not closing:
            yield from _rate(books, request)
            yield from _repeats(books, request)
    if not (closing and request.how == How.CLOSE):
        yield from _risk(books, request, closing)


def _risk(books: Books, request: Request, closing: bool) -> Iterator[Verdict]:
    """What a stop has to pass too when it fires."""
    order = request.order
    restricted = is_restricted(books, order)
    if restricted and request.decides:
        order = replace(order, flags=order.flags | OrderFlag.REDUCE_ONLY)
    effect = effect_of(books, order, request.before, restricted=restricted)
    if not closing:
        yield from _market(books, request)
        yield from _size(books, request)
    yield from exposure_verdicts(books, order, effect)
    yield from turnover_verdicts(books, order, effect)
    yield from loss_verdicts(books, order, effect)
    if not closing:
        if request.how != How.FIRE:
            yield from _order_to_trade(books, request, effect)
        yield from _portfolio(books, order, effect)


def judged(books: Books, request: Request) -> tuple[Verdict | None, bool]:
    """The verdict that refuses, and whether what passes does so as a reduce-only order."""
    reduces = not only_lowers(request) and is_restricted(books, request.order)
    for verdict in verdicts(books, request):
        if verdict.code == Code.REPEATED_ORDER:
            count_repeat(books, request.order)
        if not verdict.passed:
            return verdict, False
        reduces |= verdict.exempt
    return None, reduces or request.order.reduce_only


def explained(books: Books, request: Request) -> dict[tuple[int, int], Verdict]:
    """By code and scope: the first verdict that refuses, else the last that passes."""
    found: dict[tuple[int, int], Verdict] = {}
    for verdict in verdicts(books, request):
        key = (int(verdict.code), int(verdict.scope))
        if key not in found or found[key].passed:
            found[key] = verdict
    return found


def _reference(books: Books, request: Request) -> Iterator[Verdict]:
    order = request.order
    account, symbol = order.account, order.symbol
    state, scope = books.strictest_state(account, symbol)
    yield Verdict(Code.TRADING_HALTED, state != TradingState.HALTED, 0, state, scope)
    known = account >= 0 and symbol >= 0
    shrinks = only_reduces(books, order)
    yield Verdict(Code.REDUCING_ONLY, state == TradingState.ACTIVE or shrinks, 0, state, scope)
    limited = account < 0 or bool(books.effective((Scope.ACCOUNT, account, -1)))
    yield Verdict(Code.LIMITS_NOT_SET, limited, 1, 0, Scope.ACCOUNT)
    yield Verdict(Code.UNKNOWN_ACCOUNT, account >= 0, 0, 0, Scope.ACCOUNT)
    yield Verdict(Code.UNKNOWN_SYMBOL, symbol >= 0, 0, 0, Scope.SYMBOL)
    if known:
        status = books.instruments[symbol].status
        yield Verdict(Code.SYMBOL_NOT_TRADING, status == InstrumentStatus.TRADING, 1, status, Scope.SYMBOL)
        permission = books.permission(account, symbol)
        passed = permission == Permission.ALLOWED or shrinks
        allowed = Permission.ALLOWED
        yield Verdict(Code.SYMBOL_RESTRICTED, passed, allowed, permission, Scope.ACCOUNT_SYMBOL)


def _prices(books: Books, request: Request) -> Iterator[Verdict]:
    order, fault = request.order, request.fault
    instrument = books.instruments[order.symbol]
    priced = order.type in PRICED
    off_tick, off_range = bool(fault & Fault.PRICE_TICK), bool(fault & Fault.PRICE_RANGE)
    missing = priced and order.price == 0 and not off_tick and not off_range
    yield Verdict(Code.PRICE_REQUIRED, not missing, 1, 0, Scope.NONE)
    highest = instrument.max_price
    in_range = not off_range and 0 <= order.price <= (highest if priced else 0)
    yield Verdict(Code.PRICE_INVALID, in_range, highest, order.price, Scope.SYMBOL)
    yield Verdict(Code.PRICE_TICK, not off_tick, 1, 0, Scope.SYMBOL)
    stop = order.stop_price
    if order.type not in STOPS:
        passed = stop == 0
    else:
        passed = 0 < stop <= highest
        if request.before is None or request.before.stop_price != stop:
            passed = passed and bool(order.waiting)
            if instrument.mark and order.waiting:
                passed = passed and (stop > instrument.mark if is_rising(order) else stop < instrument.mark)
    passed = passed and not fault & Fault.STOP_PRICE
    yield Verdict(Code.STOP_PRICE_INVALID, passed, instrument.mark, stop, Scope.SYMBOL)


def _quantities(books: Books, request: Request, *, closing: bool) -> Iterator[Verdict]:
    order, fault = request.order, request.fault
    instrument = books.instruments[order.symbol]
    quantity, smallest, largest = order.quantity, instrument.min_quantity, instrument.max_quantity
    yield Verdict(Code.QUANTITY_STEP, not fault & Fault.QUANTITY_STEP, 1, 0, Scope.SYMBOL)
    off_range = bool(fault & Fault.QUANTITY_RANGE)
    rest = order.reduce_only and 0 < order.left == books.reducible(order.account, order.symbol, order.side)
    enough = (off_range or quantity >= smallest or rest) and not fault & Fault.QUANTITY_ZERO
    yield Verdict(Code.QUANTITY_MIN, enough, smallest, quantity, Scope.SYMBOL)
    sliced = closing and request.how in (How.CLOSE, How.CLOSE_BESIDE)
    fits = not off_range and (quantity <= largest or sliced)
    yield Verdict(Code.QUANTITY_MAX, fits, largest, quantity, Scope.SYMBOL)
    if closing or not _is_sane(books, request):
        return
    value = notional(books, order)
    enough = order.reduce_only or value >= instrument.min_notional or worth(books, order) == 0
    yield Verdict(Code.NOTIONAL_MIN, enough, instrument.min_notional, value, Scope.SYMBOL)


def _is_sane(books: Books, request: Request) -> bool:
    """Whether the numbers are in the instrument's range, so that products of them mean something."""
    order = request.order
    instrument = books.instruments[order.symbol]
    return (
        request.fault == 0
        and 0 <= order.quantity <= instrument.max_quantity
        and 0 <= order.price <= instrument.max_price
        and 0 <= order.stop_price <= instrument.max_price
    )


def _instructions(books: Books, request: Request) -> Iterator[Verdict]:
    order = request.order
    if order.time_in_force == TimeInForce.GTD:
        passed = order.expire_ts > books.ts
    else:
        passed = order.expire_ts == 0
    yield Verdict(Code.EXPIRE_TIME_INVALID, passed, books.ts, order.expire_ts, Scope.NONE)
    room = books.reducible(order.account, order.symbol, order.side)
    passed = not order.reduce_only or order.left <= room
    yield Verdict(Code.REDUCE_ONLY, passed, room, order.left, Scope.ACCOUNT_SYMBOL)
    rests = order.type in PRICED and order.time_in_force in (TimeInForce.GTC, TimeInForce.GTD)
    yield Verdict(Code.POST_ONLY_WOULD_TAKE, not order.post_only or rests, 0, 0, Scope.NONE)
    yield Verdict(Code.DUPLICATE_CLIENT_ORDER_ID, not request.duplicate, 0, 0, Scope.ACCOUNT)


def _rate(books: Books, request: Request) -> Iterator[Verdict]:
    for scope in (Scope.FIRM, Scope.ACCOUNT):
        rate = books.limit_at(Limit.ORDER_RATE, scope, request.order.account)
        yield Verdict(Code.ORDER_RATE, request.lacking != scope, rate, rate + 1, scope)


def _repeats(books: Books, request: Request) -> Iterator[Verdict]:
    account = request.order.account
    allowed = books.limit_at(Limit.MAX_REPEATED_ORDERS, Scope.ACCOUNT, account)
    if allowed != UNLIMITED and request.how != How.AMEND:
        count = repeats_with(books, request.order)
        yield Verdict(Code.REPEATED_ORDER, count <= allowed, allowed, count, Scope.ACCOUNT)


def _market(books: Books, request: Request) -> Iterator[Verdict]:
    order = request.order
    instrument = books.instruments[order.symbol]
    oldest, scope = books.tightest(Limit.MAX_MARK_AGE, order.account, order.symbol)
    age = books.ts - instrument.mark_ts if instrument.mark else UNLIMITED
    yield Verdict(Code.MARKET_DATA_STALE, instrument.mark > 0 and age <= oldest, oldest, age, scope)
    past, past_age = past_mark_of(books, instrument)
    basis_points, move_scope = books.tightest(Limit.PRICE_MOVE_BPS, order.account, order.symbol)
    moves = basis_points != UNLIMITED and not order.waiting and instrument.mark > 0
    if moves:
        window = books.policies[Policy.COLLAR_WINDOW_US]
        yield Verdict(Code.MARKET_DATA_STALE, past > 0, 2 * window, past_age, move_scope)
    if order.type in PRICED:
        middle = reference(books, order)
        allowed, scope = collar(books, order, middle)
        away = abs(order.price - middle)
        yield Verdict(Code.PRICE_COLLAR, away <= allowed, allowed, away, scope)
    if moves and past:
        allowed = past * basis_points // 10_000
        away = abs((order.price or instrument.mark) - past)
        yield Verdict(Code.PRICE_COLLAR, away <= allowed, allowed, away, move_scope)


def _size(books: Books, request: Request) -> Iterator[Verdict]:
    order = request.order
    account, symbol = order.account, order.symbol
    quantity = order.quantity * books.instruments[symbol].quantity_step_e8
    allowed, scope = books.tightest(Limit.MAX_ORDER_QUANTITY, account, symbol)
    yield Verdict(Code.MAX_ORDER_QUANTITY, quantity <= allowed, allowed, quantity, scope)
    value = notional(books, order)
    allowed, scope = books.tightest(Limit.MAX_ORDER_NOTIONAL, account, symbol)
    yield Verdict(Code.MAX_ORDER_NOTIONAL, value <= allowed, allowed, value, scope)
    if request.before is None:
        mine = books.accounts[account].open.values()
        counts = (len(mine), sum(1 for other in mine if other.symbol == symbol))
        for scope, count in zip((Scope.ACCOUNT, Scope.ACCOUNT_SYMBOL), counts, strict=True):
            allowed = books.limit_at(Limit.MAX_OPEN_ORDERS, scope, account, symbol)
            yield Verdict(Code.MAX_OPEN_ORDERS, count + 1 <= allowed, allowed, count + 1, scope)


def _order_to_trade(books: Books, request: Request, effect: Effect) -> Iterator[Verdict]:
    account = request.order.account
    allowed = books.limit_at(Limit.MAX_ORDER_TO_TRADE_RATIO, Scope.ACCOUNT, account)
    if allowed == UNLIMITED:
        return
    messages = books.accounts[account].messages + 1
    ratio = -(-messages // max(books.accounts[account].day_fills, 1))
    few = messages <= books.policies[Policy.ORDER_TO_TRADE_FLOOR]
    passed = effect.reducing or few or ratio <= allowed
    yield Verdict(Code.MAX_ORDER_TO_TRADE_RATIO, passed, allowed, ratio, Scope.ACCOUNT)


def _portfolio(books: Books, order: Order, effect: Effect) -> Iterator[Verdict]:
    """Without samples nothing is measured: all counts in full, and as correlated with everything.

    What is measured has a twin of its own, `tests.models.correlation`.
    """
    unit = books.unit(order.symbol)
    if effect.worst > MONEY_MAX // max(unit, 1):
        return
    mine = books.exposure(order.account)
    everyone = sum(books.exposure(other) for other in range(len(books.accounts)))
    for which, code, scope, value in (
        (Limit.MAX_PORTFOLIO_VAR, Code.MAX_PORTFOLIO_VAR, Scope.FIRM, everyone),
        (Limit.MAX_PORTFOLIO_VAR, Code.MAX_PORTFOLIO_VAR, Scope.ACCOUNT, mine),
        (Limit.MAX_CORRELATED_EXPOSURE, Code.MAX_CORRELATED_EXPOSURE, Scope.ACCOUNT, mine),
    ):
        allowed = books.limit_at(which, scope, order.account)
        if scope == Scope.FIRM and allowed == UNLIMITED:
            continue
        observed = value + effect.growth * unit
        yield unless_reducing(effect, code, observed <= allowed, allowed, observed, scope)
