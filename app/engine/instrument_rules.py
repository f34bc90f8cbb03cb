"""Instrument rules: the instruments that the engine can hold, and the changes that open orders allow."""

from math import gcd
from typing import Any

from app.engine.capacity import MONEY_MAX, PRICE_MAX
from app.engine.codes import Code
from app.engine.jit import inline
from app.engine.positions import position_index
from app.engine.state import NO_SLOT, State
from app.engine.types import InstrumentStatus, OrderFlag, OrderStatus

QUANTITY_MAX = 1 << 62  # of one order, in 1e-8 of the base currency
SPREAD_BPS_MAX = 1_000_000
MONEY_PER_TICK_STEP = 10**12  # e12 of the tick times e8 of the step, over 1e8 for money


@inline
def multiplier_of(price_tick_e12: int, quantity_step_e8: int) -> int:
    """Money of one tick x one step; 0 if that is not whole, or more than MONEY_MAX.

    The product may exceed 64 bits though the quotient fits, so common factors are divided out first.
    """
    common = gcd(price_tick_e12, MONEY_PER_TICK_STEP)
    ticks = price_tick_e12 // common
    rest = MONEY_PER_TICK_STEP // common
    if quantity_step_e8 % rest != 0:
        return 0
    steps = quantity_step_e8 // rest
    return ticks * steps if ticks <= MONEY_MAX // steps else 0


@inline
def max_price_of(max_quantity: int, multiplier: int) -> int:
    """The highest price at which the largest order can still be valued."""
    return min(MONEY_MAX // (max_quantity * multiplier), PRICE_MAX)


@inline
def _can_be_held(c: Any) -> bool:
    """Whether an instrument's numbers fit; `app.documents.instrument_reasons` gives the reason if not."""
    if c.price_tick_e12 <= 0 or c.quantity_step_e8 <= 0 or not 0 <= c.min_notional <= MONEY_MAX:
        return False
    multiplier = multiplier_of(c.price_tick_e12, c.quantity_step_e8)
    if multiplier == 0 or c.mark_spread_max_bps > SPREAD_BPS_MAX:
        return False
    if not 0 < c.min_quantity <= c.max_quantity <= QUANTITY_MAX // c.quantity_step_e8:
        return False
    if c.max_quantity > MONEY_MAX // multiplier:
        return False
    return InstrumentStatus.TRADING <= c.status <= InstrumentStatus.HALTED


@inline
def instrument_code(st: State, c: Any) -> int:
    """Why an instrument cannot be added or changed, whatever is open in it; Code.NONE if it can."""
    symbols = st.firm[0].symbols
    if c.symbol < 0 or c.symbol > symbols or c.name[0] == 0:
        return Code.INVALID_VALUE
    if c.symbol >= len(st.instruments):
        return Code.SYMBOL_CAPACITY
    if not _can_be_held(c):
        return Code.INVALID_VALUE
    if symbols > 0 and c.quote != st.firm[0].settlement:
        return Code.QUOTE_NOT_SETTLED
    if c.symbol < symbols:  # what positions and orders are counted in stays as it is
        old = st.instruments[c.symbol]
        if old.price_tick_e12 != c.price_tick_e12 or old.quantity_step_e8 != c.quantity_step_e8:
            return Code.INVALID_VALUE
        if old.name[0] != c.name[0] or old.name[1] != c.name[1] or old.name[2] != c.name[2]:
            return Code.INVALID_VALUE
    return Code.NONE


@inline
def misfit(st: State, slot: int, c: Any, max_price: int) -> tuple[int, int, bool]:
    """What a change of an instrument would not allow of an order: allowed, observed, whether it is a price.

    Only tighter bounds are checked; (0, 0, False) if the order fits. A reduce-only order may be smaller than
    the minimum: it closes the rest of a position.
    """
    order = st.orders[slot]
    old = st.instruments[c.symbol]
    highest = max(order.price, order.stop_price)
    largest = order.quantity
    smallest = order.quantity
    if order.status == OrderStatus.PENDING_REPLACE:
        highest = max(highest, order.replace_price)
        largest = max(largest, order.replace_quantity)
        smallest = min(smallest, order.replace_quantity)
    if max_price < old.max_price and highest > max_price:
        return max_price, highest, True
    if c.max_quantity < old.max_quantity and largest > c.max_quantity:
        return c.max_quantity, largest, False
    exempt = (order.flags & OrderFlag.REDUCE_ONLY) != 0
    if c.min_quantity > old.min_quantity and smallest < c.min_quantity and not exempt:
        return c.min_quantity, smallest, False
    return 0, 0, False


@inline
def order_in_the_way(st: State, c: Any, max_price: int) -> int:
    """Slot of the first open order of the symbol that a change would not fit, or NO_SLOT."""
    old = st.instruments[c.symbol]
    tighter = max_price < old.max_price or c.max_quantity < old.max_quantity
    if not tighter and c.min_quantity <= old.min_quantity:
        return NO_SLOT
    for account in range(st.firm[0].accounts):
        if st.positions[position_index(st, account, c.symbol)].open_orders == 0:
            continue
        slot = st.accounts[account].first_open
        while slot != NO_SLOT:
            if st.orders[slot].symbol == c.symbol and misfit(st, slot, c, max_price)[1] != 0:
                return slot
            slot = st.orders[slot].next
    return NO_SLOT
