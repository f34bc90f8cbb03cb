"""Compares a database with the journal that it was filled from."""

from pathlib import Path
from typing import Any

import numpy as np

from app.engine.engine import Engine
from app.engine.records import EVENT
from app.engine.types import EventKind
from app.runtime.journal_reader import JournalReader
from app.store.database import connect
from tests.histories import joined


def events_of(folder: Path) -> Any:
    return joined([events for _, events in JournalReader(folder).batches()], EVENT)


async def compare(url: str, folder: Path, engine: Engine, end: int | None = None) -> None:
    """Counts, sums and the latest state: the journal's and the engine's, up to command `end`."""
    events = events_of(folder)
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
        assert await connection.fetchval("SELECT count(*) FROM marks") == np.count_nonzero(
            events["kind"] == EventKind.MARK_UPDATED
        )
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
