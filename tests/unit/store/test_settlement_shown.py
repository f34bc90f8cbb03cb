"""A settlement where it is shown: in the database's rows, in Redis, on the streams."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from app.documents.raw_events import EVERY_INDEX
from app.documents.redis_documents import RedisDocuments
from app.documents.stream_items import StreamItems
from app.engine.capacity import DEFAULT_CAPACITY
from app.engine.types import EventKind, InstrumentStatus, Side
from app.runtime.follower import JournalBatch, Replica
from app.runtime.views import event_views
from app.store import hot_keys as keys
from app.store.hot_state import HotState
from app.store.projection import Projected, project
from app.streams.states import States
from app.streams.topics import Channel
from tests.support.copy_rows import values
from tests.support.engine import Desk, bought, desk, instrument, mark, note, pack, settle


@pytest.fixture
def settled() -> tuple[Desk, bytes]:
    """An account that was long 10, one that was short 4; and the events of the settlement."""
    made = desk(accounts=3, capacity=DEFAULT_CAPACITY)
    bought(made, 10, 1_000, account=0)
    bought(made, -4, 1_000, account=2)
    made.send(mark(0, 1_100), instrument(0, status=InstrumentStatus.HALTED))
    records = pack(made.stamp([note(b"delisted"), settle(0, 700, notes=1, actor=9)]))
    return made, made.engine.process(records).tobytes()


def projected(made: Desk, tmp_path: Path) -> Projected:
    """All of it as one batch."""
    replica = Replica(tmp_path, 0)
    records = pack(made.log)
    other = Desk(DEFAULT_CAPACITY)
    events = other.engine.process(records).copy()
    return project(JournalBatch(records, events, 1, made.seq), replica)


def test_rows_of_history(settled: tuple[Desk, bytes], tmp_path: Path) -> None:
    found = projected(settled[0], tmp_path)
    history = {rows.table: values(rows) for rows in found.history}
    names = ("account_index", "side", "price", "quantity", "position_quantity", "position_entry_cost")
    ended = [[row[name] for name in names] for row in history["fills"] if not row["order_id"]]
    assert ended == [[0, Side.SELL, 700, 10, 0, 0], [2, Side.BUY, 700, 4, 0, 0]]
    assert len(history["fills"]) == 4
    audited = [row for row in history["audit_log"] if row["kind"] == EventKind.SYMBOL_SETTLED]
    assert [(row["new_value"], row["actor"], row["reason"]) for row in audited] == [(700, 9, b"delisted")]
    assert not [row for row in history["audit_log"] if row["kind"] == EventKind.POSITION_SETTLED]


def test_latest_positions_and_accounts(settled: tuple[Desk, bytes], tmp_path: Path) -> None:
    found = projected(settled[0], tmp_path)
    positions = {row["account_index"]: row for row in values(found.positions)}
    shown = {index: (row["quantity"], row["entry_cost"], row["realised"]) for index, row in positions.items()}
    assert shown == {0: (0, 0, -3_000), 2: (0, 0, 1_200)}
    cash = {row[0]: row[3] for row in found.accounts}
    assert (cash[0], cash[1], cash[2]) == (10**12 - 3_000, 10**12, 10**12 + 1_200)


def test_redis(settled: tuple[Desk, bytes]) -> None:
    made, events = settled
    commands = HotState(RedisDocuments(made.engine.state)).changes(events)
    sets: dict[Any, Any] = {command[1]: command[2:] for command in commands if command[0] == "HSET"}
    for account, realised in (("account-0", "-0.00003"), ("account-2", "0.000012")):
        symbol, document = sets[keys.positions(account)]
        position = orjson.loads(document)
        assert (symbol, position["quantity"], position["realised_pnl"]) == ("S0-USDT", "0", realised)
    shown = dict(zip(sets[keys.ACCOUNTS][::2], sets[keys.ACCOUNTS][1::2], strict=True))
    assert set(shown) == {"account-0", "account-2"}
    assert orjson.loads(shown["account-0"])["cash"] == "9999.99997"


class _Unread(StreamItems):
    """Items of which none is asked for."""

    def __init__(self) -> None:
        pass


def test_streams_of_positions_and_accounts(settled: tuple[Desk, bytes]) -> None:
    states = States(_Unread())  # nothing is read before it is published
    for channel in (Channel.POSITIONS, Channel.ACCOUNTS):
        states.streams[channel][EVERY_INDEX] = object()  # type: ignore[assignment]  # only its being there
    for event in event_views(settled[1]):
        states.note(event)
    assert list(states._due[Channel.POSITIONS]) == [(0, 0), (2, 0)]
    assert list(states._due[Channel.ACCOUNTS]) == [0, 2]
