"""Amends: another price, stop price or quantity for an open order.

An amended order is checked as a new one, unless it only becomes smaller at the same prices.
"""

from app.engine.cancels import reject_request
from app.engine.codes import Code
from app.engine.effect import AMEND, left_of
from app.engine.emission import emit_order
from app.engine.flow_checks import count_message
from app.engine.jit import inline
from app.engine.orders import change_status, queue_place, reserve_order
from app.engine.positions import make_reduce_only, reserve
from app.engine.rates import take_tokens
from app.engine.risk import check_order
from app.engine.slots import find_order
from app.engine.state import NO_SLOT, State
from app.engine.stop_heap import hold_stop, release_stop
from app.engine.transitions import Trigger, is_final, next_status
from app.engine.types import EventKind, Fault, OrderFlag, OrderStatus
from app.engine.valuation import cost_of, worth_of


@inline
def _make_amended(st: State, i: int, slot: int) -> None:
    """Load the amended order as the candidate."""
    c = st.commands[i]
    st.candidate[0] = st.orders[slot]
    candidate = st.candidate[0]
    if c.price != 0 or (c.fault & (Fault.PRICE_TICK | Fault.PRICE_RANGE)) != 0:
        candidate.price = c.price
    if c.stop_price != 0:
        candidate.stop_price = c.stop_price
    if c.quantity != 0 or (c.fault & Fault.QUANTITY_ZERO) != 0:
        candidate.quantity = c.quantity


@inline
def _check_amend(st: State, i: int, slot: int, lacking: int) -> int:
    fault = st.commands[i].fault
    order = st.orders[slot]
    if is_final(order.status):
        return Code.ORDER_CLOSED
    if next_status(order.status, Trigger.REQUEST_REPLACE, order.filled_quantity) == 0:
        return Code.ORDER_PENDING
    _make_amended(st, i, slot)
    candidate = st.candidate[0]
    if fault == 0:
        same_prices = candidate.price == order.price and candidate.stop_price == order.stop_price
        if same_prices and candidate.quantity == order.quantity:
            return Code.NOTHING_TO_AMEND
        if candidate.quantity <= order.filled_quantity:
            return Code.QUANTITY_BELOW_FILLED
    return check_order(st, explain=False, how=AMEND, fault=fault, duplicate=False, lacking=lacking)


@inline
def _amend_stop(st: State, slot: int) -> None:
    """A stop that waits here takes the candidate's values at once."""
    order = st.orders[slot]
    candidate = st.candidate[0]
    moved = order.stop_price != candidate.stop_price
    if moved:
        release_stop(st, slot, order.waiting)
    order.price = candidate.price
    order.stop_price = candidate.stop_price
    order.quantity = candidate.quantity
    if moved:
        hold_stop(st, slot)
    reserve_order(st, slot)
    change_status(st, slot, order.status)
    emit_order(st, EventKind.ORDER_REPLACED, slot)


@inline
def request_replace(st: State, slot: int, price: int, quantity: int, worth: int, cost: int) -> int:
    """Ask the venue for another price and quantity; returns the event of the request.

    Until the venue reports which it is, the larger of both is reserved: `worth` in ticks and `cost` in money
    are those of the amended order.
    """
    order = st.orders[slot]
    order.replace_price = price
    order.replace_quantity = quantity
    order.replace_priority = queue_place(st)
    remaining = quantity - order.filled_quantity
    reserve(
        st,
        slot,
        max(order.reserved, remaining),
        max(worth, order.reserved_price),
        max(cost, order.reserved_cost),
    )
    change_status(st, slot, OrderStatus.PENDING_REPLACE)
    at = emit_order(st, EventKind.REPLACE_REQUESTED, slot)
    st.replace_events[at].replace_price = price
    st.replace_events[at].replace_quantity = quantity
    return at


@inline
def amend(st: State, i: int) -> None:
    slot = find_order(st, st.commands[i].order_id)
    code: int = Code.UNKNOWN_ORDER
    if slot != NO_SLOT:
        lacking = take_tokens(st, st.orders[slot].account)
        code = _check_amend(st, i, slot, lacking)
        count_message(st, st.orders[slot].account)
    if code != Code.NONE:
        reject_request(st, i, EventKind.REPLACE_REJECTED, slot, code)
        return
    candidate = st.candidate[0]
    if candidate.flags & OrderFlag.REDUCE_ONLY:
        make_reduce_only(st, slot)
    if st.orders[slot].waiting:
        _amend_stop(st, slot)
        return
    cost = cost_of(st, candidate, left_of(st))
    request_replace(st, slot, candidate.price, candidate.quantity, worth_of(st, candidate), cost)
