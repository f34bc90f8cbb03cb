"""Stop heaps: for each symbol one of the stops that fire when the mark rises, and one of the others."""

from app.engine import heap
from app.engine.jit import inline
from app.engine.order_kinds import fires_on_rise
from app.engine.state import State

# `ORDER.waiting`
HELD = 1  # in its heap
SUSPENDED = 2  # reached while its account was halted: checked again when that ends


@inline
def hold_stop(st: State, slot: int) -> None:
    """A stop waits for its price."""
    order = st.orders[slot]
    order.waiting = HELD
    instrument = st.instruments[order.symbol]
    if fires_on_rise(order.type, order.side):
        instrument.rise_root = heap.push(
            st.triggers, instrument.rise_root, slot, order.stop_price, order.order_id
        )
    else:
        instrument.fall_root = heap.push(
            st.triggers, instrument.fall_root, slot, -order.stop_price, order.order_id
        )


@inline
def release_stop(st: State, slot: int, waiting: int) -> None:
    """A stop leaves the heap; `waiting`: its state from now on, 0 or SUSPENDED."""
    order = st.orders[slot]
    instrument = st.instruments[order.symbol]
    held = order.waiting == HELD
    order.waiting = waiting
    if not held:
        return
    if fires_on_rise(order.type, order.side):
        instrument.rise_root = heap.remove(st.triggers, instrument.rise_root, slot)
    else:
        instrument.fall_root = heap.remove(st.triggers, instrument.fall_root, slot)
