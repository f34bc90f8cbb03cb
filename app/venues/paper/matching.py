"""Matching: an incoming order meets the book, one step at a time.

The engine books each trade before the order goes on, so that a breaker which it trips holds the
remainder. The remainder is in `INCOMING`, so the next call goes on where this one stopped.

An order that may only reduce a position trades no more than what is left of that position at the
moment of the match. A remainder that can reduce nothing is canceled.
"""

from app.engine.capacity import SLOT_BITS
from app.engine.codes import Code
from app.engine.jit import force_inline
from app.engine.types import Liquidity, ReportKind, SelfTradePrevention
from app.venues.paper.book import best_level, best_resting_key, key_of, put, reduce, take_out
from app.venues.paper.depth import available, best_depth, best_depth_key, consume
from app.venues.paper.mirror import reducible, why_reducing
from app.venues.paper.reports import write_canceled, write_report, write_trade
from app.venues.paper.state import PaperState

_SLOT_MASK = (1 << SLOT_BITS) - 1


@force_inline
def would_take(st: PaperState, opposite: int, bound: int) -> bool:
    return best_depth_key(st, opposite) >= bound or best_resting_key(st, opposite) >= bound


@force_inline
def _trade_with_depth(st: PaperState, index: int, allowed: int) -> None:
    incoming = st.incoming[0]
    quantity = min(allowed, available(st, index))
    price = abs(st.depth[index].key)
    consume(st, index, quantity)
    incoming.remaining -= quantity
    incoming.silent = 1
    incoming.fresh = 0
    account = incoming.account
    symbol = incoming.symbol
    side = incoming.side
    write_trade(st, incoming.order_id, account, symbol, side, price, quantity, Liquidity.TAKER)


@force_inline
def _trade_with_order(st: PaperState, slot: int, key: int, quantity: int) -> None:
    incoming = st.incoming[0]
    order = st.resting[slot]
    symbol = incoming.symbol
    side = incoming.side
    account = incoming.account
    price = abs(key)
    incoming.remaining -= quantity
    incoming.silent = 1
    incoming.fresh = 0
    taker = write_trade(st, incoming.order_id, account, symbol, side, price, quantity, Liquidity.TAKER)
    taker.more = 1
    write_trade(st, order.order_id, order.account, symbol, side ^ 1, price, quantity, Liquidity.MAKER)
    reduce(st, slot, quantity)


@force_inline
def _prevent_self_trade(st: PaperState, slot: int) -> None:
    incoming = st.incoming[0]
    mode = incoming.self_trade_prevention
    if mode != SelfTradePrevention.CANCEL_NEWEST:
        end_resting(st, slot, incoming.symbol, Code.SELF_TRADE)
    if mode != SelfTradePrevention.CANCEL_OLDEST:
        _end_incoming(st, Code.SELF_TRADE)


@force_inline
def end_resting(st: PaperState, slot: int, symbol: int, code: int) -> None:
    order = st.resting[slot]
    write_canceled(st, order.order_id, order.account, symbol, code)
    take_out(st, slot)


@force_inline
def _end_incoming(st: PaperState, code: int) -> None:
    incoming = st.incoming[0]
    write_canceled(st, incoming.order_id, incoming.account, incoming.symbol, code)
    incoming.remaining = 0


@force_inline
def _allowed(st: PaperState) -> int:
    """How much the incoming order may trade now: a breaker may have tripped since it came in."""
    incoming = st.incoming[0]
    account = incoming.account
    incoming.must_reduce = why_reducing(st, account, incoming.symbol, incoming.flags)
    if incoming.must_reduce == Code.NONE:
        return incoming.remaining
    return min(incoming.remaining, reducible(st, account, incoming.symbol, incoming.side))


@force_inline
def allowed_of(st: PaperState, slot: int, symbol: int, side: int, code: int) -> int:
    """How much a resting order may trade now; `code`: why it may only reduce, NONE if it need not."""
    order = st.resting[slot]
    if code == Code.NONE:
        return order.remaining
    return min(order.remaining, reducible(st, order.account, symbol, side))


@force_inline
def _finish(st: PaperState) -> None:
    """Nothing more to trade with: the remainder rests or is canceled."""
    incoming = st.incoming[0]
    st.venue[0].matching = 0
    if incoming.remaining == 0:
        return
    order_id = incoming.order_id
    account = incoming.account
    symbol = incoming.symbol
    if incoming.immediate:
        _end_incoming(st, Code.INSUFFICIENT_LIQUIDITY if incoming.market else Code.NONE)
        return
    if _allowed(st) == 0:
        _end_incoming(st, incoming.must_reduce)
        return
    side = incoming.side
    key = key_of(side, incoming.price)
    slot = order_id & _SLOT_MASK
    if not put(
        st,
        slot,
        order_id,
        account,
        2 * symbol + side,
        key,
        incoming.quantity,
        incoming.remaining,
        incoming.flags,
    ):
        refuse(st, Code.VENUE_CAPACITY)
    elif not incoming.silent:
        write_report(st, ReportKind.NEW, order_id, account, symbol)


@force_inline
def refuse(st: PaperState, code: int) -> None:
    """The incoming order ends: REJECTED, or CANCELED if it was acknowledged before."""
    incoming = st.incoming[0]
    st.venue[0].matching = 0
    kind = ReportKind.REJECTED if incoming.fresh else ReportKind.CANCELED
    record = write_report(st, kind, incoming.order_id, incoming.account, incoming.symbol)
    record.code = code


@force_inline
def _meet(st: PaperState, slot: int, key: int, allowed: int) -> None:
    """The incoming order meets the first resting one."""
    incoming = st.incoming[0]
    symbol = incoming.symbol
    order = st.resting[slot]
    code = why_reducing(st, order.account, symbol, order.flags)
    quantity = min(allowed, allowed_of(st, slot, symbol, incoming.side ^ 1, code))
    own = order.account == incoming.account
    if quantity == 0:
        end_resting(st, slot, symbol, code)
    elif own and incoming.self_trade_prevention != SelfTradePrevention.NONE:
        _prevent_self_trade(st, slot)
    else:
        _trade_with_order(st, slot, key, quantity)


@force_inline
def match(st: PaperState) -> None:
    """One step of the incoming order: it trades once, or it is finished. There must be room for reports."""
    incoming = st.incoming[0]
    opposite = 2 * incoming.symbol + (incoming.side ^ 1)
    resting_key = best_resting_key(st, opposite)
    depth_key = best_depth_key(st, opposite)
    if incoming.remaining == 0 or max(resting_key, depth_key) < incoming.bound:
        _finish(st)
        return
    allowed = _allowed(st)
    if allowed == 0:
        _end_incoming(st, incoming.must_reduce)
    elif depth_key >= resting_key:
        _trade_with_depth(st, best_depth(st, opposite), allowed)
    else:
        _meet(st, st.levels[best_level(st, opposite)].head, resting_key, allowed)
