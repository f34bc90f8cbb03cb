"""The kernel that writes orders and fills for streams against their plain description."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.codec.stream_json import BLOCK_EVENTS, FILLS, ORDERS, WRITTEN_KINDS, StreamWriter
from app.documents.order_items import fill_item
from app.documents.orders import order_content
from app.documents.raw_events import ORDER_KINDS
from app.engine.records import EVENT
from app.engine.types import EventKind
from app.runtime.views import event_view
from tests.property.test_codec_orders import (
    fill_events,
    instrument,
    order_events,
    reference_of,
    steps_e8,
    ticks_e12,
)

WRITER = StreamWriter()


def written(reference: Any, events: Any, wanted: int) -> list[tuple[bytes | None, bytes | None]]:
    found = WRITER.write(events.tobytes(), np.array([wanted], np.uint8), reference.name_tables())
    return [
        (found.out[order:order_end] if order_end else None, found.out[fill:fill_end] if fill_end else None)
        for order, order_end, fill, fill_end in found.spans
    ]


@settings(max_examples=300, deadline=None)
@given(
    data=st.data(), tick=ticks_e12, step=steps_e8, wanted=st.sampled_from((0, ORDERS, FILLS, ORDERS | FILLS))
)
def test_events_are_written_as_described(data: st.DataObject, tick: int, step: int, wanted: int) -> None:
    reference = reference_of(instrument(tick, step))
    orders = np.concatenate([data.draw(order_events()) for _ in range(data.draw(st.integers(1, 4)))])
    for order in orders:
        order["kind"] = data.draw(st.sampled_from(WRITTEN_KINDS[:3]))
    events = np.concatenate((orders, data.draw(fill_events(orders[:1])), orders[:1]))
    for number, (order, fill) in enumerate(written(reference, events, wanted)):
        view = event_view(events.tobytes(), number)
        assert order is None or order == orjson.dumps(order_content(reference, view))
        assert fill is None or fill == fill_item(reference, view)
        assert order is None or wanted & ORDERS
        assert fill is None or (wanted & FILLS and view.kind == EventKind.ORDER_FILLED)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_everyday_events_are_written_here(data: st.DataObject) -> None:
    reference = reference_of(instrument(10**10, 10**3))
    order = data.draw(order_events())
    order["quantity"] = order["quantity"] % 10**12 + 1
    order["filled_quantity"] = np.minimum(order["filled_quantity"], order["quantity"])
    order["filled_notional"] = order["filled_quantity"] * 6_000_000
    events = np.repeat(order, BLOCK_EVENTS)
    events["kind"] = EventKind.ORDER_FILLED
    assert all(order and fill for order, fill in written(reference, events, ORDERS | FILLS))


@pytest.mark.parametrize("kind", set(EventKind) - set(WRITTEN_KINDS))
def test_other_events_are_left_to_others(kind: EventKind) -> None:
    event = np.zeros(1, EVENT)
    event["kind"] = kind
    assert written(reference_of(instrument(10**10, 10**3)), event, ORDERS | FILLS) == [(None, None)]


def test_nothing_is_written_for_accounts_that_nobody_watches_or_that_are_none() -> None:
    event = np.zeros(2, EVENT)
    event["kind"] = EventKind.ORDER_OPENED
    event["account"] = (-1, 1)
    assert written(reference_of(instrument(10**10, 10**3)), event, ORDERS | FILLS) == [(None, None)] * 2


def test_only_refusals_need_a_second_look() -> None:
    assert ORDER_KINDS - set(WRITTEN_KINDS) == {EventKind.CANCEL_REJECTED, EventKind.REPLACE_REJECTED}
