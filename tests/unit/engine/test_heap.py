"""Leftist heaps over an array, against sorted lists: pushes, and removals from anywhere."""

from random import Random

import numpy as np
import pytest

from app.engine import heap
from app.engine.state import NO_SLOT
from app.engine.state_records import HEAP_NODE
from tests.support.engine import Records, for_python

push = for_python(heap.push)
remove = for_python(heap.remove)


def check(nodes: Records, root: int, parent: int = NO_SLOT) -> tuple[list[int], int]:
    """Walk a heap and check order, links and ranks; its slots and its rank."""
    if root == NO_SLOT:
        return [], 0
    node = nodes[root]
    assert node["parent"] == parent
    if parent != NO_SLOT:
        above = nodes[parent]
        assert (above["key"], above["tie"]) <= (node["key"], node["tie"])
    left, left_rank = check(nodes, int(node["left"]), root)
    right, right_rank = check(nodes, int(node["right"]), root)
    assert left_rank >= right_rank, "not leftist"
    assert node["rank"] == right_rank + 1
    return [root, *left, *right], right_rank + 1


@pytest.mark.parametrize("seed", range(20))
def test_like_a_sorted_list(seed: int) -> None:
    random = Random(seed)
    nodes = np.zeros(64, HEAP_NODE)
    root, inside = NO_SLOT, dict[int, tuple[int, int]]()
    for step in range(600):
        free = [slot for slot in range(len(nodes)) if slot not in inside]
        grow = random.random() < (0.7 if step < 300 else 0.4)
        if free and (grow or not inside):
            slot, key, tie = random.choice(free), random.randint(-5, 5), step
            root = int(push(nodes, root, slot, key, tie))
            inside[slot] = (key, tie)
        else:
            first = min(inside, key=lambda slot: inside[slot])
            slot = first if random.random() < 0.3 else random.choice(list(inside))
            root = int(remove(nodes, root, slot))
            del inside[slot]
            assert nodes[slot]["rank"] == 0
        slots, _ = check(nodes, root)
        assert sorted(slots) == sorted(inside)
        assert root == (min(inside, key=lambda slot: inside[slot]) if inside else NO_SLOT)


def test_sorts() -> None:
    random = Random(7)
    keys = [random.randint(-(2**62), 2**62) for _ in range(500)]
    nodes = np.zeros(len(keys), HEAP_NODE)
    root = NO_SLOT
    for slot, key in enumerate(keys):
        root = int(push(nodes, root, slot, key, slot))
    found = []
    while root != NO_SLOT:
        found.append(keys[root])
        root = int(remove(nodes, root, root))
    assert found == sorted(keys)


@pytest.mark.parametrize("keys", [range(1_000), range(1_000, 0, -1), [5] * 1_000])
def test_the_right_spine_stays_short(keys: list[int]) -> None:
    """Sorted arrivals, the worst for naive trees: every merge must stay logarithmic."""
    nodes = np.zeros(1_000, HEAP_NODE)
    root = NO_SLOT
    for slot, key in enumerate(keys):
        root = int(push(nodes, root, slot, key, slot))
        assert 2 ** int(nodes[root]["rank"]) - 1 <= slot + 1


def test_two_heaps_share_an_array() -> None:
    nodes = np.zeros(4, HEAP_NODE)
    one = int(push(nodes, push(nodes, NO_SLOT, 0, 3, 0), 1, 2, 1))
    other = int(push(nodes, push(nodes, NO_SLOT, 2, 1, 2), 3, 9, 3))
    assert (one, other) == (1, 2)
    assert remove(nodes, one, 1) == 0
    assert sorted(check(nodes, other)[0]) == [2, 3]
