"""Rows on their way into their tables: all of a transaction arrive, as they were projected."""

from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pytest

from app.engine.capacity import DEFAULT_CAPACITY
from app.runtime.follower import JournalBatch, Replica
from app.store import written_rows
from app.store.copy_format import Kind, Values, encode_rows
from app.store.projection import Projected, Rows, project
from app.store.written_rows import copy_rows, key_row, parts_of, statements_of
from tests.support.engine import BUY, Desk, bought, desk, pack, place
from tests.unit.store.conftest import InTransaction


@pytest.fixture(scope="module")
def projected(tmp_path_factory: pytest.TempPathFactory) -> list[Projected]:
    """Two batches: what is new, then what has changed of it."""
    made = desk(capacity=DEFAULT_CAPACITY)
    bought(made, 10, 1_000)
    begin = made.seq
    bought(made, -4, 1_010)
    made.send(place(1, 0, BUY, 3, 990))
    replica = Replica(_empty(tmp_path_factory), 0)
    other = Desk(DEFAULT_CAPACITY)
    found = []
    for first, part in ((1, made.log[:begin]), (begin + 1, made.log[begin:])):
        records = pack(part)
        events = other.engine.process(records).copy()
        found.append(project(JournalBatch(records, events, first, first + len(part) - 1), replica))
    return found


def _empty(factory: pytest.TempPathFactory) -> Path:
    return factory.mktemp("journal")


async def _count(connection: Any, table: str) -> int:
    return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))


def test_all_rows_of_a_transaction_arrive(in_transaction: InTransaction, projected: list[Projected]) -> None:
    first, second = projected

    async def write(connection: asyncpg.Connection, batch: Projected) -> int:
        count = 0
        for rows, put in parts_of(connection, batch):
            await put(rows)
            count += rows.count
        for statement, values, _ in statements_of(batch):
            await connection.executemany(statement, values)
            count += len(values)
        return count

    async def work(connection: asyncpg.Connection) -> None:
        assert await write(connection, first) == first.rows
        for rows in first.history:
            assert await _count(connection, rows.table) == rows.count
        assert await _count(connection, "orders") == 1
        assert await connection.fetchval("SELECT quantity FROM positions") == 10
        assert await _count(connection, "accounts") == 2
        assert await _count(connection, "instruments") == 1
        await connection.execute("TRUNCATE changed_orders, changed_positions")  # as a commit does
        assert await write(connection, second) == second.rows
        assert await _count(connection, "orders") == 3
        assert await _count(connection, "positions") == 1
        assert await connection.fetchval("SELECT quantity FROM positions") == 6

    in_transaction(work)


def test_each_part_says_its_table(projected: list[Projected]) -> None:
    connection: Any = None  # not before one is written
    parts = [rows.table for rows, _ in parts_of(connection, projected[0])]
    assert parts == [*(rows.table for rows in projected[0].history), "orders", "positions"]
    assert [table for _, _, table in statements_of(projected[0])] == ["accounts", "instruments"]


def test_nothing_is_written_of_an_empty_batch() -> None:
    connection: Any = None
    assert list(parts_of(connection, Projected(1, 1, 1))) == []
    assert list(statements_of(Projected(1, 1, 1))) == []


@pytest.mark.parametrize("chunk_bytes", [1, 13, 1 << 18])
def test_rows_arrive_whole_in_whatever_pieces_they_are_sent(
    in_transaction: InTransaction, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written_rows, "CHUNK_BYTES", chunk_bytes)
    numbers = list(range(-20, 20))
    content = encode_rows([Values("number", Kind.BIGINT, np.array(numbers))])

    async def work(connection: asyncpg.Connection) -> None:
        await connection.execute("CREATE TEMP TABLE numbers (number bigint) ON COMMIT DROP")
        await copy_rows(connection, "numbers", Rows("numbers", ("number",), content, len(numbers)))
        found = await connection.fetch("SELECT number FROM numbers ORDER BY number")
        assert [row["number"] for row in found] == numbers

    in_transaction(work)


KEY = {"number": 2, "name": "a", "role": "viewer", "accounts": ["b"], "created_ts": 3, "revoked_ts": 0}


def test_a_key_as_the_database_shows_it() -> None:
    assert key_row(KEY) == (2, "a", "viewer", ["b"], 3, 0)
    assert key_row(KEY | {"name": "a\0b"}) == (2, "a?b", "viewer", ["b"], 3, 0)


@pytest.mark.parametrize("name", KEY)
def test_what_lacks_a_member_is_no_key(name: str) -> None:
    assert key_row({each: value for each, value in KEY.items() if each != name}) is None


@pytest.mark.parametrize(
    "key", [7, None, "key", [], {**KEY, "number": "x"}, {**KEY, "accounts": None}], ids=str
)
def test_what_is_no_key(key: Any) -> None:
    assert key_row(key) is None
