"""The pre-trade check: whether an order may go to the venue, and if not, why.

The order to be checked is `State.candidate`. Checks run in the order of
`app.engine.codes`; the first that fails is the code, and its verdict stands in
`State.verdicts` (`app.engine.verdicts`) with what was allowed and what would have been. With
`explain` every check leaves its verdict, nothing stops at the first, and no
state changes.

`extra` is the quantity by which the order adds to what is open: all of a new
order, the increase of an amended one. A limit on position, exposure or margin
never refuses what does not make it worse.
"""

from typing import Any

from app.engine.arithmetic import basis_points_of
from app.engine.capacity import SLOT_BITS
from app.engine.codes import Code
from app.engine.exposure_checks import check_exposure, check_losses, check_turnover
from app.engine.flow_checks import check_order_to_trade, check_rate, check_repeats
from app.engine.jit import force_inline
from app.engine.limits import UNLIMITED, limit_in, tightest
from app.engine.portfolio_checks import check_portfolio
from app.engine.positions import position_index
from app.engine.state import State
from app.engine.types import (
    Fault,
    InstrumentStatus,
    Limit,
    OrderFlag,
    OrderType,
    Permission,
    Scope,
    Side,
    TimeInForce,
    TradingState,
)
from app.engine.verdicts import refuses

_SLOT_MASK = (1 << SLOT_BITS) - 1
_ALLOWED = int(Permission.ALLOWED)


@force_inline
def needs_price(order_type: int) -> bool:
    return bool(
        order_type == OrderType.LIMIT
        or order_type == OrderType.STOP_LIMIT
        or order_type == OrderType.TAKE_PROFIT_LIMIT
    )


@force_inline
def needs_stop_price(order_type: int) -> bool:
    return bool(order_type >= OrderType.STOP)


@force_inline
def fires_on_rise(order_type: int, side: int) -> bool:
    """Whether a stop waits for the mark to rise to its stop price, rather than to fall."""
    stop = order_type == OrderType.STOP or order_type == OrderType.STOP_LIMIT
    return bool(stop == (side == Side.BUY))


@force_inline
def reduces(st: State, account: int, symbol: int, side: int, quantity: int) -> bool:
    """Whether `quantity` more on `side`, with all that is open there, stays within the position."""
    position = st.positions[position_index(st, account, symbol)]
    if side == Side.BUY:
        return bool(position.open_buy + quantity <= -position.quantity)
    return bool(position.open_sell + quantity <= position.quantity)


@force_inline
def strictest_state(st: State, account: int, symbol: int) -> tuple[int, int]:
    """The strictest trading state that applies, and whose it is."""
    state = st.firm[0].trading_state
    scope = Scope.FIRM
    if account >= 0 and st.accounts[account].trading_state > state:
        state = st.accounts[account].trading_state
        scope = Scope.ACCOUNT
    if symbol >= 0 and st.instruments[symbol].trading_state > state:
        state = st.instruments[symbol].trading_state
        scope = Scope.SYMBOL
    return state, scope


@force_inline
def permission_of(st: State, account: int, symbol: int) -> int:
    """ALLOWED or DENIED: what is said of the symbol, else of the account, else ALLOWED."""
    permission = st.positions[position_index(st, account, symbol)].permission
    if permission == Permission.DEFAULT:
        permission = st.accounts[account].permission
    return _ALLOWED if permission == Permission.DEFAULT else permission


@force_inline
def _check_reference(st: State, explain: bool, extra: int) -> int:
    order = st.candidate[0]
    account = order.account
    symbol = order.symbol
    known = account >= 0 and symbol >= 0
    state, scope = strictest_state(st, account, symbol)
    if refuses(st, explain, Code.TRADING_HALTED, state < TradingState.HALTED, 0, state, scope):
        return Code.TRADING_HALTED
    reducing = extra == 0 or (known and reduces(st, account, symbol, order.side, extra))
    passed = state < TradingState.REDUCING or reducing
    if refuses(st, explain, Code.REDUCING_ONLY, passed, 0, state, scope):
        return Code.REDUCING_ONLY
    passed = account < 0 or st.accounts[account].limits_set != 0
    if refuses(st, explain, Code.LIMITS_NOT_SET, passed, 1, 0, Scope.ACCOUNT):
        return Code.LIMITS_NOT_SET
    if refuses(st, explain, Code.UNKNOWN_ACCOUNT, account >= 0, 0, 0, Scope.ACCOUNT):
        return Code.UNKNOWN_ACCOUNT
    if refuses(st, explain, Code.UNKNOWN_SYMBOL, symbol >= 0, 0, 0, Scope.SYMBOL):
        return Code.UNKNOWN_SYMBOL
    if known:
        status = st.instruments[symbol].status
        passed = status == InstrumentStatus.TRADING
        if refuses(st, explain, Code.SYMBOL_NOT_TRADING, passed, 1, status, Scope.SYMBOL):
            return Code.SYMBOL_NOT_TRADING
        permission = permission_of(st, account, symbol)
        passed = permission == Permission.ALLOWED or reducing
        if refuses(st, explain, Code.SYMBOL_RESTRICTED, passed, _ALLOWED, permission, Scope.ACCOUNT_SYMBOL):
            return Code.SYMBOL_RESTRICTED
    return Code.NONE


@force_inline
def _check_prices(st: State, explain: bool, is_new: bool, fault: int) -> int:
    order = st.candidate[0]
    instrument = st.instruments[order.symbol]
    priced = needs_price(order.type)
    range_fault = (fault & Fault.PRICE_RANGE) != 0
    tick_fault = (fault & Fault.PRICE_TICK) != 0
    passed = not priced or order.price != 0 or range_fault or tick_fault
    if refuses(st, explain, Code.PRICE_REQUIRED, passed, 1, 0, Scope.NONE):
        return Code.PRICE_REQUIRED
    passed = not range_fault and 0 <= order.price <= (instrument.max_price if priced else 0)
    if refuses(st, explain, Code.PRICE_INVALID, passed, instrument.max_price, order.price, Scope.SYMBOL):
        return Code.PRICE_INVALID
    if refuses(st, explain, Code.PRICE_TICK, not tick_fault, 1, 0, Scope.SYMBOL):
        return Code.PRICE_TICK
    stop = order.stop_price
    if needs_stop_price(order.type):
        passed = (fault & Fault.STOP_PRICE) == 0 and 0 < stop <= instrument.max_price
        if is_new and instrument.mark > 0:  # one that would fire at once is a mistake
            rise = fires_on_rise(order.type, order.side)
            passed = passed and (stop > instrument.mark if rise else stop < instrument.mark)
    else:
        passed = (fault & Fault.STOP_PRICE) == 0 and stop == 0
    if refuses(st, explain, Code.STOP_PRICE_INVALID, passed, instrument.mark, stop, Scope.SYMBOL):
        return Code.STOP_PRICE_INVALID
    return Code.NONE


@force_inline
def reference_price(st: State, order: Any) -> int:
    """What an order is worth a step: its price, else its stop price, else the mark."""
    if order.price > 0:
        return order.price
    if order.stop_price > 0:
        return order.stop_price
    return st.instruments[order.symbol].mark


@force_inline
def worth_of(st: State, order: Any) -> int:
    """What a step of an open order is reserved at: a market order's is the mark that it came at."""
    if order.price > 0:
        return order.price
    return order.stop_price if order.stop_price > 0 else order.reserved_price


@force_inline
def _can_be_valued(st: State, fault: int) -> bool:
    """Whether the candidate's numbers are such that products of them fit."""
    order = st.candidate[0]
    instrument = st.instruments[order.symbol]
    return bool(
        fault == 0
        and 0 <= order.quantity <= instrument.max_quantity
        and 0 <= order.price <= instrument.max_price
        and 0 <= order.stop_price <= instrument.max_price
    )


@force_inline
def _check_quantity(st: State, explain: bool, fault: int) -> int:
    order = st.candidate[0]
    instrument = st.instruments[order.symbol]
    quantity = order.quantity
    passed = (fault & Fault.QUANTITY_STEP) == 0
    if refuses(st, explain, Code.QUANTITY_STEP, passed, 1, 0, Scope.SYMBOL):
        return Code.QUANTITY_STEP
    range_fault = (fault & Fault.QUANTITY_RANGE) != 0
    passed = range_fault or quantity >= instrument.min_quantity
    if refuses(st, explain, Code.QUANTITY_MIN, passed, instrument.min_quantity, quantity, Scope.SYMBOL):
        return Code.QUANTITY_MIN
    passed = not range_fault and quantity <= instrument.max_quantity
    if refuses(st, explain, Code.QUANTITY_MAX, passed, instrument.max_quantity, quantity, Scope.SYMBOL):
        return Code.QUANTITY_MAX
    if not _can_be_valued(st, fault):  # only explained; a check has ended here
        return Code.NONE
    price = reference_price(st, order)
    notional = price * quantity * instrument.multiplier
    reduce_only = (order.flags & OrderFlag.REDUCE_ONLY) != 0  # the rest of a position may be small
    passed = reduce_only or notional >= instrument.min_notional or price == 0
    if refuses(st, explain, Code.NOTIONAL_MIN, passed, instrument.min_notional, notional, Scope.SYMBOL):
        return Code.NOTIONAL_MIN
    return Code.NONE


@force_inline
def _check_instructions(st: State, explain: bool, extra: int, duplicate: bool) -> int:
    order = st.candidate[0]
    now = st.firm[0].ts
    if order.time_in_force == TimeInForce.GTD:
        passed = order.expire_ts > now
    else:
        passed = order.expire_ts == 0
    if refuses(st, explain, Code.EXPIRE_TIME_INVALID, passed, now, order.expire_ts, Scope.NONE):
        return Code.EXPIRE_TIME_INVALID
    position = st.positions[position_index(st, order.account, order.symbol)]
    if order.side == Side.BUY:
        reducible = max(-position.quantity - position.open_buy, 0)
    else:
        reducible = max(position.quantity - position.open_sell, 0)
    passed = (order.flags & OrderFlag.REDUCE_ONLY) == 0 or extra <= reducible
    if refuses(st, explain, Code.REDUCE_ONLY, passed, reducible, extra, Scope.ACCOUNT_SYMBOL):
        return Code.REDUCE_ONLY
    can_rest = needs_price(order.type) and (
        order.time_in_force == TimeInForce.GTC or order.time_in_force == TimeInForce.GTD
    )
    passed = (order.flags & OrderFlag.POST_ONLY) == 0 or can_rest
    if refuses(st, explain, Code.POST_ONLY_WOULD_TAKE, passed, 0, 0, Scope.NONE):
        return Code.POST_ONLY_WOULD_TAKE
    if refuses(st, explain, Code.DUPLICATE_CLIENT_ORDER_ID, not duplicate, 0, 0, Scope.ACCOUNT):
        return Code.DUPLICATE_CLIENT_ORDER_ID
    return Code.NONE


@force_inline
def collar_of(st: State, account: int, symbol: int, reference: int) -> tuple[int, int]:
    """How far, in ticks, a price may be from `reference`, and in whose name; UNLIMITED if at will."""
    basis_points, scope = tightest(st, Limit.PRICE_COLLAR_BPS, account, symbol)
    if basis_points == UNLIMITED:
        return UNLIMITED, scope
    return basis_points_of(reference, basis_points), scope


@force_inline
def _check_move(st: State, explain: bool) -> int:
    """How far the price, or the mark where there is none, is from the mark as it was a while ago."""
    order = st.candidate[0]
    basis_points, scope = tightest(st, Limit.PRICE_MOVE_BPS, order.account, order.symbol)
    if basis_points == UNLIMITED:
        return Code.NONE
    instrument = st.instruments[order.symbol]
    price = order.price if order.price > 0 else instrument.mark
    allowed = basis_points_of(instrument.past_mark, basis_points)
    distance = abs(price - instrument.past_mark)
    if refuses(st, explain, Code.PRICE_COLLAR, distance <= allowed, allowed, distance, scope):
        return Code.PRICE_COLLAR
    return Code.NONE


@force_inline
def _check_market(st: State, explain: bool) -> int:
    order = st.candidate[0]
    instrument = st.instruments[order.symbol]
    age_max, scope = tightest(st, Limit.MAX_MARK_AGE, order.account, order.symbol)
    age = st.firm[0].ts - instrument.mark_ts if instrument.mark > 0 else UNLIMITED
    passed = instrument.mark > 0 and age <= age_max
    if refuses(st, explain, Code.MARKET_DATA_STALE, passed, age_max, age, scope):
        return Code.MARKET_DATA_STALE
    if needs_price(order.type):
        # The price of a stop-limit order matters once its stop price is reached.
        reference = order.stop_price if order.stop_price > 0 else instrument.mark
        distance_max, scope = collar_of(st, order.account, order.symbol, reference)
        distance = abs(order.price - reference)
        passed = distance <= distance_max
        if refuses(st, explain, Code.PRICE_COLLAR, passed, distance_max, distance, scope):
            return Code.PRICE_COLLAR
    if order.stop_price == 0:
        return _check_move(st, explain)
    return Code.NONE


@force_inline
def _check_size(st: State, explain: bool, extra: int, is_new: bool) -> int:
    order = st.candidate[0]
    account = order.account
    symbol = order.symbol
    instrument = st.instruments[symbol]
    quantity = order.quantity * instrument.quantity_step_e8
    allowed, scope = tightest(st, Limit.MAX_ORDER_QUANTITY, account, symbol)
    passed = quantity <= allowed or extra == 0
    if refuses(st, explain, Code.MAX_ORDER_QUANTITY, passed, allowed, quantity, scope):
        return Code.MAX_ORDER_QUANTITY
    notional = reference_price(st, order) * order.quantity * instrument.multiplier
    allowed, scope = tightest(st, Limit.MAX_ORDER_NOTIONAL, account, symbol)
    passed = notional <= allowed
    if not passed and not is_new and extra == 0:  # less of it, but not at a worse price
        before = st.orders[order.order_id & _SLOT_MASK]
        passed = notional <= reference_price(st, before) * before.quantity * instrument.multiplier
    if refuses(st, explain, Code.MAX_ORDER_NOTIONAL, passed, allowed, notional, scope):
        return Code.MAX_ORDER_NOTIONAL
    if is_new:
        count = st.accounts[account].open_orders + 1
        allowed = limit_in(st.account_limits[account:], Limit.MAX_OPEN_ORDERS)
        if refuses(st, explain, Code.MAX_OPEN_ORDERS, count <= allowed, allowed, count, Scope.ACCOUNT):
            return Code.MAX_OPEN_ORDERS
        at = position_index(st, account, symbol)
        count = st.positions[at].open_orders + 1
        allowed = limit_in(st.account_symbol_limits[at:], Limit.MAX_OPEN_ORDERS)
        if refuses(st, explain, Code.MAX_OPEN_ORDERS, count <= allowed, allowed, count, Scope.ACCOUNT_SYMBOL):
            return Code.MAX_OPEN_ORDERS
    return Code.NONE


@force_inline
def _added_notional(st: State, is_new: bool) -> int:
    """By how much the candidate adds to what is open, in money: an amend at the worse of both prices."""
    order = st.candidate[0]
    multiplier = st.instruments[order.symbol].multiplier
    if is_new:
        return reference_price(st, order) * order.quantity * multiplier
    quantity = max(order.quantity - order.filled_quantity, order.reserved)
    price = max(worth_of(st, order), order.reserved_price)
    return (quantity * price - order.reserved * order.reserved_price) * multiplier


@force_inline
def _only_lowers_quantity(st: State, is_new: bool, extra: int) -> bool:
    """Whether the candidate is an order amended to less at the same price."""
    order = st.candidate[0]
    return bool(not is_new and extra == 0 and order.price == st.orders[order.order_id & _SLOT_MASK].price)


@force_inline
def check_order(st: State, explain: bool, is_new: bool, extra: int, fault: int, duplicate: bool) -> int:
    """The code of the first check that the candidate fails, Code.NONE where it passes all."""
    order = st.candidate[0]
    code = _check_reference(st, explain, extra)
    if code != Code.NONE:
        return code
    if order.account < 0 or order.symbol < 0:  # explained so far; nothing more can be looked up
        return Code.NONE
    code = _check_prices(st, explain, is_new, fault)
    if code != Code.NONE:
        return code
    code = _check_quantity(st, explain, fault)
    if code != Code.NONE:
        return code
    if explain and not _can_be_valued(st, fault):
        return Code.NONE
    code = _check_instructions(st, explain, extra, duplicate)
    if code != Code.NONE:
        return code
    code = check_rate(st, explain)
    if code != Code.NONE:
        return code
    code = check_repeats(st, explain, is_new)
    if code != Code.NONE:
        return code
    code = _check_market(st, explain)
    if code != Code.NONE:
        return code
    code = _check_size(st, explain, extra, is_new)
    if code != Code.NONE:
        return code
    code = check_exposure(st, explain, extra)
    if code != Code.NONE:
        return code
    reducing = reduces(st, order.account, order.symbol, order.side, extra)
    code = check_turnover(st, explain, _added_notional(st, is_new), reducing)
    if code != Code.NONE:
        return code
    code = check_losses(st, explain, reducing or extra == 0)
    if code != Code.NONE:
        return code
    code = check_order_to_trade(st, explain, reducing or _only_lowers_quantity(st, is_new, extra))
    if code != Code.NONE:
        return code
    return check_portfolio(st, explain, extra, reducing)
