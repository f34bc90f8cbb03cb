"""Feed grid: decimal text turned into whole ticks or steps, exactly.

Prices and quantities repeat often in a feed. A dictionary that computes missing entries answers a
repeated text in one C call, several times faster than any parsing in Python.
"""

from math import gcd

# Texts remembered for each grid, about 2 MB; then it starts again.
TEXTS_MAX = 1 << 14
# 18 digits before the point and as many after it are more than any price has.
TEXT_LENGTH_MAX = 40
# Far from the end of 64 bits, and no price or quantity that anybody trades.
VALUE_MAX = 1 << 60


class Malformed(ValueError):
    """Text that is not in the exchange's format."""


class OffGrid(ValueError):
    """A number that is not a whole number of ticks or steps of our instrument."""


class FeedGrid(dict[str, int]):
    """`grid["61837.63000000"]` is the number of units in that decimal.

    Raises Malformed for anything but plain unsigned decimal text; a key that cannot be
    hashed raises TypeError. What is not a whole number of units raises OffGrid, or is
    rounded down if the grid is `floored`.
    """

    def __init__(self, unit_e12: int, floored: bool = False) -> None:
        """`unit_e12`: the tick or step in 1e-12 of its currency."""
        if unit_e12 <= 0:
            raise ValueError(f"a tick or a step must be positive, not {unit_e12}e-12")
        super().__init__()
        self._floored = floored
        # Number of decimals -> (factor, divisor), reduced so that most products fit a machine word.
        self._scales: list[tuple[int, int]] = []
        for decimals in range(TEXT_LENGTH_MAX):
            factor, divisor = 10**12, unit_e12 * 10**decimals
            common = gcd(factor, divisor)
            self._scales.append((factor // common, divisor // common))

    def __missing__(self, text: object) -> int:
        # A number where text should be is refused: a JSON float has lost digits already.
        if type(text) is not str or len(text) > TEXT_LENGTH_MAX:
            raise Malformed("not a decimal text")
        whole, _, fraction = text.partition(".")
        digits = whole + fraction
        if not whole or not digits.isdigit() or not text.isascii():
            raise Malformed("not a decimal text")
        factor, divisor = self._scales[len(fraction)]
        units, rest = divmod(int(digits) * factor, divisor)
        if rest and not self._floored:
            raise OffGrid("not a whole number of units")
        if units >= VALUE_MAX:
            raise Malformed("number too large")
        if len(self) >= TEXTS_MAX:
            self.clear()
        self[text] = units
        return units

    def holds(self, text: object) -> bool:
        """Whether this is a whole number of units; raises as `[]` does for anything else."""
        try:
            self[text]  # type: ignore[index]
        except OffGrid:
            return False
        return True
