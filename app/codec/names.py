"""Name tables for kernels that write JSON: enumerations, codes, accounts, instruments, as arrays."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.engine.codes import Code
from app.engine.types import Liquidity, OrderStatus, OrderType, Side, TimeInForce

NAME_BYTES = 40

# A text and its length. The quotes are part of it.
NAME = np.dtype([("size", "i8"), ("text", "u1", (NAME_BYTES + 8,))], align=True)

INSTRUMENT_TEXT = np.dtype(
    [
        ("size", "i8"),
        ("text", "u1", (NAME_BYTES + 8,)),
        ("price_unit", "i8"),  # one tick in 10**-price_decimals of the quote currency
        ("price_decimals", "i8"),
        ("quantity_unit", "i8"),
        ("quantity_decimals", "i8"),
    ],
    align=True,
)


def _names(texts: Sequence[str | None]) -> NDArray[np.void]:
    """JSON strings; null for None."""
    names = np.zeros(len(texts), NAME)
    for record, text in zip(names, texts, strict=True):
        _put(record, text)
    return names


def _put(record: np.void, text: str | None) -> None:
    raw = b"null" if text is None else f'"{text}"'.encode()
    record["size"] = len(raw)
    record["text"][: len(raw)] = np.frombuffer(raw, np.uint8)


def _by_value(
    members: type[Side | OrderType | TimeInForce | OrderStatus | Liquidity | Code],
) -> list[str | None]:
    names: list[str | None] = [None] * (max(members) + 1)
    for member in members:
        names[member] = member.name if member or members in (Side, OrderType, TimeInForce) else None
    return names


class NameTables(NamedTuple):
    """One row for each value, of dtype NAME; instruments are INSTRUMENT_TEXT."""

    enumerations: NDArray[np.void]  # all one after the other: see the offsets below
    accounts: NDArray[np.void]
    instruments: NDArray[np.void]


_ENUMERATIONS = [_by_value(kind) for kind in (Side, OrderType, TimeInForce, OrderStatus, Liquidity, Code)]
SIDES, TYPES, TIMES_IN_FORCE, STATUSES, LIQUIDITIES, CODES = (
    sum(map(len, _ENUMERATIONS[:index])) for index in range(len(_ENUMERATIONS))
)
_ENUMERATION_NAMES = _names([text for names in _ENUMERATIONS for text in names])


class InstrumentText(NamedTuple):
    """An instrument as text: one tick is `price_unit` in 10**-price_decimals, likewise one step."""

    symbol: str
    price_unit: int
    price_decimals: int
    quantity_unit: int
    quantity_decimals: int


def name_tables(accounts: Sequence[str], instruments: Sequence[InstrumentText]) -> NameTables:
    """Built again whenever reference data changes."""
    records = np.zeros(len(instruments), INSTRUMENT_TEXT)
    for record, instrument in zip(records, instruments, strict=True):
        _put(record, instrument.symbol)
        for name, value in instrument._asdict().items():
            if name != "symbol":
                record[name] = value
    return NameTables(_ENUMERATION_NAMES, _names(accounts), records)
