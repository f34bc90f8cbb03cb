"""Emission of events: each is a self-contained record of what happened."""

from app.engine.jit import inline
from app.engine.records import CLIENT_ORDER_ID_WORDS
from app.engine.state import State


@inline
def room_for_events(st: State) -> int:
    return len(st.events) - st.firm[0].event_count


@inline
def emit(st: State, kind: int) -> int:
    """Start an event of the current command, blank but for its kind; returns its index."""
    firm = st.firm[0]
    at = firm.event_count
    event = st.events[at]
    event.seq = firm.seq
    event.ts = firm.ts
    event.kind = kind
    event.index = firm.event_index
    event.account = -1
    event.symbol = -1
    event.status = 0
    event.side = 0
    event.type = 0
    event.time_in_force = 0
    event.flags = 0
    event.self_trade_prevention = 0
    event.liquidity = 0
    event.code = 0
    event.scope = 0
    event.notes = 0
    event.order_id = 0
    event.price = 0
    event.stop_price = 0
    event.quantity = 0
    event.filled_quantity = 0
    event.filled_notional = 0
    event.created_ts = 0
    event.expire_ts = 0
    event.last_price = 0
    event.last_quantity = 0
    event.fee = 0
    event.execution_id = 0
    event.limit = 0
    event.observed = 0
    for word in range(CLIENT_ORDER_ID_WORDS):
        event.client_order_id[word] = 0
    firm.event_count += 1
    firm.event_index += 1
    return at


@inline
def emit_order(st: State, kind: int, slot: int) -> int:
    """Write an event that shows the whole order as it now is; returns its index."""
    firm = st.firm[0]
    order = st.orders[slot]
    at = firm.event_count
    event = st.events[at]
    event.seq = firm.seq
    event.ts = firm.ts
    event.kind = kind
    event.index = firm.event_index
    event.account = order.account
    event.symbol = order.symbol
    event.status = order.status
    event.side = order.side
    event.type = order.type
    event.time_in_force = order.time_in_force
    event.flags = order.flags
    event.self_trade_prevention = order.self_trade_prevention
    event.liquidity = 0
    event.code = order.code
    event.scope = order.scope
    event.notes = 0
    event.order_id = order.order_id
    event.price = order.price
    event.stop_price = order.stop_price
    event.quantity = order.quantity
    event.filled_quantity = order.filled_quantity
    event.filled_notional = order.filled_notional
    event.created_ts = order.created_ts
    event.expire_ts = order.expire_ts
    event.last_price = 0
    event.last_quantity = 0
    event.fee = 0
    event.execution_id = 0
    event.limit = order.limit
    event.observed = order.observed
    for word in range(CLIENT_ORDER_ID_WORDS):
        event.client_order_id[word] = order.client_order_id[word]
    firm.event_count += 1
    firm.event_index += 1
    return at
