"""Expiry of orders: those at the venue are canceled there first."""

from app.engine import heap
from app.engine.cancels import request_cancel
from app.engine.codes import Code
from app.engine.emission import emit_order, room_for_events
from app.engine.jit import inline
from app.engine.orders import close
from app.engine.state import NO_SLOT, State
from app.engine.types import EventKind, OrderStatus

_EXPIRY_RETRY_US = 1_000_000


@inline
def retry_expiry(st: State, slot: int) -> None:
    """An expired order could not be canceled now: try again later."""
    firm = st.firm[0]
    firm.expiry_root = heap.push(
        st.expiries, firm.expiry_root, slot, firm.ts + _EXPIRY_RETRY_US, st.orders[slot].order_id
    )


@inline
def expire_orders(st: State) -> bool:
    """End every expired order; False if it has to be resumed (see `app.engine.engine`)."""
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
        if request_cancel(st, slot) != Code.NONE:  # another request is in flight
            retry_expiry(st, slot)
    return True
