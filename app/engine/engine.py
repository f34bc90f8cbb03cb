"""The engine: commands in, events out, and nothing else changes trading state.

`Engine.process` is synchronous and pure: no clock, no randomness, no I/O. The
same commands give the same events and the same state on every run and in any
cut into batches.

Resuming a command

A command may leave more events than the buffer has room for. Then it stops, the caller takes the events
and calls again, and the command goes on where it stopped. Where it stopped shows in nothing: events and
state are the same for a buffer of any size (`tests/unit/engine/test_resume.py` tries every one).

1. A command begins only where there is room for EVENTS_PER_COMMAND_MAX events. What never leaves more
   returns nothing and needs none of this.
2. What may leave more returns whether it is done. It looks for room (`room_for_events`) before each step,
   never in one, and returns False where there is none: it has to be resumed. Whoever has called it returns
   False as well, up to `apply_commands`. When it is called again, it does no step a second time.
3. How far a command is stands in two numbers of FIRM. `progress` is 0 before the command is begun (it is
   `fresh`), and `_CARRIED_OUT` when only what follows from it is left. In between, both `progress` and
   `cursor` belong to the function that carries the command out: only it sets them, and says what they mean.
   `apply_commands` makes `progress` 1 where that function needs none, and sets both back, to 0 and NO_SLOT,
   when the command is done.
4. What follows from a command has no part in these two: it is noted elsewhere in FIRM, and worked off
   until nothing is left (`app.engine.consequences`).

Such functions carry out ADVANCE_TIME, CANCEL_ALL, CLOSE_POSITION, SET_TRADING_STATE, SET_RISK_MODEL,
SET_LIMIT, PROPOSE_LIMIT, APPROVE_CHANGE and SETTLE_SYMBOL.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.engine import (
    amends,
    cancels,
    correlation,
    executions,
    expiries,
    orders,
    reasons,
    reference,
    trading_state,
)
from app.engine.administration import administer
from app.engine.capacity import DEFAULT_CAPACITY, EVENTS_PER_COMMAND_MAX, Capacity
from app.engine.closing import close_position
from app.engine.codes import Code
from app.engine.consequences import finish_consequences
from app.engine.directory import directory_of
from app.engine.effect import NEW
from app.engine.emission import emit, room_for_events
from app.engine.jit import expand, force_inline, inline, kernel
from app.engine.limit_overrides import end_overrides_due
from app.engine.prefetch import AHEAD, THEN, prefetch_command, prefetch_neighbours
from app.engine.rates import lacking_token
from app.engine.records import COMMAND, EVENT
from app.engine.restrictions import start_trimming
from app.engine.risk import check_order
from app.engine.state import NO_SLOT, Array, State, allocate, attach
from app.engine.types import CommandKind, EventKind, Scope, StateFlag

# `FIRM.progress` of a command that is carried out, but for what follows from it.
_CARRIED_OUT = 1 << 60


@inline
def _advance_time(st: State, fresh: bool) -> bool:
    """Do what is due; False if it has to be resumed."""
    if fresh:
        reference.start_day(st)
    while True:
        if not finish_consequences(st):
            return False
        symbol = trading_state.overdue_symbol(st)
        if symbol == NO_SLOT:
            break
        if room_for_events(st) < EVENTS_PER_COMMAND_MAX:
            return False
        trading_state.halt_overdue(st, symbol)
    if not (end_overrides_due(st) and expiries.expire_orders(st)):
        return False
    if st.firm[0].event_index == 0:  # every command leaves a trace
        emit(st, EventKind.TIME_ADVANCED)
    return True


@inline
def _update_mark(st: State, i: int) -> None:
    symbol = st.commands[i].symbol
    if reference.update_mark(st, i):
        st.instruments[symbol].stops_due = 1
        st.firm[0].stops_due = 1
    st.firm[0].group_open = st.commands[i].more


@inline
def _set_state(st: State, i: int, fresh: bool) -> bool:
    """Set it, and cancel if requested; False if it has to be resumed."""
    if fresh and not trading_state.set_trading_state(st, i):
        return True
    return not st.commands[i].flags & StateFlag.CANCEL_OPEN or cancels.cancel_all(st, i)


@inline
def _set_permission(st: State, i: int) -> None:
    c = st.commands[i]
    if reference.set_permission(st, i):
        start_trimming(st, Scope.ACCOUNT if c.symbol < 0 else Scope.ACCOUNT_SYMBOL, c.account, c.symbol)


@expand
def _carry_out(st: State, i: int) -> bool:
    """Execute one command; False if it has to be resumed."""
    kind = st.commands[i].kind
    fresh = st.firm[0].progress == 0
    if kind == CommandKind.PLACE_ORDER:
        orders.place(st, i)
    elif kind == CommandKind.EXECUTION_REPORT:
        executions.apply_report(st, i)
    elif kind == CommandKind.CANCEL_ORDER:
        cancels.cancel(st, i)
    elif kind == CommandKind.AMEND_ORDER:
        amends.amend(st, i)
    elif kind == CommandKind.CANCEL_ALL:
        return cancels.cancel_all(st, i)
    elif kind == CommandKind.CLOSE_POSITION:
        return close_position(st, i, fresh)
    elif kind == CommandKind.UPDATE_MARK:
        _update_mark(st, i)
    elif kind == CommandKind.ADVANCE_TIME:
        return _advance_time(st, fresh)
    elif kind == CommandKind.SET_INSTRUMENT:
        reference.set_instrument(st, i)
    elif kind == CommandKind.SET_ACCOUNT:
        reference.set_account(st, i)
    elif kind == CommandKind.TRANSFER_CASH:
        reference.transfer_cash(st, i)
    elif kind == CommandKind.SET_TRADING_STATE:
        return _set_state(st, i, fresh)
    elif kind == CommandKind.SET_PERMISSION:
        _set_permission(st, i)
    elif kind == CommandKind.NOTE:
        reasons.record_note(st, i)
    elif kind == CommandKind.SAMPLE_MARKS:
        correlation.sample_marks(st)
    elif kind == CommandKind.SET_RISK_MODEL:
        return correlation.set_risk_model(st, i)
    else:
        return administer(st, i, fresh)
    return True


@expand
def _apply(st: State, i: int) -> bool:
    """Apply one command and what follows from it; False if it has to be resumed."""
    firm = st.firm[0]
    if firm.progress != _CARRIED_OUT:
        firm.group_open = 0
        if not _carry_out(st, i):
            return False
        firm.progress = _CARRIED_OUT
    return finish_consequences(st)


@force_inline
def stamp_commands(commands: Array, start: int, stop: int, first_seq: int, ts: int) -> None:
    """Number and time `commands[start:stop]`, given the number of `commands[0]`."""
    for i in range(start, stop):
        commands[i].seq = first_seq + i
        commands[i].ts = ts


@kernel
def stamp(commands: NDArray[np.void], first_seq: int, ts: int) -> None:
    """Give COMMAND records their sequence numbers, from `first_seq` on, and their time."""
    stamp_commands(commands, 0, len(commands), first_seq, ts)


@inline
def apply_commands(st: State, start: int, count: int) -> int:
    """Apply `State.commands[start:count]` as far as there is room for events; returns where it stopped."""
    firm = st.firm[0]
    for i in range(start, count):
        if room_for_events(st) < EVENTS_PER_COMMAND_MAX:
            return i
        if i + AHEAD < count:
            prefetch_command(st, i + AHEAD)
        if i + THEN < count:
            prefetch_neighbours(st, st.commands, i + THEN)
        if firm.progress == 0:
            firm.seq = st.commands[i].seq
            firm.ts = st.commands[i].ts
            firm.event_index = 0
        if not _apply(st, i):
            firm.progress = max(firm.progress, 1)
            return i
        firm.progress = 0
        firm.cursor = NO_SLOT
    return count


@kernel
def _process(directory: NDArray[np.int64], start: int, count: int) -> int:
    """`apply_commands` into an empty event buffer."""
    st = attach(directory)
    st.firm[0].event_count = 0
    return int(apply_commands(st, start, count))


@kernel
def _explain(directory: NDArray[np.int64], ts: int) -> int:
    """Check `State.commands[0]` as a new order without placing it; returns the code of the first refusal."""
    st = attach(directory)
    firm = st.firm[0]
    seq_now = firm.seq
    ts_now = firm.ts
    firm.ts = ts
    orders.load_candidate(st, 0)
    candidate = st.candidate[0]
    earlier, duplicate = orders.find_earlier(st)
    for at in range(len(st.verdicts)):
        st.verdicts[at].code = 0
    lacking = lacking_token(st, candidate.account) if candidate.account >= 0 else 0
    known = duplicate or earlier != NO_SLOT
    fault = st.commands[0].fault
    check_order(st, explain=True, how=NEW, fault=fault, duplicate=known, lacking=lacking)
    firm.seq = seq_now
    firm.ts = ts_now
    for at in range(len(st.verdicts)):
        if st.verdicts[at].code != 0 and not st.verdicts[at].passed:
            return st.verdicts[at].code
    return 0


class Verdict(NamedTuple):
    """The result of one check: the limit, the observed value, and the limit's scope."""

    code: Code
    passed: bool
    limit: int
    observed: int
    scope: Scope


class Engine:
    """Holds the state and applies commands to it.

    `input` and `output`: the bytes of `State.commands` and `State.events`.
    """

    def __init__(self, capacity: Capacity = DEFAULT_CAPACITY) -> None:
        self.capacity = capacity
        self.state: State = allocate(capacity)
        self.directory = directory_of(self.state)
        self._firm = self.state.firm[0]
        self.input = self.state.commands.view(np.uint8).data.cast("B")
        self.output = self.state.events.view(np.uint8).data.cast("B")

    def process(self, commands: NDArray[np.void]) -> NDArray[np.void]:
        """Apply COMMAND records, with `seq` and `ts` set, in order; returns the EVENT records they cause.

        The result is a view that is valid until the next call.
        """
        source = commands.tobytes()
        batches: list[bytes] = []  # as arrays, NumPy would copy them field by field
        for first in range(0, len(commands), self.capacity.commands):
            count = min(self.capacity.commands, len(commands) - first)
            begin = first * COMMAND.itemsize
            size = count * COMMAND.itemsize
            self.input[:size] = source[begin : begin + size]
            done = 0
            while done < count:
                done = _process(self.directory, done, count)
                events = self.state.events[: int(self._firm["event_count"])]
                if done == count and count == len(commands) and not batches:
                    return events
                batches.append(events.tobytes())
        return np.frombuffer(bytearray().join(batches), EVENT)

    def go_on(self, start: int, count: int) -> bytes:
        """Apply `State.commands[start:count]`, the first of which may be half done; the EVENT records."""
        batches = []
        while start < count:
            start = _process(self.directory, start, count)
            batches.append(bytes(self.output[: int(self._firm["event_count"]) * EVENT.itemsize]))
        return b"".join(batches)

    def first_refusal(self, command: NDArray[np.void], ts: int) -> int:
        """The code of the first check that would refuse a PLACE_ORDER command at `ts`; changes nothing."""
        self.state.commands[:1] = command[:1]
        return int(_explain(self.directory, ts))

    def explain(self, command: NDArray[np.void], ts: int) -> list[Verdict]:
        """The verdict of every check on a PLACE_ORDER command at time `ts`; changes nothing."""
        self.first_refusal(command, ts)
        found = self.state.verdicts[self.state.verdicts["code"] != 0]
        return [
            Verdict(
                Code(int(v["code"])),
                bool(v["passed"]),
                int(v["limit"]),
                int(v["observed"]),
                Scope(int(v["scope"])),
            )
            for v in found
        ]
