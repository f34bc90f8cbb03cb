"""Positions and accounts: the effects of fills, marks and open orders, in whole numbers.

Cash pays for what is bought and receives what is sold, so for every account

    cash = transferred - sum(entry_cost) + realised - fees,    equity = cash + sum(quantity * mark)

hold exactly, after every event. Entry cost leaves in proportion when a position shrinks, rounded
towards zero; the rounding stays in the cost of what is left.

The reach of open orders is their worst case. A reduce-only order never leads through flat, so it
counts up to flat alone, and it counts first: fills after it then start from flat.
"""

from app.engine.arithmetic import multiply_divide
from app.engine.jit import force_inline, inline
from app.engine.portfolio import follow
from app.engine.state import State
from app.engine.types import OrderFlag, Side

_TURNOVER_MAX = 1 << 61  # more than any limit; what is beyond does not matter


@force_inline
def position_index(st: State, account: int, symbol: int) -> int:
    return symbol * len(st.accounts) + account


@force_inline
def long_reach(quantity: int, open_buy: int, reduce_buy: int) -> int:
    """The highest position that open buys may lead to: reduce-only ones up to flat, then the others."""
    if quantity < 0:
        quantity = min(quantity + reduce_buy, 0)
    return quantity + open_buy - reduce_buy


@force_inline
def short_reach(quantity: int, open_sell: int, reduce_sell: int) -> int:
    """The lowest position that open sells may lead to."""
    if quantity > 0:
        quantity = max(quantity - reduce_sell, 0)
    return quantity - open_sell + reduce_sell


@force_inline
def reducible_by(quantity: int, side: int) -> int:
    """How much of an order on `side` only makes a position of `quantity` smaller."""
    return max(-quantity if side == Side.BUY else quantity, 0)


@force_inline
def equity_of(st: State, account: int) -> int:
    return st.accounts[account].cash + st.accounts[account].position_value


@force_inline
def touch_equity(st: State, account: int) -> None:
    record = st.accounts[account]
    record.peak_equity = max(record.peak_equity, equity_of(st, account))


@force_inline
def unsettle(st: State, account: int) -> None:
    """Equity has moved: check it when everything that belongs together is booked."""
    record = st.accounts[account]
    if record.unsettled == 0:
        record.unsettled = 1
        record.next_unsettled = st.firm[0].first_unsettled
        st.firm[0].first_unsettled = account


@force_inline
def revalue(st: State, account: int, symbol: int) -> None:
    """Bring value and exposure of one position up to date, and the sums above it."""
    position = st.positions[position_index(st, account, symbol)]
    instrument = st.instruments[symbol]
    holder = st.accounts[account]
    firm = st.firm[0]
    unit = instrument.mark * instrument.multiplier
    highest = long_reach(position.quantity, position.open_buy, position.reduce_buy)
    lowest = short_reach(position.quantity, position.open_sell, position.reduce_sell)
    worst = max(abs(highest), abs(lowest))
    instrument.worst += worst - position.worst
    position.worst = worst
    exposure = worst * unit
    holder.exposure += exposure - position.exposure
    firm.exposure += exposure - position.exposure
    up = highest * unit - position.upper
    down = lowest * unit - position.lower
    follow(st, account, symbol, up, down, exposure - position.exposure)
    position.exposure = exposure
    position.upper += up
    holder.upper += up
    firm.upper += up
    position.lower += down
    holder.lower += down
    firm.lower += down
    value = position.quantity * unit
    if value != position.value:
        holder.position_value += value - position.value
        holder.gross_value += abs(value) - abs(position.value)
        firm.equity += value - position.value
        position.value = value
        unsettle(st, account)


@force_inline
def reserve(st: State, slot: int, quantity: int, price: int, cost: int) -> None:
    """Reserve `quantity` of an order as open.

    `price`: the worth of a step, in ticks. `cost`: money that its fills may cost beyond the mark.
    """
    order = st.orders[slot]
    change = quantity - order.reserved
    notional = quantity * price - order.reserved * order.reserved_price
    notional *= st.instruments[order.symbol].multiplier
    holder = st.accounts[order.account]
    holder.open_notional += notional
    holder.open_cost += cost - order.reserved_cost
    st.firm[0].open_notional += notional
    order.reserved = quantity
    order.reserved_price = price
    order.reserved_cost = cost
    position = st.positions[position_index(st, order.account, order.symbol)]
    reduce_only = (order.flags & OrderFlag.REDUCE_ONLY) != 0
    if order.side == Side.BUY:
        position.open_buy += change
        if reduce_only:
            position.reduce_buy += change
    else:
        position.open_sell += change
        if reduce_only:
            position.reduce_sell += change
    revalue(st, order.account, order.symbol)


@force_inline
def reserve_rest(st: State, slot: int, filled: int) -> None:
    """`filled` of the reservation has been traded: the rest stays, with its part of the cost, rounded up."""
    order = st.orders[slot]
    spent = multiply_divide(order.reserved_cost, filled, order.reserved) if order.reserved > 0 else 0
    reserve(st, slot, order.reserved - filled, order.reserved_price, order.reserved_cost - spent)


@inline
def make_reduce_only(st: State, slot: int) -> None:
    """From now on an open order only reduces its account's position."""
    order = st.orders[slot]
    if order.flags & OrderFlag.REDUCE_ONLY:
        return
    order.flags |= OrderFlag.REDUCE_ONLY
    position = st.positions[position_index(st, order.account, order.symbol)]
    if order.side == Side.BUY:
        position.reduce_buy += order.reserved
    else:
        position.reduce_sell += order.reserved
    revalue(st, order.account, order.symbol)


@force_inline
def apply_fill(st: State, account: int, symbol: int, side: int, quantity: int, price: int, fee: int) -> None:
    """Move cash, position, entry cost and realised profit; the caller revalues."""
    position = st.positions[position_index(st, account, symbol)]
    record = st.accounts[account]
    unit = price * st.instruments[symbol].multiplier
    direction = 1 if side == Side.BUY else -1
    held = position.quantity * direction  # negative: the fill reduces
    closing = min(quantity, -held) if held < 0 else 0
    if closing > 0:
        cost = multiply_divide(abs(position.entry_cost), closing, -held)
        # A long position (direction -1) earns proceeds less cost, a short one the reverse.
        realised = direction * (cost - closing * unit)
        position.entry_cost += direction * cost
        position.realised += realised
        record.realised += realised
    position.entry_cost += direction * (quantity - closing) * unit
    position.quantity += direction * quantity
    position.fees += fee
    record.fees += fee
    record.cash -= direction * quantity * unit + fee
    record.day_fills += 1
    record.day_traded = min(record.day_traded + quantity * unit, _TURNOVER_MAX)
    firm = st.firm[0]
    firm.equity -= direction * quantity * unit + fee
    firm.day_traded = min(firm.day_traded + quantity * unit, _TURNOVER_MAX)
    unsettle(st, account)
