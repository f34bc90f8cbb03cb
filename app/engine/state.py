"""State of the engine: a few structured arrays. Kernels reach them by `app.engine.directory`."""

import contextlib
import hashlib
import mmap
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.engine.capacity import REQUEST_LIMITS_MAX, VERDICTS_MAX, Capacity
from app.engine.directory import define_view
from app.engine.records import (
    ACCOUNT_COMMAND,
    ACCOUNT_EVENT,
    BREAKER_EVENT,
    CANCEL_ALL_EVENT,
    COMMAND,
    EVENT,
    FILL_EVENT,
    INSTRUMENT_COMMAND,
    INSTRUMENT_EVENT,
    LIMIT_EVENT,
    MARK_EVENT,
    NEW_ORDER_EVENT,
    NOTE_COMMAND,
    NOTE_EVENT,
    PERMISSION_EVENT,
    POLICY_EVENT,
    PROPOSAL_EVENT,
    REJECTION_EVENT,
    REPLACE_EVENT,
    REPORT_COMMAND,
    RISK_MODEL_COMMAND,
    RISK_MODEL_EVENT,
    SAMPLE_EVENT,
    SETTLED_POSITION_EVENT,
    SETTLEMENT_EVENT,
    STATE_EVENT,
    TRANSFER_EVENT,
    VALUE_COMMAND,
)
from app.engine.state_records import (
    ACCOUNT,
    CACHE_LINE_BYTES,
    FILL,
    FIRM,
    HEAP_NODE,
    INSTRUMENT,
    LIMIT_CHANGE,
    LIMITS,
    MARK,
    MARKS,
    ORDER,
    OVERRIDE,
    PORTFOLIO,
    POSITION,
    REPEAT,
    RISK_MODEL,
    VERDICT,
)
from app.engine.types import Policy

NO_SLOT = -1

# 1 s, over ten minutes; value at risk of one day at 99 %.
RISK_MODEL_DEFAULTS = {
    "half_life": 600,
    "interval_us": 1_000_000,
    "horizon_us": 86_400_000_000,
    "z_e9": 2_326_347_874,
    "correlation_threshold_ppm": 700_000,
    "mark_age_us_max": 10_000_000,
    "samples_min": 30,
}

_HUGE_PAGE = 1 << 21

SLOT_ENTRY = np.dtype("i8")  # see app.engine.hash_index

FLOAT = np.dtype("f8")
INTEGER = np.dtype("i8")
LANES = 8  # rows of numbers are whole vectors of this many
SERIES_ROWS = 5
SAMPLE_ROWS = 4
BUCKETS_PER_REPEAT = 4  # so few others share one that hardly any order is compared with them

Array = NDArray[np.void]

_POLICY_DEFAULTS = {
    Policy.CHANGE_LIFETIME_US: 86_400_000_000,
    Policy.COLLAR_WINDOW_US: 60_000_000,
    Policy.REPEAT_WINDOW_US: 1_000_000,
    Policy.ORDER_TO_TRADE_FLOOR: 100,
    Policy.CANCEL_INCREASING: 1,
}


class State(NamedTuple):
    """Structured arrays; dtypes are in `app.engine.state_records`, lengths in `Capacity`."""

    firm: Array  # one record
    accounts: Array
    instruments: Array
    positions: Array  # [symbol * accounts + account]
    firm_limits: Array  # one record
    account_limits: Array
    symbol_limits: Array
    account_symbol_limits: Array  # like positions
    overrides: Array  # places, some free
    limit_changes: Array  # places, some free
    staged: Array  # the request that is being staged
    orders: Array
    closed: NDArray[np.int64]  # ring of the slots of closed orders, by age
    client_ids: NDArray[np.int64]  # hash table over orders
    fills: Array  # ring
    executions: NDArray[np.int64]  # hash table over fills
    triggers: Array  # heap nodes of waiting stops, by slot
    expiries: Array  # heap nodes of GTD orders, by slot
    risk_model: Array  # one record
    # Of the next ones a row is as long as `scales`: the symbols, rounded up.
    series: NDArray[np.float64]  # [row, symbol]; see app.engine.correlation
    scales: NDArray[np.float64]  # [symbol]: makes a covariance of an element of S; 0: not measured
    deviations: NDArray[np.float64]  # [symbol]: standard deviation, of one interval; 0: not measured
    statuses: NDArray[np.int64]  # [symbol]: `SeriesStatus`
    sums: NDArray[np.float64]  # [symbol, symbol]: S, its upper triangle
    covariance: NDArray[np.float64]  # [symbol, symbol], of one interval; 0: not measured
    apart: NDArray[np.int64]  # [symbol, symbol]: -1 where known to be correlated below the threshold
    portfolios: Array  # [0] the firm, [1 + account], two to explain with; see app.engine.portfolio
    exposures: NDArray[np.float64]  # [portfolio, symbol], signed
    products: NDArray[np.float64]  # [portfolio, symbol]
    exposures_apart: NDArray[np.int64]  # [portfolio, symbol]
    marks: Array  # [symbol * MARKS + number % MARKS]: recent marks, for PRICE_MOVE_BPS
    repeats: Array  # ring: recent orders, for MAX_REPEATED_ORDERS
    repeat_buckets: NDArray[np.int64]  # by hash: the newest of those that are alike
    # What goes in and comes out: not part of the state proper.
    commands: Array
    reports: Array  # the next five see the bytes of `commands`
    values: Array
    instrument_commands: Array
    account_commands: Array
    note_commands: Array
    risk_model_commands: Array
    events: Array  # as EVENT: those of orders
    note_events: Array  # the next ones see the bytes of `events` by the names of a kind
    new_order_events: Array
    replace_events: Array
    fill_events: Array
    rejection_events: Array
    cancel_all_events: Array
    mark_events: Array
    sample_events: Array
    instrument_events: Array
    account_events: Array
    transfer_events: Array
    permission_events: Array
    policy_events: Array
    risk_model_events: Array
    limit_events: Array
    proposal_events: Array
    state_events: Array
    breaker_events: Array
    settlement_events: Array
    settled_position_events: Array
    verdicts: Array  # [code] of the last check; see app.engine.risk
    candidate: Array  # one order record: what is being checked
    sample: NDArray[np.float64]  # [row, symbol]; see app.engine.correlation


DTYPES: dict[str, np.dtype[Any]] = {
    "firm": FIRM,
    "accounts": ACCOUNT,
    "instruments": INSTRUMENT,
    "positions": POSITION,
    "firm_limits": LIMITS,
    "account_limits": LIMITS,
    "symbol_limits": LIMITS,
    "account_symbol_limits": LIMITS,
    "overrides": OVERRIDE,
    "limit_changes": LIMIT_CHANGE,
    "staged": LIMIT_CHANGE,
    "orders": ORDER,
    "closed": SLOT_ENTRY,
    "client_ids": SLOT_ENTRY,
    "fills": FILL,
    "executions": SLOT_ENTRY,
    "triggers": HEAP_NODE,
    "expiries": HEAP_NODE,
    "risk_model": RISK_MODEL,
    "series": FLOAT,
    "scales": FLOAT,
    "deviations": FLOAT,
    "statuses": INTEGER,
    "sums": FLOAT,
    "covariance": FLOAT,
    "apart": INTEGER,
    "portfolios": PORTFOLIO,
    "exposures": FLOAT,
    "products": FLOAT,
    "exposures_apart": INTEGER,
    "marks": MARK,
    "repeats": REPEAT,
    "repeat_buckets": INTEGER,
    "commands": COMMAND,
    "reports": REPORT_COMMAND,
    "values": VALUE_COMMAND,
    "instrument_commands": INSTRUMENT_COMMAND,
    "account_commands": ACCOUNT_COMMAND,
    "note_commands": NOTE_COMMAND,
    "risk_model_commands": RISK_MODEL_COMMAND,
    "events": EVENT,
    "note_events": NOTE_EVENT,
    "new_order_events": NEW_ORDER_EVENT,
    "replace_events": REPLACE_EVENT,
    "fill_events": FILL_EVENT,
    "rejection_events": REJECTION_EVENT,
    "cancel_all_events": CANCEL_ALL_EVENT,
    "mark_events": MARK_EVENT,
    "sample_events": SAMPLE_EVENT,
    "instrument_events": INSTRUMENT_EVENT,
    "account_events": ACCOUNT_EVENT,
    "transfer_events": TRANSFER_EVENT,
    "permission_events": PERMISSION_EVENT,
    "policy_events": POLICY_EVENT,
    "risk_model_events": RISK_MODEL_EVENT,
    "limit_events": LIMIT_EVENT,
    "proposal_events": PROPOSAL_EVENT,
    "state_events": STATE_EVENT,
    "breaker_events": BREAKER_EVENT,
    "settlement_events": SETTLEMENT_EVENT,
    "settled_position_events": SETTLED_POSITION_EVENT,
    "verdicts": VERDICT,
    "candidate": ORDER,
    "sample": FLOAT,
}
assert tuple(DTYPES) == State._fields

attach = define_view(State, DTYPES)

_VIEWS = {
    "commands": State._fields[State._fields.index("reports") : State._fields.index("events")],
    "events": State._fields[State._fields.index("note_events") : State._fields.index("verdicts")],
}

# The arrays that a snapshot saves and the state hash covers.
PERSISTENT = State._fields[: State._fields.index("commands")]


def aligned_zeros(length: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Zeros that start at a cache line."""
    size = length * dtype.itemsize
    memory = np.zeros(size + CACHE_LINE_BYTES, np.uint8)
    first = -memory.ctypes.data % CACHE_LINE_BYTES
    return memory[first : first + size].view(dtype)


def zeros(length: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Zeros whose memory is taken when it is first touched, in huge pages where the system has them.

    Orders and their index are reached at random, so a table in small pages would spend
    most of its time on address translation.
    """
    size = length * dtype.itemsize
    if size < _HUGE_PAGE:
        return aligned_zeros(length, dtype)
    # Private: shared anonymous memory is a file to the system, and gets no huge pages.
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without huge pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, dtype)


def _lengths(capacity: Capacity) -> dict[str, int]:
    """The number of records of each array, by its name."""
    pairs = capacity.accounts * capacity.symbols
    row = -(-capacity.symbols // LANES) * LANES
    portfolios = capacity.accounts + 3
    return {
        "firm": 1,
        "accounts": capacity.accounts,
        "instruments": capacity.symbols,
        "positions": pairs,
        "firm_limits": 1,
        "account_limits": capacity.accounts,
        "symbol_limits": capacity.symbols,
        "account_symbol_limits": pairs,
        "overrides": capacity.overrides,
        "limit_changes": capacity.limit_changes,
        "staged": REQUEST_LIMITS_MAX,
        "orders": capacity.orders,
        "closed": capacity.orders,
        "client_ids": 2 * capacity.orders,
        "fills": capacity.fills,
        "executions": 2 * capacity.fills,
        "triggers": capacity.orders,
        "expiries": capacity.orders,
        "risk_model": 1,
        "series": SERIES_ROWS * row,
        "scales": row,
        "deviations": row,
        "statuses": row,
        "sums": row * row,
        "covariance": row * row,
        "apart": row * row,
        "portfolios": portfolios,
        "exposures": portfolios * row,
        "products": portfolios * row,
        "exposures_apart": portfolios * row,
        "marks": MARKS * capacity.symbols,
        "repeats": capacity.repeats,
        "repeat_buckets": BUCKETS_PER_REPEAT * capacity.repeats,
        "commands": capacity.commands,
        "events": capacity.events,
        "verdicts": VERDICTS_MAX,
        "candidate": 1,
        "sample": SAMPLE_ROWS * row,
    }


def allocate(capacity: Capacity) -> State:
    """Empty arrays of the sizes in `capacity`."""
    arrays = {name: zeros(length, DTYPES[name]) for name, length in _lengths(capacity).items()}
    for whole, names in _VIEWS.items():
        for name in names:
            arrays[name] = arrays[whole].view(DTYPES[name])
    state = State(**arrays)
    firm = state.firm[0]
    firm["expiry_root"] = firm["cursor"] = NO_SLOT
    firm["first_unsettled"] = firm["trim_account"] = firm["trim_slot"] = NO_SLOT
    firm["open_orders_max"] = capacity.open_orders
    firm["model_version"] = 1
    for name, value in RISK_MODEL_DEFAULTS.items():
        state.risk_model[0][name] = value
    for policy, value in _POLICY_DEFAULTS.items():
        firm["policy"][policy] = value
    for name in ("first_open", "last_open"):
        state.accounts[name] = NO_SLOT
    for name in ("rise_root", "fall_root"):
        state.instruments[name] = NO_SLOT
    return state


def used_lengths(state: State) -> dict[str, int]:
    """How many leading records of each persistent array have ever been written."""
    firm = state.firm[0]
    pairs = len(state.accounts) * int(firm["symbols"])
    orders = int(firm["orders_used"])
    row = len(state.scales)
    portfolios = int(firm["accounts"]) + 1
    used = {name: len(getattr(state, name)) for name in PERSISTENT}
    used |= {
        "accounts": int(firm["accounts"]),
        "account_limits": int(firm["accounts"]),
        "instruments": int(firm["symbols"]),
        "symbol_limits": int(firm["symbols"]),
        "positions": pairs,
        "account_symbol_limits": pairs,
        "overrides": min(int(firm["last_override"]), len(state.overrides)),
        "limit_changes": min(int(firm["last_change"]), len(state.limit_changes)),
        "orders": orders,
        "triggers": orders,
        "expiries": orders,
        "sums": row * int(firm["symbols"]),
        "covariance": row * int(firm["symbols"]),
        "apart": row * int(firm["symbols"]),
        "portfolios": portfolios,
        "exposures": row * portfolios,
        "products": row * portfolios,
        "exposures_apart": row * portfolios,
        "marks": MARKS * int(firm["symbols"]),
        "repeats": min(int(firm["repeats"]), len(state.repeats)),
        "fills": min(int(firm["fills"]), len(state.fills)),
    }
    return used


def state_hash(state: State) -> str:
    """Fingerprint of everything that decides the engine's future, as hexadecimal text."""
    digest = hashlib.blake2b(digest_size=16)
    firm = np.frombuffer(bytearray(state.firm.tobytes()), FIRM)  # a copy of the gaps between fields too
    firm["event_count"] = 0  # how the last batch was cut
    for name, length in used_lengths(state).items():
        array = firm if name == "firm" else getattr(state, name)
        digest.update(np.ascontiguousarray(array[:length]).view(np.uint8).data)
    return digest.hexdigest()
