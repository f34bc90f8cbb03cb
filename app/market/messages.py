"""Exchange messages in ticks and steps, the same for every exchange.

A decoder (`app.market.binance`) makes these from raw messages; `app.market.books`
keeps books from them. Update ids are the exchange's numbering of the changes of
one symbol's book, the same for touches and depth. A side of depth is a list of
(price, quantity), where quantity is the new total at the price and 0 removes it.
"""

from typing import NamedTuple

Levels = list[tuple[int, int]]


class TouchUpdate(NamedTuple):
    """The best bid and ask after the change `update_id`."""

    symbol: int
    update_id: int
    bid: int
    bid_quantity: int
    ask: int
    ask_quantity: int


class DepthUpdate(NamedTuple):
    """Where the book stands after the changes `first_id`..`last_id`, at the prices they touched."""

    symbol: int
    first_id: int
    last_id: int
    bids: Levels
    asks: Levels


class DepthSnapshot(NamedTuple):
    """The book after the change `last_id`, as deep as the exchange shows it."""

    symbol: int
    last_id: int
    bids: Levels
    asks: Levels


class Trade(NamedTuple):
    """One trade, at the exchange's time `ts` in microseconds.

    `trade_id` numbers the symbol's trades one by one; -1 where the exchange does not number them.
    """

    symbol: int
    price: int
    quantity: int
    ts: int
    trade_id: int = -1


Message = TouchUpdate | DepthUpdate | DepthSnapshot | Trade
