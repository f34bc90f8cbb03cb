"""The kernel that writes orders as JSON against the plain description in `app.documents.orders`."""

from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.codec import match_replies as codec
from app.codec.match_replies import AWAITED, Scratch
from app.codec.names import NameTables
from app.documents.orders import event_fill, order_content
from app.engine.codes import Code
from app.engine.records import EVENT
from app.engine.types import CommandKind, EventKind, Liquidity, OrderStatus, OrderType, Side, TimeInForce
from app.runtime.reference import PRICE_DIGITS, QUANTITY_DIGITS, Grid, InstrumentView, Reference
from app.runtime.views import event_view

SCRATCH = Scratch()
OPEN_OR_ENDED = [status for status in OrderStatus if status not in (OrderStatus.NONE, OrderStatus.REJECTED)]

ticks_e12 = st.integers(0, 15).flatmap(
    lambda zeros: st.integers(1, 9_999).map(lambda digits: digits * 10**zeros)
)
steps_e8 = st.integers(0, 9).flatmap(lambda zeros: st.integers(1, 999).map(lambda digits: digits * 10**zeros))
sizes = st.one_of(st.integers(1, 50), st.integers(1, 10**6), st.integers(1, 1 << 55))
client_ids = st.text("abcXYZ019._:/-", max_size=36)


def instrument(tick_e12: int, step_e8: int) -> InstrumentView:
    return InstrumentView(
        index=0,
        symbol="BTC-USDT",
        base="BTC",
        quote="USDT",
        price_tick_e12=tick_e12,
        quantity_step_e8=step_e8,
        multiplier=1,
        min_quantity=1,
        max_quantity=1 << 60,
        max_price=1 << 60,
        min_notional=0,
        maker_fee_ppm=0,
        taker_fee_ppm=0,
        status=1,
        version=1,
        prices=Grid(tick_e12, PRICE_DIGITS),
        quantities=Grid(step_e8, QUANTITY_DIGITS),
    )


def reference_of(*views: InstrumentView) -> Reference:
    reference = Reference()
    reference.account_names.append("alpha.1_x:y-z")
    reference.instruments += [replace(view, index=index) for index, view in enumerate(views)]
    return reference


@st.composite
def order_events(draw: st.DrawFn) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    event = np.zeros(1, EVENT)
    quantity = draw(sizes)
    filled = draw(st.one_of(st.just(0), st.just(quantity), st.integers(0, quantity)))
    average = draw(st.integers(1, 1 << 40))
    values: dict[str, Any] = {
        "seq": draw(st.integers(1, 1 << 60)),
        "ts": draw(st.integers(1, 1 << 60)),
        "kind": EventKind.ORDER_OPENED,
        "status": draw(st.sampled_from(OPEN_OR_ENDED)),
        "side": draw(st.sampled_from(Side)),
        "type": draw(st.sampled_from(OrderType)),
        "time_in_force": draw(st.sampled_from(TimeInForce)),
        "flags": draw(st.integers(0, 3)),
        "code": draw(st.sampled_from(Code)),
        "order_id": draw(st.integers(1, (1 << 63) - 1)),
        "price": draw(st.integers(0, 1 << 45)),
        "stop_price": draw(st.integers(0, 1 << 45)),
        "quantity": quantity,
        "filled_quantity": filled,
        "filled_notional": min(filled * average + draw(st.integers(0, max(filled - 1, 0))), (1 << 60) - 1),
        "created_ts": draw(st.integers(1, 1 << 53)),
    }
    for name, value in values.items():
        event[name] = value
    raw = draw(client_ids).encode().ljust(40, b"\0")
    event["client_order_id"] = np.frombuffer(raw, np.uint64)
    return event


@st.composite
def fill_events(
    draw: st.DrawFn, order: np.ndarray[tuple[int], np.dtype[np.void]]
) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    fills = np.repeat(order, draw(st.integers(0, 4)))
    for fill in fills:
        fill["kind"] = EventKind.ORDER_FILLED
        fill["last_price"] = draw(st.integers(1, 1 << 40))
        fill["last_quantity"] = draw(st.integers(1, max(int(order["quantity"][0]), 1)))
        fill["fee"] = draw(st.integers(-(1 << 55), 1 << 55))
        fill["liquidity"] = draw(st.sampled_from((Liquidity.MAKER, Liquidity.TAKER)))
        fill["execution_id"] = draw(st.integers(1, 1 << 62))
    return fills


def told(reference: Reference, events: Any, *, fills: bool) -> bytes | None:
    awaited = np.zeros(1, AWAITED)
    awaited["first"], awaited["count"] = 0, 1
    awaited["form"] = codec.ORDER_WITH_FILLS if fills else codec.ORDER
    seqs = events["seq"][:1].astype(np.int64)
    kinds = np.full(1, CommandKind.PLACE_ORDER, np.uint8)
    settled = SCRATCH.match(events, seqs, kinds, awaited, tables_of(reference))
    found = settled.found[0]
    return settled.out[found["start"] : found["end"]] if found["end"] else None


def tables_of(reference: Reference) -> NameTables:
    return reference.name_tables()


@settings(max_examples=400, deadline=None)
@given(data=st.data(), tick=ticks_e12, step=steps_e8)
def test_orders_are_written_as_described(data: st.DataObject, tick: int, step: int) -> None:
    reference = reference_of(instrument(tick, step))
    order = data.draw(order_events())
    fills = data.draw(fill_events(order))
    events = np.concatenate((order, fills))
    view = event_view(events.tobytes(), len(events) - 1)
    content = order_content(reference, view)
    for with_fills in (False, True):
        written = told(reference, events, fills=with_fills)
        if with_fills:
            each = [event_view(fills.tobytes(), index) for index in range(len(fills))]
            content["fills"] = [event_fill(reference.instruments[0], fill) for fill in each]
        assert written is None or written == orjson.dumps(content)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_everyday_orders_are_written_here_and_not_the_slow_way(data: st.DataObject) -> None:
    reference = reference_of(instrument(10**10, 10**3))
    order = data.draw(order_events())
    order["quantity"] %= 10**12
    order["filled_quantity"] = np.minimum(order["filled_quantity"], order["quantity"])
    order["filled_notional"] = order["filled_quantity"] * 6_000_000
    assert told(reference, order, fills=True) is not None


@pytest.mark.parametrize("kind", [EventKind.CANCEL_REJECTED, EventKind.ORDER_REPLAYED])
def test_answers_and_refusals_are_left_to_others(kind: EventKind) -> None:
    reference = reference_of(instrument(10**10, 10**3))
    event = np.zeros(1, EVENT)
    event["seq"], event["order_id"], event["quantity"] = 5, 77, 10
    event["kind"], event["status"] = kind, OrderStatus.NEW
    assert told(reference, event, fills=False) is None
    event["kind"], event["status"] = EventKind.ORDER_REJECTED, OrderStatus.REJECTED
    assert told(reference, event, fills=False) is None
