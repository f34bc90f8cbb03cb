"""Like orders of late, counted for MAX_REPEATED_ORDERS: so many in any window, none unseen.

1. A firm-wide ring keeps the newest orders of accounts that have the limit, each under the next number.
2. Orders are alike if account, symbol, side, price and quantity are equal. They form a chain from the
   older to the newer one; a hash index leads to its newest, which knows the oldest that still counts, and
   how many do. So a count takes time only for those that leave the window, each once.
3. What counts is no older than the window and newer than the account's last resume.
4. Whoever takes the place of another in the ring takes that one out of its chain first.
"""

from typing import Any

import numpy as np

from app.engine.hash_index import SEED, insert_entry, mix, position_in, remove_entry
from app.engine.jit import inline
from app.engine.state import NO_SLOT, State
from app.engine.types import Policy

_TOP_31_BITS = np.uint64(33)


@inline
def _hash(account: int, symbol: int, side: int, price: int, quantity: int) -> np.int64:
    h = mix(mix(SEED, np.uint64(account)), np.uint64(symbol * 2 + side))
    return np.int64(mix(mix(h, np.uint64(price)), np.uint64(quantity)) >> _TOP_31_BITS)


@inline
def _find(st: State, hashed: np.int64, one: Any) -> int:
    """Where the newest order like this one stands in the ring, or NO_SLOT."""
    table = st.repeat_index
    mask = len(table) - 1
    at = hashed & mask
    while table[at] != 0:
        if table[at] >> 32 == hashed:
            entry = st.repeats[position_in(table[at])]
            same = entry.account == one.account and entry.symbol == one.symbol and entry.side == one.side
            if same and entry.price == one.price and entry.quantity == one.quantity:
                return position_in(table[at])
        at = (at + 1) & mask
    return NO_SLOT


@inline
def _evict(st: State, place: int) -> None:
    """Take the entry at a place out of its chain."""
    old = st.repeats[place]
    if old.number == 0:
        return
    hashed = _hash(old.account, old.symbol, old.side, old.price, old.quantity)
    if old.next == 0:
        remove_entry(st.repeat_index, hashed, place)
        return
    newest = st.repeats[_find(st, hashed, old)]
    if newest.first == old.number:
        newest.first = old.next
        newest.count -= 1


@inline
def count_repeat(st: State, explain: bool) -> int:
    """The how manieth of its like in the window the candidate is; unless explained it counts from now on."""
    order = st.candidate[0]
    firm = st.firm[0]
    mask = len(st.repeats) - 1  # a power of two
    if not explain:
        _evict(st, firm.repeats & mask)
    hashed = _hash(order.account, order.symbol, order.side, order.price, order.quantity)
    at = _find(st, hashed, order)
    first = 0
    count = 0
    if at != NO_SLOT:
        first = st.repeats[at].first
        count = st.repeats[at].count
    forgotten = st.accounts[order.account].repeats_forgotten
    since = firm.ts - firm.policy[Policy.REPEAT_WINDOW_US]
    while count > 0:
        entry = st.repeats[(first - 1) & mask]
        if first > forgotten and entry.ts >= since:
            break
        first = entry.next
        count -= 1
    if not explain:
        _remember(st, hashed, at, first, count)
    return count + 1


@inline
def _remember(st: State, hashed: np.int64, at: int, first: int, count: int) -> None:
    """Put the candidate into the ring, behind the newest of its like; `at` is NO_SLOT where there is none."""
    order = st.candidate[0]
    firm = st.firm[0]
    place = firm.repeats & (len(st.repeats) - 1)
    firm.repeats += 1
    if at != NO_SLOT:
        st.repeats[at].next = firm.repeats
        remove_entry(st.repeat_index, hashed, at)
    entry = st.repeats[place]
    entry.number = firm.repeats
    entry.ts = firm.ts
    entry.account = order.account
    entry.symbol = order.symbol
    entry.side = order.side
    entry.price = order.price
    entry.quantity = order.quantity
    entry.next = 0
    entry.first = first if count > 0 else firm.repeats
    entry.count = count + 1
    insert_entry(st.repeat_index, hashed, place)


@inline
def forget_repeats(st: State, account: int) -> None:
    """Count an account's orders anew: it has been resumed."""
    st.accounts[account].repeats_forgotten = st.firm[0].repeats
