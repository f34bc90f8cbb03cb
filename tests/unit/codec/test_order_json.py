"""Orders and executions as JSON: what real events say, to the last digit, and in the room they are given."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.codec.names import NAME_BYTES, InstrumentText, NameTables, name_tables
from app.codec.order_json import AVERAGE_PRICE_EXTRA_DECIMALS, FILL_BYTES_MAX, ORDER_BYTES_MAX
from app.codec.stream_json import FILLS, ORDERS, StreamWriter
from app.documents.orders import event_fill, order_content
from app.engine.codes import Code
from app.engine.records import CLIENT_ORDER_ID_BYTES, EVENT
from app.engine.types import EventKind, OrderFlag, OrderStatus, OrderType, Side, TimeInForce
from app.runtime.reference import Reference
from app.runtime.views import event_views
from tests.support.engine import BUY, Desk, desk, pack, place, trade, words, working

WRITER = StreamWriter()
INT64_MAX = (1 << 63) - 1
CENTS = InstrumentText("BTC-USDT", price_unit=1, price_decimals=2, quantity_unit=1, quantity_decimals=3)
ONE_ACCOUNT = ("alpha",)


def written(events: Any, tables: NameTables) -> list[tuple[bytes | None, bytes | None]]:
    """The order and the execution of each event, where the kernel writes them."""
    wanted = np.full(len(tables.accounts), ORDERS | FILLS, np.uint8)
    found = WRITER.write(events.tobytes(), wanted, tables)
    return [
        (found.out[order:order_end] if order_end else None, found.out[fill:fill_end] if fill_end else None)
        for order, order_end, fill, fill_end in found.spans
    ]


def filled(**values: Any) -> Any:
    """An ORDER_FILLED event of a limit order."""
    event = np.zeros(1, EVENT)
    given_values = {
        "kind": EventKind.ORDER_FILLED,
        "status": OrderStatus.PARTIALLY_FILLED,
        "type": OrderType.LIMIT,
        "order_id": 7,
        "price": 100,
        "quantity": 10,
        "last_price": 1,
        "last_quantity": 1,
        "liquidity": 1,
    } | values
    for name, value in given_values.items():
        event[name] = value
    return event


def order_of(event: Any, instrument: InstrumentText = CENTS) -> dict[str, Any] | None:
    ((order, _),) = written(event, name_tables(ONE_ACCOUNT, [instrument]))
    return None if order is None else dict(orjson.loads(order))


def test_what_real_events_say() -> None:
    """Of a life of an order, from the engine that led it, each event is written as it is described."""
    made = desk()
    made.send(place(1, 0, BUY, 3, 980))
    first = made.seq
    order_id = working(made, place(0, 0, BUY, 30, 990, client_order_id=b"mine", flags=OrderFlag.POST_ONLY))
    made.send(trade(order_id, 5, 10, 989, fee=7), trade(order_id, 6, 5, 988, fee=-7))
    again = Desk()
    events = again.engine.process(pack(made.log)).copy()
    events = events[(events["seq"] > first) & (events["order_id"] != 0)]
    reference = Reference.from_state(made.engine.state)
    found = written(events, reference.name_tables())
    assert len(found) == 4
    for (order, fill), event in zip(found, event_views(events.tobytes()), strict=True):
        assert order == orjson.dumps(order_content(reference, event))
        assert (fill is not None) == (event.kind == EventKind.ORDER_FILLED)
        if fill is not None:
            own = event_fill(reference.instruments[0], event)
            assert {name: orjson.loads(fill)[name] for name in own} == own
            assert orjson.loads(fill)["client_order_id"] == "mine"


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 10**9), st.integers(1, 10**14))
def test_average_prices_are_rounded_half_to_even(quantity: int, notional: int) -> None:
    shown = order_of(filled(quantity=quantity, filled_quantity=quantity, filled_notional=notional))
    assert shown is not None
    exact = Decimal(notional) / Decimal(quantity) / 100
    if notional % quantity:
        exact = exact.quantize(Decimal(1).scaleb(-2 - AVERAGE_PRICE_EXTRA_DECIMALS), ROUND_HALF_EVEN)
    assert Decimal(shown["average_price"]) == exact


@pytest.mark.parametrize(
    ("notional", "quantity", "text"),
    [
        (200, 2, "1.00"),
        (201, 2, "1.005"),
        (1, 20_000, "0"),  # half of the last place, to the even zero below
        (3, 20_000, "0.000002"),  # to the even two above
        (10**9 + 1, 3, "3333333.336667"),
    ],
)
def test_average_prices_by_example(notional: int, quantity: int, text: str) -> None:
    shown = order_of(filled(quantity=quantity, filled_quantity=quantity, filled_notional=notional))
    assert shown is not None
    assert shown["average_price"] == text


def test_what_is_none_is_null() -> None:
    shown = order_of(filled(price=0))
    assert shown is not None
    for name in ("client_order_id", "price", "stop_price", "average_price", "code", "expire_at"):
        assert shown[name] is None


@pytest.mark.parametrize("flag", [OrderFlag.POST_ONLY, OrderFlag.REDUCE_ONLY, OrderFlag.TRIGGERED])
def test_flags(flag: OrderFlag) -> None:
    shown = order_of(filled(flags=flag))
    assert shown is not None
    names = {name for name in ("post_only", "reduce_only", "triggered") if shown[name]}
    assert names == {flag.name.lower() if flag.name else ""}


@pytest.mark.parametrize("name", ["price", "stop_price", "quantity"])
def test_numbers_that_do_not_fit_are_left_to_others(name: str) -> None:
    """The largest that is written is right; from the next on nothing is, rather than something wrong."""
    instrument = CENTS._replace(price_unit=25, quantity_unit=25)
    unit = 25 if name == "quantity" else 25 * 10**AVERAGE_PRICE_EXTRA_DECIMALS
    too_large = INT64_MAX // unit
    shown = order_of(filled(**{name: too_large - 1}), instrument)
    assert shown is not None
    decimals = 3 if name == "quantity" else 2
    assert Decimal(shown[name]) == Decimal((too_large - 1) * 25).scaleb(-decimals)
    assert order_of(filled(**{name: too_large}), instrument) is None


def test_an_execution_that_does_not_fit_is_left_to_others() -> None:
    tables = name_tables(ONE_ACCOUNT, [CENTS._replace(price_unit=1_000)])
    assert written(filled(last_price=INT64_MAX // 1_000 - 1), tables)[0][1] is not None
    assert written(filled(last_price=INT64_MAX // 1_000), tables)[0][1] is None


@pytest.mark.parametrize("where", [{"account": -1}, {"account": 1}, {"symbol": -1}, {"symbol": 1}], ids=str)
def test_what_has_no_name_is_left_to_others(where: dict[str, int]) -> None:
    assert order_of(filled(**where)) is None


def test_more_decimals_than_an_average_has_room_for_are_left_to_others() -> None:
    assert order_of(filled(), CENTS._replace(price_decimals=14)) is not None
    assert order_of(filled(), CENTS._replace(price_decimals=15)) is None


def test_the_longest_fits_into_the_room_that_it_is_given() -> None:
    longest = InstrumentText("S" * NAME_BYTES, 1, 14, 1, 14)
    tables = name_tables(["a" * NAME_BYTES], [longest])
    name = b"c" * (CLIENT_ORDER_ID_BYTES)
    event = filled(
        seq=INT64_MAX,
        ts=INT64_MAX,
        status=max(OrderStatus, key=lambda status: len(status.name)),
        type=max(OrderType, key=lambda kind: len(kind.name)),
        time_in_force=max(TimeInForce, key=lambda kind: len(kind.name)),
        side=Side.SELL,
        code=max(Code, key=lambda code: len(code.name)),
        order_id=INT64_MAX,
        price=INT64_MAX // 10**4 - 1,
        stop_price=INT64_MAX // 10**4 - 1,
        quantity=INT64_MAX - 1,
        filled_quantity=INT64_MAX - 2,
        filled_notional=INT64_MAX,
        created_ts=INT64_MAX,
        expire_ts=INT64_MAX,
        last_price=INT64_MAX - 1,
        last_quantity=INT64_MAX - 1,
        fee=-INT64_MAX,
        execution_id=INT64_MAX,
    )
    event["client_order_id"] = words(name, CLIENT_ORDER_ID_BYTES)
    ((order, fill),) = written(event, tables)
    assert order is not None and fill is not None
    assert len(order) <= ORDER_BYTES_MAX
    own = orjson.loads(fill)
    of_the_order = ("order_id", "client_order_id", "account", "symbol", "side")
    assert {name: own[name] for name in of_the_order} == {
        name: orjson.loads(order)[name] for name in of_the_order
    }
    alone = {name: value for name, value in own.items() if name not in of_the_order}
    assert len(orjson.dumps(alone)) <= FILL_BYTES_MAX
