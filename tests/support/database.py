"""Compares a database with the journal that it was filled from."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from app.engine.capacity import Capacity
from app.engine.engine import Engine
from app.engine.records import EVENT
from app.engine.types import EventKind
from app.runtime.follower import Replica
from app.runtime.journal_reader import JournalReader
from app.store.candles import KEPT_SECONDS
from app.store.database import connect
from tests.support.journals import joined

MINUTE_US = 60_000_000


def events_of(folder: Path, from_seq: int = 1) -> Any:
    return joined([events for _, events in JournalReader(folder, from_seq).batches()], EVENT)


_TS = "(extract(epoch FROM ts) * 1000000)::bigint"


async def _compare_marks(connection: Any, marks: Any) -> None:
    """Each mark: when, which event, of what, how much."""
    rows = await connection.fetch(f"SELECT {_TS}, seq, event_index, symbol_index, price FROM marks")
    names = ("ts", "seq", "index", "symbol", "price")
    assert sorted(tuple(row) for row in rows) == list(
        zip(*(marks[name].tolist() for name in names), strict=True)
    )


async def _compare_account_snapshots(
    connection: Any, folder: Path, capacity: Capacity, begin: int, end: int
) -> None:
    """Each account at each full minute: what an engine holds that is fed one command after the other."""
    names = ("cash", "position_value", "exposure", "realised", "fees", "transferred", "open_orders")
    engine = Replica(folder, begin, capacity).engine
    firm, expected = engine.state.firm[0], []
    for commands, _ in JournalReader(folder, begin + 1).batches():
        minutes = commands["ts"] // MINUTE_US
        begins = [0, *(np.flatnonzero(np.diff(minutes)) + 1).tolist(), len(commands)]
        for begin, stop in pairwise(begins):
            part = commands[begin:stop][commands["seq"][begin:stop] <= end]
            minute = int(firm["ts"]) // MINUTE_US
            if len(part) and firm["seq"] and minutes[begin] != minute:
                for index, account in enumerate(engine.state.accounts[: int(firm["accounts"])]):
                    values = tuple(int(account[name]) for name in names)
                    equity = int(account["cash"]) + int(account["position_value"])
                    expected.append(((minute + 1) * MINUTE_US, int(firm["seq"]), index, *values, equity))
            if len(part):
                engine.process(part)
    rows = await connection.fetch(
        f"SELECT {_TS}, seq, account_index, {', '.join(names)}, equity FROM account_snapshots"
    )
    assert sorted(tuple(row) for row in rows) == expected


async def _compare_candles(connection: Any) -> None:
    """Trades of the market are in no journal: but they and the candles made of them came in together."""
    row = await connection.fetchrow(
        "SELECT count(*), sum(quantity), min(price), max(price) FROM market_trades"
    )
    for seconds in KEPT_SECONDS:
        candles = await connection.fetchrow(
            "SELECT coalesce(sum(trades), 0)::bigint, sum(volume)::bigint, min(low), max(high) FROM candles "
            "WHERE seconds = $1",
            seconds,
        )
        assert [value and int(value) for value in candles] == [value and int(value) for value in row]


async def compare(
    url: str, folder: Path, engine: Engine, end: int | None = None, begins_behind: int = 0
) -> None:
    """Counts, sums and the latest state: the journal's and the engine's, up to command `end`.

    `begins_behind`: the command behind which history begins.
    """
    events = events_of(folder, begins_behind + 1)
    if end is not None:
        events = events[events["seq"] <= end]
    fills = events[events["kind"] == EventKind.ORDER_FILLED]
    silent = (EventKind.MARK_UPDATED, EventKind.TIME_ADVANCED, EventKind.DAY_STARTED)
    orders = events[(events["order_id"] > 0) & ~np.isin(events["kind"], silent)]
    connection: Any = await connect(url)
    try:
        row = await connection.fetchrow(
            "SELECT count(*), count(DISTINCT (seq, event_index)), sum(price), sum(quantity), sum(status), "
            "min(extract(epoch from ts) * 1000000)::bigint, count(client_order_id) FROM order_events"
        )
        assert [int(value) for value in row] == [
            *(len(orders), len(orders), int(orders["price"].sum()), int(orders["quantity"].sum())),
            *(int(orders["status"].sum(dtype=np.int64)), int(orders["ts"].min())),
            np.count_nonzero(orders["client_order_id"][:, 0] & 0xFF),  # made-up ids may begin with NUL
        ]
        row = await connection.fetchrow(
            "SELECT count(*), sum(price * quantity), sum(fee), sum(position_quantity) FROM fills"
        )
        sums = (
            (fills["last_price"] * fills["last_quantity"]).sum(),
            fills["fee"].sum(),
            fills["limit"].sum(),
        )
        assert [int(value) for value in row] == [len(fills), *map(int, sums)]
        await _compare_marks(connection, events[events["kind"] == EventKind.MARK_UPDATED])
        await _compare_account_snapshots(
            connection, folder, engine.capacity, begins_behind, int(events["seq"][-1])
        )
        await _compare_candles(connection)
        state = engine.state
        for record in await connection.fetch("SELECT * FROM positions"):
            held = state.positions[record["symbol_index"] * len(state.accounts) + record["account_index"]]
            for name in ("quantity", "entry_cost", "realised", "fees"):
                assert record[name] == held[name]
        known = {int(order["order_id"]): order for order in state.orders if order["order_id"]}
        rows = await connection.fetch("SELECT * FROM orders")
        assert {row["order_id"] for row in rows} == set(known)
        for row in rows:
            order = known[row["order_id"]]
            for name in ("status", "price", "quantity", "filled_quantity", "filled_notional", "code"):
                assert row[name] == order[name], (name, dict(row))
        for record in await connection.fetch("SELECT * FROM accounts"):
            account = state.accounts[record["account_index"]]
            assert (record["leverage"], record["cash"]) == (account["leverage"], account["cash"])
        progress = await connection.fetchrow("SELECT seq FROM projection_progress")
        assert progress["seq"] == events["seq"][-1]
    finally:
        await connection.close()
