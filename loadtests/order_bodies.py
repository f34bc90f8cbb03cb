"""Orders of account `load` as JSON: half of them rest, the others take what is displayed.

Resting orders stand 50 to 300 basis points away from the price at which the synthetic
market starts, and takers reach at most 30 beyond it, so that the account never trades
with itself and its book is never crossed; buys and sells balance. One order is worth
6 to 30 USDT, far less than the market displays again each second.
"""

from collections.abc import Iterator
from decimal import ROUND_UP, Decimal

import numpy as np

from app.market.demo_instruments import DEMO_INSTRUMENTS, DemoInstrument

ACCOUNT = "load"
TEMPLATES = 2_048
CLIENT_NUMBER_DIGITS = 10

_NOTIONAL_MIN = Decimal(6)
_BPS = Decimal(10_000)
# Of a hundred orders: 50 rest, 40 take at a limit or end, 10 take at any price.
_RESTING, _TAKING = 50, 90


def _quantity(instrument: DemoInstrument, multiple: int) -> Decimal:
    step = Decimal(instrument.quantity_step)
    least = (_NOTIONAL_MIN / Decimal(instrument.start_price) / step).to_integral_value(ROUND_UP) * step
    return least * multiple


def _price(instrument: DemoInstrument, basis_points: int) -> Decimal:
    tick = Decimal(instrument.price_tick)
    price = Decimal(instrument.start_price) * (1 + basis_points / _BPS)
    return (price / tick).to_integral_value() * tick


def template(random: np.random.Generator, number: int) -> tuple[bytes, bytes]:
    """An order's JSON before and after the number of its client order id."""
    instrument = DEMO_INSTRUMENTS[number // 2 % len(DEMO_INSTRUMENTS)]
    buys = number % 2 == 0
    draw = int(random.integers(0, 100))
    quantity = _quantity(instrument, int(random.integers(1, 6)))
    fields = f'"type":"MARKET","quantity":"{quantity:f}"'
    if draw < _TAKING:
        away = int(random.integers(50, 300)) if draw < _RESTING else -30
        price = _price(instrument, -away if buys else away)
        time_in_force = "GTC" if draw < _RESTING else "IOC"
        fields = (
            f'"type":"LIMIT","quantity":"{quantity:f}","price":"{price:f}","time_in_force":"{time_in_force}"'
        )
    side = "BUY" if buys else "SELL"
    head = (
        f'{{"account":"{ACCOUNT}","symbol":"{instrument.symbol}","side":"{side}",{fields},"client_order_id":"'
    )
    return head.encode(), b'"}'


class OrderBodies:
    """JSON orders without end; no two with the same client order id, as long as prefixes differ."""

    def __init__(self, prefix: str, seed: int = 1) -> None:
        """`prefix`: at most 26 characters, of letters, digits, dot, dash and underscore."""
        random = np.random.default_rng(seed)
        self.templates = [
            (head + prefix.encode(), tail)
            for head, tail in (template(random, number) for number in range(TEMPLATES))
        ]
        self._number = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        number = self._number
        self._number = number + 1
        head, tail = self.templates[number % TEMPLATES]
        return b"%b%010d%b" % (head, number, tail)

    def batch(self, count: int) -> bytes:
        """The content of a batch: `{"orders": [...]}`."""
        return b'{"orders":[%b]}' % b",".join(next(self) for _ in range(count))
