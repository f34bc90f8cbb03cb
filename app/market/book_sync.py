"""Book synchroniser: it keeps one symbol's book in step with the exchange, and detects when it is not.

The exchange's rules for spot: depth updates are kept until a snapshot comes; those that end at or
before the snapshot's `lastUpdateId` are dropped; the first one applied must begin at or before the
change after it; each one after that begins where the last one ended. An update that begins later
leaves a gap: the book is cleared, because nobody should trade against depth that may be gone, and
has no mark until the next snapshot. An update that begins earlier repeats known changes and is safe
to apply, since quantities are totals.

https://github.com/binance/binance-spot-api-docs/blob/master/web-socket-streams.md

Touches of the same numbering are fresher than depth; see `app.market.book_side`.

Consecutive numbers do not prove that the messages arrived undamaged, so a book can be checked while
it is in step: `begin_check`, then a snapshot, which is compared and not loaded.
"""

import logging
from collections import deque
from enum import StrEnum

from app.engine.types import Side
from app.market.book_side import BookSide
from app.market.level_batch import LevelBatch
from app.market.messages import DepthSnapshot, DepthUpdate, TouchUpdate

logger = logging.getLogger(__name__)

# Depth updates kept while there is no snapshot: 100 seconds of them.
BUFFERED_MAX = 1_000
# Touches kept until depth overtakes them; normally there are a few.
TOUCHES_MAX = 256
# No symbol has this many changes within the 100 ms between two depth updates: a touch or an
# update further ahead has been damaged on its way.
AHEAD_MAX = 1_000_000
# After this many older messages in a row the newest known number must be wrong.
STALE_RUN_MAX = 64


class Outcome(StrEnum):
    """The result of one message."""

    APPLIED = "applied"
    BUFFERED = "kept until a snapshot comes"
    STALE = "older than what is known"
    GAP = "changes are missing: a new snapshot is needed"
    TOO_OLD = "the snapshot is older than the updates kept: another one is needed"
    IMPLAUSIBLE = "too far ahead to be true"
    CONFIRMED = "the snapshot says what the book says"
    DIVERGED = "the book was wrong, and has been loaded anew from the snapshot"


class BookSync:
    def __init__(self, symbol: int, name: str, batch: LevelBatch) -> None:
        """`name` is for the log; changes of the displayed book are added to `batch`."""
        self.symbol = symbol
        self.in_sync = False
        self.gaps = 0
        self.bids = BookSide(symbol, Side.BUY, batch)
        self.asks = BookSide(symbol, Side.SELL, batch)
        self.last_id = -1  # of the depth
        self._name = name
        self._batch = batch
        self._updates: deque[DepthUpdate] = deque(maxlen=BUFFERED_MAX)
        self._touches: deque[TouchUpdate] = deque(maxlen=TOUCHES_MAX)  # newer than the depth
        self._snapshot_id = -1  # that the depth goes back to
        self._stale_updates = 0  # in a row
        self._stale_touches = 0
        self._checking = False  # updates that are applied are kept as well
        self._check: DepthSnapshot | None = None  # waits until the depth has caught up with it

    @property
    def newest_id(self) -> int:
        """The newest number received for this symbol since the last reset."""
        touch = self._touches[-1].update_id if self._touches else -1
        update = self._updates[-1].last_id if self._updates else -1
        return max(self.last_id, touch, update)

    def touch(self) -> tuple[int, int] | None:
        """The best bid and ask in ticks, 0 if a side is empty; None while out of step."""
        if not self.in_sync:
            return None
        if self._touches:
            return self._touches[-1].bid, self._touches[-1].ask
        return self.bids.best_depth() or 0, self.asks.best_depth() or 0

    def reset(self) -> None:
        """Forget everything: what follows is not a continuation."""
        self._updates.clear()
        self._touches.clear()
        self._lose()

    def begin_check(self) -> None:
        """The next snapshot is to be compared with the book."""
        if self.in_sync:
            self._checking = True
            self._check = None
            self._updates.clear()

    def apply_snapshot(self, snapshot: DepthSnapshot) -> Outcome:
        if self._checking:
            return self._compare(snapshot)
        if self.in_sync and snapshot.last_id < self.last_id:
            return Outcome.STALE
        if self.in_sync and snapshot.last_id > self.last_id + AHEAD_MAX:
            return Outcome.IMPLAUSIBLE
        newer = range(snapshot.last_id + 1, snapshot.last_id + AHEAD_MAX)
        updates = sorted(update for update in self._updates if update.last_id in newer)
        if updates and updates[0].first_id > snapshot.last_id + 1:
            return Outcome.TOO_OLD
        self._updates.clear()
        self._batch.add_clear(self.symbol)
        self.bids.load(snapshot.bids)
        self.asks.load(snapshot.asks)
        self.last_id = self._snapshot_id = snapshot.last_id
        self._stale_updates = self._stale_touches = 0
        self.in_sync = True
        touches = list(self._touches)
        self._touches.clear()
        for touch in touches:
            self.apply_touch(touch)
        outcome = self._check_crossed()
        for update in updates:
            outcome = self.apply_depth(update)
        return outcome

    def apply_depth(self, update: DepthUpdate) -> Outcome:
        if not self.in_sync:
            self._updates.append(update)
            return Outcome.BUFFERED
        if update.last_id <= self.last_id:
            self._stale_updates += self.last_id > self._snapshot_id
            return Outcome.STALE if self._stale_updates < STALE_RUN_MAX else self._report_stale_run()
        if update.first_id > self.last_id + 1:
            return self._report_gap(update)
        if update.last_id > self.last_id + AHEAD_MAX:
            return Outcome.IMPLAUSIBLE
        self._stale_updates = 0
        self.last_id = update.last_id
        self.bids.update(update.bids)
        self.asks.update(update.asks)
        if self._touches:
            self._drop_overtaken()
        outcome = self._check_crossed()
        if self._checking:
            self._updates.append(update)
            if self._check is not None and self.last_id >= self._check.last_id:
                return self._compare(self._check)
        return outcome

    def apply_touch(self, touch: TouchUpdate) -> Outcome:
        touches = self._touches
        if touches and touch.update_id <= touches[-1].update_id:
            self._stale_touches += 1
            if self._stale_touches < STALE_RUN_MAX:
                return Outcome.STALE
            self._drop_touches()
        self._stale_touches = 0
        if not self.in_sync:
            touches.append(touch)
            return Outcome.BUFFERED
        if touch.update_id <= self.last_id:
            return Outcome.STALE
        if touch.update_id > self.last_id + AHEAD_MAX:
            return Outcome.IMPLAUSIBLE
        if len(touches) == TOUCHES_MAX:
            self._drop_oldest_touches()
        touches.append(touch)
        self.bids.touch(touch.bid, touch.bid_quantity)
        self.asks.touch(touch.ask, touch.ask_quantity)
        return Outcome.APPLIED

    def _drop_overtaken(self) -> None:
        touches = self._touches
        while touches and touches[0].update_id <= self.last_id:
            touches.popleft()
        self._lay_over()

    def _drop_oldest_touches(self) -> None:
        """Depth has been silent for very long: the touches over it must not grow for ever."""
        for _ in range(TOUCHES_MAX // 2):
            self._touches.popleft()
        self._lay_over()

    def _lay_over(self) -> None:
        touches = self._touches
        self.bids.lay_over([(touch.bid, touch.bid_quantity) for touch in touches])
        self.asks.lay_over([(touch.ask, touch.ask_quantity) for touch in touches])

    def _drop_touches(self) -> None:
        """Forget touches whose number cannot be true: every newer one seems older than they are."""
        self._touches.clear()
        if self.in_sync:
            self._lay_over()

    def _compare(self, snapshot: DepthSnapshot) -> Outcome:
        """Compare: the snapshot with the updates after it must give the known depth."""
        if snapshot.last_id > self.last_id:
            if snapshot.last_id > self.last_id + AHEAD_MAX:
                return Outcome.IMPLAUSIBLE
            self._check = snapshot
            return Outcome.BUFFERED
        updates = [update for update in self._updates if update.last_id > snapshot.last_id]
        first_id = updates[0].first_id if updates else self.last_id + 1
        self._checking, self._check = False, None
        self._updates.clear()
        if first_id > snapshot.last_id + 1:
            return Outcome.TOO_OLD
        wrong = self.bids.differs(snapshot.bids, [update.bids for update in updates])
        if not wrong and not self.asks.differs(snapshot.asks, [update.asks for update in updates]):
            return Outcome.CONFIRMED
        self.gaps += 1
        logger.warning("%s: the book at update %d is not what a snapshot says", self._name, self.last_id)
        touches = list(self._touches)
        self._lose()
        self._touches.extend(touches)
        self._updates.extend(updates)
        outcome = self.apply_snapshot(snapshot)
        return Outcome.DIVERGED if outcome is Outcome.APPLIED else outcome

    def _report_stale_run(self) -> Outcome:
        self.gaps += 1
        logger.warning("%s: update %d cannot have been, book cleared", self._name, self.last_id)
        self._lose()
        return Outcome.GAP

    def _report_gap(self, update: DepthUpdate) -> Outcome:
        self.gaps += 1
        missing = (self.last_id + 1, update.first_id - 1)
        logger.warning("%s: depth updates %d to %d are missing, book cleared", self._name, *missing)
        self._lose()
        self._updates.append(update)
        return Outcome.GAP

    def _check_crossed(self) -> Outcome:
        """A crossed book has received something wrong: treat it as a gap."""
        bid, ask = self.bids.best_depth(), self.asks.best_depth()
        if bid is None or ask is None or bid < ask:
            return Outcome.APPLIED
        self.gaps += 1
        logger.warning("%s: the book has crossed at update %d, book cleared", self._name, self.last_id)
        self._lose()
        return Outcome.GAP

    def _lose(self) -> None:
        self.in_sync = False
        self.last_id = self._snapshot_id = -1
        self._stale_updates = 0
        if self._checking:
            self._checking, self._check = False, None
            self._updates.clear()
        self._batch.add_clear(self.symbol)
        self.bids.forget()
        self.asks.forget()
