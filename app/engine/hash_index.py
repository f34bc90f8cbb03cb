"""Hash indexes in arrays: orders by client order id, fills by execution id.

Open addressing with linear probing, at most half full. An entry is
`hash << 32 | position + 1`, zero where empty: the 31-bit hash tells most
strangers apart without a look at the record, and tells where an entry wants to
be, so that a removal can close its gap (Knuth, TAOCP 6.4, algorithm R) and no
tombstones collect.
"""

import numpy as np
from numpy.typing import NDArray

from app.engine.jit import force_inline
from app.engine.records import CLIENT_ORDER_ID_BYTES
from app.engine.state import NO_SLOT, Array, State

Table = NDArray[np.int64]

_WORDS = CLIENT_ORDER_ID_BYTES // 8
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)
_TOP_31_BITS = np.uint64(33)


@force_inline
def mix(h: np.uint64, value: np.uint64) -> np.uint64:
    """One step of a multiplicative hash; all arithmetic is modulo 2**64."""
    h = (h ^ value) * _MULTIPLIER
    return h ^ (h >> _SHIFT)


@force_inline
def _position(entry: int) -> int:
    return (entry & 0xFFFFFFFF) - 1


@force_inline
def _insert(table: Table, hashed: int | np.int64, position: int) -> None:
    mask = len(table) - 1
    at = hashed & mask
    while table[at] != 0:
        at = (at + 1) & mask
    table[at] = (hashed << 32) | (position + 1)


@force_inline
def _remove(table: Table, hashed: int | np.int64, position: int) -> None:
    mask = len(table) - 1
    gap = hashed & mask
    while _position(table[gap]) != position:
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
    h = np.uint64(account)
    for word in range(_WORDS):
        h = mix(h, words[word])
    return np.int64(h >> _TOP_31_BITS)


@force_inline
def client_id_home(st: State, account: int, words: Array) -> np.int64:
    """Where in the index a client order id begins to be looked for."""
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
            order = st.orders[_position(table[at])]
            same = order.account == account
            for word in range(_WORDS):
                same = same and order.client_order_id[word] == words[word]
            if same:
                return _position(table[at])
        at = (at + 1) & mask
    return NO_SLOT


@force_inline
def add_client_order(st: State, slot: int) -> None:
    order = st.orders[slot]
    _insert(st.client_ids, _client_id_hash(order.account, order.client_order_id), slot)
    order.indexed = 1


@force_inline
def forget_client_order(st: State, slot: int) -> None:
    order = st.orders[slot]
    _remove(st.client_ids, _client_id_hash(order.account, order.client_order_id), slot)
    order.indexed = 0


@force_inline
def _execution_hash(symbol: int, execution_id: int) -> np.int64:
    return np.int64(mix(np.uint64(symbol), np.uint64(execution_id)) >> _TOP_31_BITS)


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
            fill = st.fills[_position(table[at])]
            if fill.execution_id == execution_id and fill.symbol == symbol:
                return True
        at = (at + 1) & mask
    return False


@force_inline
def add_execution(st: State, position: int) -> None:
    fill = st.fills[position]
    _insert(st.executions, _execution_hash(fill.symbol, fill.execution_id), position)


@force_inline
def forget_execution(st: State, position: int) -> None:
    fill = st.fills[position]
    _remove(st.executions, _execution_hash(fill.symbol, fill.execution_id), position)
