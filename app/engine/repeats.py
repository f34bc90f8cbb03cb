"""Repeats: recent like orders, counted exactly in any window, for MAX_REPEATED_ORDERS.

1. A firm-wide ring keeps the newest orders of accounts that have the limit. They are numbered 1, 2, ...;
   number n is in place n - 1, and its number shows whether it is still there.
2. Orders are alike if account, symbol, side, price and quantity are equal. They form a chain from the
   older to the newer one; the newest knows the oldest that still counts, and how many do. So a count
   takes time only for those that leave the window, each once.
3. The newest of each kind are in buckets by their hash, each linked to the older one behind it. One that
   has left the ring ends its bucket: all behind it have left before. So nobody needs to remove it.
4. An order counts if it is no older than the window and newer than the account's last resume.
"""

from typing import Any

import numpy as np

from app.engine.hash_index import SEED, mix
from app.engine.jit import force_inline, inline
from app.engine.state import State
from app.engine.types import Policy

_TOP_31_BITS = np.uint64(33)


@force_inline
def bucket_of(st: State, one: Any) -> np.int64:
    """The bucket of an order, or of the command that asks for it."""
    who = mix(mix(SEED, np.uint64(one.account)), np.uint64(one.symbol * 2 + one.side))
    what = mix(mix(SEED, np.uint64(one.price)), np.uint64(one.quantity))
    return np.int64(mix(who, what) >> _TOP_31_BITS) & (len(st.repeat_buckets) - 1)


@force_inline
def place_of(st: State, number: int) -> int:
    return (number - 1) & (len(st.repeats) - 1)  # a power of two


@force_inline
def _newest_gone(st: State) -> int:
    """The number of the newest order that has left the ring, or will for the next one."""
    return max(st.firm[0].repeats + 1 - len(st.repeats), 0)


@inline
def _find(st: State, bucket: np.int64, one: Any) -> tuple[int, int]:
    """The newest order like this one, and the one before it in its bucket: numbers, 0 is none."""
    gone = _newest_gone(st)
    front = 0
    number = st.repeat_buckets[bucket]
    while number > gone:
        entry = st.repeats[place_of(st, number)]
        same = entry.account == one.account and entry.symbol == one.symbol and entry.side == one.side
        if same and entry.price == one.price and entry.quantity == one.quantity:
            return number, front
        front = number
        number = entry.behind
    return 0, 0


@inline
def _give_up_oldest(st: State) -> None:
    """Remove the oldest in the ring from its chain: its place is needed."""
    number = st.firm[0].repeats + 1 - len(st.repeats)
    if number <= 0:
        return
    old = st.repeats[place_of(st, number)]
    if old.next == 0:
        return
    newest, _ = _find(st, bucket_of(st, old), old)
    entry = st.repeats[place_of(st, newest)]
    if entry.first == number:
        entry.first = old.next
        entry.count -= 1


@inline
def count_repeat(st: State, explain: bool) -> int:
    """The candidate's count among its like in the window; unless explained it counts from now on."""
    order = st.candidate[0]
    firm = st.firm[0]
    if not explain:
        _give_up_oldest(st)
    bucket = bucket_of(st, order)
    like, front = _find(st, bucket, order)
    first = 0
    count = 0
    if like != 0:
        first = st.repeats[place_of(st, like)].first
        count = st.repeats[place_of(st, like)].count
    ignored = max(st.accounts[order.account].repeats_forgotten, _newest_gone(st))
    since = firm.ts - firm.policy[Policy.REPEAT_WINDOW_US]
    while count > 0:
        entry = st.repeats[place_of(st, first)]
        if first > ignored and entry.ts >= since:
            break
        first = entry.next
        count -= 1
    if not explain:
        _remember(st, bucket, like, front, first, count)
    return count + 1


@inline
def _remember(st: State, bucket: np.int64, like: int, front: int, first: int, count: int) -> None:
    """Put the candidate into the ring, as the newest of its kind; `like`, `front`: as of `_find`."""
    order = st.candidate[0]
    firm = st.firm[0]
    firm.repeats += 1
    number = firm.repeats
    if like != 0:
        older = st.repeats[place_of(st, like)]
        older.next = number
        if front == 0:
            st.repeat_buckets[bucket] = older.behind
        else:
            st.repeats[place_of(st, front)].behind = older.behind
    entry = st.repeats[place_of(st, number)]
    entry.ts = firm.ts
    entry.account = order.account
    entry.symbol = order.symbol
    entry.side = order.side
    entry.price = order.price
    entry.quantity = order.quantity
    entry.next = 0
    entry.first = first if count > 0 else number
    entry.count = count + 1
    entry.behind = st.repeat_buckets[bucket]
    st.repeat_buckets[bucket] = number


@inline
def forget_repeats(st: State, account: int) -> None:
    """Restart the count of an account's orders: it has been resumed."""
    st.accounts[account].repeats_forgotten = st.firm[0].repeats
