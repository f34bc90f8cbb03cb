"""Pages of history: cursors, and the SQL that a selection becomes."""

import pytest

from app.api.routes.history import decode_cursor, encode_cursor
from app.documents.problems import Problem
from app.store.history import (
    ACCOUNTS_APART_MAX,
    EQUITY,
    FILLS,
    ORDERS,
    Selection,
    Table,
    moment,
    page_query,
)


@pytest.mark.parametrize("key", [(1, 2), (1_700_000_000_000_001, 1 << 62, 3), (0, 0, 0)])
def test_a_cursor_comes_back_as_it_was(key: tuple[int, ...]) -> None:
    assert decode_cursor(encode_cursor(key), len(key)) == key


@pytest.mark.parametrize("text", ["", "x", "!!!!", "é", encode_cursor((1, 2)), encode_cursor((-1, 2, 3))])
def test_a_cursor_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Problem, match="cursor"):
        decode_cursor(text, 3)


def test_times_are_exact_to_the_microsecond() -> None:
    for ts in (0, 1, 1_700_000_000_123_457, 1 << 53):
        delta = moment(ts) - moment(0)
        assert delta.days * 86_400_000_000 + delta.seconds * 1_000_000 + delta.microseconds == ts


def test_values_are_arguments_and_never_text() -> None:
    text, arguments = page_query(
        FILLS, Selection(accounts=[7], symbol=3, start=5, end=9, after=(4, 2, 1), limit=11)
    )
    conditions = "account_index = $1 AND symbol_index = $2 AND ts >= $3 AND ts < $4 AND ts <= $5"
    assert f"WHERE {conditions} AND (ts, seq, event_index) < ($5, $6::bigint, $7::bigint) ORDER BY" in text
    assert text.endswith("ORDER BY fills.ts DESC, fills.seq DESC, fills.event_index DESC LIMIT 11")
    assert arguments == [7, 3, moment(5), moment(9), moment(4), 2, 1]


def test_several_accounts_closed_orders_and_tables_without_symbols() -> None:
    text, arguments = page_query(ORDERS, Selection(accounts=[1, 2], closed=True))
    assert "account_index = ANY($1::integer[]) AND status >= 8" in text
    assert arguments == [[1, 2]]
    assert "LIMIT" not in text
    assert "symbol_index =" not in page_query(EQUITY, Selection(symbol=1))[0]
    assert page_query(EQUITY, Selection(accounts=[]))[1] == [[]]  # a key without accounts sees nothing


@pytest.mark.parametrize("table", [FILLS, ORDERS])
def test_of_some_accounts_each_is_read_by_itself(table: Table) -> None:
    text, arguments = page_query(table, Selection(accounts=[1, 2], symbol=4, limit=9))
    assert "unnest($1::integer[]) AS wanted (number) CROSS JOIN LATERAL (" in text
    assert text.count("LIMIT 9") == 2
    assert arguments == [[1, 2], 4]
    many = Selection(accounts=range(ACCOUNTS_APART_MAX + 1), limit=9)
    assert "account_index = ANY($1::integer[])" in page_query(table, many)[0]
