"""Requests of risk managers, as the engine reads them."""

from app.commands.limits import change_limits, decide
from app.commands.notes import note_parts
from app.engine.types import CommandKind, Limit, Scope
from tests.support.command_records import read


def test_a_request_is_all_its_limits_with_the_reason_before_the_last() -> None:
    values: dict[Limit, int | None] = {
        Limit.MAX_POSITION: 10,
        Limit.ORDER_RATE: None,
        Limit.MAX_OPEN_ORDERS: 0,
    }
    records = change_limits(
        CommandKind.PROPOSE_LIMIT, 2, 5, values, 7, "why", expected_version=0, expires_ts=99
    )
    first, second, note, last = records
    assert [note] == note_parts("why", 7)
    common = {
        "kind": CommandKind.PROPOSE_LIMIT,
        "account": 2,
        "symbol": 5,
        "scope": Scope.ACCOUNT_SYMBOL,
        "expected_version": 1,
        "expires_ts": 99,
        "actor": 7,
    }
    assert read(first) == common | {"code": Limit.MAX_POSITION, "value": 10, "state": 1, "remaining": 2}
    assert read(second) == common | {"code": Limit.ORDER_RATE, "remaining": 1}
    assert read(last) == common | {"code": Limit.MAX_OPEN_ORDERS, "state": 1, "notes": 1}


def test_a_change_of_any_version_in_the_firm() -> None:
    (record,) = change_limits(CommandKind.SET_LIMIT, None, None, {Limit.ORDER_RATE: 3}, 0, "")
    assert read(record) == {
        "kind": CommandKind.SET_LIMIT,
        "scope": Scope.FIRM,
        "code": Limit.ORDER_RATE,
        "value": 3,
        "state": 1,
    }


def test_a_decision_names_its_request() -> None:
    for kind in (CommandKind.APPROVE_CHANGE, CommandKind.REJECT_CHANGE, CommandKind.END_OVERRIDE):
        note, last = decide(kind, 12, 7, "why")
        assert [note] == note_parts("why", 7)
        assert read(last) == {"kind": kind, "number": 12, "actor": 7, "notes": 1}
