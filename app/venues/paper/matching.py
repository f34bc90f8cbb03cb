"""An incoming order meets the book, one step at a time.

Reports may fill their buffer at any step. What is left of the order is in
`INCOMING`, so the next call goes on where this one stopped.
"""

from app.engine.capacity import SLOT_BITS
from app.engine.codes import Code
from app.engine.jit import force_inline
from app.engine.types import Liquidity, ReportKind, SelfTradePrevention
from app.venues.paper.book import best_level, best_resting_key, key_of, ladder_levels, put, reduce, take_out
from app.venues.paper.depth import available, best_depth, best_depth_key, consume, depth_levels
from app.venues.paper.records import REPORTS_PER_STEP_MAX
from app.venues.paper.reports import has_room, write_canceled, write_report, write_trade
from app.venues.paper.state import PaperState

_SLOT_MASK = (1 << SLOT_BITS) - 1


@force_inline
def would_take(st: PaperState, opposite: int, bound: int) -> bool:
    return best_depth_key(st, opposite) >= bound or best_resting_key(st, opposite) >= bound


@force_inline
def _could_fill(st: PaperState, opposite: int, bound: int, quantity: int) -> bool:
    """Whether so much is there at all, whoever it belongs to: by levels, not orders."""
    first = opposite * depth_levels(st)
    index = best_depth(st, opposite)
    while quantity > 0 and index >= first and st.depth[index]["key"] >= bound:
        quantity -= available(st, index)
        index -= 1
    first = opposite * ladder_levels(st)
    index = first + st.sides[opposite]["rungs"] - 1
    while quantity > 0 and index >= first and st.rungs[index]["key"] >= bound:
        quantity -= st.levels[st.rungs[index]["level"]]["quantity"]
        index -= 1
    return bool(quantity <= 0)


@force_inline
def can_fill(st: PaperState, opposite: int, bound: int, quantity: int, account: int, mode: int) -> bool:
    """Whether an order would fill entirely, its self-trade prevention considered."""
    if not _could_fill(st, opposite, bound, quantity):
        return False
    if mode == SelfTradePrevention.NONE:
        return True
    first = opposite * depth_levels(st)
    index = best_depth(st, opposite)
    first_rung = opposite * ladder_levels(st)
    rung = first_rung + st.sides[opposite]["rungs"] - 1
    while True:
        key = st.rungs[rung]["key"] if rung >= first_rung else bound - 1
        while index >= first and st.depth[index]["key"] >= max(key, bound):
            quantity -= available(st, index)
            index -= 1
        if quantity <= 0:
            return True
        if key < bound:
            return False
        slot = st.levels[st.rungs[rung]["level"]]["head"]
        while slot >= 0 and quantity > 0:
            if st.resting[slot]["account"] != account:
                quantity -= st.resting[slot]["remaining"]
            elif mode != SelfTradePrevention.CANCEL_OLDEST:
                return False
            slot = st.resting[slot]["next"]
        rung -= 1


@force_inline
def _trade_with_depth(st: PaperState, index: int) -> None:
    incoming = st.incoming[0]
    quantity = min(incoming["remaining"], available(st, index))
    price = abs(st.depth[index]["key"])
    consume(st, index, quantity)
    incoming["remaining"] -= quantity
    incoming["silent"] = 1
    incoming["fresh"] = 0
    write_trade(
        st, incoming["order_id"], incoming["account"], incoming["symbol"], price, quantity, Liquidity.TAKER
    )


@force_inline
def _trade_with_order(st: PaperState, slot: int, key: int) -> None:
    incoming = st.incoming[0]
    order = st.resting[slot]
    quantity = min(incoming["remaining"], order["remaining"])
    symbol = incoming["symbol"]
    incoming["remaining"] -= quantity
    incoming["silent"] = 1
    incoming["fresh"] = 0
    write_trade(st, incoming["order_id"], incoming["account"], symbol, abs(key), quantity, Liquidity.TAKER)
    write_trade(st, order["order_id"], order["account"], symbol, abs(key), quantity, Liquidity.MAKER)
    reduce(st, slot, quantity)


@force_inline
def _prevent_self_trade(st: PaperState, slot: int) -> None:
    incoming = st.incoming[0]
    mode = incoming["self_trade_prevention"]
    if mode != SelfTradePrevention.CANCEL_NEWEST:
        order = st.resting[slot]
        write_canceled(st, order["order_id"], order["account"], incoming["symbol"], Code.SELF_TRADE)
        take_out(st, slot)
    if mode != SelfTradePrevention.CANCEL_OLDEST:
        write_canceled(st, incoming["order_id"], incoming["account"], incoming["symbol"], Code.SELF_TRADE)
        incoming["remaining"] = 0


@force_inline
def _finish(st: PaperState) -> None:
    """Nothing more to trade with: what remains rests or is canceled."""
    incoming = st.incoming[0]
    st.venue[0]["matching"] = 0
    if incoming["remaining"] == 0:
        return
    order_id = incoming["order_id"]
    account = incoming["account"]
    symbol = incoming["symbol"]
    if incoming["immediate"]:
        code = Code.INSUFFICIENT_LIQUIDITY if incoming["market"] else Code.NONE
        write_canceled(st, order_id, account, symbol, code)
        return
    side = incoming["side"]
    key = key_of(side, incoming["price"])
    slot = order_id & _SLOT_MASK
    if not put(
        st,
        slot,
        order_id,
        account,
        2 * symbol + side,
        key,
        incoming["quantity"],
        incoming["remaining"],
    ):
        refuse(st, Code.VENUE_CAPACITY)
    elif not incoming["silent"]:
        write_report(st, ReportKind.NEW, order_id, account, symbol)


@force_inline
def refuse(st: PaperState, code: int) -> None:
    """The incoming order ends: REJECTED, or CANCELED where it was acknowledged before."""
    incoming = st.incoming[0]
    st.venue[0]["matching"] = 0
    kind = ReportKind.REJECTED if incoming["fresh"] else ReportKind.CANCELED
    record = write_report(st, kind, incoming["order_id"], incoming["account"], incoming["symbol"])
    record["code"] = code


@force_inline
def match(st: PaperState) -> None:
    """Trade the incoming order until it is finished or the reports' buffer is full."""
    incoming = st.incoming[0]
    opposite = 2 * incoming["symbol"] + (incoming["side"] ^ 1)
    bound = incoming["bound"]
    while incoming["remaining"] > 0:
        if not has_room(st, REPORTS_PER_STEP_MAX):
            return
        resting_key = best_resting_key(st, opposite)
        depth_key = best_depth_key(st, opposite)
        if max(resting_key, depth_key) < bound:
            break
        if depth_key >= resting_key:
            _trade_with_depth(st, best_depth(st, opposite))
            continue
        slot = st.levels[best_level(st, opposite)]["head"]
        own = st.resting[slot]["account"] == incoming["account"]
        if own and incoming["self_trade_prevention"] != SelfTradePrevention.NONE:
            _prevent_self_trade(st, slot)
        else:
            _trade_with_order(st, slot, resting_key)
    _finish(st)
