"""The engine's whole state: a few structured arrays, and how kernels reach them.

A kernel call pays for each array argument, so kernels take one: `directory`,
the addresses and lengths of all the others. `attach` makes arrays of them
again, inside the kernel, at no cost.
"""

import hashlib
from typing import Any, NamedTuple

import numba
import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

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
)
from app.engine.capacity import Capacity
from app.engine.jit import inline

NO_SLOT = -1

WORD = np.dtype("u8")

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
    client_ids: NDArray[np.uint64]  # hash table over orders
    fills: Array  # ring
    executions: NDArray[np.uint64]  # hash table over fills
    triggers: Array  # heap nodes of waiting stops, by slot
    expiries: Array  # heap nodes of GTD orders, by slot
    # What goes in and comes out: not part of the state proper.
    commands: Array
    reports: Array  # the next three see the bytes of `commands`
    values: Array
    instrument_commands: Array
    account_commands: Array
    events: Array


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
    "client_ids": WORD,
    "fills": FILL,
    "executions": WORD,
    "triggers": HEAP_NODE,
    "expiries": HEAP_NODE,
    "commands": COMMAND,
    "reports": REPORT_COMMAND,
    "values": VALUE_COMMAND,
    "instrument_commands": INSTRUMENT_COMMAND,
    "account_commands": ACCOUNT_COMMAND,
    "events": EVENT,
}
assert tuple(DTYPES) == State._fields

# The arrays that a snapshot saves and the state hash covers.
PERSISTENT = State._fields[: State._fields.index("commands")]


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
    }
    arrays = {name: np.zeros(length, DTYPES[name]) for name, length in lengths.items()}
    for name in ("reports", "values", "instrument_commands", "account_commands"):
        arrays[name] = arrays["commands"].view(DTYPES[name])
    state = State(**arrays)
    firm = state.firm[0]
    firm["closed_first"] = firm["closed_last"] = firm["expiry_root"] = firm["cursor"] = NO_SLOT
    for name in ("first_open", "last_open"):
        state.accounts[name] = NO_SLOT
    for name in ("buy_trigger_root", "sell_trigger_root"):
        state.instruments[name] = NO_SLOT
    return state


def directory_of(state: State) -> NDArray[np.int64]:
    """Address and length of each array, for `attach`. Valid while `state` is alive."""
    pairs = [(array.ctypes.data, len(array)) for array in state]
    return np.array(pairs, dtype=np.int64).ravel()


@intrinsic
def _pointer(_typing_context: Any, address: Any) -> Any:
    """An integer address as a `void *`."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), generate


@inline
def _array(directory, index, dtype):  # type: ignore[no-untyped-def]
    shape = (directory[2 * index + 1],)
    return numba.carray(_pointer(directory[2 * index]), shape, dtype)


@inline
def attach(directory: NDArray[np.int64]) -> State:
    """The arrays behind a directory; for kernels."""
    return State(
        _array(directory, 0, FIRM),
        _array(directory, 1, ACCOUNT),
        _array(directory, 2, INSTRUMENT),
        _array(directory, 3, POSITION),
        _array(directory, 4, LIMITS),
        _array(directory, 5, LIMITS),
        _array(directory, 6, LIMITS),
        _array(directory, 7, LIMITS),
        _array(directory, 8, ORDER),
        _array(directory, 9, WORD),
        _array(directory, 10, FILL),
        _array(directory, 11, WORD),
        _array(directory, 12, HEAP_NODE),
        _array(directory, 13, HEAP_NODE),
        _array(directory, 14, COMMAND),
        _array(directory, 15, REPORT_COMMAND),
        _array(directory, 16, VALUE_COMMAND),
        _array(directory, 17, INSTRUMENT_COMMAND),
        _array(directory, 18, ACCOUNT_COMMAND),
        _array(directory, 19, EVENT),
    )


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
    for name, length in used_lengths(state).items():
        digest.update(np.ascontiguousarray(getattr(state, name)[:length]).view(np.uint8).data)
    return digest.hexdigest()
