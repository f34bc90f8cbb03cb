"""Packer of the engine's commands: one record of 128 bytes, written by field names.

Fields, offsets and ranges of a kind are derived from its dtype in `app.engine.records`, so the two
cannot drift apart.
"""

import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, SupportsIndex

import numpy as np

from app.engine.records import (
    ACCOUNT_COMMAND,
    COMMAND,
    INSTRUMENT_COMMAND,
    NOTE_COMMAND,
    REPORT_COMMAND,
    RISK_MODEL_COMMAND,
    VALUE_COMMAND,
)
from app.engine.types import CommandKind
from app.runtime.views import field_names, is_text, layout

Value = int | bytes

# The kinds that are not here see their bytes through COMMAND.
_DTYPES: Mapping[int, np.dtype[np.void]] = {
    CommandKind.EXECUTION_REPORT: REPORT_COMMAND,
    CommandKind.SET_INSTRUMENT: INSTRUMENT_COMMAND,
    CommandKind.SET_ACCOUNT: ACCOUNT_COMMAND,
    CommandKind.TRANSFER_CASH: VALUE_COMMAND,
    CommandKind.SET_LIMIT: VALUE_COMMAND,
    CommandKind.NOTE: NOTE_COMMAND,
    CommandKind.SET_PERMISSION: VALUE_COMMAND,
    CommandKind.SET_POLICY: VALUE_COMMAND,
    CommandKind.SET_OVERRIDE: VALUE_COMMAND,
    CommandKind.END_OVERRIDE: VALUE_COMMAND,
    CommandKind.PROPOSE_LIMIT: VALUE_COMMAND,
    CommandKind.APPROVE_CHANGE: VALUE_COMMAND,
    CommandKind.REJECT_CHANGE: VALUE_COMMAND,
    CommandKind.SETTLE_SYMBOL: VALUE_COMMAND,
    CommandKind.SET_RISK_MODEL: RISK_MODEL_COMMAND,
}


def dtype_of(kind: int) -> np.dtype[np.void]:
    """The dtype through which a kind of command is read."""
    return _DTYPES.get(kind, COMMAND)


@dataclass(frozen=True, slots=True)
class _Record:
    """The packing of one dtype; the defaults are in the order that `pack` takes."""

    pack: Callable[..., bytes]
    defaults: dict[str, Value]
    text_sizes: tuple[tuple[str, int], ...]


def _record(dtype: np.dtype[np.void]) -> _Record:
    texts = {name: dtype[name].itemsize for name in field_names(dtype) if is_text(dtype[name])}
    defaults = {name: b"" if name in texts else 0 for name in field_names(dtype)}
    return _Record(layout(dtype).pack, defaults | {"account": -1, "symbol": -1}, tuple(texts.items()))


_RECORDS = {kind: _record(dtype) for kind, dtype in _DTYPES.items()}
_DEFAULT_RECORD = _record(COMMAND)


def command(kind: int, **fields: Value) -> bytes:
    """One command. Fields left out are 0 or an empty text; account and symbol are -1.

    Raises TypeError for a field that the kind does not have, ValueError for a value that does not fit.
    """
    record = _RECORDS.get(kind, _DEFAULT_RECORD)
    values = record.defaults | fields
    if len(values) > len(record.defaults):
        raise _unknown(kind, fields)
    values["kind"] = kind
    try:
        packed = record.pack(*values.values())
    except struct.error:
        raise _misfit(kind, values) from None
    for name, size in record.text_sizes:
        if len(values[name]) > size:  # type: ignore[arg-type]  # it has been packed as one
            raise _misfit(kind, values)
    return packed


def packer(kind: CommandKind, *names: str) -> Callable[..., bytes]:
    """A faster packer for a hot kind: a function of account, symbol, kind and these fields, in this order.

    The fields are in the record's order; the others are 0. A number that does not fit raises struct.error; a
    text that is too long is cut. Raises TypeError for a field that the kind does not have.
    """
    dtype = dtype_of(kind)
    if not set(names) <= set(field_names(dtype)):
        raise _unknown(kind, names)
    return layout(dtype, ("account", "symbol", "kind", *names)).pack


def _unknown(kind: int, names: Iterable[str]) -> TypeError:
    there = field_names(dtype_of(kind))
    unknown = ", ".join(sorted(name for name in names if name not in there))
    return TypeError(f"a {_kind_name(kind)} command has no {unknown}")


def _misfit(kind: int, values: Mapping[str, Value]) -> ValueError:
    """The error for the first value that does not fit."""
    dtype = dtype_of(kind)
    name = next(name for name, value in values.items() if not _fits(dtype[name], value))
    field = dtype[name]
    wanted = f"a text of up to {field.itemsize} bytes"
    if not is_text(field):
        bounds = np.iinfo(field)
        wanted = f"a whole number from {bounds.min} to {bounds.max}"
    return ValueError(f"{name} of a {_kind_name(kind)} command must be {wanted}: {values[name]!r}")


def _fits(field: np.dtype[Any], value: object) -> bool:
    if is_text(field):
        return isinstance(value, bytes | bytearray) and len(value) <= field.itemsize
    bounds = np.iinfo(field)
    return isinstance(value, SupportsIndex) and bounds.min <= value.__index__() <= bounds.max


def _kind_name(kind: int) -> str:
    return CommandKind(kind).name if kind in list(CommandKind) else str(kind)
