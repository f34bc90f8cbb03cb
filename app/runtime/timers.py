"""What is due because time has passed."""

from app.engine.reference import DAY_US
from app.engine.state import NO_SLOT, State
from app.engine.types import Limit, TradingState

NEVER = (1 << 62) - 1


def time_is_due(state: State, now: int) -> bool:
    """Whether an order expires, an override ends, or a UTC day begins. Asked in every tick, so cheap."""
    firm = state.firm[0]
    if 0 < int(firm["next_override_ts"]) <= now:
        return True
    root = int(firm["expiry_root"])
    if root != NO_SLOT and int(state.expiries[root]["key"]) <= now:
        return True
    return now - now % DAY_US > int(firm["day_start_ts"])


def sample_is_due(state: State, now: int) -> bool:
    model = state.risk_model[0]
    return now - now % int(model["interval_us"]) > int(model["sampled_ts"])


class TimeWatch:
    """Whether time has to enter the engine before anything else of a tick does.

    When a mark becomes overdue (`Limit.MARK_HALT_AGE`) is looked up by `look`, and then again once that
    moment has come: marks only become newer. A limit that is set or lowered is seen by the next `look`.
    """

    __slots__ = ("_overdue_after",)

    def __init__(self) -> None:
        self._overdue_after = NEVER

    def look(self, state: State, now: int) -> bool:
        """As `is_due`, from the state as it is; called every so often."""
        self._overdue_after = overdue_after(state)
        return self.is_due(state, now)

    def is_due(self, state: State, now: int) -> bool:
        """Whether there is something to do; asked in every tick."""
        if now > self._overdue_after:
            self._overdue_after = overdue_after(state)
        return now > self._overdue_after or time_is_due(state, now)


def overdue_after(state: State) -> int:
    """The last moment at which no symbol has to halt because its mark is too old; NEVER without a limit."""
    limits, instruments = state.symbol_limits, state.instruments
    limited = limits["set_mask"] >> Limit.MARK_HALT_AGE & 1 == 1
    if not limited.any():
        return NEVER
    awake = limited & (instruments["mark"] > 0) & (instruments["trading_state"] < TradingState.HALTED)
    ages = limits["value"][awake, Limit.MARK_HALT_AGE]
    return int((instruments["mark_ts"][awake] + ages).min(initial=NEVER))
