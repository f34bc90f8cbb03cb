"""The demo instruments fit the engine's integers, with room."""

from decimal import Decimal

import pytest

from app.engine.capacity import MONEY_MAX
from app.engine.records import CURRENCY_BYTES, SYMBOL_BYTES
from app.market.demo_instruments import DEMO_INSTRUMENTS, DemoInstrument

E8 = 10**8


@pytest.mark.parametrize("instrument", DEMO_INSTRUMENTS, ids=lambda each: each.symbol)
def test_fits(instrument: DemoInstrument) -> None:
    tick, step = Decimal(instrument.price_tick), Decimal(instrument.quantity_step)
    multiplier = tick * step * E8
    assert multiplier >= 1 and multiplier % 1 == 0
    price, largest = Decimal(instrument.start_price), Decimal(instrument.max_quantity)
    assert 100 * price * largest * E8 < MONEY_MAX
    assert price % tick == 0
    assert largest % step == 0
    assert Decimal(instrument.min_quantity) % step == 0
    assert price * Decimal(instrument.min_quantity) < Decimal(instrument.min_notional) < price * largest
    assert price / tick > 1_000, "a tick is small against the price"


def test_names() -> None:
    symbols = [each.symbol for each in DEMO_INSTRUMENTS]
    assert len(set(symbols)) == len(symbols) >= 8
    for each in DEMO_INSTRUMENTS:
        assert each.symbol == f"{each.base}-{each.quote}"
        assert len(each.symbol) <= SYMBOL_BYTES
        assert max(len(each.base), len(each.quote)) <= CURRENCY_BYTES
        assert 0 <= each.market_correlation < 1 and each.volatility > 0
