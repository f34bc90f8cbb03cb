"""Positions and accounts: what fills, marks and open orders do to them, in whole numbers.

Cash pays for what is bought and receives what is sold, so for every account

    cash = transferred - sum(entry_cost) + realised - fees,    equity = cash + sum(quantity * mark)

hold exactly, after every event. Entry cost leaves in proportion when a position
shrinks, rounded towards zero; the rounding stays in the cost of what is left.
"""

from app.engine.arithmetic import multiply_divide
from app.engine.jit import force_inline
from app.engine.portfolio import follow
from app.engine.state import State
from app.engine.types import OrderFlag, Side

_TURNOVER_MAX = 1 << 61  # more than any limit; what is beyond does not matter


@force_inline
def position_index(st: State, account: int, symbol: int) -> int:
    return symbol * len(st.accounts) + account


@force_inline
def worst_case(quantity: int, open_buy: int, open_sell: int) -> int:
    """The largest magnitude a position can reach if all buys or all sells fill."""
    return max(abs(quantity + open_buy), abs(quantity - open_sell))


@force_inline
def equity_of(st: State, account: int) -> int:
    return st.accounts[account].cash + st.accounts[account].position_value


@force_inline
def touch_equity(st: State, account: int) -> None:
    record = st.accounts[account]
    record.peak_equity = max(record.peak_equity, equity_of(st, account))


@force_inline
def revalue(st: State, account: int, symbol: int) -> None:
    """Bring value and exposure of one position up to date, and the sums above it."""
    position = st.positions[position_index(st, account, symbol)]
    instrument = st.instruments[symbol]
    unit = instrument.mark * instrument.multiplier
    worst = worst_case(position.quantity, position.open_buy, position.open_sell)
    instrument.worst += worst - position.worst
    position.worst = worst
    exposure = worst * unit
    st.accounts[account].exposure += exposure - position.exposure
    st.firm[0].exposure += exposure - position.exposure
    follow(st, account, symbol, exposure - position.exposure)
    position.exposure = exposure
    upper = (position.quantity + position.open_buy) * unit
    st.accounts[account].upper += upper - position.upper
    st.firm[0].upper += upper - position.upper
    position.upper = upper
    lower = (position.quantity - position.open_sell) * unit
    st.accounts[account].lower += lower - position.lower
    st.firm[0].lower += lower - position.lower
    position.lower = lower
    value = position.quantity * unit
    st.accounts[account].position_value += value - position.value
    st.firm[0].equity += value - position.value
    position.value = value
    touch_equity(st, account)


@force_inline
def reserve(st: State, slot: int, quantity: int, price: int) -> None:
    """Make `quantity` the part of an order that counts as open, worth `price` ticks a step."""
    order = st.orders[slot]
    change = quantity - order.reserved
    notional = quantity * price - order.reserved * order.reserved_price
    notional *= st.instruments[order.symbol].multiplier
    st.accounts[order.account].open_notional += notional
    st.firm[0].open_notional += notional
    order.reserved = quantity
    order.reserved_price = price
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
