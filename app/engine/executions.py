"""Execution reports of the venue: acknowledgements, executions, cancels, replaces, refusals.

An impossible report (an unknown order, a repeated execution id, more than the order has left, a
step unknown to the state machine) becomes an EXECUTION_ANOMALY and changes nothing.

If reports and requests have crossed, the venue is right: its answer to an earlier replace is
accepted while a later one is in flight, and so is a fill of what it has replaced already. An order
that is filled while a replace to more is in flight stays open until the answer.
"""

from app.engine.codes import Code
from app.engine.emission import emit, emit_order
from app.engine.expiries import retry_expiry
from app.engine.hash_index import add_execution, forget_execution, has_execution
from app.engine.jit import inline
from app.engine.order_kinds import needs_price
from app.engine.orders import change_status, close, queue_place, reserve_order
from app.engine.positions import apply_fill, position_index, reserve, reserve_rest
from app.engine.restrictions import trim_if_larger
from app.engine.slots import find_order
from app.engine.state import NO_SLOT, State
from app.engine.trading_state import count_rejection, forget_rejections
from app.engine.transitions import Trigger, is_final, next_status
from app.engine.types import EventKind, OrderStatus, ReportKind
from app.engine.valuation import cost_of, worth_of


@inline
def _anomaly(st: State, i: int, slot: int, code: int) -> None:
    report = st.reports[i]
    at = emit(st, EventKind.EXECUTION_ANOMALY) if slot == NO_SLOT else 0
    if slot != NO_SLOT:
        at = emit_order(st, EventKind.EXECUTION_ANOMALY, slot)
    event = st.events[at]
    event.order_id = report.order_id
    event.code = code
    event.last_price = report.price
    event.last_quantity = report.quantity
    event.execution_id = report.execution_id


@inline
def _record_fill(st: State, i: int, slot: int) -> None:
    """Keep the execution in the ring of recent fills, in place of the oldest."""
    report = st.reports[i]
    firm = st.firm[0]
    order = st.orders[slot]
    firm.fills += 1
    at = (firm.fills - 1) & (len(st.fills) - 1)  # a power of two
    fill = st.fills[at]
    if fill.number != 0:
        forget_execution(st, at)
    fill.number = firm.fills
    fill.previous = order.last_fill
    fill.order_id = order.order_id
    fill.execution_id = report.execution_id
    fill.ts = firm.ts
    fill.price = report.price
    fill.quantity = report.quantity
    fill.fee = report.fee
    fill.symbol = order.symbol
    fill.liquidity = report.liquidity
    order.last_fill = firm.fills
    firm.last_execution_id = max(firm.last_execution_id, report.execution_id)
    add_execution(st, at)


@inline
def _check_fill(st: State, i: int, slot: int) -> int:
    report = st.reports[i]
    order = st.orders[slot]
    if has_execution(st, order.symbol, report.execution_id):
        return Code.DUPLICATE_EXECUTION
    most = max(order.quantity, order.replace_quantity)
    if report.quantity <= 0 or report.quantity > most - order.filled_quantity:
        return Code.OVERFILL
    price_max = st.instruments[order.symbol].max_price
    if report.price <= 0 or report.price > price_max or order.waiting or is_final(order.status):
        return Code.ILLEGAL_TRANSITION
    return Code.NONE


@inline
def _take_replaced(st: State, i: int, slot: int) -> None:
    """A fill of more than the order had: the venue has replaced it, and its report of that is late."""
    order = st.orders[slot]
    if st.reports[i].quantity > order.quantity - order.filled_quantity:
        order.price = order.replace_price
        order.quantity = order.replace_quantity
        order.priority = order.replace_priority


@inline
def _fill(st: State, i: int, slot: int) -> None:
    report = st.reports[i]
    order = st.orders[slot]
    code = _check_fill(st, i, slot)
    if code != Code.NONE:
        _anomaly(st, i, slot, code)
        return
    _take_replaced(st, i, slot)
    # More is reserved than is left while the answer to a replace to more is still to come.
    complete = report.quantity == order.quantity - order.filled_quantity == order.reserved
    trigger = Trigger.COMPLETE if complete else Trigger.FILL
    status = next_status(order.status, trigger, order.filled_quantity)
    _record_fill(st, i, slot)
    order.filled_quantity += report.quantity
    order.filled_notional += report.price * report.quantity
    account = order.account
    symbol = order.symbol
    forget_rejections(st, account, symbol)
    apply_fill(st, account, symbol, order.side, report.quantity, report.price, report.fee)
    if complete:
        close(st, slot, status, Code.NONE)
    else:
        change_status(st, slot, status)
        reserve_rest(st, slot, report.quantity)
    at = emit_order(st, EventKind.ORDER_FILLED, slot)
    event = st.fill_events[at]
    event.last_price = report.price
    event.last_quantity = report.quantity
    event.fee = report.fee
    event.execution_id = report.execution_id
    event.liquidity = report.liquidity
    position = st.positions[position_index(st, account, symbol)]
    event.position_quantity = position.quantity
    event.position_cost = position.entry_cost
    st.firm[0].group_open = report.more
    trim_if_larger(st, account, symbol)


@inline
def _is_own_doing(code: int) -> bool:
    """Whether the venue has only done what the order itself asks for: that is no rejection by the venue."""
    return (
        code == Code.POST_ONLY_WOULD_TAKE
        or code == Code.REDUCE_ONLY
        or code == Code.REDUCING_ONLY
        or code == Code.SYMBOL_RESTRICTED
        or code == Code.SELF_TRADE
        or code == Code.INSUFFICIENT_LIQUIDITY
    )


@inline
def _end(st: State, slot: int, status: int, code: int) -> None:
    """Close an order that the venue has ended, and emit its end."""
    order = st.orders[slot]
    kind = EventKind.ORDER_CANCELED
    if status == OrderStatus.CANCELED and 0 < order.expire_ts <= st.firm[0].ts:
        status = next_status(order.status, Trigger.EXPIRE, order.filled_quantity)
    if status == OrderStatus.EXPIRED:
        kind = EventKind.ORDER_EXPIRED
    elif status == OrderStatus.REJECTED:
        kind = EventKind.ORDER_REJECTED
        if not _is_own_doing(code):
            count_rejection(st, order.account, order.symbol)
    close(st, slot, status, code)
    emit_order(st, kind, slot)


@inline
def _trigger_of(report: int) -> int:
    if report == ReportKind.NEW:
        return Trigger.ACKNOWLEDGE
    if report == ReportKind.CANCELED:
        return Trigger.CANCEL
    if report == ReportKind.EXPIRED:
        return Trigger.EXPIRE
    if report == ReportKind.REJECTED:
        return Trigger.REJECT
    if report == ReportKind.REPLACED:
        return Trigger.REPLACE
    if report == ReportKind.UNKNOWN:
        return Trigger.LOSE
    return Trigger.REFUSE


@inline
def _forget_replace(st: State, slot: int) -> None:
    order = st.orders[slot]
    order.replace_price = 0
    order.replace_quantity = 0
    order.replace_priority = 0


@inline
def _go_on(st: State, slot: int, status: int) -> None:
    """No replace is in flight any more: reserve what is left; if nothing is, the order has been filled."""
    order = st.orders[slot]
    _forget_replace(st, slot)
    if order.filled_quantity == order.quantity:
        close(st, slot, OrderStatus.FILLED, Code.NONE)
    else:
        reserve_order(st, slot)
        change_status(st, slot, status)


@inline
def _replace(st: State, i: int, slot: int, status: int) -> None:
    report = st.reports[i]
    order = st.orders[slot]
    if report.price != order.price or report.quantity > order.quantity:
        asked_for = order.replace_priority > 0  # else the venue has done it by itself
        order.priority = order.replace_priority if asked_for else queue_place(st)
    last = report.price == order.replace_price and report.quantity == order.replace_quantity
    order.price = report.price
    order.quantity = report.quantity
    if last or order.replace_quantity == 0:
        _go_on(st, slot, status)
    else:  # the answer to an earlier request: the later one is still in flight
        remaining = max(order.quantity, order.replace_quantity) - order.filled_quantity
        worth = max(worth_of(st, order), order.reserved_price)
        cost = max(cost_of(st, order, remaining), order.reserved_cost)
        reserve(st, slot, remaining, worth, cost)
        canceling = status == OrderStatus.PENDING_CANCEL
        change_status(st, slot, status if canceling else OrderStatus.PENDING_REPLACE)
    at = emit_order(st, EventKind.ORDER_REPLACED, slot)
    st.events[at].code = report.code
    trim_if_larger(st, order.account, order.symbol)


@inline
def _can_replace(st: State, i: int, slot: int) -> bool:
    """Whether the venue's new price and quantity are valid for an order."""
    report = st.reports[i]
    order = st.orders[slot]
    instrument = st.instruments[order.symbol]
    priced = needs_price(order.type)
    return (0 < report.price <= instrument.max_price if priced else report.price == 0) and max(
        order.filled_quantity, 1
    ) <= report.quantity <= instrument.max_quantity


@inline
def _emit_refusal(st: State, i: int, slot: int) -> None:
    report = st.reports[i]
    cancel = report.report == ReportKind.CANCEL_REJECTED
    at = emit_order(st, EventKind.CANCEL_REJECTED if cancel else EventKind.REPLACE_REJECTED, slot)
    st.events[at].code = report.code


@inline
def _take_refusal(st: State, i: int, slot: int, status: int) -> None:
    """The venue has refused a request; a refused cancel answers no replace, nor the reverse."""
    report = st.reports[i]
    order = st.orders[slot]
    cancel = report.report == ReportKind.CANCEL_REJECTED
    if cancel and order.replace_quantity > 0 and report.code != Code.UNKNOWN_ORDER:
        unknown = order.status == OrderStatus.UNKNOWN
        change_status(st, slot, OrderStatus.UNKNOWN if unknown else OrderStatus.PENDING_REPLACE)
    else:
        canceling = order.status == OrderStatus.PENDING_CANCEL
        _go_on(st, slot, status if cancel or not canceling else OrderStatus.PENDING_CANCEL)
    if order.expire_ts != 0 and st.expiries[slot].rank == 0 and not is_final(order.status):
        retry_expiry(st, slot)
    _emit_refusal(st, i, slot)
    trim_if_larger(st, order.account, order.symbol)


@inline
def _is_late(st: State, i: int, slot: int) -> bool:
    """Whether the report is of a replace that a fill has already shown, of an order that has ended since."""
    report = st.reports[i]
    order = st.orders[slot]
    if report.report != ReportKind.REPLACED or not is_final(order.status):
        return False
    if report.price == order.price and report.quantity == order.quantity:
        return True
    asked = report.price == order.replace_price and report.quantity == order.replace_quantity
    return asked and order.status == OrderStatus.FILLED


@inline
def _is_gone(st: State, i: int, slot: int) -> bool:
    """Whether the venue no longer has an order that is not completely filled."""
    report = st.reports[i]
    order = st.orders[slot]
    unknown = report.report == ReportKind.CANCEL_REJECTED and report.code == Code.UNKNOWN_ORDER
    return unknown and order.filled_quantity < order.quantity


@inline
def _move(st: State, i: int, slot: int) -> None:
    """All reports but executions."""
    report = st.reports[i]
    order = st.orders[slot]
    trigger = _trigger_of(report.report)
    status = next_status(order.status, trigger, order.filled_quantity)
    known = ReportKind.NEW <= report.report <= ReportKind.UNKNOWN
    illegal = not known or status == OrderStatus.NONE or order.waiting
    if trigger == Trigger.REPLACE:
        illegal = illegal or not _can_replace(st, i, slot)
    if known and trigger == Trigger.REFUSE and is_final(order.status):
        _emit_refusal(st, i, slot)  # the order has ended before the request reached the venue
    elif _is_late(st, i, slot):
        emit_order(st, EventKind.ORDER_REPLACED, slot)
    elif illegal:
        _anomaly(st, i, slot, Code.ILLEGAL_TRANSITION)
    elif trigger == Trigger.REPLACE:
        _replace(st, i, slot, status)
    elif trigger == Trigger.ACKNOWLEDGE:
        forget_rejections(st, order.account, order.symbol)
        change_status(st, slot, status)
        emit_order(st, EventKind.ORDER_OPENED, slot)
        trim_if_larger(st, order.account, order.symbol)
    elif trigger == Trigger.LOSE:
        change_status(st, slot, status)
        emit_order(st, EventKind.ORDER_UNKNOWN, slot)
    elif _is_gone(st, i, slot):
        _end(st, slot, OrderStatus.CANCELED, Code.UNKNOWN_ORDER)  # the venue does not have it
    elif trigger == Trigger.REFUSE:
        _take_refusal(st, i, slot, status)
    else:
        _end(st, slot, status, report.code)


@inline
def apply_report(st: State, i: int) -> None:
    """Apply one execution report; the consequences are left to `app.engine.consequences`."""
    report = st.reports[i]
    slot = find_order(st, report.order_id)
    if slot == NO_SLOT:
        _anomaly(st, i, slot, Code.UNKNOWN_ORDER)
    elif report.report == ReportKind.TRADE:
        _fill(st, i, slot)
    else:
        _move(st, i, slot)
