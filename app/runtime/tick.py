"""What one tick of the loop gathers: commands and events, until the disk has them."""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.engine.engine import Engine, stamp
from app.engine.records import COMMAND, EVENT
from app.engine.reference import DAY_US
from app.engine.state import NO_SLOT, State
from app.engine.types import CommandKind, Limit, TradingState
from app.runtime.outcomes import Waiter
from app.venues.base import Venue


class Tick(NamedTuple):
    """What waits for the disk."""

    last_seq: int
    events: bytes
    waiters: list[Waiter]
    barriers: list[asyncio.Future[None]]
    started_ns: int
    commands: int


class Pieces:
    """The commands and events of one tick, as they pile up; all of them have the time `now`."""

    __slots__ = ("_engine", "_now", "_venue", "clients_from", "commands", "events", "first_seq", "seq")

    def __init__(self, engine: Engine, venue: Venue, seq: int, now: int) -> None:
        self._engine = engine
        self._venue = venue
        self._now = now
        self.seq = seq
        self.first_seq = seq + 1
        self.clients_from = 0
        self.commands: list[bytes] = []
        self.events: list[bytes] = []

    def apply(self, commands: bytes | memoryview) -> None:
        """Apply COMMAND records, then whatever the venue makes of them."""
        applied, events, routes = self._venue.apply(self._engine, commands, self.seq + 1, self._now)
        self._add(applied, events)
        if routes is not None:
            self.take_reports(self._venue.execute(routes))

    def take_reports(self, reports: Iterable[NDArray[np.void]]) -> None:
        """Apply what the venue reports; it may lead to further orders to the venue, and so on."""
        while True:
            caused = [self._take(batch) for batch in reports]
            if not caused:
                return
            # As an array that may be written to: what the venue's kernels are compiled for.
            reports = self._venue.execute(np.frombuffer(bytearray().join(caused), EVENT))

    def _take(self, reports: NDArray[np.void]) -> bytes:
        stamp(reports, self.seq + 1, self._now)
        events = self._engine.process(reports).tobytes()
        self._add(reports.tobytes(), events)
        return events

    def _add(self, commands: bytes, events: bytes) -> None:
        self.seq += len(commands) // COMMAND.itemsize
        self.commands.append(commands)
        self.events.append(events)


def mark_commands(marks: dict[int, int]) -> bytes:
    commands = np.zeros(len(marks), COMMAND)
    commands["kind"] = CommandKind.UPDATE_MARK
    commands["account"] = -1
    commands["symbol"] = list(marks)
    commands["price"] = list(marks.values())
    return commands.tobytes()


def timer_commands(state: State, now: int, *, marked: bool) -> list[bytes]:
    """What is due: ADVANCE_TIME, SAMPLE_MARKS. Marks are sampled once there are any."""
    due = []
    if _time_is_due(state, now):
        due.append(_timer_command(CommandKind.ADVANCE_TIME))
    model = state.risk_model[0]
    if marked and now - now % int(model["interval_us"]) > int(model["sampled_ts"]):
        due.append(_timer_command(CommandKind.SAMPLE_MARKS))
    return due


def _timer_command(kind: CommandKind) -> bytes:
    command = np.zeros(1, COMMAND)
    command["kind"] = kind
    command["account"] = command["symbol"] = -1
    return command.tobytes()


def _has_overdue_mark(state: State, now: int) -> bool:
    """Whether a symbol is to halt because its mark is too old (`Limit.MARK_HALT_AGE`)."""
    limits, instruments = state.symbol_limits, state.instruments
    limited = limits["set_mask"] >> Limit.MARK_HALT_AGE & 1 == 1
    if not limited.any():
        return False
    age_max = limits["value"][:, Limit.MARK_HALT_AGE]
    late = limited & (instruments["mark"] > 0) & (now - instruments["mark_ts"] > age_max)
    return bool((late & (instruments["trading_state"] < TradingState.HALTED)).any())


def _time_is_due(state: State, now: int) -> bool:
    """Whether an order expires, an override ends, a UTC day begins, or a mark has become too old."""
    firm = state.firm[0]
    if 0 < int(firm["next_override_ts"]) <= now:
        return True
    root = int(firm["expiry_root"])
    if root != NO_SLOT and int(state.expiries[root]["key"]) <= now:
        return True
    return now - now % DAY_US > int(firm["day_start_ts"]) or _has_overdue_mark(state, now)
