"""Reference data: instruments, accounts, cash, trading states, marks, the day."""

from app.engine.capacity import MONEY_MAX, PRICE_MAX
from app.engine.codes import Code
from app.engine.emission import emit
from app.engine.jit import inline
from app.engine.limit_changes import reject
from app.engine.positions import equity_of, position_index, revalue, touch_equity
from app.engine.state import State
from app.engine.state_records import MARKS
from app.engine.types import EventKind, InstrumentStatus, Permission, Policy, Scope

DAY_US = 86_400_000_000
QUANTITY_MAX = 1 << 62  # of one order, in 1e-8 of the base currency
_MONEY_PER_TICK_STEP = 10**12  # e12 of the tick times e8 of the step, over 1e8 for money


@inline
def _max_price(max_quantity: int, multiplier: int) -> int:
    """The highest price at which the largest order can still be valued."""
    return min(MONEY_MAX // (max_quantity * multiplier), PRICE_MAX)


@inline
def _instrument_code(st: State, i: int) -> int:
    c = st.instrument_commands[i]
    symbols = st.firm[0].symbols
    if c.symbol < 0 or c.symbol > symbols or c.name[0] == 0:
        return Code.INVALID_VALUE
    if c.symbol >= len(st.instruments):
        return Code.SYMBOL_CAPACITY
    if c.price_tick_e12 <= 0 or c.quantity_step_e8 <= 0 or c.min_notional < 0:
        return Code.INVALID_VALUE
    if c.price_tick_e12 > MONEY_MAX // c.quantity_step_e8:
        return Code.INVALID_VALUE
    product = c.price_tick_e12 * c.quantity_step_e8
    if product % _MONEY_PER_TICK_STEP != 0:
        return Code.INVALID_VALUE
    multiplier = product // _MONEY_PER_TICK_STEP
    if not 0 < c.min_quantity <= c.max_quantity <= QUANTITY_MAX // c.quantity_step_e8:
        return Code.INVALID_VALUE
    if c.max_quantity > MONEY_MAX // multiplier or c.min_notional > MONEY_MAX:
        return Code.INVALID_VALUE
    if not InstrumentStatus.TRADING <= c.status <= InstrumentStatus.HALTED:
        return Code.INVALID_VALUE
    if c.symbol < symbols:  # what positions and orders are counted in stays as it is
        old = st.instruments[c.symbol]
        if old.price_tick_e12 != c.price_tick_e12 or old.quantity_step_e8 != c.quantity_step_e8:
            return Code.INVALID_VALUE
        if old.mark > _max_price(c.max_quantity, multiplier):
            return Code.INVALID_VALUE
        if old.name[0] != c.name[0] or old.name[1] != c.name[1] or old.name[2] != c.name[2]:
            return Code.INVALID_VALUE
    return Code.NONE


@inline
def set_instrument(st: State, i: int) -> None:
    """Add the next instrument, or change one: all but its name, tick and step."""
    code = _instrument_code(st, i)
    if code != Code.NONE:
        reject(st, i, code)
        return
    c = st.instrument_commands[i]
    instrument = st.instruments[c.symbol]
    for word in range(3):
        instrument.name[word] = c.name[word]
    instrument.base = c.base
    instrument.quote = c.quote
    instrument.price_tick_e12 = c.price_tick_e12
    instrument.quantity_step_e8 = c.quantity_step_e8
    instrument.multiplier = c.price_tick_e12 * c.quantity_step_e8 // _MONEY_PER_TICK_STEP
    instrument.min_quantity = c.min_quantity
    instrument.max_quantity = c.max_quantity
    instrument.max_price = _max_price(c.max_quantity, instrument.multiplier)
    instrument.min_notional = c.min_notional
    instrument.maker_fee_ppm = c.maker_fee_ppm
    instrument.taker_fee_ppm = c.taker_fee_ppm
    instrument.status = c.status
    instrument.version += 1
    st.firm[0].symbols = max(st.firm[0].symbols, c.symbol + 1)
    at = emit(st, EventKind.INSTRUMENT_SET)
    st.events[at].symbol = c.symbol
    st.events[at].status = c.status


@inline
def set_account(st: State, i: int) -> None:
    """Add the next account, or change the leverage of one."""
    c = st.account_commands[i]
    firm = st.firm[0]
    code = Code.NONE
    if c.account < 0 or c.account > firm.accounts or c.name[0] == 0 or not 1 <= c.leverage <= 1_000:
        code = Code.INVALID_VALUE
    elif c.account >= len(st.accounts):
        code = Code.ACCOUNT_CAPACITY
    elif c.account < firm.accounts:
        for word in range(5):
            if st.accounts[c.account].name[word] != c.name[word]:
                code = Code.INVALID_VALUE
    if code != Code.NONE:
        reject(st, i, code)
        return
    account = st.accounts[c.account]
    for word in range(5):
        account.name[word] = c.name[word]
    old = account.leverage
    account.leverage = c.leverage
    account.exists = 1
    firm.accounts = max(firm.accounts, c.account + 1)
    at = emit(st, EventKind.ACCOUNT_SET)
    event = st.events[at]
    event.account = c.account
    event.scope = Scope.ACCOUNT
    event.limit = c.leverage
    event.observed = old
    event.fee = c.actor
    event.notes = c.notes


@inline
def transfer_cash(st: State, i: int) -> None:
    """Deposit (positive) or withdraw: not a profit, so peak and day start move along."""
    c = st.values[i]
    known = 0 <= c.account < st.firm[0].accounts
    if not known:
        reject(st, i, Code.UNKNOWN_ACCOUNT)
        return
    account = st.accounts[c.account]
    if not -MONEY_MAX <= c.value <= MONEY_MAX or abs(c.value + account.cash) > MONEY_MAX:
        reject(st, i, Code.INVALID_VALUE)
        return
    account.cash += c.value
    account.transferred += c.value
    account.peak_equity += c.value
    account.day_start_equity += c.value
    firm = st.firm[0]
    firm.equity += c.value
    firm.peak_equity += c.value
    firm.day_start_equity += c.value
    touch_equity(st, c.account)
    firm.peak_equity = max(firm.peak_equity, firm.equity)  # no breaker looks: nothing was lost
    at = emit(st, EventKind.CASH_TRANSFERRED)
    event = st.events[at]
    event.account = c.account
    event.scope = Scope.ACCOUNT
    event.limit = c.value
    event.fee = c.actor
    event.notes = c.notes


@inline
def set_permission(st: State, i: int) -> bool:
    """Allow or deny an account a symbol, or (-1) those that nothing else is said of; whether it was done."""
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
    event = st.events[at]
    event.account = c.account
    event.symbol = c.symbol
    event.scope = Scope.ACCOUNT if c.symbol < 0 else Scope.ACCOUNT_SYMBOL
    event.limit = c.state
    event.observed = old
    event.fee = c.actor
    event.notes = c.notes
    return True


@inline
def _remember_mark(st: State, symbol: int) -> None:
    """Keep marks of the last window or two, and find the one a window ago (or the oldest there is)."""
    instrument = st.instruments[symbol]
    now = st.firm[0].ts
    window = st.firm[0].policy[Policy.COLLAR_WINDOW_US]
    first = symbol * MARKS
    newest = instrument.marks - 1
    if newest < 0 or now - st.marks[first + newest % MARKS].ts >= window // (MARKS // 2):
        newest += 1
        instrument.marks = newest + 1
        st.marks[first + newest % MARKS].ts = now
        st.marks[first + newest % MARKS].price = instrument.mark
    number = newest
    oldest = max(newest - MARKS + 1, 0)
    while number > oldest and st.marks[first + number % MARKS].ts > now - window:
        number -= 1
    instrument.past_mark = st.marks[first + number % MARKS].price


@inline
def update_mark(st: State, i: int) -> bool:
    """Take a new mark and revalue who holds the symbol; whether it is one to act on."""
    c = st.commands[i]
    if not 0 <= c.symbol < st.firm[0].symbols:
        reject(st, i, Code.UNKNOWN_SYMBOL)
        return False
    instrument = st.instruments[c.symbol]
    if c.price <= 0 or c.price > instrument.max_price:
        reject(st, i, Code.INVALID_VALUE)
        return False
    instrument.mark_ts = st.firm[0].ts
    if instrument.mark != c.price:
        instrument.mark = c.price
        for account in range(st.firm[0].accounts):
            if st.positions[position_index(st, account, c.symbol)].worst != 0:
                revalue(st, account, c.symbol)
    _remember_mark(st, c.symbol)
    at = emit(st, EventKind.MARK_UPDATED)
    st.events[at].symbol = c.symbol
    st.events[at].price = c.price
    return True


@inline
def start_day(st: State) -> None:
    """At the first command of a UTC day by ADVANCE_TIME: what day's figures are measured from."""
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
