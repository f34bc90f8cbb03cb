"""Which instruments can be held, and which changes what is open stands in the way of."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine import instrument_rules
from app.engine.capacity import MONEY_MAX, PRICE_MAX
from app.engine.codes import Code
from app.engine.types import EventKind, InstrumentStatus, OrderFlag
from app.runtime.event_views import RejectionEvent
from tests.support.engine import BUY, SELL, Desk, amend, bought, desk, for_python, instrument, place, working

multiplier_of = for_python(instrument_rules.multiplier_of)

sizes = st.integers(1, 2**62) | st.builds(
    lambda base, zeros: base * 10**zeros, st.integers(1, 500), st.integers(0, 15)
)


@settings(deadline=None)
@given(sizes, sizes)
def test_a_tick_of_a_step_is_whole_money(tick_e12: int, step_e8: int) -> None:
    """Against Python's integers, whose product may be as large as it is."""
    money, rest = divmod(tick_e12 * step_e8, 10**12)
    assert multiplier_of(tick_e12, step_e8) == (money if rest == 0 and money <= MONEY_MAX else 0)


def code_of(made: Desk, symbol: int = 1, **numbers: Any) -> Code:
    event = made.one(instrument(symbol, **numbers))
    return Code.NONE if event.kind == EventKind.INSTRUMENT_SET else Code(event.code)


@pytest.mark.parametrize(
    ("fits", "does_not"),
    [
        ({"price_tick_e12": 1, "quantity_step_e8": 10**12}, {"price_tick_e12": 0}),
        ({"quantity_step_e8": 10**8}, {"quantity_step_e8": 0}),
        ({"min_quantity": 1}, {"min_quantity": 0}),
        ({"min_quantity": 5, "max_quantity": 5}, {"min_quantity": 6, "max_quantity": 5}),
        ({"max_quantity": 2**62 // 10**8}, {"max_quantity": 2**62 // 10**8 + 1}),
        ({"min_notional": MONEY_MAX}, {"min_notional": MONEY_MAX + 1}),
        ({"min_notional": 0}, {"min_notional": -1}),
        ({"mark_spread_max_bps": 10**6}, {"mark_spread_max_bps": 10**6 + 1}),
        ({"status": InstrumentStatus.HALTED}, {"status": InstrumentStatus.HALTED + 1}),
        ({"status": InstrumentStatus.TRADING}, {"status": InstrumentStatus.NONE}),
        ({"name": b"X"}, {"name": b""}),
    ],
)
def test_numbers_at_their_ends(fits: dict[str, Any], does_not: dict[str, Any]) -> None:
    assert code_of(desk(), **fits) == Code.NONE
    assert code_of(desk(), **does_not) == Code.INVALID_VALUE


def test_a_new_one_has_the_next_number_and_the_quote_of_all() -> None:
    made = desk(symbols=1)
    assert code_of(made, 2) == code_of(made, -1) == Code.INVALID_VALUE
    assert code_of(made, quote=b"EUR") == Code.QUOTE_NOT_SETTLED
    assert [code_of(made, symbol) for symbol in range(1, 9)] == [Code.NONE] * 7 + [Code.SYMBOL_CAPACITY]


@pytest.mark.parametrize(
    "change", [{"name": b"OTHER"}, {"price_tick_e12": 2 * 10**4}, {"quantity_step_e8": 2 * 10**8}]
)
def test_what_positions_are_counted_in_stays(change: dict[str, Any]) -> None:
    assert code_of(desk(), 0, **change) == Code.INVALID_VALUE


def highest_price(max_quantity: int) -> int:
    return min(MONEY_MAX // max_quantity, PRICE_MAX)


def in_use(made: Desk, **change: Any) -> tuple[int, int, int]:
    """What would be allowed, what there is, and whose order it is."""
    event = made.one_as(RejectionEvent, instrument(0, **change))
    assert event.code == Code.INSTRUMENT_IN_USE
    return event.limit, event.observed, event.blocking_order_id


def test_an_open_order_keeps_its_bounds() -> None:
    made = desk()
    made.send(instrument(0, min_quantity=5, max_quantity=50))
    order_id = working(made, place(0, 0, BUY, 20, 1_000))
    assert in_use(made, min_quantity=21, max_quantity=50) == (21, 20, order_id)
    assert in_use(made, min_quantity=5, max_quantity=19) == (19, 20, order_id)
    assert code_of(made, 0, min_quantity=20, max_quantity=20) == Code.NONE


def test_bounds_that_get_wider_or_stay_are_not_looked_at() -> None:
    """An order may lie beyond today's bounds since a fill or a trim made it smaller."""
    made = desk()
    bought(made, 3, 1_000)
    made.send(instrument(0, min_quantity=5))
    order_id = working(made, place(0, 0, SELL, 3, 1_000, flags=OrderFlag.REDUCE_ONLY))
    assert made.order(order_id)["quantity"] == 3
    assert code_of(made, 0, min_quantity=6) == Code.NONE, "what closes the rest of a position may be small"
    assert code_of(made, 0, min_quantity=4) == Code.NONE


def test_a_replacement_that_is_asked_for_counts_with_what_there_is() -> None:
    made = desk()
    order_id = working(made, place(0, 0, BUY, 20, 1_000))
    made.one(amend(order_id, quantity=30))
    assert in_use(made, max_quantity=29) == (29, 30, order_id)
    assert in_use(made, min_quantity=21) == (21, 20, order_id)
    assert code_of(made, 0, min_quantity=20, max_quantity=30) == Code.NONE


def test_a_larger_quantity_lowers_the_highest_price() -> None:
    made = desk(price=1_000, cash=1 << 58)
    price = highest_price(10**6) - 10
    order_id = working(made, place(0, 0, SELL, 1, price))
    largest = 2 * 10**6
    assert in_use(made, max_quantity=largest) == (highest_price(largest), price, order_id)


def test_orders_of_other_symbols_are_in_nobodys_way() -> None:
    made = desk(symbols=2)
    working(made, place(0, 1, BUY, 20, 1_000))
    assert code_of(made, 0, max_quantity=1) == Code.NONE
