"""Instruments: which can be held, and which changes what is open stands in the way of."""

from fractions import Fraction
from typing import Any

import pytest

from app.engine.codes import Code
from app.engine.types import EventKind, InstrumentStatus, OrderFlag, OrderStatus, OrderType, TimeInForce
from app.runtime.event_views import InstrumentEvent, RejectionEvent
from tests.support.engine import (
    BUY,
    SELL,
    Desk,
    amend,
    bought,
    cancel,
    desk,
    instrument,
    mark,
    place,
    report,
    working,
)

MONEY_MAX = 2**60
E12, E8 = 10**12, 10**8


def record(made: Desk, symbol: int, name: str) -> int:
    return int(made.engine.state.instruments[symbol][name])


@pytest.mark.parametrize(
    ("tick", "step"),
    [("1", "1"), ("0.25", "1"), ("2.5", "1"), ("10", "1000"), ("1000000", "1"), ("1", "1000000"),
     ("0.0001", "1"), ("0.01", "0.00001"), ("0.000000000001", "100000"), ("0.5", "0.00000002"), ("3", "7")],
)  # fmt: skip
def test_tick_and_step_of_any_size(tick: str, step: str) -> None:
    made = desk()
    tick_e12, step_e8 = int(Fraction(tick) * E12), int(Fraction(step) * E8)
    command = instrument(1, price_tick_e12=tick_e12, quantity_step_e8=step_e8, max_quantity=100)
    event = made.one_as(InstrumentEvent, command)
    money = Fraction(tick) * Fraction(step) * E8
    assert record(made, 1, "multiplier") == money
    assert event.max_price == record(made, 1, "max_price") == min(MONEY_MAX // (100 * money), 2**55)


@pytest.mark.parametrize(
    ("tick_e12", "step_e8"),
    [
        (10**4 + 1, E8),  # no whole money
        (1, 1),
        (10**6, 10**5),
        (2**62, E8),
        (2**62, 2**62),  # far beyond 64 bits
        (2**60 * 10**4, 10**8 + 1),
        (10**12, MONEY_MAX + 1),
    ],
)
def test_what_one_tick_of_one_step_cannot_be(tick_e12: int, step_e8: int) -> None:
    event = desk().one(
        instrument(1, price_tick_e12=min(tick_e12, 2**63 - 1), quantity_step_e8=step_e8, max_quantity=1)
    )
    assert (event.kind, event.code) == (EventKind.COMMAND_REJECTED, Code.INVALID_VALUE)


def word(text: bytes) -> int:
    return int.from_bytes(text.ljust(8, b"\0"), "little")


@pytest.mark.parametrize("quote", [b"BTC", b"USD", b"USDTX", b""])
def test_the_quote_is_the_settlement_currency(quote: bytes) -> None:
    made = desk()
    for symbol in (0, 1):  # a change as well as a new one
        event = made.one(instrument(symbol, quote=quote))
        assert (event.kind, event.code) == (EventKind.COMMAND_REJECTED, Code.QUOTE_NOT_SETTLED)
        assert (event.limit, event.observed) == (word(b"USDT"), word(quote))
    assert made.one(instrument(1, base=b"BTC")).kind == EventKind.INSTRUMENT_SET


def test_the_first_instrument_says_what_accounts_are_kept_in() -> None:
    made = Desk()
    assert int(made.engine.state.firm[0]["settlement"]) == 0
    assert made.one(instrument(0, quote=b"EUR", min_quantity=0)).kind == EventKind.COMMAND_REJECTED
    assert int(made.engine.state.firm[0]["settlement"]) == 0
    assert made.one(instrument(0, quote=b"EUR")).kind == EventKind.INSTRUMENT_SET
    assert made.one(instrument(1)).code == Code.QUOTE_NOT_SETTLED
    assert made.one(instrument(1, quote=b"EUR")).kind == EventKind.INSTRUMENT_SET


# --- What is open.

# The highest price is 2**60 // max_quantity: 1,024 of these, and half where twice as much may be ordered.
P = 2**16
QUANTITY = 2**34


def wide(price: int = 1_000 * P) -> Desk:
    made = desk(price=price)
    made.one(instrument(0, max_quantity=QUANTITY))
    return made


def refused(made: Desk, order_id: int, limit: int, observed: int, **changes: Any) -> None:
    before = made.engine.state.instruments[0].tobytes()
    event = made.one_as(RejectionEvent, instrument(0, **({"max_quantity": QUANTITY} | changes)))
    assert event.code == Code.INSTRUMENT_IN_USE
    assert (event.blocking_order_id, event.limit, event.observed) == (order_id, limit, observed)
    assert before == made.engine.state.instruments[0].tobytes()


def test_a_change_keeps_the_mark_below_the_highest_price() -> None:
    made = wide()
    refused(made, 0, 512 * P, 1_000 * P, max_quantity=2 * QUANTITY)
    made.one(mark(0, 512 * P))
    assert made.one_as(InstrumentEvent, instrument(0, max_quantity=2 * QUANTITY)).max_price == 512 * P


@pytest.mark.parametrize(
    ("order", "observed"),
    [
        (place(0, 0, BUY, 1, 600 * P), 600 * P),
        (place(0, 0, SELL, 1, 1_001 * P), 1_001 * P),
        (place(0, 0, BUY, 1, type=OrderType.STOP, stop_price=700 * P), 700 * P),
        (place(0, 0, SELL, 1, 90 * P, type=OrderType.STOP_LIMIT, stop_price=95 * P), 0),
        (place(1, 0, BUY, 1, 700 * P, type=OrderType.STOP_LIMIT, stop_price=600 * P), 700 * P),
        (place(1, 0, SELL, 1, type=OrderType.TAKE_PROFIT, stop_price=800 * P), 800 * P),
    ],
)
def test_a_change_keeps_prices_of_open_orders_below_the_highest_price(order: Any, observed: int) -> None:
    made = wide(100 * P)
    order_id = made.one(order).order_id
    assert order_id
    if observed:
        refused(made, order_id, 512 * P, observed, max_quantity=2 * QUANTITY)
        made.send(cancel(order_id), report(4, order_id), report(3, order_id))  # wherever it waits
    assert made.one(instrument(0, max_quantity=2 * QUANTITY)).kind == EventKind.INSTRUMENT_SET


def test_what_is_asked_for_counts_too() -> None:
    made = wide(100 * P)
    order_id = working(made, place(0, 0, BUY, 10, 100 * P))
    made.one(amend(order_id, price=900 * P, quantity=50))
    refused(made, order_id, 512 * P, 900 * P, max_quantity=2 * QUANTITY)
    refused(made, order_id, 49, 50, max_quantity=49)


def test_a_change_keeps_open_quantities_in_its_bounds() -> None:
    made = wide(100 * P)
    order_id = working(made, place(1, 0, SELL, 30, 110 * P))
    refused(made, order_id, 29, 30, max_quantity=29)
    refused(made, order_id, 31, 30, min_quantity=31)
    assert made.one(instrument(0, max_quantity=30, min_quantity=30)).kind == EventKind.INSTRUMENT_SET
    # What has been allowed before is no reason to refuse another change.
    halted = instrument(0, max_quantity=30, status=InstrumentStatus.HALTED)
    assert made.one_as(InstrumentEvent, halted).max_price == 2**55


def test_reduce_only_orders_may_be_small() -> None:
    made = wide(100 * P)
    bought(made, 5, 100 * P)
    working(made, place(0, 0, SELL, 5, 110 * P, flags=OrderFlag.REDUCE_ONLY))
    assert made.one(instrument(0, min_quantity=6, max_quantity=QUANTITY)).kind == EventKind.INSTRUMENT_SET


def test_orders_of_other_symbols_and_ended_ones_do_not_matter() -> None:
    made = desk(symbols=2, price=100)
    working(made, place(0, 1, BUY, 30, 100))
    ended = made.one(place(0, 0, BUY, 30, 100, time_in_force=TimeInForce.IOC)).order_id
    made.one(report(3, ended))
    assert made.one(instrument(0, max_quantity=29)).kind == EventKind.INSTRUMENT_SET


def test_stops_are_looked_at_when_trading_begins_again() -> None:
    made = desk()
    order_id = made.one(place(0, 0, BUY, 1, type=OrderType.STOP, stop_price=1_100)).order_id
    made.one(instrument(0, status=InstrumentStatus.HALTED))
    held = [event.kind for event in made.send(mark(0, 1_200))]
    assert EventKind.ORDER_TRIGGERED not in held
    if made.order(order_id)["status"] == OrderStatus.NEW:  # it has waited
        events = made.send(instrument(0))
        assert [event.kind for event in events] == [EventKind.INSTRUMENT_SET, EventKind.ORDER_TRIGGERED]
        assert events[1].order_id == order_id


def test_the_widest_book_that_makes_a_mark() -> None:
    made = desk()
    made.one(instrument(0, mark_spread_max_bps=250))
    assert record(made, 0, "mark_spread_max_bps") == 250
    assert made.one(instrument(0, mark_spread_max_bps=1_000_001)).code == Code.INVALID_VALUE
    assert record(made, 0, "mark_spread_max_bps") == 250
