"""Fill or kill: whether an order would fill entirely, by the walk of matching without a trade.

It includes self-trade prevention, and that orders which may only reduce trade no more than the
position: what they have traded on this walk is kept by account.
"""

from app.engine.codes import Code
from app.engine.jit import force_inline
from app.engine.types import SelfTradePrevention, Side
from app.venues.paper.book import ladder_levels
from app.venues.paper.depth import available, best_depth, depth_levels
from app.venues.paper.mirror import holding_index, reducible, why_reducing
from app.venues.paper.state import PaperState


@force_inline
def _could_fill(st: PaperState, opposite: int, bound: int, quantity: int) -> bool:
    """Whether enough is there at all, whoever owns it: by levels, not orders."""
    first = opposite * depth_levels(st)
    index = best_depth(st, opposite)
    while quantity > 0 and index >= first and st.depth[index].key >= bound:
        quantity -= available(st, index)
        index -= 1
    first = opposite * ladder_levels(st)
    index = first + st.sides[opposite].rungs - 1
    while quantity > 0 and index >= first and st.rungs[index].key >= bound:
        quantity -= st.levels[st.rungs[index].level].quantity
        index -= 1
    return quantity <= 0


@force_inline
def _spend(st: PaperState, account: int, quantity: int) -> None:
    if st.holders[account].spent == 0:
        st.spenders[st.venue[0].spenders] = account
        st.venue[0].spenders += 1
    st.holders[account].spent += quantity


@force_inline
def _forget_spending(st: PaperState) -> None:
    for index in range(st.venue[0].spenders):
        st.holders[st.spenders[index]].spent = 0
    st.venue[0].spenders = 0


@force_inline
def _offered(st: PaperState, slot: int, traded: int) -> int:
    """How much of a resting order is free for the incoming one, which has `traded` this much with others."""
    incoming = st.incoming[0]
    order = st.resting[slot]
    account = order.account
    symbol = incoming.symbol
    side = incoming.side
    remaining = order.remaining
    if why_reducing(st, account, symbol, order.flags) == Code.NONE:
        return remaining
    if account == incoming.account:  # both sides of a trade with itself leave its position as it is
        quantity = st.holdings[holding_index(st, account, symbol)].quantity
        held = quantity + traded if side == Side.BUY else -quantity + traded
        return remaining if held > 0 else 0
    left = reducible(st, account, symbol, side ^ 1) - st.holders[account].spent
    return min(remaining, max(left, 0))


@force_inline
def _walk(st: PaperState, opposite: int, bound: int) -> bool:
    incoming = st.incoming[0]
    mode = incoming.self_trade_prevention
    account = incoming.account
    wanted = incoming.remaining
    budget = wanted
    if incoming.must_reduce != Code.NONE:
        budget = min(wanted, reducible(st, account, incoming.symbol, incoming.side))
    traded = 0
    first = opposite * depth_levels(st)
    index = best_depth(st, opposite)
    first_rung = opposite * ladder_levels(st)
    rung = first_rung + st.sides[opposite].rungs - 1
    while True:
        key = st.rungs[rung].key if rung >= first_rung else bound - 1
        while index >= first and st.depth[index].key >= max(key, bound):
            traded += min(available(st, index), budget - traded)
            index -= 1
        if traded == wanted:
            return True
        if traded == budget or key < bound:
            return False
        slot = st.levels[st.rungs[rung].level].head
        while slot >= 0 and traded < budget:
            order = st.resting[slot]
            offered = _offered(st, slot, traded)
            if offered > 0 and order.account != account:
                offered = min(offered, budget - traded)
                traded += offered
                _spend(st, order.account, offered)
            elif offered > 0 and mode == SelfTradePrevention.NONE:
                # This much of the wanted quantity is done, and none of the reducible quantity.
                offered = min(offered, wanted - traded)
                wanted -= offered
                budget = min(budget, wanted)
                if wanted == traded:
                    return True
            elif offered > 0 and mode != SelfTradePrevention.CANCEL_OLDEST:
                return False
            slot = order.next
        rung -= 1


@force_inline
def can_fill(st: PaperState, opposite: int, bound: int) -> bool:
    """Whether the incoming order would fill entirely."""
    if not _could_fill(st, opposite, bound, st.incoming[0].remaining):
        return False
    found = _walk(st, opposite, bound)
    _forget_spending(st)
    return found
