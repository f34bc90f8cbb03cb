"""Mirror of the engine's state in the venue: positions of the traders, and their restrictions.

A reduce-only order must not trade beyond the position that it reduces, and that position is known
only at the match: other orders of the account may have traded since it came. The same holds for
orders of those who may only reduce. The venue never reads the engine's state while commands are
applied (see `app.venues.paper.run_to_quiescence`), so it keeps a copy of its own:

1. Positions move with the trades that it reports, and with POSITION_SETTLED.
2. Trading states, permissions and instruments come as events. A restriction holds as soon as the engine
   has emitted it: also for the remainder of a matching order, and for orders routed before.
3. At the start all of it is taken from the engine's state.
"""

from typing import Any

from app.engine.codes import Code
from app.engine.jit import force_inline
from app.engine.state import State
from app.engine.types import EventKind, InstrumentStatus, OrderFlag, Permission, Scope, Side
from app.venues.paper.depth import forget_beyond
from app.venues.paper.state import PaperState
from app.venues.paper.typed_events import as_instrument, as_permission, as_trading_state

_REDUCE_ONLY = int(OrderFlag.REDUCE_ONLY)


@force_inline
def holding_index(st: PaperState, account: int, symbol: int) -> int:
    return symbol * len(st.holders) + account


@force_inline
def add_trade(st: PaperState, account: int, symbol: int, side: int, quantity: int) -> None:
    holding = st.holdings[holding_index(st, account, symbol)]
    holding.quantity += quantity if side == Side.BUY else -quantity


@force_inline
def reducible(st: PaperState, account: int, symbol: int, side: int) -> int:
    """How much an order of this side can trade before it opens a position."""
    quantity = st.holdings[holding_index(st, account, symbol)].quantity
    return max(-quantity if side == Side.BUY else quantity, 0)


@force_inline
def why_reducing(st: PaperState, account: int, symbol: int, flags: int) -> int:
    """Why an order may only reduce a position, as a `Code`; NONE if it may open one."""
    if flags & _REDUCE_ONLY:
        return Code.REDUCE_ONLY
    holder = st.holders[account]
    if st.venue[0].state | holder.state | st.listings[symbol].state:
        return Code.REDUCING_ONLY
    permission = st.holdings[holding_index(st, account, symbol)].permission
    if permission == Permission.DEFAULT:
        permission = holder.permission
    return Code.SYMBOL_RESTRICTED if permission == Permission.DENIED else Code.NONE


@force_inline
def displays(st: PaperState, symbol: int, price: int) -> bool:
    """Whether depth at this price can be traded with: the engine cannot book prices beyond its range."""
    max_price = st.listings[symbol].max_price
    return price > 0 and (max_price == 0 or price <= max_price)


@force_inline
def _restrict(st: PaperState, event: Any) -> None:
    """TRADING_STATE_SET."""
    scope = event.scope
    if scope == Scope.FIRM:
        st.venue[0].state = event.state
    elif scope == Scope.ACCOUNT:
        st.holders[event.account].state = event.state
    elif scope == Scope.SYMBOL:
        st.listings[event.symbol].state = event.state


@force_inline
def _permit(st: PaperState, event: Any) -> None:
    """PERMISSION_SET."""
    if event.scope == Scope.ACCOUNT:
        st.holders[event.account].permission = event.permission
    elif event.scope == Scope.ACCOUNT_SYMBOL:
        index = holding_index(st, event.account, event.symbol)
        st.holdings[index].permission = event.permission


@force_inline
def _list(st: PaperState, event: Any) -> None:
    """INSTRUMENT_SET: orders that displayed depth reaches may trade now."""
    symbol = event.symbol
    listing = st.listings[symbol]
    status = event.status
    listing.closed = status == InstrumentStatus.CANCEL_ONLY or status == InstrumentStatus.HALTED
    if event.max_price > 0:
        listing.max_price = event.max_price
        forget_beyond(st, symbol, event.max_price)
    if not listing.closed:
        st.venue[0].reopened = symbol + 1


@force_inline
def note_restrictions(st: PaperState, events: Any, first: int, last: int) -> None:
    """Take trading states and permissions from EVENT records `first` to `last` - 1."""
    for index in range(first, last):
        kind = events[index].kind
        if kind == EventKind.TRADING_STATE_SET:
            _restrict(st, as_trading_state(events[index]))
        elif kind == EventKind.PERMISSION_SET:
            _permit(st, as_permission(events[index]))


@force_inline
def take_note(st: PaperState, event: Any) -> None:
    """Take an event that sends no order here and is no restriction."""
    kind = event.kind
    if kind == EventKind.INSTRUMENT_SET:
        _list(st, as_instrument(event))
    elif kind == EventKind.POSITION_SETTLED:
        st.holdings[holding_index(st, event.account, event.symbol)].quantity = 0


def begin_with(venue: PaperState, engine: State) -> None:
    """Take over the engine's state."""
    firm = engine.firm[0]
    venue.venue[0]["state"] = firm["trading_state"]
    used = int(firm["symbols"]) * len(engine.accounts)
    for field in ("quantity", "permission"):
        venue.holdings[field][:used] = engine.positions[field][:used]
    venue.holders["state"] = engine.accounts["trading_state"]
    venue.holders["permission"] = engine.accounts["permission"]
    instruments = engine.instruments
    venue.listings["state"] = instruments["trading_state"]
    venue.listings["max_price"] = instruments["max_price"]
    status = instruments["status"]
    venue.listings["closed"] = (status == InstrumentStatus.CANCEL_ONLY) | (status == InstrumentStatus.HALTED)
