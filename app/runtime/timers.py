"""What is due because time has passed."""

from app.engine.reference import DAY_US
from app.engine.state import NO_SLOT, State
from app.engine.types import Limit, TradingState


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


def has_overdue_mark(state: State, now: int) -> bool:
    """Whether a symbol is to halt because its mark is too old (`Limit.MARK_HALT_AGE`)."""
    limits, instruments = state.symbol_limits, state.instruments
    limited = limits["set_mask"] >> Limit.MARK_HALT_AGE & 1 == 1
    if not limited.any():
        return False
    age_max = limits["value"][:, Limit.MARK_HALT_AGE]
    late = limited & (instruments["mark"] > 0) & (now - instruments["mark_ts"] > age_max)
    return bool((late & (instruments["trading_state"] < TradingState.HALTED)).any())
