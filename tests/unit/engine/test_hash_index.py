"""Hash indexes against dictionaries: tables that are small and half full, so that entries collide."""

from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.engine import hash_index
from app.engine.capacity import Capacity
from app.engine.directory import directory_of
from app.engine.hash_index import (
    add_client_order,
    add_execution,
    find_client_order,
    forget_client_order,
    forget_execution,
    has_execution,
)
from app.engine.jit import inline
from app.engine.state import NO_SLOT, State, allocate, attach
from tests.support.engine import for_python, words

CAPACITY = Capacity(accounts=2, symbols=2, orders=16, open_orders=8, fills=16)
SLOTS = CAPACITY.orders

raw_insert = for_python(hash_index.insert_entry)
raw_remove = for_python(hash_index.remove_entry)


@for_python
@inline
def find_order(directory: NDArray[np.int64], account: int, text: NDArray[Any]) -> int:
    return find_client_order(attach(directory), account, text)


@for_python
@inline
def add_order(directory: NDArray[np.int64], slot: int) -> None:
    add_client_order(attach(directory), slot)


@for_python
@inline
def forget_order(directory: NDArray[np.int64], slot: int) -> None:
    forget_client_order(attach(directory), slot)


@for_python
@inline
def is_known(directory: NDArray[np.int64], symbol: int, execution_id: int) -> bool:
    return has_execution(attach(directory), symbol, execution_id)


@for_python
@inline
def add_fill(directory: NDArray[np.int64], position: int) -> None:
    add_execution(attach(directory), position)


@for_python
@inline
def forget_fill(directory: NDArray[np.int64], position: int) -> None:
    forget_execution(attach(directory), position)


def made() -> tuple[State, NDArray[np.int64]]:
    state = allocate(CAPACITY)
    return state, directory_of(state)


@pytest.mark.parametrize("seed", range(10))
def test_a_table_full_of_collisions(seed: int) -> None:
    """Raw entries that all want the same few places, also around the end of the table."""
    random = Random(seed)
    table = np.zeros(16, np.int64)
    homes = dict[int, int]()  # position to hash
    for _ in range(400):
        if len(homes) < 8 and (not homes or random.random() < 0.55):
            position = random.choice([p for p in range(40) if p not in homes])
            hashed = random.choice([13, 14, 15, 0, 31, 2**31 - 1])
            raw_insert(table, hashed, position)
            homes[position] = hashed
        else:
            position = random.choice(list(homes))
            raw_remove(table, homes.pop(position), position)
        entries = [int(entry) for entry in table if entry]
        assert sorted(entries) == sorted(h << 32 | p + 1 for p, h in homes.items())
        for position, hashed in homes.items():
            at = hashed & 15
            while table[at] != hashed << 32 | position + 1:
                assert table[at] != 0, "a gap before the entry: it would not be found"
                at = at + 1 & 15


@pytest.mark.parametrize("seed", range(10))
def test_client_order_ids_like_a_dict(seed: int) -> None:
    random = Random(seed)
    state, directory = made()
    names = [b"%d" % n for n in range(30)] + [b"x" * 36, b"x" * 35, b"x" * 32 + b"1"]
    known = dict[tuple[int, bytes], int]()
    for _ in range(600):
        free = [slot for slot in range(SLOTS) if slot not in known.values()]
        key = (random.randrange(2), random.choice(names))
        if key not in known and free and random.random() < 0.6:
            slot = random.choice(free)
            state.orders[slot]["account"] = key[0]
            state.orders[slot]["client_order_id"] = words(key[1], 40)
            add_order(directory, slot)
            known[key] = slot
        elif known:
            forgotten = random.choice(list(known))
            forget_order(directory, known.pop(forgotten))
            assert find_order(directory, forgotten[0], words(forgotten[1], 40)) == NO_SLOT
        for account in range(2):
            for name in random.sample(names, 6):
                expected = known.get((account, name), NO_SLOT)
                assert find_order(directory, account, words(name, 40)) == expected
    for slot in known.values():
        assert state.orders[slot]["indexed"] == 1
        forget_order(directory, slot)
        assert state.orders[slot]["indexed"] == 0
    assert not state.client_ids.any()


@pytest.mark.parametrize("seed", range(5))
def test_executions_like_a_set(seed: int) -> None:
    random = Random(seed)
    state, directory = made()
    known = dict[tuple[int, int], int]()
    for _ in range(400):
        free = [position for position in range(CAPACITY.fills) if position not in known.values()]
        key = (random.randrange(2), random.choice([0, -1, 1, 2**63 - 1, random.randint(1, 40)]))
        if key not in known and free and random.random() < 0.6:
            position = random.choice(free)
            state.fills[position]["symbol"], state.fills[position]["execution_id"] = key
            add_fill(directory, position)
            known[key] = position
        elif known:
            forget_fill(directory, known.pop(random.choice(list(known))))
        for symbol in range(2):
            for execution_id in (0, -1, 1, 2**63 - 1, random.randint(1, 40)):
                assert is_known(directory, symbol, execution_id) == ((symbol, execution_id) in known)
    for position in known.values():
        forget_fill(directory, position)
    assert not state.executions.any()


def test_accounts_that_number_their_orders_alike_do_not_collide() -> None:
    """64 accounts with orders "0" to "9" each: 640 places in 4,096, not the few that account ^ digit has."""
    state = allocate(Capacity(accounts=64, symbols=2, orders=2_048, open_orders=1_024, fills=16))
    directory = directory_of(state)
    for slot in range(640):
        state.orders[slot]["account"] = slot // 10
        state.orders[slot]["client_order_id"] = words(str(slot % 10).encode(), 40)
        add_order(directory, slot)
    distances = [(at - int(entry >> 32)) % 4_096 for at, entry in enumerate(state.client_ids) if entry]
    assert len(distances) == 640
    assert max(distances) < 8
