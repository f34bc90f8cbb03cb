"""Hash indexes in arrays: orders by client order id, fills by execution id.

Open addressing with linear probing, at most half full. An entry is
`hash << 32 | position + 1`, zero where empty: the 31-bit hash separates most
other entries without reading the record, and gives the place where an entry wants to
be, so that a removal can close its gap (Knuth, TAOCP 6.4, algorithm R) and no
tombstones collect.
"""

import numpy as np
from numpy.typing import NDArray

from app.engine.jit import force_inline
from app.engine.records import CLIENT_ORDER_ID_WORDS
from app.engine.state import NO_SLOT, Array, State

Table = NDArray[np.int64]

SEED = np.uint64(0x243F6A8885A308D3)  # the first digits of pi: any will do
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)
_TOP_31_BITS = np.uint64(33)


@force_inline
def mix(h: np.uint64, value: np.uint64) -> np.uint64:
    """One step of a multiplicative hash, begun with `SEED`; all arithmetic is modulo 2**64.

    Begun with a value itself, two pairs of values with the same exclusive or would collide.
    """
    h = (h ^ value) * _MULTIPLIER
    return h ^ (h >> _SHIFT)


@force_inline
def position_in(entry: int) -> int:
    """The position in a non-zero entry."""
    return (entry & 0xFFFFFFFF) - 1


@force_inline
def insert_entry(table: Table, hashed: int | np.int64, position: int) -> None:
    """Add a position under a hash of 31 bits."""
    mask = len(table) - 1
    at = hashed & mask
    while table[at] != 0:
        at = (at + 1) & mask
    table[at] = (hashed << 32) | (position + 1)


@force_inline
def remove_entry(table: Table, hashed: int | np.int64, position: int) -> None:
    """Remove a position that was inserted under this hash."""
    mask = len(table) - 1
    gap = hashed & mask
    while position_in(table[gap]) != position:
        gap = (gap + 1) & mask
    at = gap
    while True:
        at = (at + 1) & mask
        entry = table[at]
        if entry == 0:
            break
        home = (entry >> 32) & mask
        if ((at - home) & mask) >= ((at - gap) & mask):
            table[gap] = entry
            gap = at
    table[gap] = 0


@force_inline
def _client_id_hash(account: int, words: Array) -> np.int64:
    h = mix(SEED, np.uint64(account))
    for word in range(CLIENT_ORDER_ID_WORDS):
        h = mix(h, words[word])
    return np.int64(h >> _TOP_31_BITS)


@force_inline
def client_id_home(st: State, account: int, words: Array) -> np.int64:
    """The place in the index where the search for a client order id begins."""
    return _client_id_hash(account, words) & (len(st.client_ids) - 1)


@force_inline
def find_client_order(st: State, account: int, words: Array) -> int:
    """Slot of the account's order with this client order id, or NO_SLOT."""
    table = st.client_ids
    mask = len(table) - 1
    hashed = _client_id_hash(account, words)
    at = hashed & mask
    while table[at] != 0:
        if table[at] >> 32 == hashed:
            order = st.orders[position_in(table[at])]
            same = order.account == account
            for word in range(CLIENT_ORDER_ID_WORDS):
                same = same and order.client_order_id[word] == words[word]
            if same:
                return position_in(table[at])
        at = (at + 1) & mask
    return NO_SLOT


@force_inline
def add_client_order(st: State, slot: int) -> None:
    order = st.orders[slot]
    insert_entry(st.client_ids, _client_id_hash(order.account, order.client_order_id), slot)
    order.indexed = 1


@force_inline
def forget_client_order(st: State, slot: int) -> None:
    order = st.orders[slot]
    remove_entry(st.client_ids, _client_id_hash(order.account, order.client_order_id), slot)
    order.indexed = 0


@force_inline
def _execution_hash(symbol: int, execution_id: int) -> np.int64:
    return np.int64(mix(mix(SEED, np.uint64(symbol)), np.uint64(execution_id)) >> _TOP_31_BITS)


@force_inline
def execution_home(st: State, symbol: int, execution_id: int) -> np.int64:
    return _execution_hash(symbol, execution_id) & (len(st.executions) - 1)


@force_inline
def has_execution(st: State, symbol: int, execution_id: int) -> bool:
    """Whether a fill in the window has this execution id."""
    table = st.executions
    mask = len(table) - 1
    hashed = _execution_hash(symbol, execution_id)
    at = hashed & mask
    while table[at] != 0:
        if table[at] >> 32 == hashed:
            fill = st.fills[position_in(table[at])]
            if fill.execution_id == execution_id and fill.symbol == symbol:
                return True
        at = (at + 1) & mask
    return False


@force_inline
def add_execution(st: State, position: int) -> None:
    fill = st.fills[position]
    insert_entry(st.executions, _execution_hash(fill.symbol, fill.execution_id), position)


@force_inline
def forget_execution(st: State, position: int) -> None:
    fill = st.fills[position]
    remove_entry(st.executions, _execution_hash(fill.symbol, fill.execution_id), position)
