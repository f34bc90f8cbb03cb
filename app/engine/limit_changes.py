"""Limit changes: one request, several limits of one scope, all of them or none.

The checks read `LIMITS.value`. While an override lasts, its value is there and the scope's own
waits in the override's record (`app.engine.limit_overrides`).

The parts of a request are consecutive commands. Each but the last (`remaining` 0) is only staged;
the last decides: all values are put in place, and rolled back if they are impossible together.
Larger values are looser, so a loosening is seen from the numbers; a first limit is a loosening too
if the account could not trade without one. With the maker-checker rule in force a loosening is
refused: it has to be proposed (`app.engine.limit_proposals`).
"""

from typing import Any

from app.engine.capacity import MONEY_MAX
from app.engine.codes import Code
from app.engine.emission import emit, room_for_events
from app.engine.jit import inline
from app.engine.limit_rules import contradicts, rule_code
from app.engine.limits import UNLIMITED, is_overridden, limit_in
from app.engine.positions import position_index
from app.engine.state import Array, State
from app.engine.types import EventKind, Limit, Policy, Scope

NO_LIMIT = -1

_LIMITS = len(Limit)
_UNKNOWN_LIMIT = 255


@inline
def reject(st: State, i: int, code: int) -> None:
    """Refuse a command that is not an order's."""
    command = st.commands[i]
    at = emit(st, EventKind.COMMAND_REJECTED)
    event = st.rejection_events[at]
    event.account = command.account
    event.symbol = command.symbol
    event.code = code


@inline
def refuse(st: State, i: int, code: int, limit: int, observed: int) -> int:
    """As `reject`, with the limit and the observed value; returns the event."""
    at = st.firm[0].event_count
    reject(st, i, code)
    event = st.rejection_events[at]
    event.limit = limit
    event.observed = observed
    return at


@inline
def limits_of(st: State, scope: int, account: int, symbol: int) -> Array:
    """The limits record of a scope, as an array that begins with it; empty if there is none."""
    known_account = 0 <= account < st.firm[0].accounts
    known_symbol = 0 <= symbol < st.firm[0].symbols
    if scope == Scope.FIRM:
        return st.firm_limits[0:]
    if scope == Scope.ACCOUNT and known_account:
        return st.account_limits[account:]
    if scope == Scope.SYMBOL and known_symbol:
        return st.symbol_limits[symbol:]
    if scope == Scope.ACCOUNT_SYMBOL and known_account and known_symbol:
        return st.account_symbol_limits[position_index(st, account, symbol) :]
    return st.firm_limits[:0]


@inline
def same_scope(one: Any, other: Any) -> bool:
    """Whether two records (of overrides or changes) are of the same scope."""
    if one.scope != other.scope:
        return False
    by_account = one.scope == Scope.ACCOUNT or one.scope == Scope.ACCOUNT_SYMBOL
    by_symbol = one.scope == Scope.SYMBOL or one.scope == Scope.ACCOUNT_SYMBOL
    return (not by_account or one.account == other.account) and (not by_symbol or one.symbol == other.symbol)


@inline
def find_override(st: State, change: Any) -> int:
    """The place of the override of the same limit of the same scope; -1 if there is none."""
    for at in range(len(st.overrides)):
        override = st.overrides[at]
        if override.number != 0 and override.limit == change.limit and same_scope(override, change):
            return at
    return -1


@inline
def own_value(st: State, limits: Array, change: Any) -> int:
    """The scope's own value of the limit, overrides left out; NO_LIMIT if it has none."""
    if is_overridden(limits, change.limit):
        return st.overrides[find_override(st, change)].own_value
    value = limit_in(limits, change.limit)
    return NO_LIMIT if value == UNLIMITED else value


@inline
def put(st: State, limits: Array, change: Any, value: int) -> None:
    """Set the value of the changed limit for the checks; NO_LIMIT removes it."""
    record = limits[0]
    bit = 1 << change.limit
    if value == NO_LIMIT:
        record.set_mask &= ~bit
        record.value[change.limit] = 0
    else:
        record.set_mask |= bit
        record.value[change.limit] = value
    if change.scope == Scope.ACCOUNT:
        st.accounts[change.account].limits_set = record.set_mask != 0


@inline
def put_own(st: State, limits: Array, change: Any, value: int) -> None:
    """Change the scope's own value; the checks see it unless an override is in its place."""
    if is_overridden(limits, change.limit):
        st.overrides[find_override(st, change)].own_value = value
    else:
        put(st, limits, change, value)


@inline
def loosens(limits: Array, change: Any, old: int, new: int) -> bool:
    if old == NO_LIMIT:
        return new != NO_LIMIT and change.scope == Scope.ACCOUNT and limits[0].set_mask == 0
    return new == NO_LIMIT or new > old


@inline
def needs_second_person(st: State, actor: int) -> bool:
    """Whether a person may not loosen a limit alone; the system itself may."""
    return st.firm[0].policy[Policy.MAKER_CHECKER] != 0 and actor != 0


# Requests.


@inline
def stage(st: State, i: int) -> bool:
    """Stage a part of a request; returns whether it is the last one. Notes may precede that one."""
    c = st.values[i]
    firm = st.firm[0]
    if firm.staged > 0 and firm.seq != firm.staged_seq + 1 + c.notes:
        firm.staged = 0
    at = min(firm.staged, len(st.staged) - 1)
    change = st.staged[at]
    change.scope = c.scope
    change.account = c.account
    change.symbol = c.symbol
    # One part too many is kept as an invalid one, so the whole request is refused.
    change.limit = c.code if c.code < _LIMITS and at == firm.staged else _UNKNOWN_LIMIT
    change.value = c.value if c.state else NO_LIMIT
    change.expires_ts = c.expires_ts
    if not 0 <= c.value <= MONEY_MAX:
        change.limit = _UNKNOWN_LIMIT
    firm.staged = at + 1
    firm.staged_seq = firm.seq
    return c.remaining <= 0


@inline
def emit_staged(st: State, i: int) -> None:
    at = emit(st, EventKind.LIMIT_STAGED)
    event = st.events[at]
    event.account = st.values[i].account
    event.symbol = st.values[i].symbol


@inline
def _part_code(st: State, at: int) -> int:
    """Why one part of the request is invalid by itself."""
    change = st.staged[at]
    last = st.staged[st.firm[0].staged - 1]
    if change.limit >= _LIMITS or not same_scope(change, last):
        return Code.INVALID_VALUE
    if change.value == NO_LIMIT:
        return Code.NONE
    return rule_code(change.scope, change.limit, change.value)


@inline
def roll_back(st: State, limits: Array, count: int) -> None:
    """Restore the values that the first `count` staged changes have replaced."""
    for back in range(count):
        change = st.staged[count - 1 - back]
        put_own(st, limits, change, change.old)


@inline
def put_request(st: State, limits: Array, alone: bool) -> int:
    """Put all staged values in place; Code.NONE, or why not: then nothing has changed.

    `alone`: loosening is refused.
    """
    count = st.firm[0].staged
    code: int = Code.NONE
    for at in range(count):
        if code == Code.NONE:
            code = _part_code(st, at)
    if code != Code.NONE:
        return code
    for at in range(count):
        change = st.staged[at]
        change.old = own_value(st, limits, change)
        if alone and loosens(limits, change, change.old, change.value):
            roll_back(st, limits, at)
            return Code.SECOND_PERSON_REQUIRED
        put_own(st, limits, change, change.value)
    for at in range(count):
        if st.staged[at].value != NO_LIMIT and contradicts(limits, st.staged[at].limit):
            roll_back(st, limits, count)
            return Code.LIMIT_CONTRADICTION
    return Code.NONE


@inline
def refuse_change(st: State, i: int, limits: Array, code: int) -> None:
    """As `reject`; for a stale version the event has the expected and the current one."""
    if code == Code.STALE_VERSION:
        refuse(st, i, code, st.values[i].expected_version - 1, limits[0].version)
    else:
        reject(st, i, code)


@inline
def is_stale(st: State, i: int, limits: Array) -> bool:
    expected = st.values[i].expected_version
    return expected != 0 and expected != limits[0].version + 1


@inline
def emit_limits(st: State, i: int, limits: Array) -> bool:
    """LIMIT_SET for each staged change, `progress` the next one's number; False if it has to be resumed."""
    firm = st.firm[0]
    c = st.values[i]
    while firm.progress <= firm.staged:
        if room_for_events(st) < 1:
            return False
        change = st.staged[firm.progress - 1]
        at = emit(st, EventKind.LIMIT_SET)
        event = st.limit_events[at]
        event.account = change.account
        event.symbol = change.symbol
        event.scope = change.scope
        event.limit_number = change.limit
        event.new_value = change.value
        event.old_value = change.old
        event.version = limits[0].version
        event.notes = c.notes
        event.actor = c.actor
        firm.progress += 1
    return True


@inline
def set_limit(st: State, i: int, fresh: bool) -> bool:
    """Set or remove limits of one scope; False if it has to be resumed (see `app.engine.engine`)."""
    c = st.values[i]
    firm = st.firm[0]
    limits = limits_of(st, c.scope, c.account, c.symbol)
    if fresh:
        if not stage(st, i):
            emit_staged(st, i)
            return True
        code: int = Code.NONE
        if len(limits) == 0 or c.expires_ts != 0:
            code = Code.INVALID_VALUE
        elif is_stale(st, i, limits):
            code = Code.STALE_VERSION
        else:
            code = put_request(st, limits, needs_second_person(st, c.actor))
        if code != Code.NONE:
            firm.staged = 0
            refuse_change(st, i, limits, code)
            return True
        limits[0].version += 1
        firm.progress = 1
    if not emit_limits(st, i, limits):
        return False
    firm.staged = 0
    return True
