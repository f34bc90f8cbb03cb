"""A made-up exchange with numbered changes, and the book that follows it through losses."""

from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.types import Side
from app.market.book_sync import BookSync, Outcome
from app.market.level_batch import LevelBatch
from app.market.messages import DepthSnapshot, DepthUpdate, Levels, TouchUpdate
from tests.support.market import ReplicaSink

Book = tuple[dict[int, int], dict[int, int]]


class Exchange:
    """Every change has a number; `books[n]` is the truth after change n."""

    def __init__(self, random: Random, changes: int) -> None:
        self.books: list[Book] = [({100: 5, 98: 3, 95: 1}, {102: 4, 105: 2})]
        for _ in range(changes):
            bids, asks = (dict(side) for side in self.books[-1])
            self._change(random, bids, asks)
            self.books.append((bids, asks))

    @staticmethod
    def _change(random: Random, bids: dict[int, int], asks: dict[int, int]) -> None:
        """Adds, changes or removes a level; neither side is ever empty or crosses the other."""
        side, other, sign = (bids, asks, 1) if random.random() < 0.5 else (asks, bids, -1)
        if len(side) > 1 and random.random() < 0.5:
            # Mostly the best level goes, so that the touch wanders.
            key = max(side, key=lambda p: p * sign) if random.random() < 0.6 else random.choice(list(side))
            del side[key]
            return
        limit = min(other) - 1 if sign > 0 else max(other) + 1
        price = limit - sign * random.choice((0, 0, 1, 2, 3, 6))
        side[max(1, price)] = random.randint(1, 9)

    def depth(self, first: int, last: int) -> DepthUpdate:
        sides = []
        for index in (0, 1):
            touched = set()
            for number in range(first, last + 1):
                old, new = self.books[number - 1][index], self.books[number][index]
                touched |= {price for price in old.keys() | new.keys() if old.get(price) != new.get(price)}
            sides.append([(price, self.books[last][index].get(price, 0)) for price in sorted(touched)])
        return DepthUpdate(0, first, last, sides[0], sides[1])

    def touch(self, number: int) -> TouchUpdate:
        bids, asks = self.books[number]
        bid, ask = max(bids), min(asks)
        return TouchUpdate(0, number, bid, bids[bid], ask, asks[ask])

    def snapshot(self, number: int) -> DepthSnapshot:
        bids, asks = self.books[number]
        return DepthSnapshot(0, number, list(bids.items()), list(asks.items()))


class Follower:
    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.batch = LevelBatch()
        self.book = BookSync(0, "BTC-USDT", self.batch)
        self.sink = ReplicaSink()
        self.touch_id = 0

    def apply(self, message: TouchUpdate | DepthUpdate | DepthSnapshot) -> Outcome:
        if isinstance(message, TouchUpdate):
            outcome = self.book.apply_touch(message)
            self.touch_id = max(self.touch_id, message.update_id)
        elif isinstance(message, DepthUpdate):
            outcome = self.book.apply_depth(message)
        else:
            outcome = self.book.apply_snapshot(message)
        self.check()
        return outcome

    def check(self) -> None:
        self.sink.on_levels(self.batch.take())
        bids, asks = self.sink.side(0, Side.BUY), self.sink.side(0, Side.SELL)
        displayed: tuple[Levels, Levels] = (self.book.bids.displayed(), self.book.asks.displayed())
        assert (dict(displayed[0]), dict(displayed[1])) == (bids, asks)
        assert not self.sink.crossed(0)
        if not self.book.in_sync:
            assert not bids and not asks and self.book.touch() is None
            return
        true = self.exchange.touch(max(self.touch_id, self.book.last_id))
        assert self.sink.touch(0) == (true.bid, true.ask)
        assert (bids[true.bid], asks[true.ask]) == (true.bid_quantity, true.ask_quantity)
        assert self.book.touch() == (true.bid, true.ask)
        if self.touch_id <= self.book.last_id:
            assert (bids, asks) == self.exchange.books[self.book.last_id]


def ranges(random: Random, changes: int) -> list[tuple[int, int]]:
    cuts = [0, *sorted(random.sample(range(1, changes), k=changes // 5)), changes]
    return [(first + 1, last) for first, last in pairwise(cuts)]


@settings(deadline=None, max_examples=150)
@given(seed=st.integers(0, 2**32), ahead=st.integers(0, 60), loss=st.sampled_from([0.0, 0.0, 0.1, 0.4]))
def test_the_book_follows_the_exchange(seed: int, ahead: int, loss: float) -> None:
    """Touches run ahead of depth; depth updates get lost or come twice; snapshots mend that."""
    random = Random(seed)
    changes = 150
    exchange = Exchange(random, changes)
    follower = Follower(exchange)
    parts = ranges(random, changes)
    for first, last in parts:
        touch_up_to = min(changes, last + random.randint(0, ahead))
        for number in sorted(random.sample(range(1, touch_up_to + 1), k=min(3, touch_up_to))):
            follower.apply(exchange.touch(number))
        if random.random() < loss:
            continue
        book, gaps = follower.book, follower.book.gaps
        missing = book.in_sync and first > book.last_id + 1
        outcome = follower.apply(exchange.depth(first, last))
        assert (outcome is Outcome.GAP) == missing == (book.gaps > gaps)
        if random.random() < 0.2:
            follower.apply(exchange.depth(first, last))
        if not follower.book.in_sync and random.random() < 0.7:
            # It may lie ahead of the depth stream.
            number = random.randint(first - 1, changes)
            follower.apply(exchange.snapshot(number))
    follower.apply(exchange.snapshot(changes))
    assert follower.book.in_sync
    assert follower.book.last_id == changes
