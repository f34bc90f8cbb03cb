"""One side of a symbol's book: depth updates below, newer touches above.

Touches come at once, depth every 100 ms. `depth` is exactly what snapshot and
depth updates say. Touches that are newer lie over it: each says that nothing
better existed then, and what stood at its own price. So from the worst touch
since the last depth update on, `watermark`, depth is hidden, and the touches alone
say what stands there. When a depth update has caught up with all of them, the depth
is the newest again. No touch, not even a wrong one, ever harms the depth.

A level is known by its key, the larger the better: the price of a bid, minus the
price of an ask. What is published is every change of what this side displays.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable

from app.engine.types import Side
from app.market.level_batch import SET, LevelBatch
from app.market.messages import Levels

# The worst levels beyond this are dropped; the exchange shows no more in a snapshot.
LEVELS_MAX = 5_000


class BookSide:
    __slots__ = (
        "_append",
        "_best_known",
        "_depth",
        "_keys",
        "_known",
        "_side",
        "_sign",
        "_symbol",
        "_watermark",
    )

    def __init__(self, symbol: int, side: Side, batch: LevelBatch) -> None:
        self._symbol = symbol
        self._side = int(side)
        self._sign = 1 if side == Side.BUY else -1
        self._append = batch.append
        self._keys: list[int] = []  # of the depth, best last
        self._depth: dict[int, int] = {}  # key -> quantity
        self._known: dict[int, int] = {}  # what touches say: key -> quantity
        self._best_known: int | None = None  # the newest touch: it denies all that is better
        self._watermark: int | None = None

    def best_depth(self) -> int | None:
        """The best price of the depth alone."""
        return self._keys[-1] * self._sign if self._keys else None

    def displayed(self) -> Levels:
        """(price, quantity) of the levels displayed, best first."""
        hidden = len(self._keys) if self._watermark is None else bisect_left(self._keys, self._watermark)
        levels = {key: self._depth[key] for key in self._keys[:hidden]} | self._known
        return [(key * self._sign, levels[key]) for key in sorted(levels, reverse=True)]

    def depth(self) -> Levels:
        """(price, quantity) of the depth alone, best first."""
        return [(key * self._sign, self._depth[key]) for key in reversed(self._keys)]

    def differs(self, levels: Levels, changes: Iterable[Levels]) -> bool:
        """Whether the depth differs from these levels with these changes applied.

        Below the worst of the levels nothing is compared: a snapshot shows no more.
        """
        expected = {price * self._sign: quantity for price, quantity in levels}
        worst = min(expected, default=None)
        for change in changes:
            expected.update((price * self._sign, quantity) for price, quantity in change)
        first = 0 if worst is None else bisect_left(self._keys, worst)
        known = {key: self._depth[key] for key in self._keys[first:]}
        shown = {
            key: quantity
            for key, quantity in expected.items()
            if quantity and (worst is None or key >= worst)
        }
        return known != shown

    def load(self, levels: Levels) -> None:
        """Begin anew from a snapshot; the sink has been called to clear what was there."""
        self._depth = {price * self._sign: quantity for price, quantity in levels if quantity}
        self._keys = sorted(self._depth)
        self._known = {}
        self._best_known = None
        self._watermark = None
        for key in reversed(self._keys):
            self._publish(key, self._depth[key])

    def forget(self) -> None:
        """Begin anew from nothing."""
        self.load([])

    def update(self, levels: Levels) -> None:
        """Apply a depth update; what touches hide stays hidden."""
        sign, keys, depth, watermark = self._sign, self._keys, self._depth, self._watermark
        append, symbol, side = self._append, self._symbol, self._side
        for price, quantity in levels:
            key = price * sign
            before = depth.get(key, 0)
            if quantity == before:
                continue
            if not quantity:
                del depth[key]
                del keys[bisect_left(keys, key)]
            else:
                depth[key] = quantity
                if not before:
                    insort(keys, key)
            if watermark is None or key < watermark:
                append((price, quantity, symbol, side, SET))
        if len(keys) > LEVELS_MAX:
            self._drop_worst(len(keys) - LEVELS_MAX)

    def _drop_worst(self, count: int) -> None:
        for key in self._keys[:count]:
            del self._depth[key]
            if self._watermark is None or key < self._watermark:
                self._publish(key, 0)
        del self._keys[:count]

    def touch(self, price: int, quantity: int) -> None:
        """Lay a touch over the depth; it is newer than the depth and every touch before."""
        key = price * self._sign
        watermark = self._watermark
        if self._best_known is not None and self._best_known > key:
            for better in [known for known in self._known if known > key]:
                del self._known[better]
                self._publish(better, 0)
        self._best_known = key
        if watermark is None or key < watermark:
            self._watermark = key
            first = bisect_left(self._keys, key)
            last = len(self._keys) if watermark is None else bisect_left(self._keys, watermark)
            for hidden in self._keys[first:last]:
                if hidden != key:
                    self._publish(hidden, 0)
            displayed = self._depth.get(key, 0)
        else:
            displayed = self._known.get(key, 0)
        self._known[key] = quantity
        if displayed != quantity:
            self._publish(key, quantity)

    def lay_over(self, touches: Levels) -> None:
        """Lay only these touches over the depth, oldest first: a depth update has superseded the others."""
        if self._watermark is None:
            return
        self._best_known = touches[-1][0] * self._sign if touches else None
        before, start = self._known, bisect_left(self._keys, self._watermark)
        known: dict[int, int] = {}
        for price, quantity in touches:
            key = price * self._sign
            for better in [each for each in known if each > key]:
                del known[better]
            known[key] = quantity
        self._known = known
        self._watermark = min((price * self._sign for price, _ in touches), default=None)
        end = len(self._keys) if self._watermark is None else bisect_left(self._keys, self._watermark)
        after = {key: self._depth[key] for key in self._keys[start:end]} | known
        for key in before:
            if key not in after:
                self._publish(key, 0)
        for key, quantity in after.items():
            if before.get(key, 0) != quantity:
                self._publish(key, quantity)

    def _publish(self, key: int, quantity: int) -> None:
        self._append((key * self._sign, quantity, self._symbol, self._side, SET))
