"""Reference data: instruments, accounts, cash, trading states, marks, the day.

Money is added only if the sum is known to stay in range (`app.engine.capacity`); otherwise the
command is refused with VALUE_RANGE, and nothing changes.
"""

from app.engine.capacity import MONEY_MAX, SUM_MAX
from app.engine.codes import Code
from app.engine.emission import emit
from app.engine.instrument_rules import instrument_code, max_price_of, misfit, multiplier_of, order_in_the_way
from app.engine.jit import inline
from app.engine.limit_changes import refuse, reject
from app.engine.marks import remember_mark
from app.engine.positions import equity_of, position_index, reserve, revalue, touch_equity
from app.engine.records import ACCOUNT_NAME_WORDS, SYMBOL_WORDS
from app.engine.state import NO_SLOT, State
from app.engine.types import EventKind, InstrumentStatus, Permission, Scope
from app.engine.valuation import cost_of, fee_ppm_of

DAY_US = 86_400_000_000
LEVERAGE_MAX = 1_000  # of an account, whole times


@inline
def _is_in_use(st: State, i: int, max_price: int) -> bool:
    """Refuse a change that the mark or an open order would not fit; returns whether it was refused."""
    c = st.instrument_commands[i]
    mark = st.instruments[c.symbol].mark
    if mark > max_price:
        at = refuse(st, i, Code.INSTRUMENT_IN_USE, max_price, mark)
        st.rejection_events[at].price_bound = max_price
        return True
    slot = order_in_the_way(st, c, max_price)
    if slot == NO_SLOT:
        return False
    allowed, observed, is_price = misfit(st, slot, c, max_price)
    at = refuse(st, i, Code.INSTRUMENT_IN_USE, allowed, observed)
    event = st.rejection_events[at]
    event.blocking_order_id = st.orders[slot].order_id
    if is_price:
        event.price_bound = allowed
    else:
        event.quantity_bound = allowed
    return True


@inline
def _instrument_is_refused(st: State, i: int) -> bool:
    c = st.instrument_commands[i]
    firm = st.firm[0]
    code = instrument_code(st, c)
    if code == Code.QUOTE_NOT_SETTLED:
        at = refuse(st, i, code, 0, 0)
        st.rejection_events[at].limit = firm.settlement
        st.rejection_events[at].observed = c.quote
        return True
    if code != Code.NONE:
        reject(st, i, code)
        return True
    if c.symbol == firm.symbols:
        return False
    multiplier = multiplier_of(c.price_tick_e12, c.quantity_step_e8)
    return _is_in_use(st, i, max_price_of(c.max_quantity, multiplier))


@inline
def _reserve_higher_fee(st: State, symbol: int) -> None:
    """Fills of open orders cost more than was reserved for them; a lower fee releases no reservation."""
    for account in range(st.firm[0].accounts):
        if st.positions[position_index(st, account, symbol)].open_orders == 0:
            continue
        slot = st.accounts[account].first_open
        while slot != NO_SLOT:
            order = st.orders[slot]
            if order.symbol == symbol:
                cost = max(order.reserved_cost, cost_of(st, order, order.reserved))
                reserve(st, slot, order.reserved, order.reserved_price, cost)
            slot = order.next


@inline
def set_instrument(st: State, i: int) -> None:
    """Add the next instrument, or change one: all but its name, currency, tick and step."""
    if _instrument_is_refused(st, i):
        return
    c = st.instrument_commands[i]
    firm = st.firm[0]
    instrument = st.instruments[c.symbol]
    if firm.symbols == 0:
        firm.settlement = c.quote
    for word in range(SYMBOL_WORDS):
        instrument.name[word] = c.name[word]
    instrument.base = c.base
    instrument.quote = c.quote
    instrument.price_tick_e12 = c.price_tick_e12
    instrument.quantity_step_e8 = c.quantity_step_e8
    instrument.multiplier = multiplier_of(c.price_tick_e12, c.quantity_step_e8)
    instrument.min_quantity = c.min_quantity
    instrument.max_quantity = c.max_quantity
    instrument.max_price = max_price_of(c.max_quantity, instrument.multiplier)
    instrument.min_notional = c.min_notional
    fee_before = fee_ppm_of(instrument)
    instrument.maker_fee_ppm = c.maker_fee_ppm
    instrument.taker_fee_ppm = c.taker_fee_ppm
    instrument.mark_spread_max_bps = c.mark_spread_max_bps
    if c.status == InstrumentStatus.TRADING and instrument.status != InstrumentStatus.TRADING:
        instrument.stops_due = 1  # a mark may have reached them meanwhile
        firm.stops_due = 1
    instrument.status = c.status
    instrument.version += 1
    firm.symbols = max(firm.symbols, c.symbol + 1)
    if fee_ppm_of(instrument) > fee_before:
        _reserve_higher_fee(st, c.symbol)
    at = emit(st, EventKind.INSTRUMENT_SET)
    event = st.instrument_events[at]
    event.symbol = c.symbol
    event.status = c.status
    event.max_price = instrument.max_price


# Accounts and their cash.


@inline
def _account_code(st: State, i: int) -> int:
    c = st.account_commands[i]
    accounts = st.firm[0].accounts
    if c.account < 0 or c.account > accounts or c.name[0] == 0 or not 1 <= c.leverage <= LEVERAGE_MAX:
        return Code.INVALID_VALUE
    if c.account >= len(st.accounts):
        return Code.ACCOUNT_CAPACITY
    if c.account < accounts:
        for word in range(ACCOUNT_NAME_WORDS):
            if st.accounts[c.account].name[word] != c.name[word]:
                return Code.INVALID_VALUE
    return Code.NONE


@inline
def _margin_at(st: State, account: int, leverage: int) -> int:
    return (st.accounts[account].exposure + leverage - 1) // leverage


@inline
def _equity_for_margin(st: State, account: int) -> int:
    """Equity, less what fills of open orders may cost beyond their marks."""
    return equity_of(st, account) - max(st.accounts[account].open_cost, 0)


@inline
def set_account(st: State, i: int) -> None:
    """Add the next account, or change the leverage of one, as far as its margin allows."""
    c = st.account_commands[i]
    firm = st.firm[0]
    code = _account_code(st, i)
    if code != Code.NONE:
        reject(st, i, code)
        return
    account = st.accounts[c.account]
    old = account.leverage
    if c.account < firm.accounts and c.leverage < old:
        margin = _margin_at(st, c.account, c.leverage)
        there = _equity_for_margin(st, c.account)
        if margin > max(there, 0):
            refuse(st, i, Code.INSUFFICIENT_MARGIN, there, margin)
            return
    for word in range(ACCOUNT_NAME_WORDS):
        account.name[word] = c.name[word]
    account.leverage = c.leverage
    account.exists = 1
    firm.accounts = max(firm.accounts, c.account + 1)
    at = emit(st, EventKind.ACCOUNT_SET)
    event = st.account_events[at]
    event.account = c.account
    event.scope = Scope.ACCOUNT
    event.leverage = c.leverage
    event.old_leverage = old
    event.notes = c.notes
    event.actor = c.actor


@inline
def _leaves(value: int, change: int, bound: int) -> bool:
    """Whether a changed value leaves -bound to bound, or, if beyond already, goes further away."""
    return abs(value + change) > bound and abs(value + change) > abs(value)


@inline
def _transfer_leaves_range(st: State, account: int, change: int) -> bool:
    record = st.accounts[account]
    firm = st.firm[0]
    return (
        _leaves(record.cash, change, MONEY_MAX)
        or _leaves(record.transferred, change, MONEY_MAX)
        or _leaves(record.peak_equity, change, SUM_MAX)
        or _leaves(record.day_start_equity, change, SUM_MAX)
        or _leaves(firm.equity, change, SUM_MAX)
        or _leaves(firm.peak_equity, change, SUM_MAX)
        or _leaves(firm.day_start_equity, change, SUM_MAX)
    )


@inline
def _room_for(st: State, account: int, change: int) -> int:
    """The largest amount in the direction of a transfer that leaves everything in range."""
    record = st.accounts[account]
    firm = st.firm[0]
    sign = 1 if change > 0 else -1
    room = min(MONEY_MAX - sign * record.cash, MONEY_MAX - sign * record.transferred)
    room = min(room, SUM_MAX - sign * record.peak_equity, SUM_MAX - sign * record.day_start_equity)
    room = min(room, SUM_MAX - sign * firm.equity, SUM_MAX - sign * firm.peak_equity)
    return max(min(room, SUM_MAX - sign * firm.day_start_equity, MONEY_MAX), 0)


@inline
def _transfer_is_refused(st: State, i: int) -> bool:
    """`limit` of VALUE_RANGE and INSUFFICIENT_MARGIN is the amount that could be transferred."""
    c = st.values[i]
    if not 0 <= c.account < st.firm[0].accounts:
        reject(st, i, Code.UNKNOWN_ACCOUNT)
        return True
    if not -MONEY_MAX <= c.value <= MONEY_MAX or _transfer_leaves_range(st, c.account, c.value):
        asked = c.value if c.value > -MONEY_MAX else -max(c.value, -SUM_MAX)
        refuse(st, i, Code.VALUE_RANGE, _room_for(st, c.account, c.value), abs(asked))
        return True
    if c.value >= 0:
        return False
    spare = _equity_for_margin(st, c.account) - _margin_at(st, c.account, st.accounts[c.account].leverage)
    if -c.value <= spare:
        return False
    refuse(st, i, Code.INSUFFICIENT_MARGIN, max(spare, 0), -c.value)
    return True


@inline
def transfer_cash(st: State, i: int) -> None:
    """Deposit (positive) or withdraw: not a profit, so peak and day start move along.

    So past losses stay losses, however often money goes out and in again.
    """
    if _transfer_is_refused(st, i):
        return
    c = st.values[i]
    account = st.accounts[c.account]
    account.cash += c.value
    account.transferred += c.value
    account.peak_equity += c.value
    account.day_start_equity += c.value
    firm = st.firm[0]
    firm.equity += c.value
    firm.peak_equity += c.value
    firm.day_start_equity += c.value
    touch_equity(st, c.account)
    firm.peak_equity = max(firm.peak_equity, firm.equity)  # no breaker is checked: nothing was lost
    at = emit(st, EventKind.CASH_TRANSFERRED)
    event = st.transfer_events[at]
    event.account = c.account
    event.scope = Scope.ACCOUNT
    event.amount = c.value
    event.notes = c.notes
    event.actor = c.actor


@inline
def set_permission(st: State, i: int) -> bool:
    """Allow or deny an account a symbol, or (-1) all without one of their own; whether it was done."""
    c = st.values[i]
    firm = st.firm[0]
    known = 0 <= c.account < firm.accounts and -1 <= c.symbol < firm.symbols
    if not known or c.state > Permission.DENIED:
        reject(st, i, Code.INVALID_VALUE)
        return False
    if c.symbol < 0:
        old = st.accounts[c.account].permission
        st.accounts[c.account].permission = c.state
    else:
        position = st.positions[position_index(st, c.account, c.symbol)]
        old = position.permission
        position.permission = c.state
    at = emit(st, EventKind.PERMISSION_SET)
    event = st.permission_events[at]
    event.account = c.account
    event.symbol = c.symbol
    event.scope = Scope.ACCOUNT if c.symbol < 0 else Scope.ACCOUNT_SYMBOL
    event.permission = c.state
    event.old_permission = old
    event.actor = c.actor
    event.notes = c.notes
    return True


@inline
def _equity_leaves_range(st: State, symbol: int, change: int) -> bool:
    """Whether the firm's equity would leave its range if a step of the symbol were worth this much more."""
    firm = st.firm[0]
    if abs(firm.equity) + st.instruments[symbol].worst * abs(change) <= SUM_MAX:
        return False
    gained = 0
    for account in range(firm.accounts):
        gained += st.positions[position_index(st, account, symbol)].quantity * change
    return _leaves(firm.equity, gained, SUM_MAX)


@inline
def _mark_is_refused(st: State, i: int) -> bool:
    """Every exposure, net or gross, of any account, is at most the firm's: its range is theirs."""
    c = st.commands[i]
    if not 0 <= c.symbol < st.firm[0].symbols:
        reject(st, i, Code.UNKNOWN_SYMBOL)
        return True
    instrument = st.instruments[c.symbol]
    if c.price <= 0 or c.price > instrument.max_price:
        refuse(st, i, Code.INVALID_VALUE, instrument.max_price, c.price)
        return True
    unit = c.price * instrument.multiplier
    change = unit - instrument.mark * instrument.multiplier
    others = st.firm[0].exposure - instrument.worst * (unit - change)
    if change > 0 and instrument.worst > (SUM_MAX - others) // unit:
        refuse(st, i, Code.VALUE_RANGE, SUM_MAX, SUM_MAX + 1)
        return True
    if instrument.worst != 0 and _equity_leaves_range(st, c.symbol, change):
        refuse(st, i, Code.VALUE_RANGE, SUM_MAX, SUM_MAX + 1)
        return True
    return False


@inline
def update_mark(st: State, i: int) -> bool:
    """Take a new mark and revalue all holders of the symbol; returns whether the mark is to be acted on.

    A mark that would carry a value out of range is refused: the mark before stays, and ages.
    """
    if _mark_is_refused(st, i):
        return False
    c = st.commands[i]
    instrument = st.instruments[c.symbol]
    instrument.mark_ts = st.firm[0].ts
    if instrument.mark != c.price:
        instrument.mark = c.price
        for account in range(st.firm[0].accounts):
            if st.positions[position_index(st, account, c.symbol)].worst != 0:
                revalue(st, account, c.symbol)
    remember_mark(st, c.symbol)
    at = emit(st, EventKind.MARK_UPDATED)
    st.mark_events[at].symbol = c.symbol
    st.mark_events[at].mark = c.price
    return True


@inline
def start_day(st: State) -> None:
    """At the first command of a UTC day, by ADVANCE_TIME: set the base of the day's figures."""
    firm = st.firm[0]
    day = firm.ts - firm.ts % DAY_US
    if day <= firm.day_start_ts:
        return
    firm.day_start_ts = day
    firm.day_start_equity = firm.equity
    firm.day_traded = 0
    for account in range(firm.accounts):
        record = st.accounts[account]
        record.day_start_equity = equity_of(st, account)
        record.day_traded = 0
        record.day_fills = 0
        record.messages = 0
    emit(st, EventKind.DAY_STARTED)
