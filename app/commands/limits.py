"""Commands of risk managers: limits, overrides, and decisions on proposals.

Each is a list of records, the reason's first; the last one has the outcome of the request.
"""

from collections.abc import Mapping

from app.commands.notes import explained, note_parts
from app.commands.records import command
from app.commands.scopes import scope_fields
from app.engine.types import CommandKind, Limit


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
    """SET_LIMIT, PROPOSE_LIMIT or SET_OVERRIDE: one request, with its reason; None removes a limit."""
    notes = note_parts(reason, actor)
    commands = [
        command(
            kind,
            **scope_fields(account, symbol),
            code=limit,
            value=value or 0,
            state=value is not None,
            expires_ts=expires_ts,
            expected_version=0 if expected_version is None else expected_version + 1,
            remaining=remaining,
            notes=0 if remaining else len(notes),
            actor=actor,
        )
        for remaining, (limit, value) in zip(reversed(range(len(values))), values.items(), strict=True)
    ]
    return [*commands[:-1], *notes, commands[-1]]


def decide(kind: CommandKind, number: int, actor: int, reason: str) -> list[bytes]:
    """APPROVE_CHANGE, REJECT_CHANGE or END_OVERRIDE, with its reason."""
    return explained(kind, actor, reason, number=number)
