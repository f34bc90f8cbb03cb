"""Reference data: names and decimals of what the engine knows by index and integer.

Pure Python over a copy of the reference data, without I/O: the edges turn symbols, accounts and
decimal strings into the engine's integers and back. All conversions are exact; nothing is ever
rounded.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.codec.names import InstrumentText, NameTables, name_tables
from app.engine.state import State
from app.market.grid import OffGrid

# A number beyond this has no place in a command; the engine's own limits are tighter.
INTEGER_MAX = 1 << 60

PRICE_DIGITS = 12
QUANTITY_DIGITS = 8
MONEY_DIGITS = 8

# The default: no mark is made of a book that is wider than a tenth of the price.
MARK_SPREAD_MAX_BPS = 1_000

_REMEMBERED_MAX = 4_096

_POWERS = tuple(int(f"1{'0' * digits}") for digits in range(PRICE_DIGITS + 1))


class OutOfRange(ValueError):
    """A decimal too large for any order."""


class Grid:
    """The whole multiples of a step, as decimal text and as integers.

    `step` is in units of 10**-digits. Texts have as many decimals as the step
    needs: a step of 0.01 writes 5 as "0.05" and 1000 as "10.00".
    """

    __slots__ = ("_counts", "_texts", "decimals", "step", "text_step", "unit")

    def __init__(self, step: int, digits: int) -> None:
        if step <= 0:
            raise ValueError(f"a step must be positive, not {step}")
        self.step = step
        # A cache: prices and sizes repeat, and a look-up takes a fifth of the time.
        self._texts: dict[int, str] = {}
        self._counts: dict[str, int] = {}
        self.unit = step
        self.decimals = digits
        while self.decimals and self.unit % 10 == 0:
            self.unit //= 10
            self.decimals -= 1
        self.text_step = self.text(1)

    def text(self, count: int) -> str:
        """`count` steps as decimal text."""
        text = self._texts.get(count)
        if text is None:
            if len(self._texts) >= _REMEMBERED_MAX:
                self._texts.clear()
            text = self._texts[count] = self._write(count)
        return text

    def _write(self, count: int) -> str:
        decimals = self.decimals
        digits = str(count * self.unit)
        if not decimals:
            return digits
        if count < 0:
            digits = digits[1:].rjust(decimals + 1, "0")
            return f"-{digits[:-decimals]}.{digits[-decimals:]}"
        if len(digits) <= decimals:
            return f"0.{digits:0>{decimals}}"
        return f"{digits[:-decimals]}.{digits[-decimals:]}"

    def parse(self, text: str) -> int:
        """The number of steps in `text`, plain decimal digits with at most one point.

        Raises OffGrid, OutOfRange.
        """
        count = self._counts.get(text)
        if count is None:
            if len(self._counts) >= _REMEMBERED_MAX:
                self._counts.clear()
            count = self._counts[text] = self._read(text)
        return count

    def _read(self, text: str) -> int:
        whole, point, fraction = text.partition(".")
        decimals = self.decimals
        if point:
            if len(fraction) > decimals:
                if fraction[decimals:].strip("0"):
                    raise OffGrid(text)
                fraction = fraction[:decimals]
            count = int(whole + fraction) * _POWERS[decimals - len(fraction)]
        else:
            count = int(whole) * _POWERS[decimals]
        if self.unit != 1:
            count, rest = divmod(count, self.unit)
            if rest:
                raise OffGrid(text)
        if not -INTEGER_MAX < count < INTEGER_MAX:
            raise OutOfRange(text)
        return count


MONEY = Grid(1, MONEY_DIGITS)


def money_text(value: int) -> str:
    """Money or a quantity in 1e-8 as decimal text without trailing zeros."""
    return MONEY.text(value).rstrip("0").rstrip(".")


@dataclass(frozen=True, slots=True)
class InstrumentView:
    """One instrument; fields and units as in `app.engine.state_records.INSTRUMENT`."""

    index: int
    symbol: str
    base: str
    quote: str
    price_tick_e12: int
    quantity_step_e8: int
    multiplier: int
    min_quantity: int
    max_quantity: int
    max_price: int
    min_notional: int
    maker_fee_ppm: int
    taker_fee_ppm: int
    status: int
    version: int
    prices: Grid
    quantities: Grid
    mark_spread_max_bps: int = MARK_SPREAD_MAX_BPS

    def price_text(self, ticks: int) -> str:
        return self.prices.text(ticks)

    def quantity_text(self, steps: int) -> str:
        return self.quantities.text(steps)

    def ticks(self, text: str) -> int:
        """A price as ticks. Raises OffGrid, OutOfRange."""
        return self.prices.parse(text)

    def steps(self, text: str) -> int:
        """A quantity as steps. Raises OffGrid, OutOfRange."""
        return self.quantities.parse(text)


def text_of(words: object) -> str:
    """The text in a NUL-padded field of 64-bit words."""
    return np.asarray(words).tobytes().rstrip(b"\0").decode()


_NUMBERS = (
    "price_tick_e12",
    "quantity_step_e8",
    "multiplier",
    "min_quantity",
    "max_quantity",
    "max_price",
    "min_notional",
    "maker_fee_ppm",
    "taker_fee_ppm",
    "status",
    "version",
    "mark_spread_max_bps",
)


def _instrument_view(index: int, record: NDArray[np.void]) -> InstrumentView:
    return InstrumentView(
        index=index,
        symbol=text_of(record["name"]),
        base=text_of(record["base"]),
        quote=text_of(record["quote"]),
        prices=Grid(int(record["price_tick_e12"]), PRICE_DIGITS),
        quantities=Grid(int(record["quantity_step_e8"]), QUANTITY_DIGITS),
        **{name: int(record[name]) for name in _NUMBERS},
    )


class Reference:
    """Accounts and instruments by name and by index. Call `refresh` after either has changed.

    `revision` counts the refreshes.
    """

    __slots__ = ("_numbers", "account_names", "accounts", "instruments", "revision", "symbols")

    def __init__(self) -> None:
        self.symbols: dict[str, int] = {}
        self.accounts: dict[str, int] = {}
        self.instruments: list[InstrumentView] = []
        self.account_names: list[str] = []
        self.revision = 0
        self._numbers: list[tuple[int, ...]] = []  # of each instrument, as they were read

    @classmethod
    def from_state(cls, state: State) -> "Reference":
        reference = cls()
        reference.refresh(state)
        return reference

    def name_tables(self) -> NameTables:
        """The same names in the form that kernels read."""
        instruments = [
            InstrumentText(
                view.symbol,
                view.prices.unit,
                view.prices.decimals,
                view.quantities.unit,
                view.quantities.decimals,
            )
            for view in self.instruments
        ]
        return name_tables(self.account_names, instruments)

    def refresh(self, state: State) -> None:
        """Read the reference data again; the collections keep their identity."""
        self.revision += 1
        firm = state.firm[0]
        # Names never change. Only what is new is read: this happens between two orders.
        for index in range(len(self.account_names), int(firm["accounts"])):
            name = text_of(state.accounts[index]["name"])
            self.account_names.append(name)
            self.accounts[name] = index
        numbers = state.instruments[list(_NUMBERS)][: int(firm["symbols"])].tolist()
        for index, found in enumerate(numbers):
            if self._numbers[index : index + 1] == [found]:
                continue
            view = _instrument_view(index, state.instruments[index])
            self.instruments[index : index + 1] = [view]
            self._numbers[index : index + 1] = [found]
            self.symbols[view.symbol] = index
