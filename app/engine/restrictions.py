"""Restrictions: trading states, permissions, and where only orders that reduce a position may trade.

While any state that applies is not ACTIVE, or the account is denied the symbol, every order is
treated as a reduce-only one, whenever it was placed. The paper venue enforces it at the moment of a
match, the engine when a position shrinks (`app.engine.trimming`).
"""

from app.engine.codes import Code
from app.engine.jit import force_inline, inline
from app.engine.positions import position_index, reducible_by
from app.engine.state import NO_SLOT, State
from app.engine.types import OrderFlag, OrderStatus, Permission, Policy, Scope, Side, TradingState

_ALLOWED = int(Permission.ALLOWED)


@force_inline
def strictest_state(st: State, account: int, symbol: int) -> tuple[int, int]:
    """The strictest trading state that applies, and its scope."""
    state = st.firm[0].trading_state
    scope = Scope.FIRM
    if account >= 0 and st.accounts[account].trading_state > state:
        state = st.accounts[account].trading_state
        scope = Scope.ACCOUNT
    if symbol >= 0 and st.instruments[symbol].trading_state > state:
        state = st.instruments[symbol].trading_state
        scope = Scope.SYMBOL
    return state, scope


@force_inline
def permission_of(st: State, account: int, symbol: int) -> int:
    """ALLOWED or DENIED: the permission of the symbol, else of the account, else ALLOWED."""
    permission = st.positions[position_index(st, account, symbol)].permission
    if permission == Permission.DEFAULT:
        permission = st.accounts[account].permission
    return _ALLOWED if permission == Permission.DEFAULT else permission


@force_inline
def restriction_of(st: State, account: int, symbol: int) -> int:
    """Why an account may only reduce its position in a symbol, as a code; NONE if it may trade freely."""
    state, _ = strictest_state(st, account, symbol)
    if state != TradingState.ACTIVE:
        return Code.REDUCING_ONLY
    if permission_of(st, account, symbol) != Permission.ALLOWED:
        return Code.SYMBOL_RESTRICTED
    return Code.NONE


@force_inline
def trimmed_for(st: State, slot: int) -> int:
    """Why an open order may be no larger than the position that it reduces; NONE if it may."""
    order = st.orders[slot]
    if order.flags & OrderFlag.REDUCE_ONLY:
        return Code.REDUCE_ONLY
    if st.firm[0].policy[Policy.CANCEL_INCREASING] == 0:
        return Code.NONE
    return restriction_of(st, order.account, order.symbol)


@inline
def start_trimming(st: State, scope: int, account: int, symbol: int) -> None:
    """Start to trim open orders of a scope to the positions that they reduce."""
    firm = st.firm[0]
    one_account = scope == Scope.ACCOUNT or scope == Scope.ACCOUNT_SYMBOL
    first = account if one_account else 0
    if first >= firm.accounts:
        return
    firm.trim_account = first
    firm.trim_last = first if one_account else firm.accounts - 1
    firm.trim_symbol = symbol if scope == Scope.SYMBOL or scope == Scope.ACCOUNT_SYMBOL else -1
    firm.trim_slot = st.accounts[first].last_open


@inline
def trim_if_larger(st: State, account: int, symbol: int) -> None:
    """Start to trim if open orders of an account may now be larger than the position that they reduce."""
    position = st.positions[position_index(st, account, symbol)]
    to_buy = reducible_by(position.quantity, Side.BUY)
    to_sell = reducible_by(position.quantity, Side.SELL)
    larger = position.reduce_buy > to_buy or position.reduce_sell > to_sell
    if not larger and (position.open_buy > to_buy or position.open_sell > to_sell):
        restricted = restriction_of(st, account, symbol) != Code.NONE
        larger = restricted and st.firm[0].policy[Policy.CANCEL_INCREASING] != 0
    if larger:
        start_trimming(st, Scope.ACCOUNT_SYMBOL, account, symbol)


@force_inline
def can_be_trimmed_away(status: int, waiting: int) -> bool:
    """Whether an order can be canceled now: not while an earlier request is in flight."""
    return waiting != 0 or (status <= OrderStatus.PARTIALLY_FILLED or status == OrderStatus.TRIGGERED)


@inline
def count_open(st: State, scope: int, account: int, symbol: int) -> tuple[int, int]:
    """How many open orders of a scope will rest when it is trimmed, and how many will be asked to end."""
    firm = st.firm[0]
    first = account if scope == Scope.ACCOUNT else 0
    last = account + 1 if scope == Scope.ACCOUNT else firm.accounts
    resting = 0
    ending = 0
    for number in range(first, last):
        slot = st.accounts[number].first_open
        while slot != NO_SLOT:
            order = st.orders[slot]
            if scope != Scope.SYMBOL or order.symbol == symbol:
                held = st.positions[position_index(st, number, order.symbol)].quantity
                ends = reducible_by(held, order.side) == 0 and trimmed_for(st, slot) != Code.NONE
                ends = ends and can_be_trimmed_away(order.status, order.waiting)
                ending += ends
                resting += not ends
            slot = order.next
    return resting, ending
