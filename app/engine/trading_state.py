"""Trading states of firm, accounts and symbols: set by a person, or by a breaker that trips.

Breakers look after every fill, mark and refusal of the venue (`firm.alarm`), and when time
passes. What has tripped stays so until a person resumes; while its limit is still broken it trips
again, so that limit is raised or overridden first.
"""

from app.engine.codes import Code
from app.engine.emission import emit, room_for_events
from app.engine.jit import force_inline, inline
from app.engine.limits import UNLIMITED, limit_in
from app.engine.positions import equity_of
from app.engine.repeats import forget_repeats
from app.engine.state import State
from app.engine.types import EventKind, Limit, Scope, TradingState

_EVENTS_OF_A_TRIP = 2
_LOSS_LIMITS = (1 << Limit.DAILY_LOSS) | (1 << Limit.MAX_DRAWDOWN)


@inline
def _forget_counts(st: State, scope: int, account: int, symbol: int) -> None:
    """What has been counted towards a breaker of the scope begins anew."""
    if scope == Scope.ACCOUNT:
        st.accounts[account].rejections = 0
        forget_repeats(st, account)
    elif scope == Scope.SYMBOL:
        st.instruments[symbol].rejections = 0


@inline
def put_state(st: State, scope: int, account: int, symbol: int, state: int, cause: int, actor: int) -> int:
    """Set the state of a scope that exists; the event that tells of it."""
    old = 0
    if scope == Scope.FIRM:
        firm = st.firm[0]
        old = firm.trading_state
        firm.trading_state = state
        firm.state_cause = cause
        firm.state_ts = firm.ts
        firm.state_actor = actor
    elif scope == Scope.ACCOUNT:
        record = st.accounts[account]
        old = record.trading_state
        record.trading_state = state
        record.state_cause = cause
        record.state_ts = st.firm[0].ts
        record.state_actor = actor
    else:
        instrument = st.instruments[symbol]
        old = instrument.trading_state
        instrument.trading_state = state
        instrument.state_cause = cause
        instrument.state_ts = st.firm[0].ts
        instrument.state_actor = actor
    if state == TradingState.ACTIVE:
        _forget_counts(st, scope, account, symbol)
    at = emit(st, EventKind.TRADING_STATE_SET)
    event = st.events[at]
    event.account = account
    event.symbol = symbol
    event.scope = scope
    event.code = cause
    event.limit = state
    event.observed = old
    event.fee = actor
    return at


@inline
def set_trading_state(st: State, i: int) -> bool:
    """TRADING_STATE_SET tells the new state as `limit` and the old one as `observed`; whether it was done."""
    c = st.commands[i]
    known = c.state <= TradingState.HALTED and (
        c.scope == Scope.FIRM
        or (c.scope == Scope.ACCOUNT and 0 <= c.account < st.firm[0].accounts)
        or (c.scope == Scope.SYMBOL and 0 <= c.symbol < st.firm[0].symbols)
    )
    if not known:
        at = emit(st, EventKind.COMMAND_REJECTED)
        st.events[at].account = c.account
        st.events[at].symbol = c.symbol
        st.events[at].code = Code.INVALID_VALUE
        return False
    at = put_state(st, c.scope, c.account, c.symbol, c.state, Code.NONE, c.actor)
    st.events[at].notes = c.notes
    return True


# Breakers.


@inline
def trip(
    st: State, scope: int, account: int, symbol: int, state: int, cause: int, limit: int, observed: int
) -> None:
    """Stop trading in a scope that is less strict so far: two events."""
    old = st.firm[0].trading_state
    if scope == Scope.ACCOUNT:
        old = st.accounts[account].trading_state
    elif scope == Scope.SYMBOL:
        old = st.instruments[symbol].trading_state
    at = emit(st, EventKind.BREAKER_TRIPPED)
    event = st.events[at]
    event.account = account
    event.symbol = symbol
    event.scope = scope
    event.code = cause
    event.limit = limit
    event.observed = observed
    event.status = state
    event.liquidity = old
    put_state(st, scope, account, symbol, state, cause, 0)


@force_inline
def touch_firm(st: State) -> None:
    """After what moves equity: the firm's peak, and whether the firm has lost too much."""
    firm = st.firm[0]
    firm.peak_equity = max(firm.peak_equity, firm.equity)
    limits = st.firm_limits[0]
    if limits.set_mask & _LOSS_LIMITS and firm.trading_state == TradingState.ACTIVE:
        lost = firm.day_start_equity - firm.equity > limit_in(st.firm_limits, Limit.DAILY_LOSS)
        fallen = firm.peak_equity - firm.equity > limit_in(st.firm_limits, Limit.MAX_DRAWDOWN)
        if lost or fallen:
            firm.alarm = 1


@force_inline
def touch_account(st: State, account: int) -> None:
    """After what moves an account's equity: whether it has lost too much."""
    limits = st.account_limits[account:]
    if limits[0].set_mask & _LOSS_LIMITS:
        record = st.accounts[account]
        equity = equity_of(st, account)
        lost = record.day_start_equity - equity > limit_in(limits, Limit.DAILY_LOSS)
        fallen = record.peak_equity - equity > limit_in(limits, Limit.MAX_DRAWDOWN)
        if (lost or fallen) and record.trading_state == TradingState.ACTIVE:
            st.firm[0].alarm = 1


@force_inline
def forget_rejections(st: State, account: int, symbol: int) -> None:
    """The venue has taken an order: what it refuses from now on is counted anew."""
    st.accounts[account].rejections = 0
    st.instruments[symbol].rejections = 0


@inline
def count_rejection(st: State, account: int, symbol: int) -> None:
    holder = st.accounts[account]
    instrument = st.instruments[symbol]
    holder.rejections += 1
    instrument.rejections += 1
    account_max = limit_in(st.account_limits[account:], Limit.VENUE_REJECTIONS)
    symbol_max = limit_in(st.symbol_limits[symbol:], Limit.VENUE_REJECTIONS)
    if holder.rejections >= account_max or instrument.rejections >= symbol_max:
        st.firm[0].alarm = 1


@inline
def _trip_losses(st: State, scope: int, account: int, day_loss: int, drawdown: int) -> None:
    limits = st.firm_limits[0:] if scope == Scope.FIRM else st.account_limits[account:]
    allowed = limit_in(limits, Limit.DAILY_LOSS)
    if day_loss > allowed:
        trip(st, scope, account, -1, TradingState.REDUCING, Code.DAILY_LOSS, allowed, day_loss)
        return
    allowed = limit_in(limits, Limit.MAX_DRAWDOWN)
    if drawdown > allowed:
        trip(st, scope, account, -1, TradingState.REDUCING, Code.MAX_DRAWDOWN, allowed, drawdown)


@inline
def _trip_account(st: State, account: int) -> None:
    record = st.accounts[account]
    allowed = limit_in(st.account_limits[account:], Limit.VENUE_REJECTIONS)
    if record.rejections >= allowed and record.trading_state < TradingState.HALTED:
        halted = TradingState.HALTED
        trip(st, Scope.ACCOUNT, account, -1, halted, Code.VENUE_REJECTIONS, allowed, record.rejections)
    elif record.trading_state == TradingState.ACTIVE:
        equity = equity_of(st, account)
        loss = record.day_start_equity - equity
        _trip_losses(st, Scope.ACCOUNT, account, loss, record.peak_equity - equity)


@inline
def trip_breakers(st: State) -> bool:
    """After an alarm: stop whoever has a limit broken; False if there was no room for all events."""
    firm = st.firm[0]
    if not firm.alarm:
        return True
    if room_for_events(st) < _EVENTS_OF_A_TRIP:
        return False
    if firm.trading_state == TradingState.ACTIVE:
        loss = firm.day_start_equity - firm.equity
        _trip_losses(st, Scope.FIRM, -1, loss, firm.peak_equity - firm.equity)
    for account in range(firm.accounts):
        if room_for_events(st) < _EVENTS_OF_A_TRIP:
            return False
        _trip_account(st, account)
    for symbol in range(firm.symbols):
        if room_for_events(st) < _EVENTS_OF_A_TRIP:
            return False
        instrument = st.instruments[symbol]
        allowed = limit_in(st.symbol_limits[symbol:], Limit.VENUE_REJECTIONS)
        if instrument.rejections >= allowed and instrument.trading_state < TradingState.HALTED:
            cause = Code.VENUE_REJECTIONS
            observed = instrument.rejections
            trip(st, Scope.SYMBOL, -1, symbol, TradingState.HALTED, cause, allowed, observed)
    firm.alarm = 0
    return True


@force_inline
def is_overdue(st: State, symbol: int, now: int) -> bool:
    """Whether a symbol's mark is so old that the symbol halts."""
    instrument = st.instruments[symbol]
    allowed = limit_in(st.symbol_limits[symbol:], Limit.MARK_HALT_AGE)
    return bool(
        allowed != UNLIMITED
        and instrument.mark > 0
        and instrument.trading_state < TradingState.HALTED
        and now - instrument.mark_ts > allowed
    )


@inline
def halt_overdue(st: State) -> bool:
    """When time passes: halt symbols without a new mark; False if there was no room for all events."""
    firm = st.firm[0]
    for symbol in range(firm.symbols):
        if is_overdue(st, symbol, firm.ts):
            if room_for_events(st) < _EVENTS_OF_A_TRIP:
                return False
            allowed = limit_in(st.symbol_limits[symbol:], Limit.MARK_HALT_AGE)
            age = firm.ts - st.instruments[symbol].mark_ts
            trip(st, Scope.SYMBOL, -1, symbol, TradingState.HALTED, Code.MARKET_DATA_STALE, allowed, age)
    return True
