"""Changes by administrators, decoded from events: the changed name, its old and its new value.

For a transfer the new value is the amount.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

from app.documents.limits import limit_text
from app.documents.risk_parameters import parameter_shown
from app.engine.types import EventKind, Limit, Permission, Policy, RiskParameter, TradingState
from app.runtime.event_views import (
    AccountEvent,
    BreakerEvent,
    ChangeEvent,
    LimitEvent,
    PermissionEvent,
    PolicyEvent,
    ProposalEvent,
    RiskModelEvent,
    StateEvent,
    TransferEvent,
)
from app.runtime.reference import money_text

# Changes of one limit.
LIMIT_KINDS = frozenset(
    (EventKind.LIMIT_SET, EventKind.OVERRIDE_SET, EventKind.OVERRIDE_ENDED, EventKind.CHANGE_PROPOSED)
)

Shown = str | int | None


class Changed(NamedTuple):
    """`name`: of the limit, rule, parameter or figure of an account; None where there is none."""

    name: str | None
    old: Shown
    new: Shown


def changed(event: ChangeEvent) -> Changed | None:
    """The change of an event, as names and decimal text; None for an event that changes no value."""
    kind = event.kind
    match event:
        case LimitEvent() | ProposalEvent():
            return changed_values(kind, event.limit_number, event.old_value, event.new_value)
        case RiskModelEvent():
            return changed_values(kind, event.parameter, event.old_value, event.new_value)
        case PolicyEvent():
            return changed_values(kind, event.policy, event.old_value, event.new_value)
        case PermissionEvent():
            return changed_values(kind, 0, event.old_permission, event.permission)
        case StateEvent() | BreakerEvent():
            return Changed(None, _name(TradingState, event.old_state), _name(TradingState, event.state))
        case TransferEvent():
            return changed_values(kind, 0, 0, event.amount)
        case AccountEvent():
            return changed_values(kind, 0, event.old_leverage, event.leverage)
    return None


def changed_values(kind: int, number: int, old: int, new: int) -> Changed | None:
    """The same, from the integers of a database row. `number`: of the limit, parameter or policy."""
    if kind in LIMIT_KINDS and number in _LIMITS:
        limit = Limit(number)
        return Changed(limit.name, limit_text(limit, old), limit_text(limit, new))
    if kind == EventKind.RISK_MODEL_SET and number in _PARAMETERS:
        parameter = RiskParameter(number)
        name, shown = parameter_shown(parameter, new)
        return Changed(name, parameter_shown(parameter, old)[1], shown)
    if kind == EventKind.POLICY_SET and number in _POLICIES:
        return Changed(Policy(number).name, old, new)
    if kind == EventKind.PERMISSION_SET:
        return Changed(None, _name(Permission, old), _name(Permission, new))
    if kind == EventKind.TRADING_STATE_SET:
        return Changed(None, _name(TradingState, old), _name(TradingState, new))
    if kind == EventKind.CASH_TRANSFERRED:
        return Changed("cash", None, money_text(new))
    if kind == EventKind.ACCOUNT_SET:
        return Changed("leverage", old or None, new)
    return None


_LIMITS = frozenset(int(limit) for limit in Limit)
_PARAMETERS = frozenset(int(parameter) for parameter in RiskParameter)
_POLICIES = frozenset(int(policy) for policy in Policy)


def _name(kind: Callable[[int], IntEnum], value: int) -> Shown:
    """The member's name, or the number if this version does not know it."""
    try:
        return kind(value).name
    except ValueError:
        return value
