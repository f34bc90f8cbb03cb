"""Stream JSON: orders and executions as streams show them, as in `app.documents.stream_items`.

One call writes all watched events of a block. What a kernel cannot render (the refusal of a cancel
or an amend, numbers beyond its range) is left to Python.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.codec.names import NameTables
from app.codec.order_json import (
    FILL_BYTES_MAX,
    ORDER_BYTES_MAX,
    can_be_written,
    can_fill_be_written,
    end_order,
    put_fill_of_order,
    put_order,
)
from app.codec.writing import Bytes
from app.engine.jit import kernel
from app.engine.records import EVENT
from app.engine.types import EventKind

# The wanted part of an account's events.
ORDERS = 1
FILLS = 2

# Events of one call: memory is bounded, whatever one command has led to.
BLOCK_EVENTS = 256

# Each shows a whole order as it was after the event, and needs no second look.
WRITTEN_KINDS = (
    EventKind.ORDER_ACCEPTED,
    EventKind.ORDER_REJECTED,
    EventKind.ORDER_OPENED,
    EventKind.ORDER_FILLED,
    EventKind.ORDER_CANCELED,
    EventKind.ORDER_EXPIRED,
    EventKind.ORDER_TRIGGERED,
    EventKind.CANCEL_REQUESTED,
    EventKind.REPLACE_REQUESTED,
    EventKind.ORDER_REPLACED,
    EventKind.ORDER_UNKNOWN,
)

# By event: its order, then its execution; an end of 0 says that it is not written.
SPANS = np.dtype([("order", "i4"), ("order_end", "i4"), ("fill", "i4"), ("fill_end", "i4")])

_SHOWN = np.zeros(max(EventKind) + 1, np.bool_)
_SHOWN[list(WRITTEN_KINDS)] = True
_EVENT_BYTES_MAX = 2 * ORDER_BYTES_MAX + FILL_BYTES_MAX


@kernel
def _write(
    events: NDArray[np.void],
    wanted: NDArray[np.uint8],
    spans: NDArray[np.void],
    out: Bytes,
    enumerations: NDArray[np.void],
    accounts: NDArray[np.void],
    instruments: NDArray[np.void],
) -> int:
    tables = NameTables(enumerations, accounts, instruments)
    at = 0
    for i in range(len(events)):
        event = events[i]
        span = spans[i]
        span.order_end = span.fill_end = 0
        account = np.int64(event.account)
        if account < 0 or account >= len(wanted) or wanted[account] == 0 or not _SHOWN[event.kind]:
            continue
        if not can_be_written(event, tables):
            continue
        if wanted[account] & ORDERS:
            span.order = at
            at = end_order(out, put_order(out, at, event, tables))
            span.order_end = at
        fills = wanted[account] & FILLS and event.kind == EventKind.ORDER_FILLED
        if fills and can_fill_be_written(event, tables):
            span.fill = at
            at = put_fill_of_order(out, at, event, tables)
            span.fill_end = at
    return at


class Written(NamedTuple):
    """JSON of a block: `spans` as SPANS, one for each event."""

    spans: list[tuple[int, int, int, int]]
    out: bytes


class StreamWriter:
    """Memory for writing."""

    def __init__(self) -> None:
        self._out = np.zeros(BLOCK_EVENTS * _EVENT_BYTES_MAX, np.uint8)
        self._spans = np.zeros(BLOCK_EVENTS, SPANS)

    def write(self, events: bytes, wanted: NDArray[np.uint8], tables: NameTables) -> Written:
        """At most BLOCK_EVENTS EVENT records; `wanted`: by account, ORDERS and FILLS."""
        records = np.frombuffer(events, EVENT)
        spans = self._spans[: len(records)]
        end = _write(records, wanted, spans, self._out, *tables)
        return Written(spans.tolist(), self._out[:end].tobytes())
