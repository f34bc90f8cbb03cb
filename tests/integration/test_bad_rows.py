"""A row that the database refuses is set aside, and all that follow it are written."""

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.engine.capacity import SMALL_CAPACITY
from app.engine.engine import Engine
from app.runtime.journal_tools import inspect
from app.runtime.projections import ProjectionProcess, ProjectionStatus, write_status
from app.store.copy_format import Kind, Values, encode_rows, halves_of
from app.store.database import connect
from app.store.writer import PROJECTION, DatabaseWriter
from tests.support.journals import TradingHistory, write_ticks


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    folder = tmp_path / "journal"
    folder.mkdir()
    history = TradingHistory(Engine(SMALL_CAPACITY))
    write_ticks(folder, iter([history.reference_data(), *(history.tick(12) for _ in range(20))]))
    return folder


async def _ask(url: str, statement: str) -> Any:
    connection: Any = await connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def _writer(folder: Path, url: str) -> DatabaseWriter:
    return DatabaseWriter(folder, url, capacity=SMALL_CAPACITY)


def _kept(folder: Path) -> list[dict[str, str]]:
    path = folder / f"projection-{PROJECTION}.set-aside.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rows_that_are_refused_do_not_stop_the_others(journal: Path, database_url: str) -> None:
    """A rule of the database's own refuses some fills, orders and positions: the others are there."""
    asyncio.run(_writer(journal, database_url).catch_up())
    fills = asyncio.run(_ask(database_url, "SELECT count(*) FROM fills"))
    odd = asyncio.run(_ask(database_url, "SELECT count(*) FROM fills WHERE seq % 2 = 1"))
    assert 0 < odd < fills
    events = asyncio.run(_ask(database_url, "SELECT count(*) FROM order_events"))
    for table in (
        "fills",
        "order_events",
        "orders",
        "positions",
        "risk_events",
        "limit_changes",
        "audit_log",
    ):
        asyncio.run(_ask(database_url, f"TRUNCATE {table}"))
    asyncio.run(_ask(database_url, "UPDATE projection_progress SET seq = 0"))
    asyncio.run(_ask(database_url, "ALTER TABLE fills ADD CONSTRAINT even CHECK (seq % 2 = 0)"))
    asyncio.run(_ask(database_url, "ALTER TABLE positions ADD CONSTRAINT few CHECK (account_index <> 1)"))
    asyncio.run(
        _ask(database_url, "ALTER TABLE accounts ADD CONSTRAINT others CHECK (account_index <> 2) NOT VALID")
    )
    writer = _writer(journal, database_url)
    assert asyncio.run(writer.catch_up()) == inspect(journal).last_seq, "to the end"
    assert asyncio.run(_ask(database_url, "SELECT count(*) FROM fills")) == fills - odd
    assert asyncio.run(_ask(database_url, "SELECT count(*) FROM order_events")) == events
    kept = _kept(journal)
    assert len([row for row in kept if row["table"] == "fills"]) == odd
    assert {"positions", "accounts"} <= {row["table"] for row in kept}
    assert writer.status().set_aside == len(kept)
    assert "violates check constraint" in kept[0]["reason"]
    again = _writer(journal, database_url)
    assert again.status().set_aside == len(kept), "over a restart"
    (journal / f"projection-{PROJECTION}.set-aside.jsonl").unlink()
    assert again.status().set_aside == 0, "somebody has looked"


@pytest.mark.parametrize(
    "content",
    [
        [{"number": 2, "name": "a\0b", "role": "viewer", "accounts": [], "created_ts": 1, "revoked_ts": 0}],
        [{"number": 2, "name": None}, "key", 7, {}],
        {"keys": None},
        {
            "keys": [
                {
                    "number": 1 << 70,
                    "name": "x",
                    "role": "viewer",
                    "accounts": [],
                    "created_ts": 1,
                    "revoked_ts": 0,
                }
            ]
        },
        "nonsense",
    ],
    ids=str,
)
def test_a_file_of_keys_whatever_is_in_it(journal: Path, database_url: str, content: Any) -> None:
    good = {"number": 9, "name": "good", "role": "viewer", "accounts": [], "created_ts": 1, "revoked_ts": 0}
    if isinstance(content, list):
        content = {"version": 1, "keys": [*content, good]}
    (journal.parent / "keys.json").write_text(json.dumps(content))
    assert asyncio.run(_writer(journal, database_url).catch_up()) == inspect(journal).last_seq
    names = asyncio.run(_ask(database_url, "SELECT string_agg(name, ',' ORDER BY number) FROM api_keys"))
    if "good" in str(content):
        assert names is not None and names.endswith("good")
        assert "\0" not in names


def test_halves_are_whole_rows() -> None:
    text = np.frombuffer(b"ab\0\0cdefg\0\0\0", np.uint8).reshape(3, 4)
    columns = [
        Values("n", Kind.BIGINT, np.arange(3)),
        Values("t", Kind.TEXT, text, np.array([False, True, False])),
    ]
    content = encode_rows(columns)
    first, second = halves_of(content, 3)
    assert first + second == content
    assert first == encode_rows([Values("n", Kind.BIGINT, np.arange(1)), Values("t", Kind.TEXT, text[:1])])


def test_it_is_shown(tmp_path: Path) -> None:
    write_status(tmp_path, PROJECTION, ProjectionStatus(set_aside=3))
    assert ProjectionProcess(PROJECTION, tmp_path, [], {}).status.set_aside == 3
