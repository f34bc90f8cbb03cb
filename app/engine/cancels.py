"""Cancels: of one order, and of all that is open in a scope."""

from app.engine.codes import Code
from app.engine.emission import emit, emit_order, room_for_events
from app.engine.flow_checks import count_message
from app.engine.jit import inline
from app.engine.orders import change_status, close
from app.engine.rates import check_cancel_rate
from app.engine.slots import find_order
from app.engine.state import NO_SLOT, State
from app.engine.transitions import Trigger, is_final, next_status
from app.engine.types import CommandKind, EventKind, OrderStatus, Scope
from app.engine.verdicts import verdict_place


@inline
def reject_request(st: State, i: int, kind: int, slot: int, code: int) -> None:
    """Reject a cancel or amend that is not possible; the order, if there is one, is as it was."""
    if slot == NO_SLOT:
        at = emit(st, kind)
        st.events[at].order_id = st.commands[i].order_id
    else:
        at = emit_order(st, kind, slot)
    event = st.events[at]
    event.code = code
    verdict = st.verdicts[verdict_place(code)]
    event.scope = verdict.scope
    event.limit = verdict.limit
    event.observed = verdict.observed


@inline
def request_cancel(st: State, slot: int) -> int:
    """Cancel a stop that waits here, or ask the venue to cancel; returns a refusal's code, or NONE."""
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
        reject_request(st, i, EventKind.CANCEL_REJECTED, slot, code)


@inline
def _cancel_from(st: State, slot: int, symbol: int) -> int:
    """Cancel an account's open orders from `slot` on; returns where to continue when event room runs out."""
    while slot != NO_SLOT and room_for_events(st) > 1:
        following = st.orders[slot].next
        if symbol < 0 or st.orders[slot].symbol == symbol:
            request_cancel(st, slot)
        slot = following
    return slot


@inline
def cancel_all(st: State, i: int) -> bool:
    """Cancel the open orders of a scope; False if it has to be resumed (see `app.engine.engine`).

    `cursor` is the next order, `progress` its account + 1.
    """
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
        st.rejection_events[at].code = Code.INVALID_VALUE
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
    event = st.cancel_all_events[at]
    event.account = c.account if one_account else -1
    event.symbol = symbol
    event.scope = c.scope
    # All events but that of the state, where it is SET_TRADING_STATE that cancels.
    event.requested = event.index - (c.kind != CommandKind.CANCEL_ALL)
    return True
