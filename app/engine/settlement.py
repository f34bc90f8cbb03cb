"""Settlement: all positions of a symbol that does not trade end at a price that a person sets.

For a delisted holding. It is like a fill of the whole position without a fee, but no trade: the
day's fills and turnover do not count it. Either all positions are settled or none: each reason for
a refusal is checked for all of them first. There is one event for each account. If they do not fit
into the buffer the command goes on after the account in `FIRM.progress`, and `FIRM.cursor` counts
the settled ones.
"""

from app.engine.capacity import SUM_MAX
from app.engine.codes import Code
from app.engine.emission import emit, room_for_events
from app.engine.jit import inline
from app.engine.limit_changes import refuse
from app.engine.positions import position_index, revalue, unsettle
from app.engine.state import State
from app.engine.types import EventKind, InstrumentStatus, Scope


@inline
def _proceeds_fit(st: State, symbol: int, price: int) -> bool:
    """Whether cash, profit and equity of everyone, and the firm's equity, stay in range."""
    unit = price * st.instruments[symbol].multiplier
    gained = 0  # by the firm; each step keeps it within SUM_MAX
    for account in range(st.firm[0].accounts):
        position = st.positions[position_index(st, account, symbol)]
        record = st.accounts[account]
        if abs(position.quantity) > SUM_MAX // unit:
            return False
        proceeds = position.quantity * unit
        realised = proceeds - position.entry_cost
        gained += proceeds - position.value
        if abs(record.cash + proceeds) > SUM_MAX or abs(record.realised + realised) > SUM_MAX:
            return False
        if abs(position.realised + realised) > SUM_MAX or abs(gained) > SUM_MAX:
            return False
    return abs(st.firm[0].equity + gained) <= SUM_MAX


@inline
def _open_orders(st: State, symbol: int) -> int:
    count = 0
    for account in range(st.firm[0].accounts):
        count += st.positions[position_index(st, account, symbol)].open_orders
    return count


@inline
def _is_refused(st: State, i: int) -> bool:
    """Refuse the command if it is not possible; returns whether it was."""
    c = st.values[i]
    if not 0 <= c.symbol < st.firm[0].symbols:
        refuse(st, i, Code.UNKNOWN_SYMBOL, 0, 0)
        return True
    instrument = st.instruments[c.symbol]
    open_orders = _open_orders(st, c.symbol)
    if not 0 < c.value <= instrument.max_price:
        refuse(st, i, Code.INVALID_VALUE, instrument.max_price, c.value)
    elif instrument.status != InstrumentStatus.HALTED:
        refuse(st, i, Code.SYMBOL_TRADING, InstrumentStatus.HALTED, instrument.status)
    elif open_orders > 0:
        refuse(st, i, Code.INSTRUMENT_IN_USE, 0, open_orders)
    elif not _proceeds_fit(st, c.symbol, c.value):
        refuse(st, i, Code.VALUE_RANGE, SUM_MAX, SUM_MAX + 1)
    else:
        return False
    return True


@inline
def _settle(st: State, account: int, symbol: int, price: int) -> None:
    position = st.positions[position_index(st, account, symbol)]
    record = st.accounts[account]
    quantity = position.quantity
    proceeds = quantity * price * st.instruments[symbol].multiplier
    realised = proceeds - position.entry_cost
    position.realised += realised
    record.realised += realised
    record.cash += proceeds
    st.firm[0].equity += proceeds
    position.quantity = 0
    position.entry_cost = 0
    revalue(st, account, symbol)
    unsettle(st, account)
    at = emit(st, EventKind.POSITION_SETTLED)
    event = st.settled_position_events[at]
    event.account = account
    event.symbol = symbol
    event.settlement_price = price
    event.settled_quantity = quantity
    event.realised = realised


@inline
def settle_symbol(st: State, i: int, fresh: bool) -> bool:
    """End all positions of a symbol; False if it has to be resumed (see `app.engine.engine`)."""
    firm = st.firm[0]
    c = st.values[i]
    if fresh:
        if _is_refused(st, i):
            return True
        firm.progress = 1
        firm.cursor = 0
    while firm.progress <= firm.accounts:
        account = firm.progress - 1
        if st.positions[position_index(st, account, c.symbol)].quantity != 0:
            if room_for_events(st) < 1:
                return False
            _settle(st, account, c.symbol, c.value)
            firm.cursor += 1
        firm.progress += 1
    if room_for_events(st) < 1:
        return False
    at = emit(st, EventKind.SYMBOL_SETTLED)
    event = st.settlement_events[at]
    event.symbol = c.symbol
    event.scope = Scope.SYMBOL
    event.settlement_price = c.value
    event.accounts = firm.cursor
    event.notes = c.notes
    event.actor = c.actor
    return True
