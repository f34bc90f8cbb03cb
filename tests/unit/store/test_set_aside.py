"""Rows set aside: which they were stands in a file, each once, and all the others are written."""

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.store import set_aside
from app.store.copy_format import Kind, Values, encode_rows
from app.store.database import connect
from app.store.projection import Rows
from app.store.set_aside import SetAside, execute_apart, write_apart
from app.store.written_rows import copy_rows

NAME = "database"


def kept(folder: Path) -> list[dict[str, str]]:
    path = folder / f"projection-{NAME}.set-aside.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_row_is_kept_with_its_table_and_reason(tmp_path: Path) -> None:
    found = SetAside(tmp_path, NAME)
    assert found.count == 0
    found.put("fills", b"\x01\xff", ValueError("wrong\nand more"))
    found.put("accounts", (1, "é"), ValueError("odd \x1b[31m"))
    assert found.count == 2
    first, second = kept(tmp_path)
    assert first == {"table": "fills", "reason": "wrong", "row": "01ff"}
    assert second["row"] == "(1, 'é')"
    assert "\x1b" not in second["reason"]


def test_the_same_row_is_one(tmp_path: Path) -> None:
    found = SetAside(tmp_path, NAME)
    for _ in range(3):
        found.put("fills", b"1", ValueError("wrong"))
    found.put("orders", b"1", ValueError("wrong"))
    assert found.count == len(kept(tmp_path)) == 2


def test_more_than_the_file_keeps_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(set_aside, "KEPT_MAX", 3)
    found = SetAside(tmp_path, NAME)
    for number in range(5):
        found.put("fills", b"%d" % number, ValueError("wrong"))
    assert (found.count, len(kept(tmp_path))) == (5, 3)


def test_the_count_outlives_a_restart_and_begins_anew_without_the_file(tmp_path: Path) -> None:
    SetAside(tmp_path, NAME).put("fills", b"1", ValueError("wrong"))
    again = SetAside(tmp_path, NAME)
    assert again.count == 1
    (tmp_path / f"projection-{NAME}.set-aside.jsonl").unlink()
    assert again.count == 0
    again.put("fills", b"1", ValueError("wrong"))
    assert again.count == 1, "it is known no more"


def test_a_long_row_is_cut_off(tmp_path: Path) -> None:
    SetAside(tmp_path, NAME).put("fills", b"x" * 10**6, ValueError("wrong"))
    assert 1_000 < len(kept(tmp_path)[0]["row"]) < 10_000


def rows_of(numbers: list[int]) -> Rows:
    content = encode_rows([Values("number", Kind.BIGINT, np.array(numbers, np.int64))])
    return Rows("numbers", ("number",), content, len(numbers))


async def _with_table(url: str) -> asyncpg.Connection:
    """A connection with a table that takes even numbers, each once."""
    connection = await connect(url)
    await connection.execute("CREATE TEMP TABLE numbers (number bigint PRIMARY KEY CHECK (number % 2 = 0))")
    return connection


async def _stored(connection: Any) -> list[int]:
    rows = await connection.fetch("SELECT number FROM numbers ORDER BY number")
    return [row["number"] for row in rows]


def test_all_but_the_refused_are_written(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    async def compare(connection: Any, numbers: list[int]) -> None:
        folder = tmp_path_factory.mktemp("aside")
        aside = SetAside(folder, NAME)
        await connection.execute("TRUNCATE numbers")
        written = await write_apart(
            connection, rows_of(numbers), lambda rows: copy_rows(connection, rows.table, rows), aside
        )
        good = [number for number in numbers if number % 2 == 0]
        assert await _stored(connection) == sorted(good)
        assert (written, aside.count) == (len(good), len(numbers) - len(good))

    with asyncio.Runner() as runner:
        connection = runner.run(_with_table(database_url))

        @settings(max_examples=25, deadline=None)
        @given(st.lists(st.integers(-50, 50), min_size=1, max_size=12, unique=True))
        def check(numbers: list[int]) -> None:
            runner.run(compare(connection, numbers))

        check()
        runner.run(connection.close())


def test_statements_one_by_one(database_url: str, tmp_path: Path) -> None:
    async def run() -> None:
        connection = await _with_table(database_url)
        aside = SetAside(tmp_path, NAME)
        values: list[tuple[Any, ...]] = [(2,), (3,), (4,), (2,)]
        insert = "INSERT INTO numbers VALUES ($1)"
        assert await execute_apart(connection, insert, values, "numbers", aside) == 2
        assert await _stored(connection) == [2, 4]
        assert [line["row"] for line in kept(tmp_path)] == ["(3,)", "(2,)"]
        assert ["check" in line["reason"] for line in kept(tmp_path)] == [True, False]
        await connection.close()

    asyncio.run(run())


def test_what_is_no_fault_of_a_row_is_raised(database_url: str, tmp_path: Path) -> None:
    async def run() -> None:
        connection = await _with_table(database_url)
        aside = SetAside(tmp_path, NAME)
        await connection.execute("DROP TABLE numbers")
        with pytest.raises(asyncpg.UndefinedTableError):
            await execute_apart(connection, "INSERT INTO numbers VALUES ($1)", [(2,)], "numbers", aside)
        with pytest.raises(asyncpg.UndefinedTableError):
            await write_apart(
                connection, rows_of([2, 4]), lambda rows: copy_rows(connection, rows.table, rows), aside
            )
        assert aside.count == 0
        await connection.close()

    asyncio.run(run())
