"""Trading states of firm, accounts and symbols: set by a person, or by a breaker that trips.

Breakers are checked once all that belongs together is booked (`app.engine.consequences`), and when
time passes. A tripped state stays until a person resumes; while its limit is still broken it trips
again, so that limit is raised or overridden first.

Under a restriction, open orders that could increase a position are canceled, and the others are
held to it (`app.engine.trimming`). The events of the state and of the breaker say how many orders
of the scope stay open (`resting`) and how many are asked to end (`ending`).
"""

from app.engine.codes import Code
from app.engine.emission import emit, room_for_events
from app.engine.exposure_checks import leverage_of
from app.engine.jit import force_inline, inline
from app.engine.limits import UNLIMITED, limit_in
from app.engine.positions import equity_of
from app.engine.repeats import forget_repeats
from app.engine.restrictions import count_open, start_trimming
from app.engine.state import NO_SLOT, State
from app.engine.stop_heap import SUSPENDED, hold_stop
from app.engine.types import EventKind, Limit, Scope, StateFlag, TradingState

_EVENTS_OF_A_TRIP = 2
_LOSS_LIMITS = (1 << Limit.DAILY_LOSS) | (1 << Limit.MAX_DRAWDOWN)


@inline
def _forget_counts(st: State, scope: int, account: int, symbol: int) -> None:
    """Reset the counts towards breakers of the scope."""
    if scope == Scope.ACCOUNT:
        st.accounts[account].rejections = 0
        forget_repeats(st, account)
    elif scope == Scope.SYMBOL:
        st.instruments[symbol].rejections = 0


@inline
def look_again(st: State, scope: int, account: int, symbol: int) -> None:
    """A halt has ended: stops may have been reached meanwhile."""
    if scope == Scope.ACCOUNT:
        slot = st.accounts[account].first_open
        while slot != NO_SLOT:
            if st.orders[slot].waiting == SUSPENDED:
                hold_stop(st, slot)
            slot = st.orders[slot].next
    for number in range(st.firm[0].symbols):
        if scope != Scope.SYMBOL or number == symbol:
            st.instruments[number].stops_due = 1
    st.firm[0].stops_due = 1


@inline
def put_state(st: State, scope: int, account: int, symbol: int, state: int, cause: int, actor: int) -> int:
    """Set the state of a scope that exists; returns its event."""
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
    if old == TradingState.HALTED and state != TradingState.HALTED:
        look_again(st, scope, account, symbol)
    resting, ending = count_open(st, scope, account, symbol)
    at = emit(st, EventKind.TRADING_STATE_SET)
    event = st.state_events[at]
    event.resting = resting
    event.ending = ending
    event.account = account
    event.symbol = symbol
    event.scope = scope
    event.cause = cause
    event.state = state
    event.old_state = old
    event.actor = actor
    return at


@inline
def set_trading_state(st: State, i: int) -> bool:
    """Apply SET_TRADING_STATE; returns whether it was done."""
    c = st.commands[i]
    known = c.state <= TradingState.HALTED and (
        c.scope == Scope.FIRM
        or (c.scope == Scope.ACCOUNT and 0 <= c.account < st.firm[0].accounts)
        or (c.scope == Scope.SYMBOL and 0 <= c.symbol < st.firm[0].symbols)
    )
    if not known:
        at = emit(st, EventKind.COMMAND_REJECTED)
        event = st.rejection_events[at]
        event.account = c.account
        event.symbol = c.symbol
        event.code = Code.INVALID_VALUE
        return False
    at = put_state(st, c.scope, c.account, c.symbol, c.state, Code.NONE, c.actor)
    st.state_events[at].notes = c.notes
    if c.state != TradingState.ACTIVE and not c.flags & StateFlag.CANCEL_OPEN:
        start_trimming(st, c.scope, c.account, c.symbol)
    return True


# Breakers.


@inline
def trip(
    st: State, scope: int, account: int, symbol: int, state: int, cause: int, limit: int, observed: int
) -> None:
    """Stop trading in a scope whose state was less strict: two events, and trimming of its orders."""
    old = st.firm[0].trading_state
    if scope == Scope.ACCOUNT:
        old = st.accounts[account].trading_state
    elif scope == Scope.SYMBOL:
        old = st.instruments[symbol].trading_state
    at = emit(st, EventKind.BREAKER_TRIPPED)
    event = st.breaker_events[at]
    event.account = account
    event.symbol = symbol
    event.scope = scope
    event.cause = cause
    event.limit = limit
    event.observed = observed
    event.state = state
    event.old_state = old
    state_set = st.state_events[put_state(st, scope, account, symbol, state, cause, 0)]
    event.resting = state_set.resting
    event.ending = state_set.ending
    start_trimming(st, scope, account, symbol)


@inline
def _maintenance_leverage(st: State, account: int) -> int:
    """Positions over equity in hundredths beyond which an account may only reduce.

    Unset, it is twice the account's leverage: then equity is half the margin of opening.
    """
    allowed = limit_in(st.account_limits[account:], Limit.MAINTENANCE_LEVERAGE)
    return 200 * st.accounts[account].leverage if allowed == UNLIMITED else allowed


@force_inline
def is_firm_broken(st: State) -> bool:
    """Whether the firm has lost too much and still trades."""
    firm = st.firm[0]
    if st.firm_limits[0].set_mask & _LOSS_LIMITS == 0 or firm.trading_state != TradingState.ACTIVE:
        return False
    lost = firm.day_start_equity - firm.equity > limit_in(st.firm_limits, Limit.DAILY_LOSS)
    return lost or firm.peak_equity - firm.equity > limit_in(st.firm_limits, Limit.MAX_DRAWDOWN)


@force_inline
def is_account_broken(st: State, account: int) -> bool:
    """Whether an account has lost too much, or has too little for its positions, and still trades."""
    record = st.accounts[account]
    if record.trading_state != TradingState.ACTIVE:
        return False
    equity = equity_of(st, account)
    if equity < 0:
        return True
    limits = st.account_limits[account:]
    if limits[0].set_mask & _LOSS_LIMITS:
        lost = record.day_start_equity - equity > limit_in(limits, Limit.DAILY_LOSS)
        if lost or record.peak_equity - equity > limit_in(limits, Limit.MAX_DRAWDOWN):
            return True
    value = record.gross_value
    if value <= equity and limit_in(limits, Limit.MAINTENANCE_LEVERAGE) == UNLIMITED:
        return False  # below one time, and the leverage of an account is never less
    return leverage_of(value, equity) > _maintenance_leverage(st, account)


@force_inline
def forget_rejections(st: State, account: int, symbol: int) -> None:
    """The venue has accepted an order: its count of rejections restarts."""
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
def _trip_losses(st: State, scope: int, account: int, day_loss: int, drawdown: int) -> bool:
    limits = st.firm_limits[0:] if scope == Scope.FIRM else st.account_limits[account:]
    allowed = limit_in(limits, Limit.DAILY_LOSS)
    if day_loss > allowed:
        trip(st, scope, account, -1, TradingState.REDUCING, Code.DAILY_LOSS, allowed, day_loss)
        return True
    allowed = limit_in(limits, Limit.MAX_DRAWDOWN)
    if drawdown > allowed:
        trip(st, scope, account, -1, TradingState.REDUCING, Code.MAX_DRAWDOWN, allowed, drawdown)
        return True
    return False


@inline
def _trip_margin(st: State, account: int, equity: int) -> bool:
    reducing = TradingState.REDUCING
    if equity < 0:
        trip(st, Scope.ACCOUNT, account, -1, reducing, Code.NEGATIVE_EQUITY, 0, equity)
        return True
    leverage = leverage_of(st.accounts[account].gross_value, equity)
    allowed = _maintenance_leverage(st, account)
    if leverage > allowed:
        trip(st, Scope.ACCOUNT, account, -1, reducing, Code.MAINTENANCE_LEVERAGE, allowed, leverage)
        return True
    return False


@inline
def _trip_account(st: State, account: int) -> bool:
    record = st.accounts[account]
    allowed = limit_in(st.account_limits[account:], Limit.VENUE_REJECTIONS)
    if record.rejections >= allowed and record.trading_state < TradingState.HALTED:
        halted = TradingState.HALTED
        trip(st, Scope.ACCOUNT, account, -1, halted, Code.VENUE_REJECTIONS, allowed, record.rejections)
        return True
    if record.trading_state != TradingState.ACTIVE:
        return False
    equity = equity_of(st, account)
    loss = record.day_start_equity - equity
    return _trip_losses(st, Scope.ACCOUNT, account, loss, record.peak_equity - equity) or _trip_margin(
        st, account, equity
    )


@inline
def _trip_symbol(st: State, symbol: int) -> bool:
    instrument = st.instruments[symbol]
    allowed = limit_in(st.symbol_limits[symbol:], Limit.VENUE_REJECTIONS)
    if instrument.rejections < allowed or instrument.trading_state == TradingState.HALTED:
        return False
    halted = TradingState.HALTED
    trip(st, Scope.SYMBOL, -1, symbol, halted, Code.VENUE_REJECTIONS, allowed, instrument.rejections)
    return True


@inline
def trip_next(st: State) -> bool:
    """After an alarm: stop the next scope whose limit is broken; False if it has to be resumed.

    One at a time, because the orders of its scope are trimmed before the next one is checked.
    """
    firm = st.firm[0]
    if room_for_events(st) < _EVENTS_OF_A_TRIP:
        return False
    if firm.trading_state == TradingState.ACTIVE:
        loss = firm.day_start_equity - firm.equity
        if _trip_losses(st, Scope.FIRM, -1, loss, firm.peak_equity - firm.equity):
            return True
    for account in range(firm.accounts):
        if _trip_account(st, account):
            return True
    for symbol in range(firm.symbols):
        if _trip_symbol(st, symbol):
            return True
    firm.alarm = 0
    return True


@force_inline
def is_overdue(st: State, symbol: int, now: int) -> bool:
    """Whether a symbol's mark is so old that the symbol halts."""
    instrument = st.instruments[symbol]
    allowed = limit_in(st.symbol_limits[symbol:], Limit.MARK_HALT_AGE)
    return (
        allowed != UNLIMITED
        and instrument.mark > 0
        and instrument.trading_state < TradingState.HALTED
        and now - instrument.mark_ts > allowed
    )


@inline
def overdue_symbol(st: State) -> int:
    """The first symbol that has to halt because its mark is too old, NO_SLOT where there is none."""
    firm = st.firm[0]
    for symbol in range(firm.symbols):
        if is_overdue(st, symbol, firm.ts):
            return symbol
    return NO_SLOT


@inline
def halt_overdue(st: State, symbol: int) -> None:
    """Halt a symbol whose mark is too old."""
    allowed = limit_in(st.symbol_limits[symbol:], Limit.MARK_HALT_AGE)
    age = st.firm[0].ts - st.instruments[symbol].mark_ts
    trip(st, Scope.SYMBOL, -1, symbol, TradingState.HALTED, Code.MARKET_DATA_STALE, allowed, age)
