"""What one tick of the loop gathers: commands and events, until the disk has them."""

import asyncio
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.engine.engine import Engine, stamp
from app.engine.records import COMMAND, EVENT
from app.engine.reference import DAY_US
from app.engine.state import NO_SLOT, State
from app.engine.types import CommandKind, EventKind
from app.runtime.outcomes import Waiter

_ROUTES = (
    EventKind.ORDER_ACCEPTED,
    EventKind.ORDER_TRIGGERED,
    EventKind.CANCEL_REQUESTED,
    EventKind.REPLACE_REQUESTED,
)
_NOT_ROUTES = bytes(kind for kind in range(256) if kind not in _ROUTES)
_KIND_OFFSET = EVENT.fields["kind"][1] if EVENT.fields else 0


class Tick(NamedTuple):
    """What waits for the disk."""

    last_seq: int
    events: bytes
    waiters: list[Waiter]
    barriers: list[asyncio.Future[None]]
    started_ns: int
    commands: int


class Pieces:
    """The commands and events of one tick, as they pile up."""

    __slots__ = ("clients_from", "commands", "events", "first_seq", "seq")

    def __init__(self, seq: int) -> None:
        self.seq = seq
        self.first_seq = seq + 1
        self.clients_from = 0
        self.commands: list[bytes] = []
        self.events: list[bytes] = []

    def apply(self, engine: Engine, commands: NDArray[np.void], now: int) -> bytes:
        """Give commands their numbers and time, and apply them; the EVENT records they cause."""
        stamp(commands, self.seq + 1, now)
        self.seq += len(commands)
        events = engine.process(commands).tobytes()
        self.commands.append(commands.tobytes())
        self.events.append(events)
        return events


def has_routes(events: bytes) -> bool:
    """Whether any of these EVENT records is an order to the venue."""
    return bool(events[_KIND_OFFSET :: EVENT.itemsize].translate(None, _NOT_ROUTES))


def event_records(events: bytes) -> NDArray[np.void]:
    """As an array that may be written to: what the venue's kernels are compiled for."""
    return np.frombuffer(bytearray(events), EVENT)


def mark_commands(marks: dict[int, int]) -> NDArray[np.void]:
    commands = np.zeros(len(marks), COMMAND)
    commands["kind"] = CommandKind.UPDATE_MARK
    commands["account"] = -1
    commands["symbol"] = list(marks)
    commands["price"] = list(marks.values())
    return commands


def timer_commands(state: State, now: int, *, marked: bool) -> list[NDArray[np.void]]:
    """What is due: ADVANCE_TIME, SAMPLE_MARKS. Marks are sampled once there are any."""
    due = []
    if _time_is_due(state, now):
        due.append(_timer_command(CommandKind.ADVANCE_TIME))
    model = state.risk_model[0]
    if marked and now - now % int(model["interval_us"]) > int(model["sampled_ts"]):
        due.append(_timer_command(CommandKind.SAMPLE_MARKS))
    return due


def _timer_command(kind: CommandKind) -> NDArray[np.void]:
    command = np.zeros(1, COMMAND)
    command["kind"] = kind
    command["account"] = command["symbol"] = -1
    return command


def _time_is_due(state: State, now: int) -> bool:
    """Whether an order expires or a UTC day begins."""
    firm = state.firm[0]
    root = int(firm["expiry_root"])
    if root != NO_SLOT and int(state.expiries[root]["key"]) <= now:
        return True
    return now - now % DAY_US > int(firm["day_start_ts"])
