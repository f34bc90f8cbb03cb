"""What an order is worth, what it may cost, and what it would make of its account's position.

Made anew from the open orders each time, where the engine goes by sums that it keeps.
"""

from typing import NamedTuple

from app.engine.types import Limit, OrderType, Side
from tests.models.engine_model import UNLIMITED, Books, Order, reach

PRICED = (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT)


def reference(books: Books, order: Order) -> int:
    """Where the mark is, or will be when a stop that waits is reached."""
    return order.stop_price if order.waiting else books.instruments[order.symbol].mark


def collar(books: Books, order: Order, middle: int) -> tuple[int, int]:
    """How far from `middle` a price may be, UNLIMITED where nothing says; and whose limit it is."""
    basis_points, scope = books.tightest(Limit.PRICE_COLLAR_BPS, order.account, order.symbol)
    if basis_points == UNLIMITED:
        return UNLIMITED, scope
    return middle * basis_points // 10_000, scope


def protection_price(books: Books, order: Order) -> int:
    """The worst price for an order without a price of its own; 0 where any will do."""
    middle = reference(books, order)
    distance, _ = collar(books, order, middle)
    if order.type in PRICED or distance == UNLIMITED:
        return 0
    if order.side == Side.BUY:
        return min(middle + distance, books.instruments[order.symbol].max_price)
    return max(middle - distance, 1)


def worst_price(books: Books, order: Order) -> int:
    """Its limit; without one the edge of the collar; without that where the market is."""
    if order.type in PRICED:
        return order.price
    return protection_price(books, order) or reference(books, order)


def worth(books: Books, order: Order) -> int:
    """What a step of the order is worth, in ticks: a sell may well trade above its worst price."""
    prices = [worst_price(books, order)]
    if order.side == Side.SELL:
        prices += [books.instruments[order.symbol].mark, reference(books, order)]
    return max(prices)


def cost(books: Books, order: Order, quantity: int) -> int:
    """What fills lose against the mark, and the fee, rounded up."""
    instrument = books.instruments[order.symbol]
    sign = 1 if order.side == Side.BUY else -1
    lost = max(sign * (worst_price(books, order) - reference(books, order)), 0)
    ppm = max(instrument.maker_fee_ppm, instrument.taker_fee_ppm, 0)
    traded = worth(books, order) * quantity * instrument.multiplier
    return lost * quantity * instrument.multiplier - -traded * ppm // 10**6


def reserve_left(books: Books, order: Order) -> None:
    order.reserve(order.left, worth(books, order), cost(books, order, order.left))


class Effect(NamedTuple):
    """`opens`: what its side could then hold beyond flat; `worst`, `growth`, `up`, `down`: largest magnitude
    of the position, and by how much that and the highest and lowest position grow. In money: `added` to
    what is open, `cost` more of what fills may cost.
    """

    opens: int
    worst: int
    growth: int
    up: int
    down: int
    added: int
    cost: int
    reducing: bool


def effect_of(books: Books, order: Order, before: Order | None, *, restricted: bool) -> Effect:
    """`before`: the order as it is open now, `restricted`: the account may only reduce there."""
    account, symbol, side = order.account, order.symbol, order.side
    multiplier = books.instruments[symbol].multiplier
    held = books.position(account, symbol).quantity
    sign = 1 if side == Side.BUY else -1
    others = books.open_parts(account, symbol, side, but=before)
    without = reach(held, side, others)
    end = reach(held, side, [*others, (order.left, order.reduce_only)])
    was = books.span(account, symbol)
    now = (was[0], end) if side == Side.BUY else (end, was[1])
    worst, worst_before = max(map(abs, now)), max(map(abs, was))
    opens = max(sign * end, 0)
    if order.reduce_only or restricted:
        reducing = restricted or worst <= worst_before
    else:
        reducing = opens <= max(sign * without, 0)
    reserved = (0, 0, 0) if before is None else (before.reserved, before.reserved_price, before.reserved_cost)
    return Effect(
        opens=opens,
        worst=worst,
        growth=worst - worst_before,
        up=now[1] - was[1],
        down=now[0] - was[0],
        added=(worth(books, order) * order.left - reserved[0] * reserved[1]) * multiplier,
        cost=cost(books, order, order.left) - reserved[2],
        reducing=reducing,
    )
