"""Why an instrument cannot be held: the words and the engine's rules say the same of any numbers."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from app.documents.instrument_reasons import instrument_reason
from app.engine.types import EventKind
from app.runtime.reference import PRICE_DIGITS, QUANTITY_DIGITS, Grid, InstrumentView
from tests.support.engine import Desk, desk, instrument

_DESK: list[Desk] = []


def made() -> Desk:
    """One for many: what is refused changes nothing, and what is taken is the next instrument."""
    if not _DESK:
        _DESK.append(desk(accounts=0, symbols=1))
    return _DESK[0]


def view(**numbers: int) -> InstrumentView:
    fields: dict[str, Any] = {"multiplier": 0, "max_price": 0, "version": 0, "maker_fee_ppm": 0}
    return InstrumentView(
        index=1,
        symbol="S",
        base="B",
        quote="USDT",
        taker_fee_ppm=0,
        status=1,
        prices=Grid(numbers["price_tick_e12"], PRICE_DIGITS),
        quantities=Grid(numbers["quantity_step_e8"], QUANTITY_DIGITS),
        **fields,
        **numbers,
    )


POWERS = st.builds(lambda a, b, c: 2**a * 5**b * c, st.integers(0, 20), st.integers(0, 12), st.integers(1, 9))
ANY = st.one_of(POWERS, st.integers(1, 2**60 - 1))


@settings(max_examples=300, deadline=None)
@given(ANY, ANY, *(st.integers(0, 2**60),) * 2, st.integers(0, 2**61), st.integers(0, 1_100_000))
def test_the_reason_is_the_engines(
    tick: int, step: int, smallest: int, largest: int, notional: int, spread: int
) -> None:
    numbers = {
        "price_tick_e12": min(tick, 2**60 - 1),
        "quantity_step_e8": min(step, 2**60 - 1),
        "min_quantity": smallest % (largest + 2) if step % 2 else 1,
        "max_quantity": largest if step % 3 else max(largest % 1_000, 1),
        "min_notional": notional if step % 5 else 0,
        "mark_spread_max_bps": spread if step % 7 else 0,
    }
    one = made()
    reason = instrument_reason(view(**numbers))
    symbol = int(one.engine.state.firm[0]["symbols"])
    event = one.one(instrument(symbol, **numbers))
    assert (event.kind == EventKind.INSTRUMENT_SET) == (reason is None), reason
    if symbol == len(one.engine.state.instruments) - 1:
        _DESK.clear()
