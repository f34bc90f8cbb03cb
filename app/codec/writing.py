"""Text writers for kernels: each function writes into a byte array at `at` and returns where the text ends.

Callers ensure that there is room.
"""

import numpy as np
from numpy.typing import NDArray

from app.engine.jit import inline

Bytes = NDArray[np.uint8]

_ZERO = np.uint64(48)
_TEN = np.uint64(10)
_POINT = 46
_MINUS = 45

DIGITS_MAX = 20
POWERS = np.array([10**digits for digits in range(19)], np.int64)


@inline
def put_bytes(out: Bytes, at: int, source: Bytes, start: int, end: int) -> int:
    for i in range(start, end):
        out[at] = source[i]
        at += 1
    return at


@inline
def put_number(out: Bytes, at: int, value: int) -> int:
    """A non-negative whole number."""
    size = 1
    rest = np.uint64(value)
    while rest >= _TEN:
        rest //= _TEN
        size += 1
    rest = np.uint64(value)
    for place in range(at + size - 1, at - 1, -1):
        out[place] = np.uint8(_ZERO + rest % _TEN)
        rest //= _TEN
    return at + size


@inline
def put_decimal(out: Bytes, at: int, value: int, decimals: int) -> int:
    """`value` in units of 10**-decimals, with all its decimals."""
    if value < 0:
        out[at] = _MINUS
        at += 1
        value = -value
    if decimals == 0:
        return put_number(out, at, value)
    scale = POWERS[decimals]
    at = put_number(out, at, value // scale)
    out[at] = _POINT
    rest = np.uint64(value % scale)
    for place in range(at + decimals, at, -1):
        out[place] = np.uint8(_ZERO + rest % _TEN)
        rest //= _TEN
    return at + decimals + 1


@inline
def put_short_decimal(out: Bytes, at: int, value: int, decimals: int) -> int:
    """As `put_decimal`, without trailing zeros, and without a trailing point."""
    at = put_decimal(out, at, value, decimals)
    if decimals == 0:
        return at
    while out[at - 1] == _ZERO:
        at -= 1
    return at - 1 if out[at - 1] == _POINT else at
