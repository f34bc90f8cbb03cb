"""Changes of limits, rules, permissions, parameters, states: who, when, why, the old value and the new."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.engine.capacity import SMALL_CAPACITY
from app.engine.codes import Code
from app.engine.engine import Engine
from app.engine.state import RISK_MODEL_DEFAULTS
from app.engine.types import (
    CommandKind,
    EventKind,
    Limit,
    OverrideEnd,
    Permission,
    Policy,
    RiskParameter,
    Scope,
    TradingState,
)
from app.store.database import connect
from app.store.writer import DatabaseWriter
from tests.support import engine as engine_support
from tests.support.engine import (
    BUY,
    Command,
    Desk,
    advance,
    bought,
    decision,
    limit,
    mark,
    note,
    override,
    pack,
    place,
    policy,
    proposal,
    risk_model,
    trading_state,
)
from tests.support.journals import write_ticks

ALICE, BOB, CAROL = 7, 8, 9
SECOND = 1_000_000
WHY = b"because of the figures that were published in the morning, and of what the desk has said about them"
ACCOUNT: dict[str, Any] = {"scope": Scope.ACCOUNT, "account": 0}
SIZE = Limit.MAX_ORDER_QUANTITY


def asked(*commands: Command, actor: int, why: bytes = WHY) -> list[Command]:
    """One request with its reason: notes of 88 bytes each in front of its last command."""
    notes = [note(why[at : at + 88], actor) for at in range(0, len(why), 88)]
    *parts, last = [replace(command, actor=actor) for command in commands]
    return [*parts, *notes, replace(last, notes=len(notes))]


def _history() -> tuple[Desk, dict[str, int]]:
    """All that can change, one after the other; the times at which it did."""
    made = engine_support.desk(cash=10**12)
    times: dict[str, int] = {}

    def at(name: str, *commands: Command) -> None:
        made.ts += SECOND
        times[name] = made.ts
        made.send(*commands)

    at("day", advance())
    at("set", *asked(limit(SIZE, 10**9, **ACCOUNT), actor=ALICE))
    at("tightened", *asked(limit(SIZE, 10**8, **ACCOUNT), actor=BOB))
    at("override", *asked(override(SIZE, 5 * 10**8, made.ts + 60 * SECOND, **ACCOUNT), actor=ALICE))
    at("removed", *asked(decision(CommandKind.END_OVERRIDE, 1), actor=BOB))
    at("second override", *asked(override(SIZE, 6 * 10**8, made.ts + 5 * SECOND, **ACCOUNT), actor=ALICE))
    made.ts += 10 * SECOND
    at("expired", advance())
    at("policy", *asked(policy(Policy.MAKER_CHECKER, 1), actor=CAROL))
    at("proposed", *asked(proposal(SIZE, 2 * 10**9, **ACCOUNT), actor=ALICE))
    number = int(made.engine.state.limit_changes["request"].max())
    at("approved", *asked(decision(CommandKind.APPROVE_CHANGE, number), actor=BOB))
    at("proposed again", *asked(proposal(SIZE, 3 * 10**9, **ACCOUNT), actor=ALICE))
    number = int(made.engine.state.limit_changes["request"].max())
    at("rejected", *asked(decision(CommandKind.REJECT_CHANGE, number), actor=CAROL))
    permission = Command(CommandKind.SET_PERMISSION, 1, 0, state=Permission.DENIED)
    at("permission", *asked(permission, actor=BOB))
    at("parameter", *asked(risk_model(half_life=7_200), actor=CAROL))
    at("reducing", *asked(trading_state(TradingState.REDUCING, **ACCOUNT), actor=ALICE))
    at("active", *asked(trading_state(TradingState.ACTIVE, **ACCOUNT), actor=BOB))
    at("refusal", replace(place(0, 0, BUY, 10**6, 1_000), actor=ALICE))
    at("loss limit", *asked(limit(Limit.DAILY_LOSS, 10, **ACCOUNT), actor=BOB))
    bought(made, 5, 1_000)
    at("breaker", mark(0, 900))
    return made, times


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    made, times = _history()
    records, engine = pack(made.log), Engine(SMALL_CAPACITY)
    folder = tmp_path_factory.mktemp("changes")
    # A request is never cut: its notes and its parts are in the tick of its last command.
    bounds = [
        0,
        *sorted({index for index, row in enumerate(made.log) if index and row.ts != made.log[index - 1].ts}),
    ]
    parts = [records[begin:end] for begin, end in zip(bounds, [*bounds[1:], len(records)], strict=True)]
    write_ticks(folder, ((part, engine.process(part).copy()) for part in parts))
    return folder, times


def _rows(url: str, folder: Path, table: str, columns: str) -> list[tuple[Any, ...]]:
    async def run() -> Sequence[asyncpg.Record]:
        await DatabaseWriter(folder, url, capacity=SMALL_CAPACITY).catch_up()
        connection: asyncpg.Connection = await connect(url)
        try:
            found: Sequence[asyncpg.Record] = await connection.fetch(
                f"SELECT (extract(epoch FROM ts) * 1000000)::bigint, {columns} FROM {table} "
                "ORDER BY seq, event_index"
            )
            return found
        finally:
            await connection.close()

    return [tuple(row) for row in asyncio.run(run())]


def test_changes_of_limits(database_url: str, history: tuple[Path, dict[str, int]]) -> None:
    folder, times = history
    columns = (
        "kind, account_index, limit_number, old_value, new_value, number, ended, "
        "(extract(epoch FROM expires_ts) * 1000000)::bigint, actor, reason"
    )
    rows = [row for row in _rows(database_url, folder, "limit_changes", columns) if row[0] >= times["set"]]
    why = WHY.decode()
    new, tight = 10**9, 10**8
    first_end, second_end = times["tightened"] + 60 * SECOND, times["removed"] + 5 * SECOND
    changes: list[tuple[Any, ...]] = [
        ("set", EventKind.LIMIT_SET, 0, SIZE, -1, new, 0, 0, None, ALICE, why),
        ("tightened", EventKind.LIMIT_SET, 0, SIZE, new, tight, 0, 0, None, BOB, why),
        ("override", EventKind.OVERRIDE_SET, 0, SIZE, tight, 5 * 10**8, 1, 0, first_end, ALICE, why),
        (
            "removed",
            EventKind.OVERRIDE_ENDED,
            0,
            SIZE,
            5 * 10**8,
            tight,
            1,
            OverrideEnd.REMOVED,
            None,
            BOB,
            why,
        ),
        ("second override", EventKind.OVERRIDE_SET, 0, SIZE, tight, 6 * 10**8, 2, 0, second_end, ALICE, why),
        (
            "expired",
            EventKind.OVERRIDE_ENDED,
            0,
            SIZE,
            6 * 10**8,
            tight,
            2,
            OverrideEnd.EXPIRED,
            None,
            0,
            None,
        ),
        ("proposed", EventKind.CHANGE_PROPOSED, 0, SIZE, tight, 2 * 10**9, 1, 0, None, ALICE, why),
        ("approved", EventKind.LIMIT_SET, 0, SIZE, tight, 2 * 10**9, 0, 0, None, BOB, why),
        ("approved", EventKind.CHANGE_APPROVED, -1, 0, 0, 0, 1, 0, None, BOB, why),
        ("proposed again", EventKind.CHANGE_PROPOSED, 0, SIZE, 2 * 10**9, 3 * 10**9, 2, 0, None, ALICE, why),
        ("rejected", EventKind.CHANGE_REJECTED, -1, 0, 0, 0, 2, 0, None, CAROL, why),
        ("loss limit", EventKind.LIMIT_SET, 0, Limit.DAILY_LOSS, -1, 10, 0, 0, None, BOB, why),
    ]
    assert rows == [(times[name], *values) for name, *values in changes]


def test_rules_permissions_and_parameters(database_url: str, history: tuple[Path, dict[str, int]]) -> None:
    folder, times = history
    columns = "kind, account_index, symbol_index, code, old_value, new_value, actor, reason"
    rows = _rows(database_url, folder, "audit_log", columns)
    kinds = (EventKind.POLICY_SET, EventKind.PERMISSION_SET, EventKind.RISK_MODEL_SET)
    why, old = WHY.decode(), RISK_MODEL_DEFAULTS["half_life"]
    assert [row for row in rows if row[1] in kinds] == [
        (times["policy"], EventKind.POLICY_SET, -1, -1, Policy.MAKER_CHECKER, 0, 1, CAROL, why),
        (times["permission"], EventKind.PERMISSION_SET, 1, 0, 0, 0, Permission.DENIED, BOB, why),
        (
            times["parameter"],
            EventKind.RISK_MODEL_SET,
            -1,
            -1,
            RiskParameter.HALF_LIFE,
            old,
            7_200,
            CAROL,
            why,
        ),
    ]
    # All that is changed is in the audit, with the same people, times and reasons.
    limits = "kind, account_index, symbol_index, limit_number, old_value, new_value, actor, reason"
    of_limits = _rows(database_url, folder, "limit_changes", limits)
    assert [row for row in rows if row in of_limits] == of_limits


def test_states_refusals_and_breakers(database_url: str, history: tuple[Path, dict[str, int]]) -> None:
    folder, times = history
    columns = "kind, account_index, code, scope, observed_value, limit_value, actor, reason"
    active, reducing = TradingState.ACTIVE, TradingState.REDUCING
    why, state = WHY.decode(), EventKind.TRADING_STATE_SET
    scope, cause, too_much = Scope.ACCOUNT, Code.DAILY_LOSS, Code.MAX_ORDER_QUANTITY
    rows = _rows(database_url, folder, "risk_events", columns)
    assert rows == [
        (times["reducing"], state, 0, 0, scope, active, reducing, ALICE, why),
        (times["active"], state, 0, 0, scope, reducing, active, BOB, why),
        (times["refusal"], EventKind.ORDER_REJECTED, 0, too_much, scope, 10**14, 2 * 10**9, ALICE, None),
        (times["breaker"], EventKind.BREAKER_TRIPPED, 0, cause, scope, rows[-2][5], 10, 0, None),
        (times["breaker"], state, 0, cause, scope, active, reducing, 0, None),
    ]
    assert rows[-2][5] > 10, "what was lost is more than was allowed"
