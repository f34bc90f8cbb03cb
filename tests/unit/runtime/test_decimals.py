"""Decimals of requests, and averages of replies."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.http.decoding import decoder, exact_json
from app.documents.problems import Problem
from app.documents.refusals import UNITS, Unit, measure, scope_text
from app.documents.schemas import AmendOrder
from app.engine.codes import Code
from app.engine.limits import UNLIMITED
from app.engine.types import Scope
from app.runtime.decimals import JsonNumber, decimal_text, ratio_text
from app.runtime.reference import Grid, InstrumentView, Reference

decode = decoder(AmendOrder)


@given(st.from_regex(r"(0|[1-9][0-9]{0,14})(\.[0-9]{1,14})?", fullmatch=True))
def test_what_was_written_is_what_counts(text: str) -> None:
    for body in (f'{{"price": {text}}}', f'{{"price": "{text}"}}'):
        value = decode(body)["price"]
        assert value is not None
        assert decimal_text(value) == text


@given(st.floats(allow_nan=True, allow_infinity=True).filter(lambda value: "e" in repr(value) or value < 0))
def test_other_floats_are_refused(value: float) -> None:
    with pytest.raises(Problem) as refused:
        decode(json.dumps({"price": value}))
    assert refused.value.code == "INVALID_REQUEST"


@pytest.mark.parametrize("text", ["1e5", "-0.5", "1." + "0" * 40, "NaN"])
def test_numbers_that_are_not_plain(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        exact_json(text)


def test_depth_is_bounded() -> None:
    with pytest.raises(ValueError, match=r".+"):
        exact_json("[" * 200_000)


def test_a_number_shows_its_text() -> None:
    assert repr(JsonNumber.parse("1.50")) == "1.50"


@given(st.integers(-(10**24), 10**24), st.integers(1, 10**24), st.integers(0, 16))
def test_ratios_are_rounded_to_the_nearest(numerator: int, denominator: int, decimals: int) -> None:
    text = ratio_text(numerator, denominator, decimals)
    exact = Fraction(numerator, denominator)
    assert abs(Fraction(text) - exact) * 2 <= Fraction(1, 10**decimals)
    assert not ("." in text and text.endswith("0"))


def _reference() -> Reference:
    reference = Reference()
    view = InstrumentView(
        0, "S", "B", "Q", 10**10, 1_000, 10, 1, 9, 9, 0, 0, 0, 1, 1, Grid(10**10, 12), Grid(1_000, 8)
    )
    reference.instruments.append(view)
    reference.account_names.append("a")
    return reference


def test_units() -> None:
    reference = _reference()
    shown = {
        Code.PRICE_COLLAR: ("0.05", "0.07"),
        Code.QUANTITY_MIN: ("0.00005", "0.00007"),
        Code.MAX_POSITION: ("0.00000005", "0.00000007"),
        Code.INSUFFICIENT_MARGIN: ("0.00000005", "0.00000007"),
        Code.MAX_OPEN_ORDERS: (5, 7),
        Code.UNKNOWN_SYMBOL: (None, None),
    }
    for code, expected in shown.items():
        assert measure(reference, code, 0, 0, Scope.FIRM, 5, 7) == (*expected, "firm")
    assert measure(reference, Code.ORDER_RATE, 0, 0, Scope.ACCOUNT, UNLIMITED, 7)[0] is None
    assert set(UNITS.values()) | {Unit.NONE} == set(Unit)


@pytest.mark.parametrize(
    ("scope", "account", "symbol", "text"),
    [
        (Scope.NONE, 0, 0, None),
        (Scope.FIRM, 0, 0, "firm"),
        (Scope.ACCOUNT, 0, 0, "account:a"),
        (Scope.SYMBOL, 0, 0, "symbol:S"),
        (Scope.ACCOUNT_SYMBOL, 0, 0, "account:a/symbol:S"),
        (Scope.ACCOUNT, -1, 0, None),
        (Scope.SYMBOL, 0, -1, None),
    ],
)
def test_scopes(scope: Scope, account: int, symbol: int, text: str | None) -> None:
    assert scope_text(_reference(), scope, account, symbol) == text
