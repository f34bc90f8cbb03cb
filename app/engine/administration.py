"""Administration: commands of risk managers and administrators: limits, overrides, approvals, policies."""

from app.engine import limit_changes, limit_overrides, limit_proposals
from app.engine.capacity import MONEY_MAX
from app.engine.codes import Code
from app.engine.emission import emit
from app.engine.jit import inline
from app.engine.limit_changes import reject
from app.engine.settlement import settle_symbol
from app.engine.state import State
from app.engine.types import CommandKind, EventKind, Policy, Scope

_POLICIES = len(Policy)


@inline
def _largest(policy: int) -> int:
    switch = policy == Policy.MAKER_CHECKER or policy == Policy.CANCEL_INCREASING
    return 1 if switch else MONEY_MAX


@inline
def _set_policy(st: State, i: int) -> None:
    c = st.values[i]
    if c.code >= _POLICIES or not 0 <= c.value <= _largest(c.code):
        reject(st, i, Code.INVALID_VALUE)
        return
    firm = st.firm[0]
    at = emit(st, EventKind.POLICY_SET)
    event = st.policy_events[at]
    event.scope = Scope.FIRM
    event.policy = c.code
    event.new_value = c.value
    event.old_value = firm.policy[c.code]
    event.notes = c.notes
    event.actor = c.actor
    firm.policy[c.code] = c.value


@inline
def administer(st: State, i: int, fresh: bool) -> bool:
    """Apply one such command; False if it has to be resumed (see `app.engine.engine`)."""
    kind = st.commands[i].kind
    if kind == CommandKind.SET_LIMIT:
        return limit_changes.set_limit(st, i, fresh)
    if kind == CommandKind.SET_OVERRIDE:
        limit_overrides.set_override(st, i)
    elif kind == CommandKind.END_OVERRIDE:
        limit_overrides.end_override(st, i)
    elif kind == CommandKind.PROPOSE_LIMIT:
        return limit_proposals.propose_limit(st, i, fresh)
    elif kind == CommandKind.APPROVE_CHANGE:
        return limit_proposals.approve_change(st, i, fresh)
    elif kind == CommandKind.REJECT_CHANGE:
        limit_proposals.reject_change(st, i)
    elif kind == CommandKind.SETTLE_SYMBOL:
        return settle_symbol(st, i, fresh)
    elif kind == CommandKind.SET_POLICY:
        _set_policy(st, i)
    else:
        at = emit(st, EventKind.COMMAND_REJECTED)
        st.rejection_events[at].code = Code.INVALID_VALUE
    return True
