"""Seed of a new database from a snapshot, if the journal's beginning is gone: states without history.

The journal's oldest segments are removed once snapshots cover them and the database has passed
them. A database added later cannot read them, but the oldest snapshot has the state that they led
to. The table `history_gaps` records that its history begins later than trading did.
"""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from app.engine.capacity import Capacity
from app.runtime.follower import Replica
from app.runtime.segments import JournalError, list_segments
from app.runtime.snapshots import list_snapshots
from app.store.projection import Projected, add_accounts, add_instruments, order_rows, position_rows

logger = logging.getLogger(__name__)

ORDERS_AT_ONCE = 50_000

RECORD_GAP = """
    INSERT INTO history_gaps (first_seq, last_seq, last_ts, reason) VALUES (1, $1, $2, $3)
"""


def is_out_of_reach(folder: Path, seq: int) -> bool:
    """Whether a database at command `seq` cannot continue with this journal any more."""
    segments = list_segments(folder)
    begins_later = bool(segments) and segments[0].first_seq > 1
    return begins_later and not any(
        found <= seq and found + 1 >= segments[0].first_seq for found, _ in list_snapshots(folder)
    )


def first_seq(folder: Path) -> int:
    """The oldest command in a journal."""
    segments = list_segments(folder)
    return segments[0].first_seq if segments else 1


def oldest_replica(folder: Path, capacity: Capacity) -> Replica:
    """An engine as of the oldest usable snapshot that the journal continues.

    Raises JournalError if there is none, RecoveryError, OSError.
    """
    begin = first_seq(folder)
    for seq, path in reversed(list_snapshots(folder)):
        if seq + 1 >= begin:
            try:
                return Replica(folder, seq, capacity)
            except JournalError as error:  # it is damaged, and what is before it is gone
                logger.warning("%s is not used: %s", path, error)
    raise JournalError(
        f"{folder}: the journal begins at seq {begin}, and no usable snapshot says what was before"
    )


def state_of(replica: Replica) -> Iterator[Projected]:
    """The current orders, positions, accounts and instruments, in parts; no history."""
    state, seq = replica.engine.state, replica.seq
    firm = state.firm[0]
    orders = state.orders[: int(firm["orders_used"])]
    slots = np.flatnonzero(orders["order_id"])
    for start in range(0, len(slots), ORDERS_AT_ONCE):
        part = Projected(1, seq, replica.ts)
        part.new_orders = order_rows(orders[slots[start : start + ORDERS_AT_ONCE]], "updated_ts")
        yield part
    last = Projected(1, seq, replica.ts)
    held = (state.positions["quantity"] != 0) | (state.positions["fees"] != 0)
    held |= (state.positions["realised"] != 0) | (state.positions["entry_cost"] != 0)
    last.positions = position_rows(np.flatnonzero(held), replica)
    add_accounts(last, range(int(firm["accounts"])), replica)
    add_instruments(last, range(int(firm["symbols"])), replica)
    yield last
