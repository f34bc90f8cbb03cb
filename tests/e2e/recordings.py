"""A small recording of BTC-USDT in the format of the recorded files, as a test needs it.

The market is told in every way that the exchange tells it: touches, depth updates, a snapshot
that comes behind them, trades. A price shown stays until the recording says otherwise.
"""

from pathlib import Path
from typing import Self

from tests.support.market import Pairs, depth, snapshot, touch, trade

START_NS = 1_723_161_253_000_000_000
QUIET_STEP_MS = 500

BIDS: Pairs = [("60000.00", "1.00000"), ("59990.00", "2.00000"), ("59980.00", "3.00000")]
ASKS: Pairs = [("60010.00", "0.50000"), ("60020.00", "1.00000"), ("60030.00", "1.50000")]


class MarketRecording:
    """Begins with the book BIDS, ASKS."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._at_ms = 0
        self._last_id = 100  # of everything
        self._depth_id = 99  # of the depth updates: the next one begins behind it
        self._bid = BIDS[0]
        self._ask = ASKS[0]
        self._show_depth([], [])
        self._show_touch()
        self._add(snapshot(100, BIDS, ASKS))
        self._add(trade("60010.00", "0.01000"))

    def quiet(self, seconds: int) -> Self:
        """The market stands still, and says so."""
        for _ in range(seconds * 1000 // QUIET_STEP_MS):
            self._at_ms += QUIET_STEP_MS
            self._show_touch()
            self._show_depth([], [])
        return self

    def move(self, bids: Pairs, asks: Pairs, touch_after: tuple[int, int]) -> Self:
        """Levels change, 0 takes one away; `touch_after`: which of them are the best bid and ask then."""
        self._bid, self._ask = bids[touch_after[0]], asks[touch_after[1]]
        self._last_id += 1
        self._show_depth(bids, asks)
        self._show_touch()
        self._add(trade(self._ask[0], "0.01000"))
        return self

    def write(self, path: Path) -> Path:
        path.write_bytes(b"".join(self._lines))
        return path

    def _show_depth(self, bids: Pairs, asks: Pairs) -> None:
        self._add(depth(self._depth_id + 1, self._last_id, bids, asks))
        self._depth_id = self._last_id

    def _show_touch(self) -> None:
        self._last_id += 1
        (bid, bid_quantity), (ask, ask_quantity) = self._bid, self._ask
        self._add(touch(self._last_id, bid, ask, quantities=(bid_quantity, ask_quantity)))

    def _add(self, raw: bytes) -> None:
        self._lines.append(b"%d %s\n" % (START_NS + self._at_ms * 1_000_000, raw))
