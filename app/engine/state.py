"""The engine's whole state: a few structured arrays. Kernels reach them by `app.engine.directory`."""

import contextlib
import hashlib
import mmap
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.engine.capacity import VERDICTS_MAX, Capacity
from app.engine.directory import define_view
from app.engine.records import (
    ACCOUNT,
    ACCOUNT_COMMAND,
    COMMAND,
    EVENT,
    FILL,
    FIRM,
    HEAP_NODE,
    INSTRUMENT,
    INSTRUMENT_COMMAND,
    LIMITS,
    ORDER,
    POSITION,
    REPORT_COMMAND,
    VALUE_COMMAND,
    VERDICT,
)

NO_SLOT = -1

_HUGE_PAGE = 1 << 21

SLOT_ENTRY = np.dtype("i8")  # see app.engine.hash_index

Array = NDArray[np.void]


class State(NamedTuple):
    """Structured arrays; dtypes are in `app.engine.records`, lengths in `Capacity`."""

    firm: Array  # one record
    accounts: Array
    instruments: Array
    positions: Array  # [symbol * accounts + account]
    firm_limits: Array  # one record
    account_limits: Array
    symbol_limits: Array
    account_symbol_limits: Array  # like positions
    orders: Array
    client_ids: NDArray[np.int64]  # hash table over orders
    fills: Array  # ring
    executions: NDArray[np.int64]  # hash table over fills
    triggers: Array  # heap nodes of waiting stops, by slot
    expiries: Array  # heap nodes of GTD orders, by slot
    # What goes in and comes out: not part of the state proper.
    commands: Array
    reports: Array  # the next three see the bytes of `commands`
    values: Array
    instrument_commands: Array
    account_commands: Array
    events: Array
    verdicts: Array  # [code] of the last check; see app.engine.risk
    candidate: Array  # one order record: what is being checked


DTYPES: dict[str, np.dtype[Any]] = {
    "firm": FIRM,
    "accounts": ACCOUNT,
    "instruments": INSTRUMENT,
    "positions": POSITION,
    "firm_limits": LIMITS,
    "account_limits": LIMITS,
    "symbol_limits": LIMITS,
    "account_symbol_limits": LIMITS,
    "orders": ORDER,
    "client_ids": SLOT_ENTRY,
    "fills": FILL,
    "executions": SLOT_ENTRY,
    "triggers": HEAP_NODE,
    "expiries": HEAP_NODE,
    "commands": COMMAND,
    "reports": REPORT_COMMAND,
    "values": VALUE_COMMAND,
    "instrument_commands": INSTRUMENT_COMMAND,
    "account_commands": ACCOUNT_COMMAND,
    "events": EVENT,
    "verdicts": VERDICT,
    "candidate": ORDER,
}
assert tuple(DTYPES) == State._fields

attach = define_view(State, DTYPES)

# The arrays that a snapshot saves and the state hash covers.
PERSISTENT = State._fields[: State._fields.index("commands")]


def _zeros(length: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Zeros whose memory is taken when it is first touched, in huge pages where the system has them.

    Orders and their index are reached at random, so a table in small pages would spend
    most of its time on address translation.
    """
    size = length * dtype.itemsize
    if size < _HUGE_PAGE:
        return np.zeros(length, dtype)
    # Private: shared anonymous memory is a file to the system, and gets no huge pages.
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without huge pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, dtype)


def allocate(capacity: Capacity) -> State:
    """Empty arrays of the sizes in `capacity`."""
    pairs = capacity.accounts * capacity.symbols
    lengths = {
        "firm": 1,
        "accounts": capacity.accounts,
        "instruments": capacity.symbols,
        "positions": pairs,
        "firm_limits": 1,
        "account_limits": capacity.accounts,
        "symbol_limits": capacity.symbols,
        "account_symbol_limits": pairs,
        "orders": capacity.orders,
        "client_ids": 2 * capacity.orders,
        "fills": capacity.fills,
        "executions": 2 * capacity.fills,
        "triggers": capacity.orders,
        "expiries": capacity.orders,
        "commands": capacity.commands,
        "events": capacity.events,
        "verdicts": VERDICTS_MAX,
        "candidate": 1,
    }
    arrays = {name: _zeros(length, DTYPES[name]) for name, length in lengths.items()}
    for name in ("reports", "values", "instrument_commands", "account_commands"):
        arrays[name] = arrays["commands"].view(DTYPES[name])
    state = State(**arrays)
    firm = state.firm[0]
    firm["closed_first"] = firm["closed_last"] = firm["expiry_root"] = firm["cursor"] = NO_SLOT
    firm["open_orders_max"] = capacity.open_orders
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
    used = {name: len(getattr(state, name)) for name in PERSISTENT}
    used |= {
        "accounts": int(firm["accounts"]),
        "account_limits": int(firm["accounts"]),
        "instruments": int(firm["symbols"]),
        "symbol_limits": int(firm["symbols"]),
        "positions": pairs,
        "account_symbol_limits": pairs,
        "orders": orders,
        "triggers": orders,
        "expiries": orders,
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
