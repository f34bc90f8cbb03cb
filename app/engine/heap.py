"""Leftist heaps over arrays: who is due next, by stop price or by expiry time.

One array of nodes, indexed by order slot, holds any number of heaps, each known
by the slot of its root. Every operation, also the removal of an order from the
middle, takes O(log n) steps in the worst case: a leftist heap's right spine has
at most log2(n + 1) nodes. (C. A. Crane, "Linear lists and priority queues as
balanced binary trees", 1972.)
"""

from app.engine.jit import inline
from app.engine.state import NO_SLOT, Array


@inline
def _before(nodes: Array, a: int, b: int) -> bool:
    if nodes[a].key != nodes[b].key:
        return nodes[a].key < nodes[b].key
    return nodes[a].tie < nodes[b].tie


@inline
def _rank(nodes: Array, slot: int) -> int:
    return 0 if slot == NO_SLOT else nodes[slot].rank


@inline
def _restore(nodes: Array, slot: int) -> bool:
    """Put the child of lower rank on the right; returns whether the rank of `slot` changed."""
    node = nodes[slot]
    if _rank(nodes, node.left) < _rank(nodes, node.right):
        left = node.left
        node.left = node.right
        node.right = left
    rank = _rank(nodes, node.right) + 1
    changed = rank != node.rank
    node.rank = rank
    return changed


@inline
def _merge(nodes: Array, a: int, b: int) -> int:
    """Merge two heaps; the caller sets the parent of the root that it gets."""
    if a == NO_SLOT:
        return b
    if b == NO_SLOT:
        return a
    if _before(nodes, b, a):
        a, b = b, a
    root = a
    while True:
        right = nodes[a].right
        if right == NO_SLOT:
            nodes[a].right = b
            nodes[b].parent = a
            break
        if _before(nodes, b, right):
            nodes[a].right = b
            nodes[b].parent = a
            b = right
        a = nodes[a].right
    while a != root:
        _restore(nodes, a)
        a = nodes[a].parent
    _restore(nodes, root)
    return root


@inline
def push(nodes: Array, root: int, slot: int, key: int, tie: int) -> int:
    """Add `slot` to the heap; returns the new root."""
    node = nodes[slot]
    node.key = key
    node.tie = tie
    node.left = NO_SLOT
    node.right = NO_SLOT
    node.parent = NO_SLOT
    node.rank = 1
    root = _merge(nodes, root, slot)
    nodes[root].parent = NO_SLOT
    return root


@inline
def remove(nodes: Array, root: int, slot: int) -> int:
    """Take `slot`, which must be in it, out of the heap; returns the new root."""
    node = nodes[slot]
    parent = node.parent
    child = _merge(nodes, node.left, node.right)
    if child != NO_SLOT:
        nodes[child].parent = parent
    node.rank = 0
    if parent == NO_SLOT:
        return child
    if nodes[parent].left == slot:
        nodes[parent].left = child
    else:
        nodes[parent].right = child
    while parent != NO_SLOT and _restore(nodes, parent):
        parent = nodes[parent].parent
    return root
