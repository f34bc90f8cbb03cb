"""Effect of an order under check on its account's position.

An order that only reduces is exempt from the limits on positions: it makes nothing worse. Exempt
means down to flat and not through it, so it is judged by what all open orders of its side could
lead to beyond flat. One that the limits would refuse, were it not exempt, becomes a reduce-only
order: then nothing that happens before its fill can turn it into one that opens.
"""

from typing import NamedTuple

from app.engine.capacity import SLOT_BITS
from app.engine.jit import force_inline
from app.engine.positions import long_reach, position_index, reducible_by, short_reach
from app.engine.state import State
from app.engine.types import OrderFlag, OrderType, Side
from app.engine.valuation import cost_of, worth_of

SLOT_MASK = (1 << SLOT_BITS) - 1

# The occasions of a check.
NEW = 0
AMEND = 1
FIRE = 2
CLOSE = 3  # a new one that closes a position; the account's other orders give way
CLOSE_BESIDE = 4  # one that closes a position beside them


class Effect(NamedTuple):
    """In steps: `remaining` of the order, `extra` of it more than is reserved; `opens`: what the order's side
    could then hold beyond flat; `worst`: the largest magnitude that the position could have, `growth` of
    it; `up`, `down`: changes of the highest and the lowest position that open orders could lead to.

    `price`: what a step is worth, in ticks. In money: `added`: what is to be traded more; `cost`: what the
    fills may cost beyond the mark, `added_cost`: the part of it that is not reserved yet.
    """

    remaining: int
    extra: int
    opens: int
    worst: int
    growth: int
    up: int
    down: int
    price: int
    added: int
    cost: int
    added_cost: int
    reducing: bool


@force_inline
def left_of(st: State) -> int:
    """Steps of the candidate that have not traded."""
    order = st.candidate[0]
    return order.quantity - order.filled_quantity


@force_inline
def only_reduces(st: State) -> bool:
    """Whether the candidate alone would reduce the position, whatever else is open."""
    order = st.candidate[0]
    position = st.positions[position_index(st, order.account, order.symbol)]
    return left_of(st) <= reducible_by(position.quantity, order.side)


@force_inline
def closes_all(st: State, how: int) -> bool:
    """Whether the candidate closes the whole position at once: then it is not throttled or sized."""
    order = st.candidate[0]
    if how == AMEND or how == FIRE:
        return False
    if order.type != OrderType.MARKET or (order.flags & OrderFlag.REDUCE_ONLY) == 0:
        return False
    held = st.positions[position_index(st, order.account, order.symbol)].quantity
    return held != 0 and order.quantity == reducible_by(held, order.side)


@force_inline
def _reach(held: int, side: int, plain: int, reduce_only: int) -> int:
    """The position that open orders of one side could lead to."""
    if side == Side.BUY:
        return long_reach(held, plain + reduce_only, reduce_only)
    return short_reach(held, plain + reduce_only, reduce_only)


@force_inline
def effect_of(st: State, how: int, restricted: bool) -> Effect:
    """The effect of the candidate, whose numbers are in the instrument's range.

    `restricted`: the account may only reduce here, so all open orders are held to the position.
    """
    order = st.candidate[0]
    position = st.positions[position_index(st, order.account, order.symbol)]
    multiplier = st.instruments[order.symbol].multiplier
    buy = order.side == Side.BUY
    direction = 1 if buy else -1
    reduce_only = position.reduce_buy if buy else position.reduce_sell
    plain = (position.open_buy if buy else position.open_sell) - reduce_only
    reach_now = _reach(position.quantity, order.side, plain, reduce_only)
    reach_without = reach_now
    reserved = 0
    reserved_value = 0
    reserved_cost = 0
    if how == AMEND or how == FIRE:
        before = st.orders[order.order_id & SLOT_MASK]
        reserved = before.reserved
        reserved_value = reserved * before.reserved_price * multiplier
        reserved_cost = before.reserved_cost
        if before.flags & OrderFlag.REDUCE_ONLY:
            reduce_only -= reserved
        else:
            plain -= reserved
        reach_without = _reach(position.quantity, order.side, plain, reduce_only)
    remaining = left_of(st)
    only_reduce = (order.flags & OrderFlag.REDUCE_ONLY) != 0
    if only_reduce:
        reduce_only += remaining
    else:
        plain += remaining
    reach = _reach(position.quantity, order.side, plain, reduce_only)
    if buy:
        other = short_reach(position.quantity, position.open_sell, position.reduce_sell)
    else:
        other = long_reach(position.quantity, position.open_buy, position.reduce_buy)
    worst = max(abs(reach), abs(other))
    opens = max(direction * reach, 0)
    reducing = opens <= max(direction * reach_without, 0)
    if only_reduce or restricted:
        reducing = restricted or worst <= position.worst
    price = worth_of(st, order)
    cost = cost_of(st, order, remaining)
    return Effect(
        remaining,
        remaining - reserved,
        opens,
        worst,
        worst - position.worst,
        reach - reach_now if buy else 0,
        0 if buy else reach - reach_now,
        price,
        price * remaining * multiplier - reserved_value,
        cost,
        cost - reserved_cost,
        reducing,
    )
