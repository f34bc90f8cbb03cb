"""Decimals in requests: plain digits with at most one point, as a string or a JSON number.

What counts is the text the client wrote. A JSON number with a fraction is
therefore never taken through a float: `JsonNumber` keeps its text, and the fast
path, which sees only the float, leaves such a request to the exact one.
Exponents, signs, NaN, separators, spaces and other scripts' digits are refused.
"""

import re
from decimal import Decimal, localcontext
from typing import Annotated

from pydantic import Field, StringConstraints, WithJsonSchema

DIGITS_MAX = 30
DECIMAL_PATTERN = r"^[0-9]+(\.[0-9]+)?$"

_NUMBER = re.compile(r"(0|[1-9][0-9]*)\.[0-9]+")


class JsonNumber:
    """A JSON number with a fraction, as it was written."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    @classmethod
    def parse(cls, text: str) -> "JsonNumber":
        """For `json.loads(parse_float=...)`. Raises ValueError for what is not plain digits, or too long."""
        if len(text) > DIGITS_MAX + 1 or not _NUMBER.fullmatch(text):
            raise ValueError("numbers must be plain decimals of at most 30 digits, without sign or exponent")
        return cls(text)

    def __repr__(self) -> str:
        return self.text


DecimalInput = Annotated[
    Annotated[str, StringConstraints(strict=True, pattern=DECIMAL_PATTERN, max_length=DIGITS_MAX + 1)]
    | Annotated[int, Field(strict=True, ge=0, lt=10**DIGITS_MAX)]
    | JsonNumber,
    Field(union_mode="left_to_right"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": DECIMAL_PATTERN, "maxLength": DIGITS_MAX + 1},
                {"type": "number", "minimum": 0},
            ],
            "examples": ["50000.10"],
        }
    ),
]
SIGNED_DECIMAL_PATTERN = r"^-?[0-9]+(\.[0-9]+)?$"
# A number with a sign and a fraction has to be text.
SignedDecimalInput = Annotated[
    Annotated[str, StringConstraints(strict=True, pattern=SIGNED_DECIMAL_PATTERN, max_length=DIGITS_MAX + 2)]
    | Annotated[int, Field(strict=True, gt=-(10**DIGITS_MAX), lt=10**DIGITS_MAX)]
    | JsonNumber,
    Field(union_mode="left_to_right"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": SIGNED_DECIMAL_PATTERN, "maxLength": DIGITS_MAX + 2},
                {"type": "number"},
            ],
            "examples": ["-250.50"],
        }
    ),
]
DECIMAL_MESSAGE = 'must be a decimal without sign or exponent, at most 30 digits, such as "50000.10"'


def decimal_text(value: str | int | JsonNumber) -> str:
    """The digits of a `DecimalInput`."""
    if type(value) is str:
        return value
    return value.text if isinstance(value, JsonNumber) else str(value)


def ratio_text(numerator: int, denominator: int, decimals_max: int) -> str:
    """numerator / denominator rounded half to even at `decimals_max`, without trailing zeros."""
    with localcontext(prec=60):
        value = (Decimal(numerator) / Decimal(denominator)).quantize(Decimal(1).scaleb(-decimals_max))
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
