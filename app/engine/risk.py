"""Pre-trade check: whether an order may go to the venue, and if not, why.

The order under check is `State.candidate`: a new one, an amended one, or a stop whose price has
been reached. Checks run in the order of `app.engine.codes`. The first that fails gives the code,
and its verdict is in `State.verdicts` (`app.engine.verdicts`) with the limit and the observed
value. With `explain` every check leaves its verdict, nothing stops at the first, and no state
changes.

An order that only reduces a position is exempt from the limits of positions, exposure, turnover and
losses (`app.engine.effect`), and one that closes all of it from those of size, rate and prices too:
a position can always be closed by whoever may trade.
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
from app.engine.verdicts import judge, judge_limit

_ALLOWED = int(Permission.ALLOWED)
_NOT_NEEDED = -1


@force_inline
def _check_reference(st: State, explain: bool) -> int:
    order = st.candidate[0]
    account = order.account
    symbol = order.symbol
    state, scope = strictest_state(st, account, symbol)
    reducing = account >= 0 and symbol >= 0 and only_reduces(st)
    may_trade = state < TradingState.REDUCING or reducing
    has_limits = account < 0 or st.accounts[account].limits_set != 0
    return (
        judge(st, explain, Code.TRADING_HALTED, state < TradingState.HALTED, 0, state, scope)
        or judge(st, explain, Code.REDUCING_ONLY, may_trade, 0, state, scope)
        or judge(st, explain, Code.LIMITS_NOT_SET, has_limits, 1, 0, Scope.ACCOUNT)
        or judge(st, explain, Code.UNKNOWN_ACCOUNT, account >= 0, 0, 0, Scope.ACCOUNT)
        or judge(st, explain, Code.UNKNOWN_SYMBOL, symbol >= 0, 0, 0, Scope.SYMBOL)
        or _check_symbol(st, explain, reducing)
    )


@force_inline
def _check_symbol(st: State, explain: bool, reducing: bool) -> int:
    """Whether the account may trade the symbol, if both are known."""
    order = st.candidate[0]
    if order.account < 0 or order.symbol < 0:
        return Code.NONE
    status = st.instruments[order.symbol].status
    permission = permission_of(st, order.account, order.symbol)
    trades = status == InstrumentStatus.TRADING
    allowed = permission == Permission.ALLOWED or reducing
    code = judge(st, explain, Code.SYMBOL_NOT_TRADING, trades, 1, status, Scope.SYMBOL)
    return code or judge(
        st, explain, Code.SYMBOL_RESTRICTED, allowed, _ALLOWED, permission, Scope.ACCOUNT_SYMBOL
    )


@force_inline
def _check_prices(st: State, explain: bool, how: int, fault: int) -> int:
    order = st.candidate[0]
    instrument = st.instruments[order.symbol]
    priced = needs_price(order.type)
    range_fault = (fault & Fault.PRICE_RANGE) != 0
    tick_fault = (fault & Fault.PRICE_TICK) != 0
    given = not priced or order.price != 0 or range_fault or tick_fault
    in_range = not range_fault and 0 <= order.price <= (instrument.max_price if priced else 0)
    return (
        judge(st, explain, Code.PRICE_REQUIRED, given, 1, 0, Scope.NONE)
        or judge(st, explain, Code.PRICE_INVALID, in_range, instrument.max_price, order.price, Scope.SYMBOL)
        or judge(st, explain, Code.PRICE_TICK, not tick_fault, 1, 0, Scope.SYMBOL)
        or _check_stop_price(st, explain, how, fault)
    )


@force_inline
def _check_stop_price(st: State, explain: bool, how: int, fault: int) -> int:
    order = st.candidate[0]
    instrument = st.instruments[order.symbol]
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
    return judge(st, explain, Code.STOP_PRICE_INVALID, passed, instrument.mark, stop, Scope.SYMBOL)


@force_inline
def _can_be_valued(st: State, fault: int) -> bool:
    """Whether products of the candidate's numbers fit."""
    order = st.candidate[0]
    instrument = st.instruments[order.symbol]
    return (
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
    least = instrument.min_quantity
    most = instrument.max_quantity
    step_fault = (fault & Fault.QUANTITY_STEP) != 0
    range_fault = (fault & Fault.QUANTITY_RANGE) != 0
    held = st.positions[position_index(st, order.account, order.symbol)].quantity
    reduce_only = (order.flags & OrderFlag.REDUCE_ONLY) != 0  # the rest of a position may be small
    all_of_it = reduce_only and 0 < left_of(st) == reducible_by(held, order.side)
    enough = range_fault or quantity >= least or all_of_it
    enough = enough and (fault & Fault.QUANTITY_ZERO) == 0
    sliced = closing and (how == CLOSE or how == CLOSE_BESIDE)  # see `app.engine.closing`
    fits = not range_fault and (quantity <= most or sliced)
    return (
        judge(st, explain, Code.QUANTITY_STEP, not step_fault, 1, 0, Scope.SYMBOL)
        or judge(st, explain, Code.QUANTITY_MIN, enough, least, quantity, Scope.SYMBOL)
        or judge(st, explain, Code.QUANTITY_MAX, fits, most, quantity, Scope.SYMBOL)
        or _check_notional(st, explain, fault, closing)
    )


@force_inline
def _check_notional(st: State, explain: bool, fault: int, closing: bool) -> int:
    if closing or not _can_be_valued(st, fault):  # only explained; a check has ended here
        return Code.NONE
    order = st.candidate[0]
    instrument = st.instruments[order.symbol]
    price = worth_of(st, order)
    notional = price * order.quantity * instrument.multiplier
    reduce_only = (order.flags & OrderFlag.REDUCE_ONLY) != 0
    passed = reduce_only or notional >= instrument.min_notional or price == 0
    return judge(st, explain, Code.NOTIONAL_MIN, passed, instrument.min_notional, notional, Scope.SYMBOL)


@force_inline
def _check_instructions(st: State, explain: bool, duplicate: bool) -> int:
    order = st.candidate[0]
    now = st.firm[0].ts
    until_time = order.time_in_force == TimeInForce.GTD
    lasts = order.expire_ts > now if until_time else order.expire_ts == 0
    position = st.positions[position_index(st, order.account, order.symbol)]
    reducible = reducible_by(position.quantity, order.side)
    remaining = left_of(st)
    reduces = (order.flags & OrderFlag.REDUCE_ONLY) == 0 or remaining <= reducible
    can_rest = needs_price(order.type) and (until_time or order.time_in_force == TimeInForce.GTC)
    makes = (order.flags & OrderFlag.POST_ONLY) == 0 or can_rest
    return (
        judge(st, explain, Code.EXPIRE_TIME_INVALID, lasts, now, order.expire_ts, Scope.NONE)
        or judge(st, explain, Code.REDUCE_ONLY, reduces, reducible, remaining, Scope.ACCOUNT_SYMBOL)
        or judge(st, explain, Code.POST_ONLY_WOULD_TAKE, makes, 0, 0, Scope.NONE)
        or judge(st, explain, Code.DUPLICATE_CLIENT_ORDER_ID, not duplicate, 0, 0, Scope.ACCOUNT)
    )


@force_inline
def _past_mark(st: State, basis_points: int) -> tuple[int, int]:
    """For PRICE_MOVE_BPS: the mark of a window ago, and its age; `_NOT_NEEDED` if it does not apply."""
    order = st.candidate[0]
    if basis_points == UNLIMITED or order.waiting or st.instruments[order.symbol].mark == 0:
        return _NOT_NEEDED, 0
    return past_mark_of(st, order.symbol)


@force_inline
def _check_past_mark(st: State, explain: bool, past: int, age: int, scope: int) -> int:
    if past == _NOT_NEEDED:
        return Code.NONE
    allowed = 2 * st.firm[0].policy[Policy.COLLAR_WINDOW_US]
    return judge(st, explain, Code.MARKET_DATA_STALE, past > 0, allowed, age, scope)


@force_inline
def _check_collar(st: State, explain: bool) -> int:
    order = st.candidate[0]
    if not needs_price(order.type):
        return Code.NONE
    # The price of a stop-limit order matters once its stop price is reached.
    reference = reference_of(st, order)
    allowed, scope = collar_of(st, order.account, order.symbol, reference)
    return judge_limit(st, explain, Code.PRICE_COLLAR, allowed, abs(order.price - reference), scope)


@force_inline
def _check_move(st: State, explain: bool, past: int, basis_points: int, scope: int) -> int:
    """Distance of the price, or of the mark if there is none, from the mark of a window ago."""
    if past <= 0:
        return Code.NONE
    order = st.candidate[0]
    price = order.price if order.price > 0 else st.instruments[order.symbol].mark
    allowed = basis_points_of(past, basis_points)
    return judge_limit(st, explain, Code.PRICE_COLLAR, allowed, abs(price - past), scope)


@force_inline
def _check_market(st: State, explain: bool) -> int:
    order = st.candidate[0]
    instrument = st.instruments[order.symbol]
    age_max, scope = tightest(st, Limit.MAX_MARK_AGE, order.account, order.symbol)
    age = st.firm[0].ts - instrument.mark_ts if instrument.mark > 0 else UNLIMITED
    fresh = instrument.mark > 0 and age <= age_max
    code = judge(st, explain, Code.MARKET_DATA_STALE, fresh, age_max, age, scope)
    if code:
        return code
    move_max, mover = tightest(st, Limit.PRICE_MOVE_BPS, order.account, order.symbol)
    past, past_age = _past_mark(st, move_max)
    return (
        _check_past_mark(st, explain, past, past_age, mover)
        or _check_collar(st, explain)
        or _check_move(st, explain, past, move_max, mover)
    )


@force_inline
def _check_tightest(st: State, explain: bool, code: int, limit: int, observed: int) -> int:
    """A limit of single orders: of all scopes that have it the smallest value applies."""
    order = st.candidate[0]
    allowed, scope = tightest(st, limit, order.account, order.symbol)
    return judge_limit(st, explain, code, allowed, observed, scope)


@force_inline
def _check_size(st: State, explain: bool, how: int, effect: Effect) -> int:
    order = st.candidate[0]
    instrument = st.instruments[order.symbol]
    quantity = order.quantity * instrument.quantity_step_e8
    notional = effect.price * order.quantity * instrument.multiplier
    return (
        _check_tightest(st, explain, Code.MAX_ORDER_QUANTITY, Limit.MAX_ORDER_QUANTITY, quantity)
        or _check_tightest(st, explain, Code.MAX_ORDER_NOTIONAL, Limit.MAX_ORDER_NOTIONAL, notional)
        or _check_open_orders(st, explain, how)
    )


@force_inline
def _check_open_orders(st: State, explain: bool, how: int) -> int:
    if how == AMEND or how == FIRE:  # it is open already
        return Code.NONE
    order = st.candidate[0]
    at = position_index(st, order.account, order.symbol)
    count = st.accounts[order.account].open_orders + 1
    allowed = limit_in(st.account_limits[order.account :], Limit.MAX_OPEN_ORDERS)
    code = judge_limit(st, explain, Code.MAX_OPEN_ORDERS, allowed, count, Scope.ACCOUNT)
    count = st.positions[at].open_orders + 1
    allowed = limit_in(st.account_symbol_limits[at:], Limit.MAX_OPEN_ORDERS)
    return code or judge_limit(st, explain, Code.MAX_OPEN_ORDERS, allowed, count, Scope.ACCOUNT_SYMBOL)


@force_inline
def _check_form(st: State, explain: bool, how: int, fault: int, duplicate: bool, closing: bool) -> int:
    """Checks of the order's own members."""
    code = _check_prices(st, explain, how, fault) or _check_quantity(st, explain, how, fault, closing)
    if code or (explain and not closing and not _can_be_valued(st, fault)):
        return code
    return _check_instructions(st, explain, duplicate)


@force_inline
def _check_flow(st: State, explain: bool, how: int, closing: bool, lacking: int) -> int:
    """Rate and repeats of the account's orders: a close is not throttled, a stop has been sent before."""
    if closing or how == FIRE:
        return Code.NONE
    return check_rate(st, explain, lacking) or check_repeats(st, explain, how != AMEND)


@force_inline
def _check_holdings(st: State, explain: bool, effect: Effect) -> int:
    """What the account and the firm could come to hold, trade and lose."""
    return (
        check_exposure(st, explain, effect)
        or check_turnover(st, explain, effect)
        or check_losses(st, explain, effect.reducing)
    )


@force_inline
def only_lowers(st: State, how: int, fault: int) -> bool:
    """Whether the candidate is an order amended to less at the same prices: that is never refused."""
    order = st.candidate[0]
    if how != AMEND or fault != 0:
        return False
    before = st.orders[order.order_id & SLOT_MASK]
    same = order.price == before.price and order.stop_price == before.stop_price
    return same and order.quantity < before.quantity


@force_inline
def check_order(st: State, explain: bool, how: int, fault: int, duplicate: bool, lacking: int) -> int:
    """The code of the first check that the candidate fails, Code.NONE if it passes all.

    `how`: NEW, AMEND, FIRE, CLOSE or CLOSE_BESIDE. `lacking`: the scope without a token for it, as of
    `app.engine.rates.take_tokens`.
    """
    if only_lowers(st, how, fault):
        return _check_quantity(st, explain, how, fault, closing=False)
    code = _check_reference(st, explain)
    order = st.candidate[0]
    if code or order.account < 0 or order.symbol < 0:  # explained so far: nothing more can be looked up
        return code
    closing = fault == 0 and closes_all(st, how)
    if how != FIRE:
        code = _check_form(st, explain, how, fault, duplicate, closing)
        if code or (explain and not closing and not _can_be_valued(st, fault)):
            return code
    return _check_flow(st, explain, how, closing, lacking) or _check_risk(st, explain, how, closing)


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
    return (
        _check_market(st, explain)
        or _check_size(st, explain, how, effect)
        or _check_holdings(st, explain, effect)
        or check_order_to_trade(st, explain, effect.reducing or how == FIRE)
        or check_portfolio(st, explain, effect)
    )
