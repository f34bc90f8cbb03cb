"""Closing a position: reduce-only market orders for all of it, as one command.

Whoever may trade can always close: the orders are exempt from the limits of size, rate and price
moves, and a position larger than an order may be is closed by several. A refused close changes
nothing. An accepted one may affect the account's other orders in the symbol (`CANCEL_OPEN`): those
that could increase a position or open another are canceled; those that protect it, reduce-only or
waiting stops of the closing side, become reduce-only and end when it is flat, so that whatever remains of
the position stays protected.
"""

import numpy as np

from app.engine.cancels import request_cancel
from app.engine.codes import Code
from app.engine.effect import CLOSE, CLOSE_BESIDE
from app.engine.emission import emit_order, room_for_events
from app.engine.flow_checks import count_message
from app.engine.hash_index import SEED, mix
from app.engine.jit import inline
from app.engine.orders import (
    admit,
    change_status,
    check_new,
    find_earlier,
    load_candidate,
    open_order,
    refuse,
)
from app.engine.positions import make_reduce_only, position_index, reducible_by
from app.engine.rates import take_tokens
from app.engine.records import CLIENT_ORDER_ID_WORDS
from app.engine.state import NO_SLOT, State
from app.engine.types import (
    CommandKind,
    EventKind,
    OrderFlag,
    OrderType,
    Scope,
    SelfTradePrevention,
    Side,
    StateFlag,
    TimeInForce,
)
from app.engine.verdicts import verdict_place

_HALF = np.uint64(1)

# `FIRM.progress`.
_SENDING = 1  # `cursor` is the quantity of the orders so far
_CANCELING = 2  # `cursor` is the next of the other orders


@inline
def _describe_close(st: State, i: int, asked_for: int) -> None:
    """Load the order for what remains of the position, less `asked_for`, as the candidate."""
    load_candidate(st, i)
    order = st.candidate[0]
    held = 0
    if order.account >= 0 and order.symbol >= 0:
        held = st.positions[position_index(st, order.account, order.symbol)].quantity
    order.side = Side.SELL if held >= 0 else Side.BUY
    order.type = OrderType.MARKET
    order.time_in_force = TimeInForce.IOC
    order.flags = OrderFlag.REDUCE_ONLY
    order.self_trade_prevention = SelfTradePrevention.CANCEL_OLDEST
    order.waiting = 0
    order.price = 0
    order.stop_price = 0
    order.expire_ts = 0
    order.quantity = abs(held) - asked_for
    # A repeated close is the same close, whatever the position is by then.
    h = mix(mix(SEED, np.uint64(CommandKind.CLOSE_POSITION)), np.uint64(order.symbol + 1))
    order.content = np.int64(h >> _HALF)


@inline
def _begin(st: State, i: int) -> bool:
    """Check the close as one order for all of the position; returns whether it is accepted."""
    _describe_close(st, i, 0)
    account = st.candidate[0].account
    lacking = take_tokens(st, account)
    earlier, duplicate = find_earlier(st)
    if earlier != NO_SLOT:
        emit_order(st, EventKind.ORDER_REPLAYED, earlier)
        return False
    how = CLOSE if st.commands[i].flags & StateFlag.CANCEL_OPEN else CLOSE_BESIDE
    code = check_new(st, how, fault=0, duplicate=duplicate, lacking=lacking)
    if code == Code.QUANTITY_MIN:  # there is nothing to close
        code = Code.REDUCE_ONLY
        verdict = st.verdicts[verdict_place(code)]
        verdict.scope = Scope.ACCOUNT_SYMBOL
        verdict.limit = 0
        verdict.observed = 0
    count_message(st, account)
    if code != Code.NONE:
        # Its client order id stays free: the close may be tried again.
        refuse(st, admit(st, duplicate=True), code)
    return code == Code.NONE


@inline
def _send(st: State, i: int) -> bool:
    """Send the orders, each within the instrument's largest size; False if it has to be resumed."""
    firm = st.firm[0]
    while True:
        _describe_close(st, i, firm.cursor)
        order = st.candidate[0]
        if order.quantity == 0 or (firm.cursor > 0 and firm.open_orders >= firm.open_orders_max):
            return True
        if room_for_events(st) < 1:
            return False
        if firm.cursor > 0:  # the client order id is that of the first one
            for word in range(CLIENT_ORDER_ID_WORDS):
                order.client_order_id[word] = 0
        order.quantity = min(order.quantity, st.instruments[order.symbol].max_quantity)
        firm.cursor += order.quantity
        open_order(st, admit(st, duplicate=False))


@inline
def _make_way(st: State, slot: int, side: int) -> None:
    """Another open order of the account: it ends, or becomes reduce-only if it protects the position."""
    order = st.orders[slot]
    if order.seq == st.firm[0].seq:  # one of the closing orders
        return
    if order.side == side and order.flags & OrderFlag.REDUCE_ONLY:
        return
    if order.side == side and order.waiting:
        make_reduce_only(st, slot)
        change_status(st, slot, order.status)
        at = emit_order(st, EventKind.ORDER_REPLACED, slot)
        st.events[at].code = Code.REDUCE_ONLY
    else:
        request_cancel(st, slot)


@inline
def _cancel_others(st: State, i: int) -> bool:
    """Cancel or restrict the account's other orders; False if it has to be resumed."""
    c = st.commands[i]
    firm = st.firm[0]
    held = st.positions[position_index(st, c.account, c.symbol)].quantity
    side = Side.SELL if reducible_by(held, Side.SELL) > 0 else Side.BUY
    while firm.cursor != NO_SLOT:
        if room_for_events(st) < 1:
            return False
        slot = firm.cursor
        firm.cursor = st.orders[slot].next
        if st.orders[slot].symbol == c.symbol:
            _make_way(st, slot, side)
    return True


@inline
def close_position(st: State, i: int, fresh: bool) -> bool:
    """Apply CLOSE_POSITION; False if it has to be resumed (see `app.engine.engine`)."""
    firm = st.firm[0]
    if fresh:
        if not _begin(st, i):
            return True
        firm.progress = _SENDING
        firm.cursor = 0
    if firm.progress == _SENDING:
        if not _send(st, i):
            return False
        if not st.commands[i].flags & StateFlag.CANCEL_OPEN:
            return True
        firm.progress = _CANCELING
        firm.cursor = st.accounts[st.commands[i].account].first_open
    return _cancel_others(st, i)
