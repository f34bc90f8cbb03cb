"""Paper venue, as the loop uses it."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.engine.capacity import Capacity
from app.engine.directory import directory_of
from app.engine.records import COMMAND, EVENT, REPLACE_EVENT, field_offset
from app.engine.state import State
from app.engine.types import EventKind, OrderStatus, Side
from app.venues.paper.displayed import apply_updates, merge_depth
from app.venues.paper.execution import execute_events, note_events
from app.venues.paper.mirror import begin_with
from app.venues.paper.records import PRICE_LEVEL, REPORTS_PER_STEP_MAX
from app.venues.paper.state import PaperLimits, allocate

Records = NDArray[np.void]

# At a restart orders become events, which are larger: this many at a time.
_RESUMED_AT_ONCE = 1 << 14

_KIND_OFFSET = field_offset(EVENT, "kind")
_RESTRICTING = {int(EventKind.TRADING_STATE_SET), int(EventKind.PERMISSION_SET)}

_ROUTED_AGAIN = {
    OrderStatus.PENDING_CANCEL: EventKind.CANCEL_REQUESTED,
    OrderStatus.UNKNOWN: EventKind.CANCEL_REQUESTED,
    OrderStatus.PENDING_NEW: EventKind.ORDER_ACCEPTED,
    OrderStatus.TRIGGERED: EventKind.ORDER_TRIGGERED,
    OrderStatus.PENDING_REPLACE: EventKind.REPLACE_REQUESTED,
}
_AT_VENUE = (
    OrderStatus.NEW,
    OrderStatus.PARTIALLY_FILLED,
    OrderStatus.PENDING_CANCEL,
    OrderStatus.PENDING_REPLACE,
    OrderStatus.UNKNOWN,
)
_SHARED_FIELDS = (
    "account", "symbol", "side", "type", "time_in_force", "flags", "self_trade_prevention",
    "order_id", "price", "quantity", "filled_quantity",
)  # fmt: skip


def _plain(records: Records) -> Records:
    """The records in the form for which kernels are compiled: contiguous and not read-only."""
    return records if records.flags.carray else records.copy()


class PaperVenue:
    """See `app.venues.base.Venue` and the package's docstring. Not thread-safe."""

    name = "paper"

    def __init__(
        self,
        engine_state: State,
        capacity: Capacity,
        limits: PaperLimits | None = None,
    ) -> None:
        if capacity.commands < REPORTS_PER_STEP_MAX:
            raise ValueError("capacity: too few commands for the reports of one step")
        self._engine_state = engine_state  # keeps the engine's arrays alive
        self.state = allocate(capacity, limits or PaperLimits(), engine_state.instruments)
        self.directory = directory_of(self.state)
        self._reports = self.state.reports.view(COMMAND)
        self._begin()

    def _begin(self) -> None:
        """Continue from the engine's state: its positions, states and execution ids."""
        begin_with(self.state, self._engine_state)
        venue = self.state.venue[0]
        known = int(self._engine_state.firm[0]["last_execution_id"])
        venue["last_execution_id"] = max(int(venue["last_execution_id"]), known)

    def execute(self, events: Records) -> Iterator[Records]:
        """Carry out the route events among these EVENT records, in order.

        `events` may be overwritten as soon as the first reports are out: the remaining ones are copied
        before.
        """
        return self._execute(events, False)

    def _execute(self, events: Records, resuming: bool) -> Iterator[Records]:
        events = _plain(events)
        count = execute_events(self.directory, events, True, resuming)
        if count < 0:
            events = events.copy()
        while count < 0:
            yield self._reports[: -1 - count]
            count = execute_events(self.directory, events, False, resuming)
        if count:
            yield self._reports[:count]

    def note(self, events: bytes) -> None:
        """See `Venue.note`: an order that is matching may have tripped a breaker."""
        if _RESTRICTING.intersection(events[_KIND_OFFSET :: EVENT.itemsize]):
            note_events(self.directory, np.frombuffer(bytearray(events), EVENT))

    def apply_levels(self, levels: Records) -> Iterator[Records]:
        """Displayed depth has changed: resting orders that it reaches fill as makers."""
        levels = _plain(levels)
        count = apply_updates(self.directory, levels, True)
        while count < 0:
            yield self._reports[: -1 - count]
            count = apply_updates(self.directory, levels[:0], False)
        if count:
            yield self._reports[:count]

    def resume(self, orders: Records) -> Iterator[Records]:
        """Rebuild the book from the engine's open ORDER records, in a venue without any.

        Orders that were at the venue rest again by `priority`, without a report. Then cancels in flight are
        done (and orders of unknown outcome are canceled: they died with the venue), after them new orders and
        replacements, each by the `seq` of its last change.
        """
        self._begin()
        status = np.where(orders["waiting"] == 0, orders["status"], OrderStatus.NONE)
        rows = np.flatnonzero(np.isin(status, _AT_VENUE))
        rows = rows[np.argsort(orders["priority"][rows], kind="stable")]
        yield from self._resume(orders, rows, np.full(len(rows), EventKind.ORDER_OPENED, np.uint8))

        rows = np.flatnonzero(np.isin(status, list(_ROUTED_AGAIN)))
        kinds = np.zeros(len(rows), np.uint8)
        for pending, kind in _ROUTED_AGAIN.items():
            kinds[status[rows] == pending] = kind
        order = np.lexsort((orders["seq"][rows], kinds != EventKind.CANCEL_REQUESTED))
        yield from self._resume(orders, rows[order], kinds[order])

    def _resume(
        self, orders: Records, rows: NDArray[np.int64], kinds: NDArray[np.uint8]
    ) -> Iterator[Records]:
        """Carry out `kinds` of events with the orders in `rows`."""
        for start in range(0, len(rows), _RESUMED_AT_ONCE):
            part = orders[rows[start : start + _RESUMED_AT_ONCE]]
            events = np.zeros(len(part), EVENT)
            for field in _SHARED_FIELDS:
                events[field] = part[field]
            events["kind"] = kinds[start : start + _RESUMED_AT_ONCE]
            replaced = events["kind"] == EventKind.REPLACE_REQUESTED
            requests = events.view(REPLACE_EVENT)
            for field in ("replace_price", "replace_quantity"):
                requests[field][replaced] = part[field][replaced]
            yield from self._execute(events, True)

    def depth(self, symbol: int, levels: int) -> tuple[Records, Records]:
        """Bids and asks, best first, at most `levels` of each, as PRICE_LEVEL records."""
        if not 0 <= symbol < len(self.state.sides) // 2:
            raise IndexError(f"no symbol {symbol}")
        return self._depth(symbol, Side.BUY, levels), self._depth(symbol, Side.SELL, levels)

    def _depth(self, symbol: int, side: int, levels: int) -> Records:
        rows: NDArray[Any] = np.zeros(levels, PRICE_LEVEL)
        return rows[: merge_depth(self.directory, symbol, int(side), rows)]
