"""The instruments of a first start and of demonstrations, after Binance's spot market of August 2024.

One tick times one step is a whole number of 1e-8 quote units, and the largest order
at a hundred times the start price is still below the engine's largest amount of money.
"""

from typing import NamedTuple


class DemoInstrument(NamedTuple):
    """Decimals as text; fees in basis points."""

    symbol: str
    base: str
    quote: str
    price_tick: str
    quantity_step: str
    min_quantity: str
    max_quantity: str
    min_notional: str
    maker_fee_bps: str
    taker_fee_bps: str
    start_price: str
    volatility: float  # of the price, per year: 0.5 is 50 %
    market_correlation: float  # of its returns with those of the whole market


def _usdt(
    base: str,
    price_tick: str,
    quantity_step: str,
    max_quantity: str,
    start_price: str,
    volatility: float,
    market_correlation: float,
) -> DemoInstrument:
    return DemoInstrument(
        symbol=f"{base}-USDT",
        base=base,
        quote="USDT",
        price_tick=price_tick,
        quantity_step=quantity_step,
        min_quantity=quantity_step,
        max_quantity=max_quantity,
        min_notional="5",
        maker_fee_bps="2",
        taker_fee_bps="5",
        start_price=start_price,
        volatility=volatility,
        market_correlation=market_correlation,
    )


DEMO_INSTRUMENTS = (
    _usdt("BTC", "0.01", "0.00001", "1000", "61800.00", 0.50, 0.92),
    _usdt("ETH", "0.01", "0.0001", "10000", "2680.00", 0.65, 0.90),
    _usdt("SOL", "0.01", "0.001", "90000", "155.00", 0.90, 0.80),
    _usdt("BNB", "0.01", "0.001", "20000", "515.00", 0.55, 0.75),
    _usdt("XRP", "0.0001", "0.1", "9000000", "0.6000", 0.75, 0.60),
    _usdt("DOGE", "0.00001", "1", "90000000", "0.10400", 0.95, 0.75),
    _usdt("ADA", "0.0001", "0.1", "9000000", "0.3420", 0.80, 0.75),
    _usdt("LTC", "0.01", "0.001", "90000", "62.00", 0.65, 0.70),
)
