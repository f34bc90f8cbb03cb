"""What clients do to orders: place, cancel, amend, and cancel all.

Each function applies one command and leaves its events. Those that may touch
more orders than there is room for events return False and are called again
with the same command.
"""

import numpy as np

from app.engine import heap
from app.engine.capacity import SLOT_BITS
from app.engine.codes import Code
from app.engine.emission import emit, emit_order, room_for_events
from app.engine.flow_checks import check_cancel_rate, count_message, trip_repeats
from app.engine.hash_index import SEED, add_client_order, find_client_order, mix
from app.engine.jit import inline
from app.engine.limits import UNLIMITED
from app.engine.positions import reserve
from app.engine.risk import (
    check_order,
    collar_of,
    fires_on_rise,
    needs_price,
    needs_stop_price,
    reference_price,
    worth_of,
)
from app.engine.slots import find_order, link_open, retire, take_slot, unlink_open
from app.engine.state import NO_SLOT, State
from app.engine.transitions import Trigger, is_final, next_status
from app.engine.types import (
    CommandKind,
    EventKind,
    Fault,
    OrderStatus,
    Scope,
    Side,
    TimeInForce,
)
from app.engine.verdicts import verdict_place

_HALF = np.uint64(1)
_EVENT_INDEX_BITS = 20


@inline
def fingerprint(st: State, i: int) -> np.int64:
    """What an order asks for, as a hash: two requests with one client order id must agree in it."""
    c = st.commands[i]
    h = mix(SEED, np.uint64(c.symbol))
    h = mix(h, np.uint64(c.side + 16 * c.type + 256 * c.time_in_force))
    h = mix(h, np.uint64(c.flags + 256 * c.self_trade_prevention + 65536 * c.fault))
    h = mix(h, np.uint64(c.price))
    h = mix(h, np.uint64(c.stop_price))
    h = mix(h, np.uint64(c.quantity))
    h = mix(h, np.uint64(c.expire_ts))
    return np.int64(h >> _HALF)


@inline
def queue_place(st: State) -> int:
    """Orders reach the venue in the order of the events that send them there."""
    firm = st.firm[0]
    return (firm.seq << _EVENT_INDEX_BITS) | min(firm.event_index, (1 << _EVENT_INDEX_BITS) - 1)


@inline
def describe(st: State, i: int) -> None:
    """Make the order that a command asks for the candidate."""
    c = st.commands[i]
    firm = st.firm[0]
    order = st.candidate[0]
    order.order_id = 0
    account = np.int64(c.account)  # why: see `app.engine.risk._check_reference`
    symbol = np.int64(c.symbol)
    order.account = account if 0 <= account < firm.accounts else -1
    order.symbol = symbol if 0 <= symbol < firm.symbols else -1
    order.status = OrderStatus.PENDING_NEW
    order.side = c.side
    order.type = c.type
    order.time_in_force = c.time_in_force
    order.flags = c.flags
    order.self_trade_prevention = c.self_trade_prevention
    order.code = 0
    order.scope = 0
    order.waiting = needs_stop_price(c.type)
    order.indexed = 0
    order.next = NO_SLOT
    order.previous = NO_SLOT
    order.seq = firm.seq
    order.priority = queue_place(st)
    order.price = c.price
    order.stop_price = c.stop_price
    order.quantity = c.quantity
    order.filled_quantity = 0
    order.filled_notional = 0
    order.created_ts = firm.ts
    order.updated_ts = firm.ts
    order.expire_ts = c.expire_ts
    order.replace_price = 0
    order.replace_quantity = 0
    order.replace_priority = 0
    order.reserved = 0
    order.reserved_price = 0
    order.limit = 0
    order.observed = 0
    order.content = fingerprint(st, i)
    order.last_fill = 0
    for word in range(5):
        order.client_order_id[word] = c.client_order_id[word]


@inline
def protection_price(st: State, slot: int) -> int:
    """The worst price at which a market order may trade: the collar's edge; 0 without a collar."""
    order = st.orders[slot]
    mark = st.instruments[order.symbol].mark
    distance, _ = collar_of(st, order.account, order.symbol, mark)
    if needs_price(order.type) or distance == UNLIMITED:
        return 0
    return mark + distance if order.side == Side.BUY else max(mark - distance, 1)


@inline
def _hold_stop(st: State, slot: int) -> None:
    order = st.orders[slot]
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
def release_stop(st: State, slot: int) -> None:
    order = st.orders[slot]
    instrument = st.instruments[order.symbol]
    if fires_on_rise(order.type, order.side):
        instrument.rise_root = heap.remove(st.triggers, instrument.rise_root, slot)
    else:
        instrument.fall_root = heap.remove(st.triggers, instrument.fall_root, slot)
    order.waiting = 0


@inline
def change_status(st: State, slot: int, status: int) -> None:
    order = st.orders[slot]
    order.status = status
    order.seq = st.firm[0].seq
    order.updated_ts = st.firm[0].ts


@inline
def close(st: State, slot: int, status: int, code: int) -> None:
    """End an open order: nothing of it stays reserved, linked or waiting."""
    order = st.orders[slot]
    if order.waiting:
        release_stop(st, slot)
    if order.expire_ts != 0 and st.expiries[slot].rank != 0:
        st.firm[0].expiry_root = heap.remove(st.expiries, st.firm[0].expiry_root, slot)
    reserve(st, slot, 0, 0)
    unlink_open(st, slot)
    change_status(st, slot, status)
    order.code = code
    retire(st, slot)


@inline
def _refuse(st: State, slot: int, code: int) -> None:
    order = st.orders[slot]
    if code == Code.REPEATED_ORDER:
        trip_repeats(st)
    verdict = st.verdicts[verdict_place(code)]
    order.status = OrderStatus.REJECTED
    order.waiting = 0
    order.code = code
    order.scope = verdict.scope
    order.limit = verdict.limit
    order.observed = verdict.observed
    retire(st, slot)
    emit_order(st, EventKind.ORDER_REJECTED, slot)


@inline
def _check_new(st: State, fault: int, duplicate: bool) -> int:
    firm = st.firm[0]
    code = check_order(st, False, True, st.candidate[0].quantity, fault, duplicate)
    if code == Code.NONE and firm.open_orders >= firm.open_orders_max:
        code = Code.ORDER_CAPACITY
        verdict = st.verdicts[verdict_place(code)]
        verdict.scope = Scope.FIRM
        verdict.limit = firm.open_orders_max
        verdict.observed = firm.open_orders + 1
    return code


@inline
def place(st: State, i: int) -> None:
    describe(st, i)
    firm = st.firm[0]
    candidate = st.candidate[0]
    named = candidate.client_order_id[0] != 0 and candidate.account >= 0
    duplicate = False
    if named:
        first = find_client_order(st, candidate.account, candidate.client_order_id)
        if first != NO_SLOT:
            if st.orders[first].content == candidate.content:
                emit_order(st, EventKind.ORDER_REPLAYED, first)
                return
            duplicate = True
    code = _check_new(st, st.commands[i].fault, duplicate)
    count_message(st, candidate.account)
    slot = take_slot(st)
    candidate.order_id = (firm.seq << SLOT_BITS) | slot
    st.orders[slot] = candidate
    if named and not duplicate:
        add_client_order(st, slot)
    if code != Code.NONE:
        _refuse(st, slot, code)
        return
    order = st.orders[slot]
    link_open(st, slot)
    reserve(st, slot, order.quantity, reference_price(st, order))
    if order.time_in_force == TimeInForce.GTD:
        firm.expiry_root = heap.push(st.expiries, firm.expiry_root, slot, order.expire_ts, order.order_id)
    if order.waiting:
        order.status = OrderStatus.NEW
        _hold_stop(st, slot)
        emit_order(st, EventKind.ORDER_OPENED, slot)
    else:
        at = emit_order(st, EventKind.ORDER_ACCEPTED, slot)
        st.events[at].last_price = protection_price(st, slot)


@inline
def _reject_request(st: State, i: int, kind: int, slot: int, code: int) -> None:
    """Answer a cancel or amend that cannot be: the order, where there is one, is as it was."""
    if slot == NO_SLOT:
        at = emit(st, kind)
        st.events[at].order_id = st.commands[i].order_id
    else:
        at = emit_order(st, kind, slot)
    event = st.events[at]
    event.code = code
    event.scope = 0
    event.limit = 0
    event.observed = 0
    verdict = st.verdicts[verdict_place(code)]
    event.scope = verdict.scope
    event.limit = verdict.limit
    event.observed = verdict.observed


@inline
def request_cancel(st: State, slot: int) -> int:
    """Cancel a stop that waits here at once, ask the venue for any other; why not, as a code."""
    order = st.orders[slot]
    if is_final(order.status):
        return Code.ORDER_CLOSED
    if order.waiting:
        close(st, slot, OrderStatus.CANCELED, Code.NONE)
        emit_order(st, EventKind.ORDER_CANCELED, slot)
        return Code.NONE
    status = next_status(order.status, Trigger.REQUEST_CANCEL, order.filled_quantity)
    if status == OrderStatus.NONE:
        return Code.ORDER_PENDING
    change_status(st, slot, status)
    emit_order(st, EventKind.CANCEL_REQUESTED, slot)
    return Code.NONE


@inline
def cancel(st: State, i: int) -> None:
    slot = find_order(st, st.commands[i].order_id)
    code: int = Code.UNKNOWN_ORDER
    if slot != NO_SLOT:
        order = st.orders[slot]
        count_message(st, order.account)
        code = check_cancel_rate(st, order.account, order.symbol)
        if code == Code.NONE:
            code = request_cancel(st, slot)
    if code != Code.NONE:
        _reject_request(st, i, EventKind.CANCEL_REJECTED, slot, code)


@inline
def _check_amend(st: State, i: int, slot: int) -> int:
    """Make the amended order the candidate and check it."""
    c = st.commands[i]
    order = st.orders[slot]
    if is_final(order.status):
        return Code.ORDER_CLOSED
    if next_status(order.status, Trigger.REQUEST_REPLACE, order.filled_quantity) == 0:
        return Code.ORDER_PENDING
    price_fault = (c.fault & (Fault.PRICE_TICK | Fault.PRICE_RANGE)) != 0
    st.candidate[0] = order
    candidate = st.candidate[0]
    if c.price != 0 or price_fault:
        candidate.price = c.price
    if c.quantity != 0:
        candidate.quantity = c.quantity
    if c.fault == 0:
        if candidate.price == order.price and candidate.quantity == order.quantity:
            return Code.NOTHING_TO_AMEND
        if candidate.quantity <= order.filled_quantity:
            return Code.QUANTITY_BELOW_FILLED
    extra = max(candidate.quantity - order.filled_quantity - order.reserved, 0)
    return check_order(st, False, False, extra, c.fault, False)


@inline
def amend(st: State, i: int) -> None:
    slot = find_order(st, st.commands[i].order_id)
    code: int = Code.UNKNOWN_ORDER
    if slot != NO_SLOT:
        code = _check_amend(st, i, slot)
        count_message(st, st.orders[slot].account)
    if code != Code.NONE:
        _reject_request(st, i, EventKind.REPLACE_REJECTED, slot, code)
        return
    order = st.orders[slot]
    candidate = st.candidate[0]
    if order.waiting:
        order.price = candidate.price
        order.quantity = candidate.quantity
        reserve(st, slot, order.quantity, worth_of(st, order))
        change_status(st, slot, order.status)
        emit_order(st, EventKind.ORDER_REPLACED, slot)
        return
    order.replace_price = candidate.price
    order.replace_quantity = candidate.quantity
    order.replace_priority = queue_place(st)
    remaining = candidate.quantity - order.filled_quantity
    price = max(worth_of(st, candidate), order.reserved_price)
    reserve(st, slot, max(order.reserved, remaining), price)  # the larger of both, until the venue says which
    change_status(st, slot, OrderStatus.PENDING_REPLACE)
    at = emit_order(st, EventKind.REPLACE_REQUESTED, slot)
    st.events[at].last_price = order.replace_price
    st.events[at].last_quantity = order.replace_quantity


@inline
def _cancel_from(st: State, slot: int, symbol: int) -> int:
    """Cancel an account's open orders from `slot` on; where to go on when events run out."""
    while slot != NO_SLOT and room_for_events(st) > 1:
        following = st.orders[slot].next
        if symbol < 0 or st.orders[slot].symbol == symbol:
            request_cancel(st, slot)
        slot = following
    return slot


@inline
def cancel_all(st: State, i: int) -> bool:
    """Cancel what is open in a scope. `cursor` is the next order, `progress` its account + 1."""
    c = st.commands[i]
    firm = st.firm[0]
    one_account = c.scope == Scope.ACCOUNT or c.scope == Scope.ACCOUNT_SYMBOL
    one_symbol = c.scope == Scope.SYMBOL or c.scope == Scope.ACCOUNT_SYMBOL
    symbol = c.symbol if one_symbol else -1
    first = c.account if one_account else 0
    last = c.account + 1 if one_account else firm.accounts
    known = Scope.FIRM <= c.scope <= Scope.ACCOUNT_SYMBOL
    known = known and first >= 0 and last <= firm.accounts
    if not known or (one_symbol and not 0 <= symbol < firm.symbols):
        at = emit(st, EventKind.COMMAND_REJECTED)
        st.events[at].code = Code.INVALID_VALUE
        return True
    account = first
    slot = NO_SLOT
    if firm.progress == 0:
        slot = st.accounts[account].first_open if account < last else NO_SLOT
    else:
        account = firm.progress - 1
        slot = firm.cursor
    while account < last:
        slot = _cancel_from(st, slot, symbol)
        if slot != NO_SLOT:
            firm.progress = account + 1
            firm.cursor = slot
            return False
        account += 1
        slot = st.accounts[account].first_open if account < last else NO_SLOT
    at = emit(st, EventKind.CANCEL_ALL_DONE)
    event = st.events[at]
    event.account = c.account if one_account else -1
    event.symbol = symbol
    event.scope = c.scope
    # All events but that of the state, where it is SET_TRADING_STATE that cancels.
    event.last_quantity = event.index - (c.kind != CommandKind.CANCEL_ALL)
    return True
