"""Timers: what is due because time has passed."""

import numpy as np
from numpy.typing import NDArray

from app.engine.records import field_offset
from app.engine.reference import DAY_US
from app.engine.state import NO_SLOT, State
from app.engine.state_records import FIRM, HEAP_NODE
from app.engine.types import Limit, TradingState

NEVER = (1 << 62) - 1

_WORD = np.dtype(np.int64).itemsize


def _word_of(record: np.dtype[np.void], field: str) -> int:
    """The index of a field's word in the record."""
    return field_offset(record, field) // _WORD


_NEXT_OVERRIDE, _EXPIRY_ROOT, _DAY_START = (
    _word_of(FIRM, name) for name in ("next_override_ts", "expiry_root", "day_start_ts")
)
_KEY = _word_of(HEAP_NODE, "key")
_NODE_WORDS = HEAP_NODE.itemsize // _WORD


def _words(records: NDArray[np.void]) -> memoryview:
    """Records as whole numbers: reading one takes a tenth of the time of a record's field."""
    return records.view(np.int64).data


def sample_is_due(state: State, now: int) -> bool:
    model = state.risk_model[0]
    return now - now % int(model["interval_us"]) > int(model["sampled_ts"])


class TimeWatch:
    """Whether time has to enter the engine first in a tick.

    The moment when a mark becomes overdue (`Limit.MARK_HALT_AGE`) is computed by `look`, and again once it
    has come: marks only become newer. A limit that is set or lowered takes effect at the next `look`.
    """

    __slots__ = ("_expiries", "_firm", "_overdue_after", "_state")

    def __init__(self, state: State) -> None:
        self._state = state
        self._firm = _words(state.firm)
        self._expiries = _words(state.expiries)
        self._overdue_after = NEVER

    def look(self, now: int) -> bool:
        """As `is_due`, from the current state; called periodically."""
        self._overdue_after = overdue_after(self._state)
        return self.is_due(now)

    def is_due(self, now: int) -> bool:
        """Whether a mark is overdue, an order expires, an override ends, or a UTC day begins.

        Called in every tick, so it is cheap.
        """
        if now > self._overdue_after:
            self._overdue_after = overdue_after(self._state)
            if now > self._overdue_after:
                return True
        firm = self._firm
        if 0 < firm[_NEXT_OVERRIDE] <= now:
            return True
        root = firm[_EXPIRY_ROOT]
        if root != NO_SLOT and self._expiries[root * _NODE_WORDS + _KEY] <= now:
            return True
        return bool(now - now % DAY_US > firm[_DAY_START])


def overdue_after(state: State) -> int:
    """The last moment at which no symbol has to halt because its mark is too old; NEVER without a limit."""
    limits, instruments = state.symbol_limits, state.instruments
    limited = limits["set_mask"] >> Limit.MARK_HALT_AGE & 1 == 1
    if not limited.any():
        return NEVER
    awake = limited & (instruments["mark"] > 0) & (instruments["trading_state"] < TradingState.HALTED)
    ages = limits["value"][awake, Limit.MARK_HALT_AGE]
    return int((instruments["mark_ts"][awake] + ages).min(initial=NEVER))
