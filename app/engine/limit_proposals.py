"""Limit proposals: changes that one person proposes and another approves, the maker-checker rule.

The engine itself refuses a loosening that nobody else has approved, whatever the edge asks for. A
request may be several limits of a scope, or one override. It is decided as a whole, and is valid
only while the values that it replaces still stand and its time (a policy) is not over.
"""

from typing import Any

from app.engine.codes import Code
from app.engine.emission import emit, room_for_events
from app.engine.jit import inline
from app.engine.limit_changes import (
    emit_limits,
    emit_staged,
    is_stale,
    limits_of,
    own_value,
    put_request,
    refuse_change,
    reject,
    roll_back,
    stage,
)
from app.engine.limit_overrides import override_code, start_override
from app.engine.state import Array, State
from app.engine.types import ChangeStatus, EventKind, Policy


@inline
def _is_over(st: State, change: Any) -> bool:
    """Whether a pending proposal has waited too long."""
    lifetime_us = st.firm[0].policy[Policy.CHANGE_LIFETIME_US]
    return st.firm[0].ts > change.created_ts + lifetime_us


@inline
def _free_changes(st: State) -> int:
    """The number of free places: those never used, and those of decided or expired proposals."""
    count = 0
    for at in range(len(st.limit_changes)):
        change = st.limit_changes[at]
        count += change.number == 0 or change.status != ChangeStatus.PENDING or _is_over(st, change)
    return count


@inline
def _free_change(st: State) -> int:
    """A place that was never used, else that of the oldest decided or expired proposal."""
    found = -1
    for at in range(len(st.limit_changes)):
        change = st.limit_changes[at]
        if change.number == 0:
            return at
        free = change.status != ChangeStatus.PENDING or _is_over(st, change)
        if free and (found < 0 or change.number < st.limit_changes[found].number):
            found = at
    return found


@inline
def _proposal_code(st: State, i: int, limits: Array) -> int:
    c = st.values[i]
    firm = st.firm[0]
    if len(limits) == 0:
        return Code.INVALID_VALUE
    if is_stale(st, i, limits):
        return Code.STALE_VERSION
    code = put_request(st, limits, alone=False)
    if code != Code.NONE:
        return code
    roll_back(st, limits, firm.staged)
    for at in range(firm.staged):
        if st.staged[at].expires_ts != 0:
            if firm.staged > 1:
                return Code.INVALID_VALUE
            code = override_code(st, limits, st.staged[at])
    if code == Code.NONE and _free_changes(st) < firm.staged:
        code = Code.CHANGE_CAPACITY
    if code == Code.NONE and c.actor == 0:  # the system asks nobody
        code = Code.INVALID_VALUE
    return code


@inline
def _keep_proposal(st: State, i: int, at: int) -> None:
    """Store one staged change as a part of the newest request, and emit it."""
    firm = st.firm[0]
    c = st.values[i]
    staged = st.staged[at]
    change = st.limit_changes[_free_change(st)]
    firm.last_change += 1
    if at == 0:
        firm.last_request = firm.last_change
    change.number = firm.last_change
    change.request = firm.last_request
    change.status = ChangeStatus.PENDING
    change.scope = staged.scope
    change.account = staged.account
    change.symbol = staged.symbol
    change.limit = staged.limit
    change.value = staged.value
    change.old = staged.old
    change.expires_ts = staged.expires_ts
    change.maker = c.actor
    change.created_ts = firm.ts
    change.checker = 0
    change.decided_ts = 0
    written = emit(st, EventKind.CHANGE_PROPOSED)
    event = st.proposal_events[written]
    event.account = staged.account
    event.symbol = staged.symbol
    event.scope = staged.scope
    event.limit_number = staged.limit
    event.new_value = staged.value
    event.old_value = staged.old
    event.expires_ts = staged.expires_ts
    event.request_id = change.request
    event.notes = c.notes
    event.actor = c.actor


@inline
def propose_limit(st: State, i: int, fresh: bool) -> bool:
    """Propose changes that another must approve; False if it has to be resumed (see `app.engine.engine`)."""
    c = st.values[i]
    firm = st.firm[0]
    if fresh:
        if not stage(st, i):
            emit_staged(st, i)
            return True
        limits = limits_of(st, c.scope, c.account, c.symbol)
        code = _proposal_code(st, i, limits)
        if code != Code.NONE:
            firm.staged = 0
            refuse_change(st, i, limits, code)
            return True
        firm.progress = 1
    while firm.progress <= firm.staged:
        if room_for_events(st) < 1:
            return False
        _keep_proposal(st, i, firm.progress - 1)
        firm.progress += 1
    firm.staged = 0
    return True


@inline
def _decision_code(st: State, i: int, approves: bool) -> int:
    """Why a request cannot be decided; a request that can be approved is staged."""
    c = st.values[i]
    firm = st.firm[0]
    firm.staged = 0
    for at in range(len(st.limit_changes)):
        change = st.limit_changes[at]
        if c.number <= 0 or change.number == 0 or change.request != c.number:
            continue
        if change.status != ChangeStatus.PENDING:
            return Code.CHANGE_CLOSED
        if approves and change.maker == c.actor:
            return Code.MAKER_CANNOT_APPROVE
        limits = limits_of(st, change.scope, change.account, change.symbol)
        stands = own_value(st, limits, change) == change.old
        if approves and (_is_over(st, change) or not stands):
            return Code.CHANGE_STALE
        staged = st.staged[firm.staged]
        staged.scope = change.scope
        staged.account = change.account
        staged.symbol = change.symbol
        staged.limit = change.limit
        staged.value = change.value
        staged.expires_ts = change.expires_ts
        firm.staged += 1
    return Code.NONE if firm.staged > 0 else Code.UNKNOWN_CHANGE


@inline
def _put_approved(st: State, limits: Array) -> int:
    """Put the staged request in place; an override is only checked."""
    code = put_request(st, limits, alone=False)
    if code == Code.NONE and st.staged[0].expires_ts != 0:
        roll_back(st, limits, 1)
        code = override_code(st, limits, st.staged[0])
        if code == Code.INVALID_VALUE:
            code = Code.CHANGE_STALE  # its time was valid once
    return code


@inline
def _close(st: State, i: int, status: int, kind: int) -> None:
    """Store the decision and emit it."""
    c = st.values[i]
    for at in range(len(st.limit_changes)):
        change = st.limit_changes[at]
        if change.number != 0 and change.request == c.number:
            change.status = status
            change.checker = c.actor
            change.decided_ts = st.firm[0].ts
    at = emit(st, kind)
    event = st.proposal_events[at]
    event.request_id = c.number
    event.notes = c.notes
    event.actor = c.actor


@inline
def approve_change(st: State, i: int, fresh: bool) -> bool:
    """Approve a request as a whole; False if it has to be resumed (see `app.engine.engine`)."""
    c = st.values[i]
    firm = st.firm[0]
    first = st.staged[0]
    if fresh:
        code = _decision_code(st, i, approves=True)
        limits = limits_of(st, first.scope, first.account, first.symbol)
        if code == Code.NONE:
            code = _put_approved(st, limits)
        if code != Code.NONE:
            firm.staged = 0
            reject(st, i, code)
            return True
        if first.expires_ts == 0:
            limits[0].version += 1
        firm.progress = 1
    limits = limits_of(st, first.scope, first.account, first.symbol)
    if first.expires_ts == 0:
        if not emit_limits(st, i, limits):
            return False
    elif firm.progress == 1:
        start_override(st, limits, first, c.notes, c.actor)
        firm.progress = 2
    if room_for_events(st) < 1:
        return False
    firm.staged = 0
    _close(st, i, ChangeStatus.APPROVED, EventKind.CHANGE_APPROVED)
    return True


@inline
def reject_change(st: State, i: int) -> None:
    """Reject a request as a whole; its maker may do that too."""
    code = _decision_code(st, i, approves=False)
    st.firm[0].staged = 0
    if code != Code.NONE:
        reject(st, i, code)
        return
    _close(st, i, ChangeStatus.REJECTED, EventKind.CHANGE_REJECTED)
