"""Trimming: orders that may only reduce are held to the position, and end with it.

After a fill, a settlement or a restriction the open orders of an account are checked, the newest
first: one that is larger than the position is cut to it, and one with nothing left to reduce is
canceled. Each order is judged alone: two that protect the same position may both be as large as it,
and whichever fills trims the other. An order with a request in flight is left until that is
answered, and is checked then; meanwhile the venue holds it to the position when it trades.

When event room runs out the walk goes on where it stopped: `FIRM.trim_account`, `FIRM.trim_slot`.
"""

from app.engine.amends import request_replace
from app.engine.cancels import request_cancel
from app.engine.codes import Code
from app.engine.emission import emit_order, room_for_events
from app.engine.jit import inline
from app.engine.order_kinds import needs_price
from app.engine.orders import change_status, close, reserve_order
from app.engine.positions import position_index, reducible_by
from app.engine.restrictions import can_be_trimmed_away, trimmed_for
from app.engine.state import NO_SLOT, State
from app.engine.transitions import Trigger, next_status
from app.engine.types import EventKind, OrderStatus


@inline
def _trim_stop(st: State, slot: int, reducible: int, code: int) -> None:
    """Trim a stop that waits in the engine."""
    order = st.orders[slot]
    if reducible == 0:
        close(st, slot, OrderStatus.CANCELED, code)
        emit_order(st, EventKind.ORDER_CANCELED, slot)
        return
    order.quantity = reducible
    reserve_order(st, slot)
    change_status(st, slot, order.status)
    at = emit_order(st, EventKind.ORDER_REPLACED, slot)
    st.events[at].code = code


@inline
def _trim(st: State, slot: int) -> None:
    """At most one event."""
    order = st.orders[slot]
    code = trimmed_for(st, slot)
    if code == Code.NONE:
        return
    held = st.positions[position_index(st, order.account, order.symbol)].quantity
    reducible = reducible_by(held, order.side)
    if order.quantity - order.filled_quantity <= reducible:
        return
    if order.waiting:
        _trim_stop(st, slot, reducible, code)
    elif reducible == 0:
        if can_be_trimmed_away(order.status, 0) and request_cancel(st, slot) == Code.NONE:
            st.events[st.firm[0].event_count - 1].code = code
    elif needs_price(order.type) and (
        next_status(order.status, Trigger.REQUEST_REPLACE, order.filled_quantity) != OrderStatus.NONE
    ):
        quantity = order.filled_quantity + reducible
        at = request_replace(st, slot, order.price, quantity, order.reserved_price, order.reserved_cost)
        st.events[at].code = code


@inline
def go_on_trimming(st: State) -> bool:
    """Trim until all are done; False if it has to be resumed (see `app.engine.engine`)."""
    firm = st.firm[0]
    while firm.trim_account != NO_SLOT:
        slot = firm.trim_slot
        while slot != NO_SLOT:
            if room_for_events(st) < 1:
                firm.trim_slot = slot
                return False
            previous = st.orders[slot].previous
            if firm.trim_symbol < 0 or st.orders[slot].symbol == firm.trim_symbol:
                _trim(st, slot)
            slot = previous
        if firm.trim_account == firm.trim_last:
            firm.trim_account = NO_SLOT
            firm.trim_slot = NO_SLOT
        else:
            firm.trim_account += 1
            firm.trim_slot = st.accounts[firm.trim_account].last_open
    return True
