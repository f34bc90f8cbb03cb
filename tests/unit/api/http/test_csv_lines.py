"""Lines of CSV: read back they are what was written, and no cell is a formula."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.http.csv_lines import CRLF, csv_line

# What is stored holds no control characters: see `app.runtime.plain_text`.
texts = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20)


def read(line: str) -> list[str]:
    (row,) = csv.reader(io.StringIO(line, newline=""))
    return row


@given(st.lists(st.one_of(texts, st.integers(), st.booleans(), st.none()), min_size=2, max_size=6))
def test_what_is_read_is_what_was_written(values: list[str | int | bool | None]) -> None:
    line = csv_line(values)
    assert line.endswith("\n") and "\r" not in line
    cells = read(line)
    assert len(cells) == len(values)
    for cell, value in zip(cells, values, strict=True):
        if value is None:
            assert cell == ""
        elif not isinstance(value, str):
            assert cell.lower() == str(value).lower()
        else:
            assert cell in (value, f"'{value}")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-x", "@SUM(A1)", "=cmd|' /C calc'!A0"])
def test_no_text_is_a_formula(text: str) -> None:
    (cell, _) = read(csv_line([text, "x"]))
    assert cell[0] not in "=+-@" and cell.endswith(text)


@pytest.mark.parametrize("value", [-5, "-0.05", "-12"])
def test_a_negative_number_stays_one(value: str | int) -> None:
    assert read(csv_line([value, "x"]))[0] == str(value)


def test_quotes_and_commas() -> None:
    assert csv_line(['a"b', "c,d", None]) == '"a""b","c,d",\n'


def test_the_end_is_chosen() -> None:
    assert csv_line([1, 2], CRLF) == "1,2\r\n"
