"""Commands of risk managers: limits, overrides, decisions, policies, and the reasons that go with them."""

from collections.abc import Mapping

from app.engine.records import NOTE_BYTES, NOTE_COMMAND, VALUE_COMMAND
from app.engine.types import CommandKind, Limit, Permission, Policy
from app.runtime.limit_scope import scope_of
from app.runtime.views import layout

# Of one reason; more is refused before it comes here.
NOTES_MAX = 12
REASON_BYTES_MAX = NOTES_MAX * NOTE_BYTES

_VALUE_LAYOUT = layout(VALUE_COMMAND)
_NOTE_LAYOUT = layout(NOTE_COMMAND)


def note_parts(reason: str, actor: int) -> list[bytes]:
    """NOTE commands with the text of a reason; they go directly before the command that it explains."""
    text = reason.encode()
    assert len(text) <= REASON_BYTES_MAX
    chunks = [text[first : first + NOTE_BYTES] for first in range(0, len(text), NOTE_BYTES)]
    kind = int(CommandKind.NOTE)
    return [_NOTE_LAYOUT.pack(0, 0, -1, -1, kind, len(chunk), chunk, actor) for chunk in chunks]


def _value_command(
    kind: CommandKind,
    actor: int,
    *,
    account: int | None = None,
    symbol: int | None = None,
    value: int = 0,
    expires_ts: int = 0,
    expected_version: int | None = None,
    number: int = 0,
    remaining: int = 0,
    code: int = 0,
    scope: int = 0,
    state: int = 0,
    notes: int = 0,
) -> bytes:
    return _VALUE_LAYOUT.pack(
        0,
        0,
        -1 if account is None else account,
        -1 if symbol is None else symbol,
        int(kind),
        value,
        expires_ts,
        0 if expected_version is None else expected_version + 1,
        number,
        remaining,
        code,
        scope,
        state,
        notes,
        actor,
    )


def change_limits(
    kind: CommandKind,
    account: int | None,
    symbol: int | None,
    values: Mapping[Limit, int | None],
    actor: int,
    reason: str,
    *,
    expected_version: int | None = None,
    expires_ts: int = 0,
) -> list[bytes]:
    """SET_LIMIT, PROPOSE_LIMIT or SET_OVERRIDE: one request, with its reason; None removes a limit.

    The last command has the outcome of the request.
    """
    parts = note_parts(reason, actor)
    commands = [
        _value_command(
            kind,
            actor,
            account=account,
            symbol=symbol,
            value=value or 0,
            expires_ts=expires_ts,
            expected_version=expected_version,
            remaining=len(values) - 1 - at,
            code=int(limit),
            scope=int(scope_of(account, symbol)),
            state=int(value is not None),
            notes=len(parts) if at == len(values) - 1 else 0,
        )
        for at, (limit, value) in enumerate(values.items())
    ]
    return [*commands[:-1], *parts, commands[-1]]


def decide(kind: CommandKind, number: int, actor: int, reason: str) -> list[bytes]:
    """APPROVE_CHANGE, REJECT_CHANGE or END_OVERRIDE, with its reason; the last command has the outcome."""
    parts = note_parts(reason, actor)
    return [*parts, _value_command(kind, actor, number=number, notes=len(parts))]


def set_permission(
    account: int, symbol: int | None, permission: Permission, actor: int, reason: str
) -> list[bytes]:
    """SET_PERMISSION of an account's symbol, or (None) of those that have none, with its reason."""
    parts = note_parts(reason, actor)
    command = _value_command(
        CommandKind.SET_PERMISSION,
        actor,
        account=account,
        symbol=symbol,
        scope=int(scope_of(account, symbol)),
        state=int(permission),
        notes=len(parts),
    )
    return [*parts, command]


def settle_symbol(symbol: int, price: int, actor: int, reason: str) -> list[bytes]:
    """SETTLE_SYMBOL at a price in ticks, with its reason; the last command has the outcome."""
    parts = note_parts(reason, actor)
    kind = CommandKind.SETTLE_SYMBOL
    return [*parts, _value_command(kind, actor, symbol=symbol, value=price, notes=len(parts))]


def set_policy(policy: Policy, value: int, actor: int) -> bytes:
    return _value_command(CommandKind.SET_POLICY, actor, code=int(policy), value=value)
