"""Limit values of requests: converted into the engine's units and checked before they are sent to it."""

from collections.abc import Mapping

from app.documents.limits import AMOUNTS, limit_text
from app.documents.problems import Problem, invalid_field
from app.documents.schemas import Limits
from app.engine.limit_rules import CONTRADICTIONS, RULES
from app.engine.limits import UNLIMITED
from app.engine.types import Limit, Scope
from app.runtime.decimals import JsonNumber, decimal_text
from app.runtime.reference import INTEGER_MAX, MONEY
from app.runtime.state_reader import Record, limit_value

assert set(Limits.model_fields) == {limit.name for limit in Limit}


def limit_units(limit: Limit, value: str | int | JsonNumber) -> int:
    """A value of a request in the engine's unit. Raises Problem."""
    rule = RULES[limit]
    if rule.unit not in AMOUNTS:
        text = decimal_text(value)
        if not text.isdigit() or int(text) >= INTEGER_MAX:
            raise invalid_field(limit.name, "must be a whole number, and fit")
        units = int(text)
    else:
        try:
            units = MONEY.parse(decimal_text(value))
        except ValueError:
            raise invalid_field(limit.name, "must have at most 8 decimals and fit") from None
    if not rule.value_min <= units <= rule.value_max:
        least, most = limit_text(limit, rule.value_min), limit_text(limit, rule.value_max)
        raise Problem(422, "INVALID_VALUE", f"{limit.name} must be from {least} to {most}")
    return units


def limit_values(limits: Limits, scope: Scope) -> dict[Limit, int | None]:
    """The limits in a request, in the engine's units; None removes one. Raises Problem."""
    values: dict[Limit, int | None] = {}
    for name in sorted(limits.model_fields_set, key=lambda name: Limit[name]):
        limit, value = Limit[name], getattr(limits, name)
        check_scope(limit, scope)
        values[limit] = None if value is None else limit_units(limit, value)
    return values


# Names of scopes in the message that lists those that may carry a limit.
SCOPE_NAMES = {
    Scope.FIRM: "firm",
    Scope.ACCOUNT: "account",
    Scope.SYMBOL: "symbol",
    Scope.ACCOUNT_SYMBOL: "account+symbol",
}


def check_scope(limit: Limit, scope: Scope) -> None:
    """Raises Problem if the scope cannot carry the limit; it names those that can."""
    allowed = [name for each, name in SCOPE_NAMES.items() if each in RULES[limit].scopes]
    if SCOPE_NAMES[scope] not in allowed:
        raise Problem(
            422,
            "WRONG_SCOPE",
            f"{limit.name} cannot be set for: {SCOPE_NAMES[scope]}. It can be set for: {', '.join(allowed)}",
            limit=limit.name,
            scope=SCOPE_NAMES[scope],
            allowed_scopes=allowed,
        )


def check_contradictions(record: Record, values: Mapping[Limit, int | None]) -> None:
    """Raises Problem if limits of one scope would contradict each other after a change.

    `record`: the scope's LIMITS.
    """
    for smaller, larger in CONTRADICTIONS:
        if smaller not in values and larger not in values:
            continue
        low, high = (_after(record, values, limit) for limit in (smaller, larger))
        if high and low > high and low < UNLIMITED:
            raise Problem(
                422,
                "LIMIT_CONTRADICTION",
                f"{smaller.name} {limit_text(smaller, low)} would be above {larger.name} "
                f"{limit_text(larger, high)}: it could never be reached",
                limit=limit_text(larger, high),
                observed=limit_text(smaller, low),
            )


def _after(record: Record, values: Mapping[Limit, int | None], limit: Limit) -> int:
    if limit in values:
        value = values[limit]
        return UNLIMITED if value is None else value
    return limit_value(record, limit)
