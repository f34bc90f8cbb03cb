"""What orders do without their client: stops fire, orders expire, reduce-only orders make way.

A function that may touch more orders than there is room for events returns
False then and is called again with the same command.
"""

from app.engine import heap
from app.engine.codes import Code
from app.engine.emission import emit_order, room_for_events
from app.engine.jit import inline
from app.engine.orders import (
    change_status,
    close,
    protection_price,
    queue_place,
    release_stop,
    request_cancel,
)
from app.engine.positions import position_index
from app.engine.risk import reduces, strictest_state
from app.engine.state import NO_SLOT, State
from app.engine.transitions import Trigger, next_status
from app.engine.types import EventKind, InstrumentStatus, OrderFlag, OrderStatus, Side, TradingState

_EXPIRY_RETRY_US = 1_000_000


@inline
def _fire(st: State, slot: int) -> None:
    """A stop's price is reached: it goes to the venue, unless trading has been stopped meanwhile."""
    order = st.orders[slot]
    release_stop(st, slot)
    state, _ = strictest_state(st, order.account, order.symbol)
    # Its own quantity is among what is open, so nothing is added to it.
    reducing = reduces(st, order.account, order.symbol, order.side, 0)
    if state == TradingState.HALTED:
        close(st, slot, OrderStatus.CANCELED, Code.TRADING_HALTED)
        emit_order(st, EventKind.ORDER_CANCELED, slot)
    elif state == TradingState.REDUCING and not reducing:
        close(st, slot, OrderStatus.CANCELED, Code.REDUCING_ONLY)
        emit_order(st, EventKind.ORDER_CANCELED, slot)
    elif st.instruments[order.symbol].status != InstrumentStatus.TRADING:
        close(st, slot, OrderStatus.CANCELED, Code.SYMBOL_NOT_TRADING)
        emit_order(st, EventKind.ORDER_CANCELED, slot)
    else:
        change_status(st, slot, next_status(order.status, Trigger.FIRE, 0))
        order.priority = queue_place(st)
        at = emit_order(st, EventKind.ORDER_TRIGGERED, slot)
        st.events[at].last_price = protection_price(st, slot)


@inline
def fire_stops(st: State, symbol: int) -> bool:
    """Fire every stop that the mark has reached, those it reached first going first."""
    instrument = st.instruments[symbol]
    while room_for_events(st) > 0:
        rise = instrument.rise_root
        fall = instrument.fall_root
        if rise != NO_SLOT and st.triggers[rise].key <= instrument.mark:
            _fire(st, rise)
        elif fall != NO_SLOT and -st.triggers[fall].key >= instrument.mark:
            _fire(st, fall)
        else:
            return True
    return False


@inline
def retry_expiry(st: State, slot: int) -> None:
    """An order past its time could not be canceled now: ask again later."""
    firm = st.firm[0]
    firm.expiry_root = heap.push(
        st.expiries, firm.expiry_root, slot, firm.ts + _EXPIRY_RETRY_US, st.orders[slot].order_id
    )


@inline
def expire_orders(st: State) -> bool:
    """End every order whose time has come; those at the venue are canceled there first."""
    firm = st.firm[0]
    while firm.expiry_root != NO_SLOT and st.expiries[firm.expiry_root].key <= firm.ts:
        if room_for_events(st) < 1:
            return False
        slot = firm.expiry_root
        order = st.orders[slot]
        if order.waiting:
            close(st, slot, OrderStatus.EXPIRED, Code.NONE)
            emit_order(st, EventKind.ORDER_EXPIRED, slot)
            continue
        firm.expiry_root = heap.remove(st.expiries, firm.expiry_root, slot)
        if request_cancel(st, slot) != Code.NONE:  # another request is under way
            retry_expiry(st, slot)
    return True


@inline
def trim_reduce_only(st: State, account: int, symbol: int) -> bool:
    """After a fill: cancel reduce-only orders, newest first, that the position no longer covers."""
    position = st.positions[position_index(st, account, symbol)]
    excess_buy = position.reduce_buy - max(-position.quantity, 0)
    excess_sell = position.reduce_sell - max(position.quantity, 0)
    slot = st.accounts[account].last_open
    while slot != NO_SLOT and (excess_buy > 0 or excess_sell > 0):
        if room_for_events(st) < 1:
            return False
        order = st.orders[slot]
        previous = order.previous
        if order.symbol == symbol and (order.flags & OrderFlag.REDUCE_ONLY) != 0:
            buy = order.side == Side.BUY
            reserved = order.reserved
            if (excess_buy if buy else excess_sell) > 0 and (
                order.status == OrderStatus.PENDING_CANCEL or request_cancel(st, slot) == Code.NONE
            ):
                excess_buy -= reserved if buy else 0
                excess_sell -= 0 if buy else reserved
        slot = previous
    return True
