"""Slots: the places of orders, the open orders of each account, and the closed ones by age.

A closed order keeps its slot, and with it its client order id, until every slot has been used and
the oldest closed one must make room: that is the window in which orders can be read back and
repeats recognised.
"""

from app.engine.capacity import SLOT_BITS
from app.engine.hash_index import forget_client_order
from app.engine.jit import force_inline
from app.engine.positions import position_index
from app.engine.state import NO_SLOT, State

_SLOT_MASK = (1 << SLOT_BITS) - 1


@force_inline
def find_order(st: State, order_id: int) -> int:
    """The slot of an order, or NO_SLOT if it is not known, or no longer."""
    slot = order_id & _SLOT_MASK
    if order_id <= 0 or slot >= len(st.orders) or st.orders[slot].order_id != order_id:
        return NO_SLOT
    return slot


@force_inline
def take_slot(st: State) -> int:
    """A slot for a new order. There always is one: fewer orders may be open than there are slots."""
    firm = st.firm[0]
    if firm.orders_used < len(st.orders):
        slot = firm.orders_used
        firm.orders_used += 1
        return slot
    slot = st.closed[firm.closed_begin & (len(st.closed) - 1)]
    firm.closed_begin += 1
    order = st.orders[slot]
    if order.indexed:
        forget_client_order(st, slot)
    return slot


@force_inline
def retire(st: State, slot: int) -> None:
    """Queue a closed order among those whose slot may be used again."""
    firm = st.firm[0]
    st.closed[firm.closed_end & (len(st.closed) - 1)] = slot
    firm.closed_end += 1


@force_inline
def link_open(st: State, slot: int) -> None:
    """Add an order to the open ones of its account, as the newest."""
    order = st.orders[slot]
    account = st.accounts[order.account]
    order.next = NO_SLOT
    order.previous = account.last_open
    if account.last_open == NO_SLOT:
        account.first_open = slot
    else:
        st.orders[account.last_open].next = slot
    account.last_open = slot
    account.open_orders += 1
    st.firm[0].open_orders += 1
    st.positions[position_index(st, order.account, order.symbol)].open_orders += 1


@force_inline
def unlink_open(st: State, slot: int) -> None:
    order = st.orders[slot]
    account = st.accounts[order.account]
    if order.previous == NO_SLOT:
        account.first_open = order.next
    else:
        st.orders[order.previous].next = order.next
    if order.next == NO_SLOT:
        account.last_open = order.previous
    else:
        st.orders[order.next].previous = order.previous
    account.open_orders -= 1
    st.firm[0].open_orders -= 1
    st.positions[position_index(st, order.account, order.symbol)].open_orders -= 1
