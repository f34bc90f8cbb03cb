"""Overrides: another value of a limit that applies for a while and ends by itself.

Each limit of each scope has at most one. When its time is over, the first command that
advances time (ADVANCE_TIME) ends it.
"""

from typing import Any

from app.engine.codes import Code
from app.engine.emission import emit, room_for_events
from app.engine.jit import inline
from app.engine.limit_changes import (
    is_stale,
    limits_of,
    loosens,
    needs_second_person,
    own_value,
    put,
    put_request,
    refuse_change,
    reject,
    roll_back,
    stage,
)
from app.engine.limits import is_overridden
from app.engine.state import Array, State
from app.engine.types import EventKind, OverrideEnd

OVERRIDE_US_MAX = 30 * 86_400_000_000


@inline
def free_override(st: State) -> int:
    """A place for an override; -1 if there is none."""
    for at in range(len(st.overrides)):
        if st.overrides[at].number == 0:
            return at
    return -1


@inline
def override_code(st: State, limits: Array, change: Any) -> int:
    """Why the one staged change is not possible as an override now."""
    now = st.firm[0].ts
    if change.value < 0 or not now < change.expires_ts <= now + OVERRIDE_US_MAX:
        return Code.INVALID_VALUE
    if is_overridden(limits, change.limit):
        return Code.OVERRIDE_EXISTS
    if free_override(st) < 0:
        return Code.OVERRIDE_CAPACITY
    return Code.NONE


@inline
def start_override(st: State, limits: Array, change: Any, notes: int, actor: int) -> None:
    """There must be room. The old value in OVERRIDE_SET is the scope's own (NO_LIMIT: none)."""
    firm = st.firm[0]
    record = limits[0]
    own = own_value(st, limits, change)
    firm.last_override += 1
    override = st.overrides[free_override(st)]
    override.number = firm.last_override
    override.scope = change.scope
    override.account = change.account
    override.symbol = change.symbol
    override.limit = change.limit
    override.value = change.value
    override.own_value = own
    override.expires_ts = change.expires_ts
    override.created_ts = firm.ts
    override.actor = actor
    record.override_mask |= 1 << change.limit
    record.version += 1
    put(st, limits, change, change.value)
    if firm.next_override_ts == 0 or change.expires_ts < firm.next_override_ts:
        firm.next_override_ts = change.expires_ts
    at = emit(st, EventKind.OVERRIDE_SET)
    event = st.limit_events[at]
    event.account = change.account
    event.symbol = change.symbol
    event.scope = change.scope
    event.limit_number = change.limit
    event.new_value = change.value
    event.old_value = own
    event.expires_ts = change.expires_ts
    event.version = record.version
    event.override_id = override.number
    event.notes = notes
    event.actor = actor


@inline
def set_override(st: State, i: int) -> None:
    """Let another value apply until `expires_ts`; a request of one limit."""
    c = st.values[i]
    firm = st.firm[0]
    firm.staged = 0
    stage(st, i)
    limits = limits_of(st, c.scope, c.account, c.symbol)
    code: int = Code.NONE
    if len(limits) == 0:
        code = Code.INVALID_VALUE
    elif is_stale(st, i, limits):
        code = Code.STALE_VERSION
    change = st.staged[0]
    if code == Code.NONE:
        code = put_request(st, limits, needs_second_person(st, c.actor))
        if code == Code.NONE:  # valid as a value; now as an override
            roll_back(st, limits, 1)
            code = override_code(st, limits, change)
    firm.staged = 0
    if code != Code.NONE:
        refuse_change(st, i, limits, code)
        return
    start_override(st, limits, change, c.notes, c.actor)


@inline
def _end(st: State, at: int, how: int, notes: int, actor: int) -> None:
    """The new value in OVERRIDE_ENDED is the one that applies again."""
    override = st.overrides[at]
    limits = limits_of(st, override.scope, override.account, override.symbol)
    record = limits[0]
    record.override_mask &= ~(1 << override.limit)
    record.version += 1
    put(st, limits, override, override.own_value)
    written = emit(st, EventKind.OVERRIDE_ENDED)
    event = st.limit_events[written]
    event.account = override.account
    event.symbol = override.symbol
    event.scope = override.scope
    event.limit_number = override.limit
    event.end = how
    event.new_value = override.own_value
    event.old_value = override.value
    event.version = record.version
    event.override_id = override.number
    event.notes = notes
    event.actor = actor
    override.number = 0
    earliest = 0
    for other in range(len(st.overrides)):
        if st.overrides[other].number != 0:
            ts = st.overrides[other].expires_ts
            earliest = ts if earliest == 0 else min(earliest, ts)
    st.firm[0].next_override_ts = earliest


@inline
def end_override(st: State, i: int) -> None:
    """End an override before its time, by its number."""
    c = st.values[i]
    found = -1
    for at in range(len(st.overrides)):
        if c.number > 0 and st.overrides[at].number == c.number:
            found = at
    if found < 0:
        reject(st, i, Code.UNKNOWN_OVERRIDE)
        return
    override = st.overrides[found]
    limits = limits_of(st, override.scope, override.account, override.symbol)
    if needs_second_person(st, c.actor) and loosens(limits, override, override.value, override.own_value):
        reject(st, i, Code.SECOND_PERSON_REQUIRED)
        return
    _end(st, found, OverrideEnd.REMOVED, c.notes, c.actor)


@inline
def end_overrides_due(st: State) -> bool:
    """End expired overrides, earliest and then oldest first; False if it has to be resumed."""
    firm = st.firm[0]
    while firm.next_override_ts != 0 and firm.next_override_ts <= firm.ts:
        if room_for_events(st) < 1:
            return False
        found = -1
        for at in range(len(st.overrides)):
            override = st.overrides[at]
            if override.number != 0 and override.expires_ts == firm.next_override_ts:
                if found < 0 or override.number < st.overrides[found].number:
                    found = at
        _end(st, found, OverrideEnd.EXPIRED, 0, 0)
    return True
