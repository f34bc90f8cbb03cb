"""Orders: how a new one is placed, what it reserves while it is open, and how it ends."""

import numpy as np

from app.engine import heap
from app.engine.capacity import SLOT_BITS
from app.engine.codes import Code
from app.engine.effect import NEW
from app.engine.emission import emit_order
from app.engine.flow_checks import count_message, trip_repeats
from app.engine.hash_index import SEED, add_client_order, find_client_order, mix
from app.engine.jit import inline
from app.engine.order_kinds import needs_stop_price
from app.engine.positions import reserve
from app.engine.rates import take_tokens
from app.engine.records import CLIENT_ORDER_ID_WORDS
from app.engine.risk import check_order
from app.engine.slots import link_open, retire, take_slot, unlink_open
from app.engine.state import NO_SLOT, State
from app.engine.stop_heap import hold_stop, release_stop
from app.engine.types import EventKind, OrderFlag, OrderStatus, Scope, TimeInForce
from app.engine.valuation import cost_of, protection_price, worth_of
from app.engine.verdicts import verdict_place

_HALF = np.uint64(1)
_EVENT_INDEX_BITS = 20
_ASKED_FOR = int(OrderFlag.POST_ONLY) | int(OrderFlag.REDUCE_ONLY)


@inline
def fingerprint(st: State, i: int) -> np.int64:
    """A hash of an order's content: two requests with one client order id must agree in it."""
    c = st.commands[i]
    h = mix(SEED, np.uint64(c.symbol * 65536 + c.side + 16 * c.type + 256 * c.time_in_force))
    h = mix(mix(h, np.uint64(c.price)), np.uint64(c.quantity))
    other = mix(SEED, np.uint64(c.flags + 256 * c.self_trade_prevention + 65536 * c.fault))
    other = mix(mix(other, np.uint64(c.stop_price)), np.uint64(c.expire_ts))
    h = mix(h, other)  # two chains, so that they are computed side by side
    return np.int64(h >> _HALF)


@inline
def queue_place(st: State) -> int:
    """The place in the venue's queue: the order of the events that send orders there."""
    firm = st.firm[0]
    return (firm.seq << _EVENT_INDEX_BITS) | min(firm.event_index, (1 << _EVENT_INDEX_BITS) - 1)


@inline
def load_candidate(st: State, i: int) -> None:
    """Load the order that a command asks for as the candidate."""
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
    order.flags = c.flags & _ASKED_FOR
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
    order.reserved_cost = 0
    order.limit = 0
    order.observed = 0
    order.content = fingerprint(st, i)
    order.last_fill = 0
    for word in range(CLIENT_ORDER_ID_WORDS):
        order.client_order_id[word] = c.client_order_id[word]


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
        release_stop(st, slot, 0)
    if order.expire_ts != 0 and st.expiries[slot].rank != 0:
        st.firm[0].expiry_root = heap.remove(st.expiries, st.firm[0].expiry_root, slot)
    reserve(st, slot, 0, 0, 0)
    unlink_open(st, slot)
    change_status(st, slot, status)
    order.code = code
    retire(st, slot)


@inline
def reserve_order(st: State, slot: int) -> None:
    """Reserve what is left of an order, at its current worth."""
    order = st.orders[slot]
    quantity = order.quantity - order.filled_quantity
    reserve(st, slot, quantity, worth_of(st, order), cost_of(st, order, quantity))


@inline
def refuse(st: State, slot: int, code: int) -> None:
    order = st.orders[slot]
    verdict = st.verdicts[verdict_place(code)]
    order.status = OrderStatus.REJECTED
    order.waiting = 0
    order.code = code
    order.scope = verdict.scope
    order.limit = verdict.limit
    order.observed = verdict.observed
    retire(st, slot)
    emit_order(st, EventKind.ORDER_REJECTED, slot)
    if code == Code.REPEATED_ORDER:
        trip_repeats(st)


@inline
def check_new(st: State, how: int, fault: int, duplicate: bool, lacking: int) -> int:
    """Check the candidate as a new order (not AMEND or FIRE), against the engine's own capacity too."""
    firm = st.firm[0]
    code = check_order(st, explain=False, how=how, fault=fault, duplicate=duplicate, lacking=lacking)
    if code == Code.NONE and firm.open_orders >= firm.open_orders_max:
        code = Code.ORDER_CAPACITY
        verdict = st.verdicts[verdict_place(code)]
        verdict.scope = Scope.FIRM
        verdict.limit = firm.open_orders_max
        verdict.observed = firm.open_orders + 1
    return code


@inline
def find_earlier(st: State) -> tuple[int, bool]:
    """The order that the candidate repeats, or NO_SLOT; whether its client order id is another order's."""
    candidate = st.candidate[0]
    if candidate.client_order_id[0] == 0 or candidate.account < 0:
        return NO_SLOT, False
    first = find_client_order(st, candidate.account, candidate.client_order_id)
    if first == NO_SLOT:
        return NO_SLOT, False
    if st.orders[first].content == candidate.content:
        return first, False
    return NO_SLOT, True


@inline
def admit(st: State, duplicate: bool) -> int:
    """Give the candidate a slot, and with it its id."""
    candidate = st.candidate[0]
    slot = take_slot(st)
    candidate.order_id = (st.firm[0].seq << SLOT_BITS) | slot
    st.orders[slot] = candidate
    if candidate.client_order_id[0] != 0 and candidate.account >= 0 and not duplicate:
        add_client_order(st, slot)
    return slot


@inline
def open_order(st: State, slot: int) -> None:
    """An order has passed its check and is open: at the venue, or here if it is a stop."""
    firm = st.firm[0]
    order = st.orders[slot]
    link_open(st, slot)
    reserve_order(st, slot)
    if order.time_in_force == TimeInForce.GTD:
        firm.expiry_root = heap.push(st.expiries, firm.expiry_root, slot, order.expire_ts, order.order_id)
    if order.waiting:
        order.status = OrderStatus.NEW
        hold_stop(st, slot)
        emit_order(st, EventKind.ORDER_OPENED, slot)
    else:
        at = emit_order(st, EventKind.ORDER_ACCEPTED, slot)
        st.new_order_events[at].protection_price = protection_price(st, order)


@inline
def place(st: State, i: int) -> None:
    load_candidate(st, i)
    account = st.candidate[0].account
    lacking = take_tokens(st, account)
    earlier, duplicate = find_earlier(st)
    if earlier != NO_SLOT:
        emit_order(st, EventKind.ORDER_REPLAYED, earlier)
        return
    code = check_new(st, NEW, st.commands[i].fault, duplicate, lacking)
    if code != Code.NONE:
        st.candidate[0].flags = st.commands[i].flags & _ASKED_FOR
    count_message(st, account)
    slot = admit(st, duplicate)
    if code != Code.NONE:
        refuse(st, slot, code)
    else:
        open_order(st, slot)
