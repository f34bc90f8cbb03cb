"""Database projection: the rows of history, and the latest state, that a batch of the journal leads to.

Pure: arrays in, rows in COPY format out. The latest state is read from a replica of the engine that
follows along, so none of its logic is repeated here.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.engine import records
from app.engine.capacity import SLOT_BITS
from app.engine.records import NOTE_BYTES
from app.engine.state import State
from app.engine.types import EventKind, Side
from app.runtime.breaches import are_breaches
from app.runtime.follower import JournalBatch, Replica
from app.runtime.plain_text import storable_text
from app.runtime.reference import text_of
from app.store.copy_format import Kind, Values, encode_rows
from app.store.event_kinds import IS_AUDITED, IS_LIMIT, IS_ORDER, IS_PROPOSAL, IS_RISK, MOVES_ACCOUNT
from app.store.latest_orders import latest_orders

SNAPSHOT_US = 60_000_000  # accounts are sampled at each full minute of the commands' time

Array = NDArray[np.void]


@dataclass
class Rows:
    """Rows of one table in COPY format."""

    table: str
    columns: tuple[str, ...]
    content: bytes
    count: int


@dataclass
class Projected:
    """Everything that one transaction writes.

    `history` and `new_orders` are added; `changed_orders`, `positions`, `accounts` and `instruments` replace
    existing rows by their key.
    """

    first_seq: int
    last_seq: int
    last_ts: int
    history: list[Rows] = field(default_factory=list)
    new_orders: Rows | None = None
    changed_orders: Rows | None = None
    positions: Rows | None = None
    accounts: list[tuple[object, ...]] = field(default_factory=list)
    instruments: list[tuple[object, ...]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        tables = [*self.history, self.new_orders, self.changed_orders, self.positions]
        return sum(rows.count for rows in tables if rows) + len(self.accounts) + len(self.instruments)


def project(batch: JournalBatch, replica: Replica) -> Projected:
    """Advance the replica by a batch; returns the changes in the database.

    No batch may span a multiple of SNAPSHOT_US. Raises RecoveryError.
    """
    projected = Projected(batch.first_seq, batch.last_seq, int(batch.commands["ts"][-1]))
    snapshot = _account_snapshot(replica, int(batch.commands["ts"][0]))
    replica.apply(batch)
    events = batch.events
    kinds = events["kind"]
    orders = events[IS_ORDER[kinds]]
    fills = events[(kinds == EventKind.ORDER_FILLED) | (kinds == EventKind.POSITION_SETTLED)]
    history = (
        snapshot,
        _order_events(orders),
        _fills(fills),
        _marks(events[kinds == EventKind.MARK_UPDATED]),
        *_administration(batch),
    )
    projected.history = [rows for rows in history if rows is not None]
    projected.new_orders, projected.changed_orders = _latest_orders(orders, batch.first_seq)
    projected.positions = _positions(fills, replica)
    _add_reference(projected, events, replica)
    return projected


def _rows(table: str, columns: list[Values]) -> Rows | None:
    count = len(columns[0].array)
    if not count:
        return None
    return Rows(table, tuple(column.name for column in columns), encode_rows(columns), count)


def _small(name: str, array: NDArray[np.generic]) -> Values:
    return Values(name, Kind.SMALLINT, array)


def _big(name: str, array: NDArray[np.generic]) -> Values:
    return Values(name, Kind.BIGINT, array)


def _key(events: Array) -> list[Values]:
    """Time, and number of the event."""
    return [
        Values("ts", Kind.TIMESTAMP, events["ts"]),
        _big("seq", events["seq"]),
        Values("event_index", Kind.INTEGER, events["index"]),
    ]


def _where(events: Array) -> list[Values]:
    return [
        Values("account_index", Kind.INTEGER, events["account"]),
        Values("symbol_index", Kind.INTEGER, events["symbol"]),
    ]


def _text_of_words(name: str, words: NDArray[np.generic]) -> Values:
    content = np.ascontiguousarray(words).view(np.uint8).reshape(len(words), 8 * words.shape[1])
    return Values(name, Kind.TEXT, content, content[:, 0] == 0)


def _same_named(events: Array, small: tuple[str, ...], big: tuple[str, ...]) -> list[Values]:
    """Columns with the names of their fields; `type`, `limit` and `observed` are words of SQL or near it."""
    names = {"type": "order_type", "limit": "limit_value", "observed": "observed_value"}
    columns = [_small(names.get(name, name), events[name]) for name in small]
    return columns + [_big(names.get(name, name), events[name]) for name in big]


_ORDER_SMALL = ("status", "code", "scope", "side", "type", "time_in_force", "flags")
_ORDER_BIG = ("order_id", "price", "stop_price", "quantity", "filled_quantity", "filled_notional")


def _order_events(events: Array) -> Rows | None:
    """Each as EVENT: in rows of ORDER_FILLED alone are `last_price` and `last_quantity` an execution's."""
    columns = [
        *_key(events),
        *_where(events),
        *_same_named(
            events,
            ("kind", *_ORDER_SMALL),
            (*_ORDER_BIG, "last_price", "last_quantity", "limit", "observed"),
        ),
        _text_of_words("client_order_id", events["client_order_id"]),
    ]
    return _rows("order_events", columns)


def _fills(events: Array) -> Rows | None:
    """Executions and settlements; a settlement has no order and is on the side that closes the position."""
    is_settled = events["kind"] == EventKind.POSITION_SETTLED
    fills, settled = events.view(records.FILL_EVENT), events.view(records.SETTLED_POSITION_EVENT)
    ended_by = np.where(settled["settled_quantity"] > 0, np.uint8(Side.SELL), np.uint8(Side.BUY))
    quantity = np.where(is_settled, np.abs(settled["settled_quantity"]), fills["last_quantity"])
    columns = [
        *_key(events),
        *_where(events),
        _small("side", np.where(is_settled, ended_by, fills["side"])),
        *_same_named(fills, ("liquidity",), ("order_id", "execution_id", "fee")),
        _big("price", np.where(is_settled, settled["settlement_price"], fills["last_price"])),
        _big("quantity", quantity),
        _big("position_quantity", np.where(is_settled, 0, fills["position_quantity"])),
        _big("position_entry_cost", np.where(is_settled, 0, fills["position_cost"])),
    ]
    return _rows("fills", columns)


def _marks(events: Array) -> Rows | None:
    columns = [
        *_key(events),
        Values("symbol_index", Kind.INTEGER, events["symbol"]),
        _big("price", events.view(records.MARK_EVENT)["mark"]),
    ]
    return _rows("marks", columns)


def _latest_orders(events: Array, first_seq: int) -> tuple[Rows | None, Rows | None]:
    """Each order as its last event shows it: those placed in this batch, and older ones."""
    latest = latest_orders(events)
    new = latest["order_id"] >> SLOT_BITS >= first_seq
    return order_rows(latest[new]), order_rows(latest[~new])


def order_rows(events: Array, updated: str = "ts") -> Rows | None:
    """Rows of `orders` from EVENT records, or ORDER records; `updated` is their field for the last change."""
    columns = [
        *_same_named(
            events,
            (*_ORDER_SMALL, "self_trade_prevention"),
            (*_ORDER_BIG, "seq", "limit", "observed"),
        ),
        *_where(events),
        Values("created_ts", Kind.TIMESTAMP, events["created_ts"]),
        Values("updated_ts", Kind.TIMESTAMP, events[updated]),
        Values("expire_ts", Kind.TIMESTAMP, events["expire_ts"], events["expire_ts"] == 0),
        _text_of_words("client_order_id", events["client_order_id"]),
    ]
    return _rows("orders", columns)


def _positions(fills: Array, replica: Replica) -> Rows | None:
    accounts = len(replica.engine.state.accounts)
    pairs = np.unique(fills["symbol"].astype(np.int64) * accounts + fills["account"])
    return position_rows(pairs[pairs >= 0], replica)


def position_rows(pairs: NDArray[np.int64], replica: Replica) -> Rows | None:
    """Rows of `positions`; `pairs` are indexes into the engine's array of them."""
    state = replica.engine.state
    accounts = len(state.accounts)
    records = state.positions[pairs]
    columns = [
        Values("account_index", Kind.INTEGER, pairs % accounts),
        Values("symbol_index", Kind.INTEGER, pairs // accounts),
        *(_big(name, records[name]) for name in ("quantity", "entry_cost", "realised", "fees")),
        _big("seq", np.full(len(pairs), replica.seq)),
    ]
    return _rows("positions", columns)


def _account_snapshot(replica: Replica, next_ts: int) -> Rows | None:
    """All accounts as the last minute left them, if the next command is of another one."""
    minute = replica.ts // SNAPSHOT_US
    if replica.seq == 0 or next_ts // SNAPSHOT_US == minute:
        return None
    state = replica.engine.state
    count = int(state.firm[0]["accounts"])
    accounts = state.accounts[:count]
    names = ("cash", "position_value", "exposure", "realised", "fees", "transferred", "open_orders")
    columns = [
        Values("ts", Kind.TIMESTAMP, np.full(count, (minute + 1) * SNAPSHOT_US)),
        _big("seq", np.full(count, replica.seq)),
        Values("account_index", Kind.INTEGER, np.arange(count)),
        *(_big(name, accounts[name]) for name in names),
        _big("equity", accounts["cash"] + accounts["position_value"]),
    ]
    return _rows("account_snapshots", columns)


def _administration(batch: JournalBatch) -> list[Rows | None]:
    """Changes by administrators, or refusals; with who asked for it, and the noted reason."""
    events = batch.events
    kinds = events["kind"]
    selected = {
        "risk_events": IS_RISK[kinds] | are_breaches(kinds, events["code"]),
        "limit_changes": IS_LIMIT[kinds],
        "audit_log": IS_AUDITED[kinds],
    }
    reasons = _reasons(events)
    result = []
    for table, mask in selected.items():
        chosen = events[mask]
        why = [
            _big("actor", _actors(batch, chosen)),
            _texts("reason", [reasons.get(place) for place in np.flatnonzero(mask).tolist()])
            if reasons
            else Values(
                "reason", Kind.TEXT, np.zeros((len(chosen), 1), np.uint8), np.ones(len(chosen), bool)
            ),
        ]
        result.append(_rows(table, [*_key(chosen), *_where(chosen), *_ADMINISTRATION[table](chosen), *why]))
    return result


def _actors(batch: JournalBatch, events: Array) -> NDArray[np.int64]:
    """Who asked for the command; for states and breakers, who set them: an order may trip a breaker."""
    actors: NDArray[np.int64] = batch.commands["actor"][events["seq"] - batch.first_seq]
    return np.where(IS_RISK[events["kind"]], events.view(records.STATE_EVENT)["actor"], actors)


def _limit_changes(events: Array) -> list[Values]:
    """Values of proposals lie where those of limit changes do; their number is the request's."""
    limits, proposals = events.view(records.LIMIT_EVENT), events.view(records.PROPOSAL_EVENT)
    number = np.where(IS_PROPOSAL[events["kind"]], proposals["request_id"], limits["override_id"])
    return [
        *_same_named(limits, ("kind", "scope", "limit_number"), ("old_value", "new_value", "version")),
        _big("number", number),
        Values("expires_ts", Kind.TIMESTAMP, limits["expires_ts"], limits["expires_ts"] == 0),
        _small("ended", limits["end"]),
    ]


def _audited(events: Array) -> list[Values]:
    """The engine's numbers as they are; of a settlement its price."""
    values, settlements = events.view(records.VALUE_EVENT), events.view(records.SETTLEMENT_EVENT)
    is_settled = events["kind"] == EventKind.SYMBOL_SETTLED
    return [
        *_same_named(events, ("kind", "code", "scope"), ()),
        _big("new_value", np.where(is_settled, settlements["settlement_price"], values["new_value"])),
        _big("old_value", values["old_value"]),
    ]


_ADMINISTRATION: dict[str, Callable[[Array], list[Values]]] = {
    "risk_events": lambda events: _same_named(
        events, ("kind", "code", "scope"), ("order_id", "limit", "observed")
    ),
    "limit_changes": _limit_changes,
    "audit_log": _audited,
}


def _reasons(events: Array) -> dict[int, str]:
    """By place of the event: the text of the notes before its command. A loop: notes are rare."""
    reasons = {}
    for place in np.flatnonzero(events["notes"]).tolist():
        count = int(events["notes"][place])
        first = place - int(events["index"][place])  # of the command's events, each with its number of notes
        notes = events[max(first - count, 0) : max(first, 0)].view(records.NOTE_EVENT)
        notes = notes[notes["kind"] == EventKind.NOTE_RECORDED]
        parts = [note["text"].tobytes()[: min(int(note["length"]), NOTE_BYTES)] for note in notes]
        reasons[place] = b"".join(parts).decode(errors="replace")
    return reasons


def _texts(name: str, texts: list[str | None]) -> Values:
    raw = [storable_text(text or "").encode() for text in texts]
    width = max((len(text) for text in raw), default=0) or 1
    content = np.frombuffer(b"".join(text.ljust(width, b"\0") for text in raw), np.uint8)
    null = np.array([text is None for text in texts], np.bool_)
    return Values(name, Kind.UNICODE, content.reshape(len(raw), width), null)


def _add_reference(projected: Projected, events: Array, replica: Replica) -> None:
    kinds = events["kind"]
    moved = MOVES_ACCOUNT[kinds] & (events["account"] >= 0)
    add_accounts(projected, np.unique(events["account"][moved]).tolist(), replica)
    changed = ((kinds == EventKind.INSTRUMENT_SET) | IS_RISK[kinds]) & (events["symbol"] >= 0)
    add_instruments(projected, np.unique(events["symbol"][changed]).tolist(), replica)


def add_accounts(projected: Projected, accounts: Iterable[int], replica: Replica) -> None:
    """Add the current rows of accounts, by their indexes."""
    state: State = replica.engine.state
    for account in accounts:
        record = state.accounts[account]
        projected.accounts.append(
            (
                account,
                text_of(record["name"]),
                int(record["leverage"]),
                int(record["cash"]),
                int(record["trading_state"]),
                replica.seq,
            )
        )


def add_instruments(projected: Projected, symbols: Iterable[int], replica: Replica) -> None:
    """Add the current rows of instruments, by their indexes."""
    state: State = replica.engine.state
    numbers = (
        "price_tick_e12",
        "quantity_step_e8",
        "min_quantity",
        "max_quantity",
        "min_notional",
        "maker_fee_ppm",
        "taker_fee_ppm",
        "status",
        "trading_state",
    )
    for symbol in symbols:
        record = state.instruments[symbol]
        projected.instruments.append(
            (
                symbol,
                text_of(record["name"]),
                text_of(record["base"]),
                text_of(record["quote"]),
                *(int(record[name]) for name in numbers),
                replica.seq,
            )
        )
