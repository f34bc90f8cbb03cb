"""Overrides as shown: another value in the limit's unit, what it replaces, and until when."""

from typing import Any

import pytest

from app.documents.overrides import Override, override_content
from app.engine.types import Limit, Scope
from app.runtime.reference import Reference
from tests.support.engine import FIRST_TS, Desk, desk, limit, override

END = FIRST_TS + 60_000_000


def shown(made: Desk) -> dict[str, Any]:
    """The only one."""
    state = made.engine.state
    (record,) = state.overrides[state.overrides["number"] != 0]
    content = override_content(Reference.from_state(state), record)
    Override.model_validate(content)
    return content


def test_all_of_it() -> None:
    made = desk()
    made.send(limit(Limit.MAX_GROSS_EXPOSURE, 5 * 10**8, Scope.ACCOUNT, 1))
    made.ts += 3
    event = made.one(override(Limit.MAX_GROSS_EXPOSURE, 75 * 10**7, END, Scope.ACCOUNT, 1, actor=9))
    assert shown(made) == {
        "id": str(event.execution_id),
        "scope": "account:account-1",
        "limit": "MAX_GROSS_EXPOSURE",
        "value": "7.5",
        "own_value": "5",
        "expires_at": END,
        "created_ts": FIRST_TS + 3,
        "actor": 9,
    }


@pytest.mark.parametrize(
    ("which", "value", "scope", "text"),
    [
        (Limit.MAX_POSITION, 10**8, {"scope": Scope.SYMBOL, "symbol": 1}, "symbol:S1-USDT"),
        (
            Limit.MAX_POSITION,
            10**8,
            {"scope": Scope.ACCOUNT_SYMBOL, "account": 0, "symbol": 1},
            "account:account-0/symbol:S1-USDT",
        ),
        (Limit.ORDER_RATE, 7, {"scope": Scope.FIRM}, "firm"),
    ],
)
def test_units_and_scopes(which: Limit, value: int, scope: dict[str, Any], text: str) -> None:
    made = desk(symbols=2)
    made.send(override(which, value, END, **scope))
    content = shown(made)
    assert content["scope"] == text
    assert content["value"] == (7 if which == Limit.ORDER_RATE else "1")
    assert content["own_value"] is None, "there was no limit"
