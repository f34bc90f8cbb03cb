"""PostgreSQL's binary COPY format from arrays, without a Python loop over rows.

A row is: number of fields (int16), then of each field its length (int32, -1 for
NULL) and its bytes, all big-endian. Rows are laid out at their largest width as
one packed structured array; what a shorter text or a NULL does not need is then masked out.
"""

import struct
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
TRAILER = struct.pack(">h", -1)
POSTGRES_EPOCH_US = 946_684_800_000_000  # 2000-01-01 in microseconds since 1970

_QUESTION_MARK = ord("?")


class Kind(Enum):
    """A column's type in the database; the value is how it lies in a row."""

    SMALLINT = ">i2"
    INTEGER = ">i4"
    BIGINT = ">i8"
    TIMESTAMP = ">i8 ts"  # timestamptz, from microseconds since 1970
    TEXT = "text"  # of ASCII
    UNICODE = "unicode"  # of UTF-8, which the caller has made sure of


_TEXTS = (Kind.TEXT, Kind.UNICODE)


class Values(NamedTuple):
    """One column of a batch.

    `array`: integers; of texts bytes of shape (rows, width), padded with NUL. `null`: where NULL stands.
    """

    name: str
    kind: Kind
    array: NDArray[np.generic]
    null: NDArray[np.bool_] | None = None


def encode_rows(columns: list[Values]) -> bytes:
    """The rows of a batch without header and trailer. All columns are equally long."""
    count = len(columns[0].array)
    fields: list[tuple[str, str] | tuple[str, str, tuple[int, ...]]] = [("fields", ">i2")]
    for number, column in enumerate(columns):
        fields.append((f"length{number}", ">i4"))
        if column.kind in _TEXTS:
            fields.append((f"value{number}", "u1", (column.array.shape[1],)))
        else:
            fields.append((f"value{number}", column.kind.value[:3]))
    layout = np.dtype(fields)
    rows = np.empty(count, layout)
    rows["fields"] = len(columns)
    mask: NDArray[np.bool_] | None = None
    for number, column in enumerate(columns):
        lengths = _fill(rows, number, column)
        if lengths is not None:
            if mask is None:
                mask = np.ones((count, layout.itemsize), np.bool_)
            assert layout.fields is not None
            place, offset = layout.fields[f"value{number}"][:2]
            mask[:, offset : offset + place.itemsize] = np.arange(place.itemsize) < lengths[:, None]
    if mask is None:
        return rows.tobytes()
    return rows.view(np.uint8).reshape(count, layout.itemsize)[mask].tobytes()


def halves_of(content: bytes, count: int) -> tuple[bytes, bytes]:
    """The first `count // 2` rows, and the others. A Python loop: for rows that were refused."""
    at = 0
    for _ in range(count // 2):
        fields = int.from_bytes(content[at : at + 2], "big")
        at += 2
        for _ in range(fields):
            size = int.from_bytes(content[at : at + 4], "big", signed=True)
            at += 4 + max(size, 0)
    return content[:at], content[at:]


def _fill(rows: NDArray[np.void], number: int, column: Values) -> NDArray[np.int64] | None:
    """Write one column; the length of each of its values where they differ."""
    value = rows[f"value{number}"]
    lengths: NDArray[np.int64] | None = None
    if column.kind in _TEXTS:
        lengths = _text(value, column.array)
        if column.kind is Kind.TEXT:  # what is not printable ASCII would make the server refuse the batch
            value[(value < 32) | (value > 126)] = _QUESTION_MARK
    elif column.kind is Kind.TIMESTAMP:
        np.subtract(column.array, POSTGRES_EPOCH_US, out=value, casting="unsafe")
    else:
        value[:] = column.array
    size = value.dtype.itemsize if lengths is None else lengths
    rows[f"length{number}"] = size
    if column.null is not None:
        rows[f"length{number}"][column.null] = -1
        lengths = np.where(column.null, 0, size)
    return lengths


def _text(value: NDArray[np.uint8], content: NDArray[np.generic]) -> NDArray[np.int64]:
    """Copy texts; their lengths."""
    value[:] = content
    used = value != 0
    width = value.shape[1]
    lengths = np.where(used.any(axis=1), width - np.argmax(used[:, ::-1], axis=1), 0)
    return lengths.astype(np.int64)
