"""Breaches: refusals for a limit, a trading state or a permission.

A fault of the request itself (a price off the grid, an unknown order) concerns its sender alone.
The log in memory, the stream and the database all ask here, so a refusal is in all of them or in
none.
"""

import numpy as np
from numpy.typing import NDArray

from app.engine.codes import Code
from app.engine.types import EventKind

# An order, an amendment or a cancel that was refused.
REFUSED_REQUESTS = frozenset(
    (EventKind.ORDER_REJECTED, EventKind.REPLACE_REJECTED, EventKind.CANCEL_REJECTED)
)

# REDUCE_ONLY is among them: what an order may be while trading is restricted is held by it.
BREACH_CODES = frozenset(
    (
        Code.TRADING_HALTED,
        Code.REDUCING_ONLY,
        Code.LIMITS_NOT_SET,
        Code.SYMBOL_RESTRICTED,
        Code.REDUCE_ONLY,
        *(code for code in Code if Code.ORDER_RATE <= code < Code.ORDER_CAPACITY),
    )
)

_CODES = 1 << 16
_IS_REFUSED = np.zeros(256, np.bool_)
_IS_REFUSED[list(REFUSED_REQUESTS)] = True
_IS_BREACH_CODE = np.zeros(_CODES, np.bool_)
_IS_BREACH_CODE[list(BREACH_CODES)] = True


def is_breach(kind: int, code: int) -> bool:
    """Whether an event of this kind and code is a breach."""
    return kind in REFUSED_REQUESTS and code in BREACH_CODES


def are_breaches(kinds: NDArray[np.uint8], codes: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """The same for many events at once."""
    found: NDArray[np.bool_] = _IS_REFUSED[kinds] & _IS_BREACH_CODE[codes]
    return found
