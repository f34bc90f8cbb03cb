"""Stops whose price the mark has reached.

A stop is judged when it fires, by the position of that moment. One that reduces goes to the venue,
trimmed to the position: nothing keeps it from protecting. One that opens is checked like a new
order (SEC rule 15c3-5(c)(1): before it is routed); if it is refused, the part that reduces still
goes. While firm, symbol or instrument are halted nothing fires, and stops that were reached
meanwhile are checked again when the halt ends.
"""

from app.engine.codes import Code
from app.engine.effect import FIRE
from app.engine.emission import emit_order, room_for_events
from app.engine.jit import inline
from app.engine.orders import change_status, close, queue_place, reserve_order
from app.engine.positions import make_reduce_only, position_index, reducible_by
from app.engine.restrictions import restriction_of
from app.engine.risk import check_order
from app.engine.state import NO_SLOT, State
from app.engine.stop_heap import SUSPENDED, release_stop
from app.engine.transitions import Trigger, next_status
from app.engine.types import EventKind, InstrumentStatus, OrderFlag, OrderStatus, Scope, TradingState
from app.engine.valuation import protection_price
from app.engine.verdicts import verdict_place


@inline
def _reduce(st: State, slot: int, reducible: int) -> None:
    """From now on the stop is a reduce-only order, no larger than the position."""
    order = st.orders[slot]
    order.quantity = min(order.quantity, reducible)
    make_reduce_only(st, slot)


@inline
def _refusal(st: State, slot: int) -> int:
    """Why a stop cannot fire, as a code, with its verdict; NONE if it can, if need be in part."""
    order = st.orders[slot]
    held = st.positions[position_index(st, order.account, order.symbol)].quantity
    reducible = reducible_by(held, order.side)
    code: int = Code.REDUCE_ONLY
    if (order.flags & OrderFlag.REDUCE_ONLY) == 0:
        code = restriction_of(st, order.account, order.symbol)
        if code == Code.NONE:
            st.candidate[0] = order
            code = check_order(st, explain=False, how=FIRE, fault=0, duplicate=False, lacking=Scope.NONE)
            if code == Code.NONE:
                if st.candidate[0].flags & OrderFlag.REDUCE_ONLY:
                    make_reduce_only(st, slot)
                return Code.NONE
    if reducible > 0:
        _reduce(st, slot, reducible)
        return Code.NONE
    if code == Code.REDUCE_ONLY or code == Code.REDUCING_ONLY or code == Code.SYMBOL_RESTRICTED:
        verdict = st.verdicts[verdict_place(code)]
        verdict.scope = 0
        verdict.limit = 0
        verdict.observed = order.quantity
    return code


@inline
def _fire(st: State, slot: int) -> None:
    """At most one event."""
    order = st.orders[slot]
    if st.accounts[order.account].trading_state == TradingState.HALTED:
        release_stop(st, slot, SUSPENDED)
        return
    release_stop(st, slot, 0)
    code = _refusal(st, slot)
    if code != Code.NONE:
        close(st, slot, OrderStatus.CANCELED, code)
        at = emit_order(st, EventKind.ORDER_CANCELED, slot)
        verdict = st.verdicts[verdict_place(code)]
        st.events[at].scope = verdict.scope
        st.events[at].limit = verdict.limit
        st.events[at].observed = verdict.observed
        return
    reserve_order(st, slot)
    change_status(st, slot, next_status(order.status, Trigger.FIRE, 0))
    order.flags |= OrderFlag.TRIGGERED
    order.priority = queue_place(st)
    at = emit_order(st, EventKind.ORDER_TRIGGERED, slot)
    st.new_order_events[at].protection_price = protection_price(st, order)


@inline
def _reached(st: State, symbol: int) -> int:
    """The stop that the mark has reached first, NO_SLOT if there is none or nothing may fire."""
    instrument = st.instruments[symbol]
    halted = st.firm[0].trading_state == TradingState.HALTED
    halted = halted or instrument.trading_state == TradingState.HALTED
    if halted or instrument.status != InstrumentStatus.TRADING or instrument.mark == 0:
        return NO_SLOT
    rise = instrument.rise_root
    if rise != NO_SLOT and st.triggers[rise].key <= instrument.mark:
        return rise
    fall = instrument.fall_root
    if fall != NO_SLOT and -st.triggers[fall].key >= instrument.mark:
        return fall
    return NO_SLOT


@inline
def fire_stops(st: State) -> bool:
    """Fire the stops that are due; False if it has to be resumed (see `app.engine.engine`)."""
    firm = st.firm[0]
    for symbol in range(firm.symbols):
        if st.instruments[symbol].stops_due == 0:
            continue
        slot = _reached(st, symbol)
        while slot != NO_SLOT:
            if room_for_events(st) < 1:
                return False
            _fire(st, slot)
            slot = _reached(st, symbol)
        st.instruments[symbol].stops_due = 0
    firm.stops_due = 0
    return True
