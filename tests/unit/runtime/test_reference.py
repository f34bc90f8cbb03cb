"""Decimals on grids, and the reference data by name."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engine.capacity import SMALL_CAPACITY
from app.engine.records import COMMAND, COMMAND_KINDS, EVENT
from app.engine.state import allocate
from app.engine.state_records import FILL, ORDER
from app.market.grid import OffGrid
from app.runtime.reference import INTEGER_MAX, MONEY, Grid, OutOfRange, Reference, money_text, text_of
from app.runtime.views import EventView, event_view, event_views, field_names, layout


@pytest.mark.parametrize(
    ("step", "digits", "count", "text"),
    [
        (10**10, 12, 5_000_010, "50000.10"),
        (10**10, 12, 0, "0.00"),
        (10**10, 12, 5, "0.05"),
        (10**10, 12, -5, "-0.05"),
        (10**10, 12, -123_456, "-1234.56"),
        (5 * 10**11, 12, 3, "1.5"),
        (5 * 10**12, 12, 3, "15"),
        (10**12, 12, 7, "7"),
        (1, 12, 1, "0.000000000001"),
        (1, 8, 10**8, "1.00000000"),
    ],
)
def test_texts(step: int, digits: int, count: int, text: str) -> None:
    grid = Grid(step, digits)
    assert grid.text(count) == text
    if count >= 0:
        assert grid.parse(text) == count


@given(
    step=st.integers(1, 10**13),
    digits=st.sampled_from([8, 12]),
    count=st.integers(-INTEGER_MAX + 1, INTEGER_MAX - 1),
)
def test_text_is_exact(step: int, digits: int, count: int) -> None:
    assert Fraction(Grid(step, digits).text(count)) == Fraction(step * count, 10**digits)


@given(step=st.integers(1, 10**13), whole=st.integers(0, 10**20), fraction=st.text("0123456789", max_size=15))
def test_parse_is_exact_or_refuses(step: int, whole: int, fraction: str) -> None:
    text = f"{whole}.{fraction}" if fraction else str(whole)
    count = Fraction(text) * 10**12 / step
    grid = Grid(step, 12)
    if count.denominator != 1:
        with pytest.raises(OffGrid):
            grid.parse(text)
    elif count >= INTEGER_MAX:
        with pytest.raises(OutOfRange):
            grid.parse(text)
    else:
        assert grid.parse(text) == count


def test_zeros_behind_the_grid_are_no_matter() -> None:
    grid = Grid(10**10, 12)
    assert grid.parse("50000.100000000000000000") == grid.parse("50000.1") == 5_000_010
    with pytest.raises(OffGrid):
        grid.parse("50000.1000000000000000001")


@pytest.mark.parametrize("step", [0, -1])
def test_a_step_is_positive(step: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        Grid(step, 8)


def test_money() -> None:
    assert money_text(150_000_000) == "1.5"
    assert money_text(0) == "0"
    assert money_text(-1) == "-0.00000001"
    assert money_text(10**9) == "10"
    assert MONEY.parse("1.5") == 150_000_000


def _name(text: str, size: int) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    return np.frombuffer(text.encode().ljust(size, b"\0"), np.uint64)


def test_reference_follows_the_state() -> None:
    state = allocate(SMALL_CAPACITY)
    reference = Reference.from_state(state)
    names = reference.symbols
    assert names == {} and reference.account_names == []
    state.firm[0]["accounts"] = 2
    state.firm[0]["symbols"] = 1
    state.accounts["name"][0] = _name("alpha", 40)
    state.accounts["name"][1] = _name("ä" * 18, 40)
    instrument = state.instruments[0]
    instrument["name"] = _name("BTC-USDT", 24)
    instrument["base"] = _name("BTC", 8)[0]
    instrument["quote"] = _name("USDT", 8)[0]
    instrument["price_tick_e12"] = 10**10
    instrument["quantity_step_e8"] = 1_000
    instrument["maker_fee_ppm"] = -5
    reference.refresh(state)
    assert names == {"BTC-USDT": 0}, "holders of the collections see the change"
    assert reference.accounts == {"alpha": 0, "ä" * 18: 1}
    view = reference.instruments[0]
    assert (view.symbol, view.base, view.quote, view.maker_fee_ppm) == ("BTC-USDT", "BTC", "USDT", -5)
    assert view.price_text(5) == "0.05" and view.ticks("0.05") == 5
    assert view.quantity_text(5) == "0.00005" and view.steps("0.00005") == 5


def test_text_of_a_full_field() -> None:
    assert text_of(_name("x" * 24, 24)) == "x" * 24


def test_layouts_cover_the_records() -> None:
    for dtype in (*COMMAND_KINDS, EVENT, ORDER, FILL):
        assert layout(dtype).size == dtype.itemsize


def test_an_event_survives_the_way_through_python() -> None:
    events = np.zeros(3, EVENT)
    for position, name in enumerate(field_names(EVENT)):
        if name != "client_order_id":
            events[name] = np.arange(3) + position
    events["client_order_id"][1] = _name("abc", 40)
    views = list(event_views(events.tobytes()))
    assert views[1] == event_view(events.tobytes(), 1)
    assert views[1].client_order_id == b"abc".ljust(40, b"\0")
    for position, name in enumerate(EventView._fields[:-1]):
        assert [getattr(view, name) for view in views] == [position, position + 1, position + 2]


def test_a_command_survives_the_way_through_bytes() -> None:
    names = field_names(COMMAND)
    values = [b"id" if name == "client_order_id" else position for position, name in enumerate(names)]
    record = np.frombuffer(layout(COMMAND).pack(*values), COMMAND)[0]
    for name, value in zip(names, values, strict=True):
        if name == "client_order_id":
            assert record[name].tobytes().rstrip(b"\0") == value
        else:
            assert record[name] == value
