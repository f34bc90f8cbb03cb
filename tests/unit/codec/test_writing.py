"""Numbers as text inside kernels: digit for digit what Python writes, and nothing beside it."""

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.codec import writing
from tests.support.engine import for_python

put_bytes = for_python(writing.put_bytes)
put_number = for_python(writing.put_number)
put_decimal = for_python(writing.put_decimal)
put_short_decimal = for_python(writing.put_short_decimal)

INT64_MAX = (1 << 63) - 1
AT = 3


def text_of(put: Any, *values: int) -> str:
    """What a function writes at AT; all around it must be as it was."""
    out = np.full(48, ord("#"), np.uint8)
    end = put(out, AT, *values)
    text = out.tobytes().decode()
    assert text[:AT] == "#" * AT
    if put is not put_short_decimal:  # it writes the zeros first that it then leaves out
        assert set(text[end:]) == {"#"}
    return text[AT:end]


@pytest.mark.parametrize("value", [0, 9, 10, 99, 100, 10**18 - 1, 10**18, INT64_MAX])
def test_whole_numbers_at_their_lengths(value: int) -> None:
    assert text_of(put_number, value) == str(value)
    assert len(str(value)) <= writing.DIGITS_MAX


@settings(deadline=None)
@given(st.integers(0, INT64_MAX))
def test_whole_numbers(value: int) -> None:
    assert text_of(put_number, value) == str(value)


@settings(deadline=None)
@given(st.integers(-INT64_MAX, INT64_MAX), st.integers(0, len(writing.POWERS) - 1))
def test_decimals_are_exact_with_all_their_places(value: int, decimals: int) -> None:
    text = text_of(put_decimal, value, decimals)
    assert Decimal(text) == Decimal(value).scaleb(-decimals)
    assert len(text.partition(".")[2]) == decimals
    assert text == f"{Decimal(value).scaleb(-decimals):f}"


@settings(deadline=None)
@given(st.integers(-INT64_MAX, INT64_MAX), st.integers(0, len(writing.POWERS) - 1))
def test_short_decimals_are_equal_and_have_no_zeros_at_the_end(value: int, decimals: int) -> None:
    text = text_of(put_short_decimal, value, decimals)
    assert Decimal(text) == Decimal(value).scaleb(-decimals)
    assert not text.endswith(".")
    assert "." not in text or not text.endswith("0")


@pytest.mark.parametrize(
    ("value", "decimals", "long", "short"),
    [
        (0, 8, "0.00000000", "0"),
        (-5, 2, "-0.05", "-0.05"),
        (1_000, 2, "10.00", "10"),
        (100, 0, "100", "100"),
        (-120, 2, "-1.20", "-1.2"),
    ],
)
def test_decimals_by_example(value: int, decimals: int, long: str, short: str) -> None:
    assert text_of(put_decimal, value, decimals) == long
    assert text_of(put_short_decimal, value, decimals) == short


def test_bytes_are_a_part_of_their_source() -> None:
    source = np.frombuffer(b"abcdef", np.uint8)
    out = np.full(8, ord("#"), np.uint8)
    assert put_bytes(out, 2, source, 1, 4) == 5
    assert out.tobytes() == b"##bcd###"
    assert put_bytes(out, 2, source, 4, 4) == 2
