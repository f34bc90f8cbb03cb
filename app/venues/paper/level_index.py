"""Level index: a hash index from prices to the levels in use (see `app.engine.hash_index`).

The ladders give the best price; a search in them costs more the more prices there are. Eight
neighbouring prices share one cache line, as orders come in near one another.
"""

import numpy as np

from app.engine.hash_index import SEED, insert_entry, mix, position_in, remove_entry
from app.engine.jit import force_inline
from app.venues.paper.records import NOWHERE
from app.venues.paper.state import PaperState

_NEIGHBOURS = 3  # bits of a key that stay as they are
_SHIFT = np.uint64(36)  # so that a hash has 31 bits, with those


@force_inline
def _hash(book_side: int, key: int) -> np.int64:
    h = mix(mix(SEED, np.uint64(book_side)), np.uint64(key >> _NEIGHBOURS))
    return (np.int64(h >> _SHIFT) << _NEIGHBOURS) | (key & ((1 << _NEIGHBOURS) - 1))


@force_inline
def level_home(st: PaperState, book_side: int, key: int) -> int:
    """The place in the index where the search for a price begins."""
    return int(_hash(book_side, key) & (len(st.level_index) - 1))


@force_inline
def find_level(st: PaperState, book_side: int, key: int) -> int:
    """The level of this price, `NOWHERE` if there is none."""
    table = st.level_index
    mask = len(table) - 1
    hashed = _hash(book_side, key)
    at = hashed & mask
    while table[at] != 0:
        if table[at] >> 32 == hashed:
            number = position_in(table[at])
            level = st.levels[number]
            if level.key == key and level.book_side == book_side:
                return number
        at = (at + 1) & mask
    return NOWHERE


@force_inline
def expected_level(st: PaperState, book_side: int, key: int) -> int:
    """As `find_level`, but by the hash alone: the level, which may be in no cache, is not read."""
    table = st.level_index
    mask = len(table) - 1
    hashed = _hash(book_side, key)
    at = hashed & mask
    while table[at] != 0 and table[at] >> 32 != hashed:
        at = (at + 1) & mask
    return position_in(table[at])  # of an empty entry NOWHERE


@force_inline
def add_level(st: PaperState, number: int) -> None:
    level = st.levels[number]
    insert_entry(st.level_index, _hash(level.book_side, level.key), number)


@force_inline
def forget_level(st: PaperState, number: int) -> None:
    level = st.levels[number]
    remove_entry(st.level_index, _hash(level.book_side, level.key), number)
