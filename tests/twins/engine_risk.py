"""The pre-trade check in plain Python: a list of verdicts in the order of precedence."""

from collections.abc import Iterator
from typing import NamedTuple

from app.engine.codes import Code
from app.engine.types import (
    Fault,
    InstrumentStatus,
    Limit,
    OrderType,
    Permission,
    Policy,
    Scope,
    Side,
    TimeInForce,
    TradingState,
)
from tests.twins.engine_model import MONEY_MAX, UNLIMITED, Books, Order
from tests.twins.engine_reference import past_mark_of
from tests.twins.engine_repeats import count_repeat, repeats_with

PRICED = (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT)
STOPS = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT)
RISING = {  # what fires when the mark rises
    (OrderType.STOP, Side.BUY),
    (OrderType.STOP_LIMIT, Side.BUY),
    (OrderType.TAKE_PROFIT, Side.SELL),
    (OrderType.TAKE_PROFIT_LIMIT, Side.SELL),
}


class Verdict(NamedTuple):
    code: int
    passed: bool
    limit: int
    observed: int
    scope: int


class Request(NamedTuple):
    """What is to be checked. `extra`: by how much it adds to what is open."""

    order: Order
    extra: int
    fault: int = 0
    duplicate: bool = False
    amended: Order | None = None  # the order as it is before the amend


def is_rising(order: Order) -> bool:
    return (OrderType(order.type), Side(order.side)) in RISING


def worth(books: Books, order: Order) -> int:
    """What a step of the order is worth, in ticks."""
    return order.price or order.stop_price or books.instruments[order.symbol].mark


def notional(books: Books, order: Order) -> int:
    return worth(books, order) * order.quantity * books.instruments[order.symbol].multiplier


def verdicts(books: Books, request: Request) -> Iterator[Verdict]:
    """Every check's verdict, as far as the order can be valued."""
    yield from _reference(books, request)
    if request.order.account < 0 or request.order.symbol < 0:
        return
    yield from _prices(books, request)
    yield from _quantities(books, request)
    if not _is_sane(books, request):
        return
    yield from _instructions(books, request)
    yield from _rate(books, request)
    yield from _repeats(books, request)
    yield from _market(books, request)
    yield from _size(books, request)
    yield from _exposure(books, request)
    yield from _turnover(books, request)
    yield from _losses(books, request)
    yield from _order_to_trade(books, request)
    yield from _portfolio(books, request)


def first_refusal(books: Books, request: Request) -> Verdict | None:
    """The verdict that refuses; an order that gets past the rate check takes its tokens."""
    rate_passed = False
    for verdict in verdicts(books, request):
        if verdict.code > Code.ORDER_RATE and not rate_passed:
            rate_passed = True
            take_tokens(books, request.order.account)
            if request.amended is None:
                count_repeat(books, request.order)
        if not verdict.passed:
            return verdict
    return None


def explained(books: Books, request: Request) -> dict[tuple[int, int], Verdict]:
    """By code and scope: the first verdict that refuses, else the last that passes."""
    found: dict[tuple[int, int], Verdict] = {}
    for verdict in verdicts(books, request):
        key = (int(verdict.code), int(verdict.scope))
        if key not in found or found[key].passed:
            found[key] = verdict
    return found


def take_tokens(books: Books, account: int) -> None:
    firm_rate = books.limit_at(Limit.ORDER_RATE, Scope.FIRM)
    if firm_rate != UNLIMITED:
        books.bucket.take(firm_rate, books.ts)
    account_rate = books.limit_at(Limit.ORDER_RATE, Scope.ACCOUNT, account)
    if account_rate != UNLIMITED:
        books.accounts[account].bucket.take(account_rate, books.ts)


def _reference(books: Books, request: Request) -> Iterator[Verdict]:
    order, extra = request.order, request.extra
    account, symbol = order.account, order.symbol
    state, scope = books.strictest_state(account, symbol)
    yield Verdict(Code.TRADING_HALTED, state != TradingState.HALTED, 0, state, scope)
    known = account >= 0 and symbol >= 0
    shrinks = extra == 0 or (known and extra <= books.reducible(account, symbol, order.side))
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
        if request.amended is None and instrument.mark:
            passed = passed and (stop > instrument.mark if is_rising(order) else stop < instrument.mark)
    passed = passed and not fault & Fault.STOP_PRICE
    yield Verdict(Code.STOP_PRICE_INVALID, passed, instrument.mark, stop, Scope.SYMBOL)


def _quantities(books: Books, request: Request) -> Iterator[Verdict]:
    order, fault = request.order, request.fault
    instrument = books.instruments[order.symbol]
    quantity, smallest, largest = order.quantity, instrument.min_quantity, instrument.max_quantity
    yield Verdict(Code.QUANTITY_STEP, not fault & Fault.QUANTITY_STEP, 1, 0, Scope.SYMBOL)
    off_range = bool(fault & Fault.QUANTITY_RANGE)
    yield Verdict(Code.QUANTITY_MIN, off_range or quantity >= smallest, smallest, quantity, Scope.SYMBOL)
    yield Verdict(Code.QUANTITY_MAX, not off_range and quantity <= largest, largest, quantity, Scope.SYMBOL)
    if not _is_sane(books, request):
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
    room = max(books.reducible(order.account, order.symbol, order.side), 0)
    passed = not order.reduce_only or request.extra <= room
    yield Verdict(Code.REDUCE_ONLY, passed, room, request.extra, Scope.ACCOUNT_SYMBOL)
    rests = order.type in PRICED and order.time_in_force in (TimeInForce.GTC, TimeInForce.GTD)
    yield Verdict(Code.POST_ONLY_WOULD_TAKE, not order.post_only or rests, 0, 0, Scope.NONE)
    yield Verdict(Code.DUPLICATE_CLIENT_ORDER_ID, not request.duplicate, 0, 0, Scope.ACCOUNT)


def _rate(books: Books, request: Request) -> Iterator[Verdict]:
    account = request.order.account
    for scope, bucket in ((Scope.FIRM, books.bucket), (Scope.ACCOUNT, books.accounts[account].bucket)):
        rate = books.limit_at(Limit.ORDER_RATE, scope, account)
        passed = rate == UNLIMITED or bucket.at(rate, books.ts) >= 10**6
        yield Verdict(Code.ORDER_RATE, passed, rate, rate + 1, scope)


def cancel_rate(books: Books, order: Order) -> Verdict | None:
    """Why a cancel is throttled; one that passes takes its tokens."""
    if books.strictest_state(order.account, order.symbol)[0] != TradingState.ACTIVE or order.symbol < 0:
        return None
    firm_rate = books.limit_at(Limit.CANCEL_RATE, Scope.FIRM)
    rate = books.limit_at(Limit.CANCEL_RATE, Scope.ACCOUNT, order.account)
    bucket = books.accounts[order.account].cancel_bucket
    if firm_rate != UNLIMITED and books.cancel_bucket.at(firm_rate, books.ts) < 10**6:
        return Verdict(Code.CANCEL_RATE, False, firm_rate, firm_rate + 1, Scope.FIRM)
    if rate != UNLIMITED and bucket.at(rate, books.ts) < 10**6:
        return Verdict(Code.CANCEL_RATE, False, rate, rate + 1, Scope.ACCOUNT)
    if firm_rate != UNLIMITED:
        books.cancel_bucket.take(firm_rate, books.ts)
    if rate != UNLIMITED:
        bucket.take(rate, books.ts)
    return None


def _repeats(books: Books, request: Request) -> Iterator[Verdict]:
    account = request.order.account
    allowed = books.limit_at(Limit.MAX_REPEATED_ORDERS, Scope.ACCOUNT, account)
    if allowed != UNLIMITED and request.amended is None:
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
    moves = basis_points != UNLIMITED and not order.stop_price and instrument.mark > 0
    if moves:
        window = books.policies[Policy.COLLAR_WINDOW_US]
        yield Verdict(Code.MARKET_DATA_STALE, past > 0, 2 * window, past_age, move_scope)
    if order.type in PRICED:
        middle = order.stop_price or instrument.mark
        allowed, scope = collar(books, order, middle)
        away = abs(order.price - middle)
        yield Verdict(Code.PRICE_COLLAR, away <= allowed, allowed, away, scope)
    if moves and past:
        allowed = past * basis_points // 10_000
        away = abs((order.price or instrument.mark) - past)
        yield Verdict(Code.PRICE_COLLAR, away <= allowed, allowed, away, move_scope)


def collar(books: Books, order: Order, middle: int) -> tuple[int, int]:
    """How far from `middle` a price may be, UNLIMITED where nothing says; and whose limit it is."""
    basis_points, scope = books.tightest(Limit.PRICE_COLLAR_BPS, order.account, order.symbol)
    if basis_points == UNLIMITED:
        return UNLIMITED, scope
    return middle * basis_points // 10_000, scope


def protection_price(books: Books, order: Order) -> int:
    """The worst price for an order without a price of its own; 0 where any will do."""
    middle = books.instruments[order.symbol].mark
    distance, _ = collar(books, order, middle)
    if order.type in PRICED or distance == UNLIMITED:
        return 0
    return middle + distance if order.side == Side.BUY else max(middle - distance, 1)


def _size(books: Books, request: Request) -> Iterator[Verdict]:
    order, before = request.order, request.amended
    account, symbol = order.account, order.symbol
    quantity = order.quantity * books.instruments[symbol].quantity_step_e8
    allowed, scope = books.tightest(Limit.MAX_ORDER_QUANTITY, account, symbol)
    no_more = before is not None and request.extra == 0
    yield Verdict(Code.MAX_ORDER_QUANTITY, quantity <= allowed or no_more, allowed, quantity, scope)
    value = notional(books, order)
    allowed, scope = books.tightest(Limit.MAX_ORDER_NOTIONAL, account, symbol)
    no_more = before is not None and request.extra == 0 and value <= notional(books, before)
    yield Verdict(Code.MAX_ORDER_NOTIONAL, value <= allowed or no_more, allowed, value, scope)
    if before is None:
        mine = books.accounts[account].open.values()
        counts = (len(mine), sum(1 for other in mine if other.symbol == symbol))
        for scope, count in zip((Scope.ACCOUNT, Scope.ACCOUNT_SYMBOL), counts, strict=True):
            allowed = books.limit_at(Limit.MAX_OPEN_ORDERS, scope, account, symbol)
            yield Verdict(Code.MAX_OPEN_ORDERS, count + 1 <= allowed, allowed, count + 1, scope)


def _exposure(books: Books, request: Request) -> Iterator[Verdict]:
    order, extra = request.order, request.extra
    account, symbol = order.account, order.symbol
    instrument = books.instruments[symbol]
    more = (extra, 0) if order.side == Side.BUY else (0, extra)
    worst = books.worst(account, symbol, *more)
    growth = worst - books.worst(account, symbol)
    step = instrument.quantity_step_e8
    total = sum(books.worst(other, symbol) for other in range(len(books.accounts))) + growth
    for scope, steps in ((Scope.ACCOUNT_SYMBOL, worst), (Scope.SYMBOL, total)):
        allowed = books.limit_at(Limit.MAX_POSITION, scope, account, symbol)
        yield Verdict(Code.MAX_POSITION, growth <= 0 or steps * step <= allowed, allowed, steps * step, scope)
    unit = max(instrument.mark * instrument.multiplier, 1)
    if extra > MONEY_MAX // unit:
        yield Verdict(Code.MAX_GROSS_EXPOSURE, False, MONEY_MAX, MONEY_MAX + 1, Scope.FIRM)
        return
    mine = books.exposure(account)
    everyone = sum(books.exposure(other) for other in range(len(books.accounts)))
    for scope, value in ((Scope.FIRM, everyone), (Scope.ACCOUNT, mine)):
        allowed = books.limit_at(Limit.MAX_GROSS_EXPOSURE, scope, account)
        allowed = min(allowed, MONEY_MAX) if scope == Scope.FIRM else allowed
        value += growth * unit
        yield Verdict(Code.MAX_GROSS_EXPOSURE, growth <= 0 or value <= allowed, allowed, value, scope)
    for scope, holder in ((Scope.FIRM, -1), (Scope.ACCOUNT, account)):
        upper, lower = books.net(holder)
        before = max(abs(upper), abs(lower))
        after = max(abs(upper + more[0] * unit), abs(lower - more[1] * unit))
        allowed = books.limit_at(Limit.MAX_NET_EXPOSURE, scope, account)
        yield Verdict(Code.MAX_NET_EXPOSURE, after <= max(allowed, before), allowed, after, scope)
    equity = books.equity(account)
    exposed = mine + growth * unit
    leverage = 0 if exposed <= 0 else UNLIMITED if equity <= 0 else -(-exposed * 100 // equity)
    leverage = UNLIMITED if equity > 0 and exposed // equity >= UNLIMITED // 100 else leverage
    allowed = books.limit_at(Limit.MAX_LEVERAGE, Scope.ACCOUNT, account)
    yield Verdict(Code.MAX_LEVERAGE, growth <= 0 or leverage <= allowed, allowed, leverage, Scope.ACCOUNT)
    margin = -(-exposed // books.accounts[account].leverage)
    yield Verdict(Code.INSUFFICIENT_MARGIN, growth <= 0 or margin <= equity, equity, margin, Scope.ACCOUNT)


def _shrinks(books: Books, request: Request) -> bool:
    """Whether all that is open on the order's side, and it, only make the position smaller."""
    order = request.order
    return request.extra <= books.reducible(order.account, order.symbol, order.side)


def _turnover(books: Books, request: Request) -> Iterator[Verdict]:
    order, before = request.order, request.amended
    multiplier = books.instruments[order.symbol].multiplier
    added = worth(books, order) * order.quantity * multiplier
    if before is not None:
        price = max(order.worth, before.reserved_price)
        added = max(order.left, before.reserved) * price - before.reserved * before.reserved_price
        added *= multiplier
    for scope, holder in ((Scope.FIRM, -1), (Scope.ACCOUNT, order.account)):
        allowed = books.limit_at(Limit.MAX_DAILY_NOTIONAL, scope, order.account)
        used = books.turnover(holder) + books.open_notional(holder) + added
        passed = used <= allowed or added <= 0 or _shrinks(books, request)
        if scope == Scope.FIRM:
            passed = passed and (added <= 0 or books.open_notional(-1) + added <= MONEY_MAX)
            allowed = min(allowed, MONEY_MAX)
        yield Verdict(Code.MAX_DAILY_NOTIONAL, passed, allowed, used, scope)


def _losses(books: Books, request: Request) -> Iterator[Verdict]:
    account = request.order.account
    for code, which, measure in (
        (Code.DAILY_LOSS, Limit.DAILY_LOSS, books.day_loss),
        (Code.MAX_DRAWDOWN, Limit.MAX_DRAWDOWN, books.drawdown),
    ):
        for scope, holder in ((Scope.FIRM, -1), (Scope.ACCOUNT, account)):
            allowed, lost = books.limit_at(which, scope, account), measure(holder)
            passed = lost <= allowed or request.extra == 0 or _shrinks(books, request)
            yield Verdict(code, passed, allowed, lost, scope)


def _order_to_trade(books: Books, request: Request) -> Iterator[Verdict]:
    account = request.order.account
    allowed = books.limit_at(Limit.MAX_ORDER_TO_TRADE_RATIO, Scope.ACCOUNT, account)
    if allowed == UNLIMITED:
        return
    messages = books.accounts[account].messages + 1
    ratio = -(-messages // max(books.accounts[account].day_fills, 1))
    few = messages <= books.policies[Policy.ORDER_TO_TRADE_FLOOR]
    before = request.amended
    only_less = before is not None and request.extra == 0 and request.order.price == before.price
    passed = few or ratio <= allowed or only_less or _shrinks(books, request)
    yield Verdict(Code.MAX_ORDER_TO_TRADE_RATIO, passed, allowed, ratio, Scope.ACCOUNT)


def _portfolio(books: Books, request: Request) -> Iterator[Verdict]:
    """Without samples nothing is measured: all counts in full, and as correlated with everything.

    What is measured has a twin of its own, `tests.twins.correlation`.
    """
    order, extra = request.order, request.extra
    instrument = books.instruments[order.symbol]
    more = (extra, 0) if order.side == Side.BUY else (0, extra)
    growth = books.worst(order.account, order.symbol, *more) - books.worst(order.account, order.symbol)
    unit = instrument.mark * instrument.multiplier
    if growth > MONEY_MAX // max(unit, 1):
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
        observed = value + growth * unit
        if code == Code.MAX_PORTFOLIO_VAR:
            harmless = extra == 0 or _shrinks(books, request)
        else:
            harmless = growth * unit <= 0
        yield Verdict(code, harmless or observed <= allowed, allowed, observed, scope)
