"""Book of users' resting orders: price levels, each a first-in-first-out list."""

from app.engine.jit import force_inline
from app.engine.types import Side
from app.venues.paper.ladder import close_row, lower_bound, open_row
from app.venues.paper.level_index import add_level, find_level, forget_level
from app.venues.paper.records import NO_KEY, NOWHERE
from app.venues.paper.state import PaperState


@force_inline
def key_of(side: int, price: int) -> int:
    return price if side == Side.BUY else -price


@force_inline
def ladder_levels(st: PaperState) -> int:
    return len(st.rungs) // len(st.sides)


@force_inline
def best_resting_key(st: PaperState, book_side: int) -> int:
    """Key of the best resting order, `NO_KEY` if there is none."""
    count = st.sides[book_side].rungs
    if count == 0:
        return NO_KEY
    return st.rungs[book_side * ladder_levels(st) + count - 1].key


@force_inline
def best_level(st: PaperState, book_side: int) -> int:
    """The best level; there must be one."""
    last = book_side * ladder_levels(st) + st.sides[book_side].rungs - 1
    return st.rungs[last].level


@force_inline
def has_place(st: PaperState, book_side: int, key: int) -> bool:
    """Whether an order may rest at `key`: the ladder is not full or has that level."""
    return st.sides[book_side].rungs < ladder_levels(st) or find_level(st, book_side, key) != NOWHERE


@force_inline
def _new_level(st: PaperState, book_side: int, key: int) -> int:
    venue = st.venue[0]
    number = venue.free_level
    if number == NOWHERE:
        number = venue.levels_used
        venue.levels_used = number + 1
    else:
        venue.free_level = st.levels[number].head
    level = st.levels[number]
    level.key = key
    level.quantity = 0
    level.head = NOWHERE
    level.tail = NOWHERE
    level.orders = 0
    level.book_side = book_side
    add_level(st, number)
    return number


@force_inline
def _level_at(st: PaperState, book_side: int, key: int) -> int:
    """The level of this price, made if needed; `NOWHERE` if the ladder is full."""
    number = find_level(st, book_side, key)
    if number != NOWHERE:
        return number
    first = book_side * ladder_levels(st)
    count = st.sides[book_side].rungs
    if count == ladder_levels(st):
        return NOWHERE
    index = lower_bound(st.rungs, first, count, key)
    open_row(st.rungs, first, count, index)
    st.sides[book_side].rungs = count + 1
    number = _new_level(st, book_side, key)
    st.rungs[index].key = key
    st.rungs[index].level = number
    return number


@force_inline
def _give_back(st: PaperState, number: int) -> None:
    """An empty level leaves its ladder and returns to the pool."""
    level = st.levels[number]
    book_side = level.book_side
    first = book_side * ladder_levels(st)
    count = st.sides[book_side].rungs
    close_row(st.rungs, first, count, lower_bound(st.rungs, first, count, level.key))
    st.sides[book_side].rungs = count - 1
    forget_level(st, number)
    level.head = st.venue[0].free_level
    st.venue[0].free_level = number


@force_inline
def put(
    st: PaperState,
    slot: int,
    order_id: int,
    account: int,
    book_side: int,
    key: int,
    quantity: int,
    remaining: int,
    flags: int,
) -> bool:
    """Rest an order behind all others of its price. False if the ladder is full."""
    number = _level_at(st, book_side, key)
    if number == NOWHERE:
        return False
    level = st.levels[number]
    order = st.resting[slot]
    tail = level.tail
    order.order_id = order_id
    order.quantity = quantity
    order.remaining = remaining
    order.flags = flags
    order.account = account
    order.level = number
    order.next = NOWHERE
    order.previous = tail
    if tail == NOWHERE:
        level.head = slot
    else:
        st.resting[tail].next = slot
    level.tail = slot
    level.orders += 1
    level.quantity += remaining
    st.venue[0].resting += 1
    return True


@force_inline
def take_out(st: PaperState, slot: int) -> None:
    """Remove a resting order from the book."""
    order = st.resting[slot]
    number = order.level
    level = st.levels[number]
    before = order.previous
    after = order.next
    if before == NOWHERE:
        level.head = after
    else:
        st.resting[before].next = after
    if after == NOWHERE:
        level.tail = before
    else:
        st.resting[after].previous = before
    level.quantity -= order.remaining
    level.orders -= 1
    order.order_id = -order.order_id
    st.venue[0].resting -= 1
    if level.orders == 0:
        _give_back(st, number)


@force_inline
def reduce(st: PaperState, slot: int, quantity: int) -> None:
    """Execute a resting order, which leaves the book when nothing remains."""
    order = st.resting[slot]
    if quantity == order.remaining:
        take_out(st, slot)
    else:
        order.remaining -= quantity
        st.levels[order.level].quantity -= quantity
