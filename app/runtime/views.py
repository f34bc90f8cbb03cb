"""Views: fixed-size records as Python tuples, and back; the bridge between arrays and the edges.

The layouts are derived from the engine's dtypes, so they cannot drift apart. Unpacking a record
with `struct` costs a fraction of reading the same fields from a NumPy record one by one.
"""

import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from app.engine.records import EVENT

RawEvent = tuple[Any, ...]  # an event as `EVENT_LAYOUT` unpacks it; an EventView is one

_CODES = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q"}


def field_names(dtype: np.dtype[Any]) -> tuple[str, ...]:
    """The fields that `layout` packs: all whose names have no leading underscore."""
    assert dtype.names is not None
    return tuple(name for name in dtype.names if not name.startswith("_"))


def is_text(field: np.dtype[Any]) -> bool:
    """Text lies in unsigned 64-bit words; nothing else does."""
    return field.base.str[1:] == "u8"


def layout(dtype: np.dtype[Any], names: Sequence[str] | None = None) -> struct.Struct:
    """A `Struct` over the same bytes as `dtype`; a text is one bytes value.

    `names`: only these fields, in the record's order; it packs zeros for the others.
    """
    assert dtype.fields is not None
    parts, end = ["="], 0
    for name in field_names(dtype) if names is None else names:
        field, offset = dtype.fields[name][:2]
        assert offset >= end, f"{name} is not in the record's order"
        if offset > end:
            parts.append(f"{offset - end}x")
        parts.append(f"{field.itemsize}s" if is_text(field) else _CODES[field.str[1:]])
        end = offset + field.itemsize
    if dtype.itemsize > end:
        parts.append(f"{dtype.itemsize - end}x")
    result = struct.Struct("".join(parts))
    assert result.size == dtype.itemsize
    return result


class EventView(NamedTuple):
    """One event as an order's; fields, units and meaning as in `app.engine.records.EVENT`.

    For an event of another kind only the head is valid; see `app.runtime.event_views` for the rest.
    """

    seq: int
    ts: int
    account: int
    symbol: int
    kind: int
    status: int
    side: int
    type: int
    time_in_force: int
    flags: int
    self_trade_prevention: int
    liquidity: int
    code: int
    scope: int
    notes: int
    index: int  # type: ignore[assignment]  # the field's own name; tuple.index is not used
    order_id: int
    price: int
    stop_price: int
    quantity: int
    filled_quantity: int
    filled_notional: int
    created_ts: int
    expire_ts: int
    last_price: int
    last_quantity: int
    fee: int
    execution_id: int
    limit: int
    observed: int
    client_order_id: bytes  # NUL-padded


EVENT_LAYOUT = layout(EVENT)
EVENT_BYTES = EVENT_LAYOUT.size
assert field_names(EVENT) == EventView._fields


def event_view(buffer: bytes | bytearray | memoryview, index: int = 0) -> EventView:
    """The event number `index` of a buffer of EVENT records."""
    return EventView._make(EVENT_LAYOUT.unpack_from(buffer, index * EVENT_BYTES))


def event_views(buffer: bytes | bytearray | memoryview) -> Iterator[EventView]:
    """All events of a buffer of EVENT records, in order."""
    return map(EventView._make, EVENT_LAYOUT.iter_unpack(buffer))
