"""The pre-trade check: whether an order may go to the venue, and if not, why.

The order to be checked is `State.candidate`: a new one, one as an amend would make it, or a stop whose
price has been reached. Checks run in the order of `app.engine.codes`; the first that fails is the
code, and its verdict stands in `State.verdicts` (`app.engine.verdicts`) with what was allowed and what
would have been. With `explain` every check leaves its verdict, nothing stops at the first, and no
state changes.

What only reduces a position is exempt from the limits of positions, exposure, turnover and losses
(`app.engine.effect`), and what closes all of it from those of size, rate and prices too: a
position can always be closed by who may trade.
"""

from app.engine.arithmetic import basis_points_of
from app.engine.codes import Code
from app.engine.effect import (
    AMEND,
    CLOSE,
    CLOSE_BESIDE,
    FIRE,
    SLOT_MASK,
    Effect,
    closes_all,
    effect_of,
    left_of,
    only_reduces,
)
from app.engine.exposure_checks import check_exposure, check_losses, check_turnover
from app.engine.flow_checks import check_order_to_trade, check_repeats
from app.engine.jit import force_inline
from app.engine.limits import UNLIMITED, limit_in, tightest
from app.engine.marks import past_mark_of
from app.engine.order_kinds import fires_on_rise, needs_price, needs_stop_price
from app.engine.portfolio_checks import check_portfolio
from app.engine.positions import position_index, reducible_by
from app.engine.rates import check_rate
from app.engine.restrictions import permission_of, restriction_of, strictest_state
from app.engine.state import State
from app.engine.types import (
    Fault,
    InstrumentStatus,
    Limit,
    OrderFlag,
    Permission,
    Policy,
    Scope,
    TimeInForce,
    TradingState,
)
from app.engine.valuation import collar_of, reference_of, worth_of
from app.engine.verdicts import refuses

_ALLOWED = int(Permission.ALLOWED)
_INT64_MAX = (1 << 63) - 1


@force_inline
def _check_reference(st: State, explain: bool) -> int:
    order = st.candidate[0]
    account = order.account
    symbol = order.symbol
    known = account >= 0 and symbol >= 0
    state, scope = strictest_state(st, account, symbol)
    if refuses(st, explain, Code.TRADING_HALTED, state < TradingState.HALTED, 0, state, scope):
        return Code.TRADING_HALTED
    reducing = known and only_reduces(st)
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
def _check_prices(st: State, explain: bool, how: int, fault: int) -> int:
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
        moved = how != AMEND or stop != st.orders[order.order_id & SLOT_MASK].stop_price
        if moved and not order.waiting:  # an amend: it has fired already
            passed = False
        elif moved and instrument.mark > 0:  # one that would fire at once is a mistake
            rise = fires_on_rise(order.type, order.side)
            passed = passed and (stop > instrument.mark if rise else stop < instrument.mark)
    else:
        passed = (fault & Fault.STOP_PRICE) == 0 and stop == 0
    if refuses(st, explain, Code.STOP_PRICE_INVALID, passed, instrument.mark, stop, Scope.SYMBOL):
        return Code.STOP_PRICE_INVALID
    return Code.NONE


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
def _check_quantity(st: State, explain: bool, how: int, fault: int, closing: bool) -> int:
    order = st.candidate[0]
    instrument = st.instruments[order.symbol]
    quantity = order.quantity
    passed = (fault & Fault.QUANTITY_STEP) == 0
    if refuses(st, explain, Code.QUANTITY_STEP, passed, 1, 0, Scope.SYMBOL):
        return Code.QUANTITY_STEP
    range_fault = (fault & Fault.QUANTITY_RANGE) != 0
    held = st.positions[position_index(st, order.account, order.symbol)].quantity
    reduce_only = (order.flags & OrderFlag.REDUCE_ONLY) != 0  # the rest of a position may be small
    all_of_it = reduce_only and 0 < left_of(st) == reducible_by(held, order.side)
    passed = range_fault or quantity >= instrument.min_quantity or all_of_it
    passed = passed and (fault & Fault.QUANTITY_ZERO) == 0
    if refuses(st, explain, Code.QUANTITY_MIN, passed, instrument.min_quantity, quantity, Scope.SYMBOL):
        return Code.QUANTITY_MIN
    sliced = closing and (how == CLOSE or how == CLOSE_BESIDE)  # see `app.engine.closing`
    passed = not range_fault and (quantity <= instrument.max_quantity or sliced)
    if refuses(st, explain, Code.QUANTITY_MAX, passed, instrument.max_quantity, quantity, Scope.SYMBOL):
        return Code.QUANTITY_MAX
    if closing or not _can_be_valued(st, fault):  # only explained; a check has ended here
        return Code.NONE
    price = worth_of(st, order)
    notional = price * quantity * instrument.multiplier
    passed = reduce_only or notional >= instrument.min_notional or price == 0
    if refuses(st, explain, Code.NOTIONAL_MIN, passed, instrument.min_notional, notional, Scope.SYMBOL):
        return Code.NOTIONAL_MIN
    return Code.NONE


@force_inline
def _check_instructions(st: State, explain: bool, duplicate: bool) -> int:
    order = st.candidate[0]
    now = st.firm[0].ts
    if order.time_in_force == TimeInForce.GTD:
        passed = order.expire_ts > now
    else:
        passed = order.expire_ts == 0
    if refuses(st, explain, Code.EXPIRE_TIME_INVALID, passed, now, order.expire_ts, Scope.NONE):
        return Code.EXPIRE_TIME_INVALID
    position = st.positions[position_index(st, order.account, order.symbol)]
    reducible = reducible_by(position.quantity, order.side)
    remaining = left_of(st)
    passed = (order.flags & OrderFlag.REDUCE_ONLY) == 0 or remaining <= reducible
    if refuses(st, explain, Code.REDUCE_ONLY, passed, reducible, remaining, Scope.ACCOUNT_SYMBOL):
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
def _past_mark(st: State, explain: bool, basis_points: int, scope: int) -> tuple[int, int]:
    """For PRICE_MOVE_BPS, where it is set: a refusal, and the mark of a window ago; 0: none is needed."""
    order = st.candidate[0]
    if basis_points == UNLIMITED or order.waiting or st.instruments[order.symbol].mark == 0:
        return Code.NONE, 0
    past, age = past_mark_of(st, order.symbol)
    allowed = 2 * st.firm[0].policy[Policy.COLLAR_WINDOW_US]
    if refuses(st, explain, Code.MARKET_DATA_STALE, past > 0, allowed, age, scope):
        return Code.MARKET_DATA_STALE, 0
    return Code.NONE, past


@force_inline
def _check_move(st: State, explain: bool, past: int, basis_points: int, scope: int) -> int:
    """How far the price, or the mark where there is none, is from the mark as it was a while ago."""
    order = st.candidate[0]
    price = order.price if order.price > 0 else st.instruments[order.symbol].mark
    allowed = basis_points_of(past, basis_points)
    distance = abs(price - past)
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
    move_max, mover = tightest(st, Limit.PRICE_MOVE_BPS, order.account, order.symbol)
    code, past = _past_mark(st, explain, move_max, mover)
    if code != Code.NONE:
        return code
    if needs_price(order.type):
        # The price of a stop-limit order matters once its stop price is reached.
        reference = reference_of(st, order)
        distance_max, scope = collar_of(st, order.account, order.symbol, reference)
        distance = abs(order.price - reference)
        passed = distance <= distance_max
        if refuses(st, explain, Code.PRICE_COLLAR, passed, distance_max, distance, scope):
            return Code.PRICE_COLLAR
    return Code.NONE if past == 0 else _check_move(st, explain, past, move_max, mover)


@force_inline
def _check_size(st: State, explain: bool, how: int, effect: Effect) -> int:
    order = st.candidate[0]
    account = order.account
    symbol = order.symbol
    instrument = st.instruments[symbol]
    quantity = order.quantity * instrument.quantity_step_e8
    allowed, scope = tightest(st, Limit.MAX_ORDER_QUANTITY, account, symbol)
    if refuses(st, explain, Code.MAX_ORDER_QUANTITY, quantity <= allowed, allowed, quantity, scope):
        return Code.MAX_ORDER_QUANTITY
    notional = effect.price * order.quantity * instrument.multiplier
    allowed, scope = tightest(st, Limit.MAX_ORDER_NOTIONAL, account, symbol)
    if refuses(st, explain, Code.MAX_ORDER_NOTIONAL, notional <= allowed, allowed, notional, scope):
        return Code.MAX_ORDER_NOTIONAL
    if how != AMEND and how != FIRE:
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
def _check_form(st: State, explain: bool, how: int, fault: int, duplicate: bool, closing: bool) -> int:
    """What the order itself says."""
    code = _check_prices(st, explain, how, fault)
    if code != Code.NONE:
        return code
    code = _check_quantity(st, explain, how, fault, closing)
    if code != Code.NONE or (explain and not closing and not _can_be_valued(st, fault)):
        return code
    return _check_instructions(st, explain, duplicate)


@force_inline
def _check_holdings(st: State, explain: bool, effect: Effect) -> int:
    """What the account and the firm could come to hold, trade and lose."""
    code = check_exposure(st, explain, effect)
    if code != Code.NONE:
        return code
    code = check_turnover(st, explain, effect)
    if code != Code.NONE:
        return code
    return check_losses(st, explain, effect.reducing)


@force_inline
def only_lowers(st: State, how: int, fault: int) -> bool:
    """Whether the candidate is an order amended to less at the same prices: that is never refused."""
    order = st.candidate[0]
    if how != AMEND or fault != 0:
        return False
    before = st.orders[order.order_id & SLOT_MASK]
    same = order.price == before.price and order.stop_price == before.stop_price
    return bool(same and order.quantity < before.quantity)


@force_inline
def check_order(st: State, explain: bool, how: int, fault: int, duplicate: bool, lacking: int) -> int:
    """The code of the first check that the candidate fails, Code.NONE where it passes all.

    `how`: NEW, AMEND, FIRE, CLOSE or CLOSE_BESIDE. `lacking`: whose rate leaves no token for it, as of
    `app.engine.rates.take_tokens`.
    """
    if only_lowers(st, how, fault):
        return _check_quantity(st, explain, how, fault, False)
    code = _check_reference(st, explain)
    if code != Code.NONE:
        return code
    order = st.candidate[0]
    if order.account < 0 or order.symbol < 0:  # explained so far; nothing more can be looked up
        return Code.NONE
    closing = fault == 0 and closes_all(st, how)
    if how != FIRE:
        code = _check_form(st, explain, how, fault, duplicate, closing)
        if code != Code.NONE:
            return code
        if explain and not closing and not _can_be_valued(st, fault):
            return Code.NONE
    if not closing and how != FIRE:
        code = check_rate(st, explain, lacking)
        if code != Code.NONE:
            return code
        code = check_repeats(st, explain, how != AMEND)
        if code != Code.NONE:
            return code
    return _check_risk(st, explain, how, closing)


@force_inline
def _check_risk(st: State, explain: bool, how: int, closing: bool) -> int:
    """The checks that a stop has to pass too when it fires."""
    order = st.candidate[0]
    restricted = restriction_of(st, order.account, order.symbol) != Code.NONE and only_reduces(st)
    if restricted and not explain:  # held to the position, also after the restriction has ended
        order.flags |= OrderFlag.REDUCE_ONLY
    if how == CLOSE and closing:
        return Code.NONE
    effect = effect_of(st, how, restricted)
    if closing:  # the account's own other orders may still lead beyond a limit once it is flat
        return _check_holdings(st, explain, effect)
    code = _check_market(st, explain)
    if code != Code.NONE:
        return code
    code = _check_size(st, explain, how, effect)
    if code != Code.NONE:
        return code
    code = _check_holdings(st, explain, effect)
    if code != Code.NONE:
        return code
    if how != FIRE:
        code = check_order_to_trade(st, explain, effect.reducing)
        if code != Code.NONE:
            return code
    return check_portfolio(st, explain, effect)
