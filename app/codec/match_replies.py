"""Reply matching: the events of each command of a tick, and the JSON of replies that are an order.

One pass over the events finds the newest event and the fills of each order, and the requests that
the venue has refused; a second one writes, for each awaited command, the JSON of its order.
Refusals, repeats and mass cancels are rarer and are rendered in Python, from what is found here.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.codec.names import NameTables
from app.codec.order_json import (
    FILL_BYTES_MAX,
    ORDER_BYTES_MAX,
    begin_fills,
    can_be_written,
    end_fills,
    end_order,
    next_fill,
    put_fill,
    put_order,
)
from app.codec.writing import Bytes
from app.engine.jit import inline, kernel
from app.engine.types import CommandKind, EventKind, OrderStatus

# The form in which the outcome of a command is wanted.
PLAIN = 0  # as events
ORDER = 1  # the order as JSON
ORDER_WITH_FILLS = 2  # the same, with the fills of this tick

# Commands `first` to `first + count - 1` among those of clients.
AWAITED = np.dtype([("first", "i8"), ("count", "i8"), ("form", "i8")])

FOUND = np.dtype(
    [
        ("first", "i8"),  # the command's own events: the first
        ("last", "i8"),  # and the last
        ("own", "i8"),  # the one that is about the command itself
        ("start", "i8"),  # its JSON in the output
        ("end", "i8"),  # 0: not written
    ]
)

# By event: the newest event of the same order, its first fill, from a fill to the next, and from a
# request to the venue to its refusal; -1 none.
LINKS = np.dtype([("latest", "i4"), ("first_fill", "i4"), ("next_fill", "i4"), ("refusal", "i4")])

_SLOT = np.dtype(
    [
        ("order_id", "i8"),
        ("latest", "i4"),
        ("first_fill", "i4"),
        ("last_fill", "i4"),
        ("cancel", "i4"),  # the newest request of each kind
        ("replace", "i4"),
        ("before", "i4"),  # the newest event before the newest request
    ],
    align=True,
)

# The reply to a request that changed nothing shows that event, whatever else happens to the order.
ANSWERS = (
    EventKind.ORDER_REPLAYED,
    EventKind.CANCEL_REJECTED,
    EventKind.REPLACE_REJECTED,
    EventKind.COMMAND_REJECTED,
)

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_FEW = 256


@inline
def _find(table: NDArray[np.void], order_id: int, shift: int) -> int:
    """The place of an order in the table, or the free place where it belongs."""
    mask = len(table) - 1
    at: Any = np.int64((np.uint64(order_id) * _MULTIPLIER) >> np.uint64(shift))
    while table[at].order_id != 0 and table[at].order_id != order_id:
        at = (at + 1) & mask
    return at


@inline
def _is_answer(kind: int) -> bool:
    return bool(kind == ANSWERS[0] or kind == ANSWERS[1] or kind == ANSWERS[2] or kind == ANSWERS[3])


@inline
def _refuse(links: NDArray[np.void], slot: Any, kind: int, at: int) -> None:
    """The venue has refused a request: the order is as it was before."""
    request = slot.cancel if kind == EventKind.CANCEL_REJECTED else slot.replace
    if slot.order_id == 0 or request < 0:
        return
    links[request].refusal = at
    if slot.latest == request:
        slot.latest = slot.before
    if kind == EventKind.CANCEL_REJECTED:
        slot.cancel = -1
    else:
        slot.replace = -1


@inline
def _link(
    events: NDArray[np.void],
    seqs: NDArray[np.int64],
    links: NDArray[np.void],
    table: NDArray[np.void],
    shift: int,
) -> bool:
    """Fill `links`; returns whether reference data has changed."""
    changed = False
    client = 0
    for i in range(len(events)):
        event = events[i]
        link = links[i]
        link.latest = link.first_fill = link.next_fill = link.refusal = -1
        kind = event.kind
        if event.order_id == 0:
            changed |= kind == EventKind.INSTRUMENT_SET or kind == EventKind.ACCOUNT_SET
            continue
        if _is_answer(kind) or kind == EventKind.EXECUTION_ANOMALY:
            if kind == EventKind.CANCEL_REJECTED or kind == EventKind.REPLACE_REJECTED:
                while client < len(seqs) and seqs[client] < event.seq:
                    client += 1
                if client == len(seqs) or seqs[client] != event.seq:  # not the engine's own answer
                    _refuse(links, table[_find(table, event.order_id, shift)], kind, i)
            continue
        slot = table[_find(table, event.order_id, shift)]
        if slot.order_id == 0:
            slot.order_id = event.order_id
            slot.latest = slot.first_fill = slot.last_fill = slot.cancel = slot.replace = -1
        if kind == EventKind.CANCEL_REQUESTED or kind == EventKind.REPLACE_REQUESTED:
            slot.before = slot.latest
            if kind == EventKind.CANCEL_REQUESTED:
                slot.cancel = i
            else:
                slot.replace = i
        slot.latest = i
        if kind == EventKind.ORDER_FILLED:
            if slot.first_fill < 0:
                slot.first_fill = i
            else:
                links[slot.last_fill].next_fill = i
            slot.last_fill = i
    for i in range(len(events)):
        if events[i].order_id != 0:
            slot = table[_find(table, events[i].order_id, shift)]
            if slot.order_id != 0:
                links[i].latest = slot.latest
                links[i].first_fill = slot.first_fill
    return changed


@inline
def _write(
    events: NDArray[np.void],
    links: NDArray[np.void],
    at_event: int,
    fills: bool,
    out: Bytes,
    at: int,
    tables: NameTables,
) -> int:
    """Write the order behind an event, as at the end of the tick; returns the end of the text, or -1."""
    event = events[links[at_event].latest]
    if event.status == OrderStatus.REJECTED or not can_be_written(event, tables):
        return -1
    if at + ORDER_BYTES_MAX > len(out):
        return -1
    at = put_order(out, at, event, tables)
    if fills:
        at = begin_fills(out, at)
        fill = links[at_event].first_fill
        first = True
        while fill >= 0:
            if at + FILL_BYTES_MAX > len(out):
                return -1
            if not first:
                at = next_fill(out, at)
            at = put_fill(out, at, events[fill], tables)
            first = False
            fill = links[fill].next_fill
        at = end_fills(out, at)
    return end_order(out, at)


@inline
def _own_event(events: NDArray[np.void], first: int, last: int, kind: int) -> int:
    """The one of a command's events that is about the command itself; the others are consequences.

    For a request for an order it is the first that is an order's: a breaker that it trips comes before. For
    any other it is the last that is not an order's.
    """
    if (
        kind == CommandKind.PLACE_ORDER
        or kind == CommandKind.CANCEL_ORDER
        or kind == CommandKind.AMEND_ORDER
        or kind == CommandKind.CLOSE_POSITION
    ):
        at = first
        while at < last and events[at].order_id == 0:
            at += 1
        return at
    at = last
    while at > first and events[at].order_id != 0:
        at -= 1
    return at if events[at].order_id == 0 else last


@kernel
def _match_tick(
    events: NDArray[np.void],
    seqs: NDArray[np.int64],
    kinds: NDArray[np.uint8],
    awaited: NDArray[np.void],
    links: NDArray[np.void],
    table: NDArray[np.void],
    found: NDArray[np.void],
    out: Bytes,
    enumerations: NDArray[np.void],
    accounts: NDArray[np.void],
    instruments: NDArray[np.void],
) -> bool:
    tables = NameTables(enumerations, accounts, instruments)
    shift = 64
    size = len(table)
    while size > 1:
        size >>= 1
        shift -= 1
    changed = _link(events, seqs, links, table, shift)
    at = 0
    event = 0
    n = 0
    for i in range(len(awaited)):
        form = awaited[i].form
        first = awaited[i].first
        for request in range(first, first + awaited[i].count):
            seq = seqs[request]
            while events[event].seq < seq:
                event += 1
            record = found[n]
            record.first = event
            while event + 1 < len(events) and events[event + 1].seq == seq:
                event += 1
            record.last = event
            record.own = _own_event(events, record.first, event, kinds[request])
            record.end = 0
            own = events[record.own]
            link = links[record.own]
            wanted = form != PLAIN and own.order_id != 0 and not _is_answer(own.kind)
            if wanted and link.refusal < 0 and link.latest >= 0:
                end = _write(events, links, record.own, form == ORDER_WITH_FILLS, out, at, tables)
                if end > 0:
                    record.start = at
                    record.end = end
                    at = end
            n += 1
    return changed


class Matched(NamedTuple):
    """`found`: FOUND, one for each awaited command, in order. `links`: LINKS, one for each event."""

    found: NDArray[np.void]
    links: NDArray[np.void]
    out: bytes
    reference_changed: bool


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    """The array in the form for which the kernel is compiled: read-only."""
    array = array.view()
    array.flags.writeable = False
    return array


class Scratch:
    """Memory for matching; it grows to the needs of the largest tick."""

    def __init__(self) -> None:
        self._table = np.zeros(0, _SLOT)
        self._links = np.zeros(0, LINKS)
        self._out = np.zeros(0, np.uint8)

    def match(
        self,
        events: NDArray[np.void],
        seqs: NDArray[np.int64],
        kinds: NDArray[np.uint8],
        awaited: NDArray[np.void],
        tables: NameTables,
    ) -> Matched:
        """Match awaited commands (AWAITED, in order) with all EVENT records of their tick.

        `seqs` and `kinds` are of the clients' commands, in order. Each has at least one event; events are in
        the order of their `seq`. The result is valid until the next call.
        """
        events, seqs, kinds = (_frozen(array) for array in (events, seqs, kinds))
        count = len(events)
        if len(self._links) < count:
            self._links = np.zeros(max(2 * count, _FEW), LINKS)
            self._table = np.zeros(1 << (2 * len(self._links) - 1).bit_length(), _SLOT)
        commands = int(awaited["count"].sum())
        room = commands * ORDER_BYTES_MAX + count * FILL_BYTES_MAX
        if len(self._out) < room:
            self._out = np.zeros(2 * room, np.uint8)
        size = max(1 << (2 * count - 1).bit_length(), 2)
        table = self._table[:size]
        table["order_id"] = 0
        found = np.zeros(commands, FOUND)
        changed = _match_tick(events, seqs, kinds, awaited, self._links, table, found, self._out, *tables)
        end = int(found["end"].max()) if commands else 0
        return Matched(found, self._links, self._out[:end].tobytes(), bool(changed))
