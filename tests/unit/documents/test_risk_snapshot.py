"""The risk snapshot: what a watcher of the channel `risk` is told first, of one account or of all."""

from typing import Any

import orjson
import pytest

from app.documents import risk_snapshot as snapshots
from app.documents.raw_events import EVERY_INDEX, SnapshotTooLarge
from app.documents.risk_snapshot import risk_snapshot
from app.engine.types import CommandKind, Limit, Permission, Policy, Scope, TradingState
from app.runtime.reference import Reference
from tests.support.engine import FIRST_TS, Command, Desk, advance, desk, limit, trading_state

Item = dict[str, Any]


def permit(state: Permission, account: int, symbol: int = -1) -> Command:
    return Command(CommandKind.SET_PERMISSION, account, symbol, state=state)


@pytest.fixture
def made() -> Desk:
    """Three accounts, two symbols. Account 1 may only reduce, has a limit and a permission in symbol 1."""
    one = desk(accounts=3, symbols=2)
    one.send(limit(Limit.MAX_POSITION, 10**8, Scope.ACCOUNT_SYMBOL, 1, 1), permit(Permission.DENIED, 1, 1))
    one.send(trading_state(TradingState.REDUCING, Scope.ACCOUNT, 1))
    one.send(trading_state(TradingState.HALTED, Scope.SYMBOL, symbol=0))
    one.send(permit(Permission.ALLOWED, 2))
    return one


def items(made: Desk, account: int = EVERY_INDEX) -> list[Item]:
    state = made.engine.state
    found = risk_snapshot(state, Reference.from_state(state), account, FIRST_TS)
    return [orjson.loads(item) for item in found]


def of(event: str, found: list[Item]) -> list[Item]:
    return [item for item in found if item["event"] == event]


def test_of_all_the_firm_comes_first_and_its_policies_last(made: Desk) -> None:
    found = items(made)
    scopes = ["firm", "account:account-0", "account:account-1", "account:account-2"]
    assert [each["scope"] for each in of("limits", found)] == [*scopes, "account:account-1/symbol:S1-USDT"]
    assert [(each["scope"], each["state"]) for each in of("trading_state", found)] == [
        ("firm", "ACTIVE"),
        ("account:account-1", "REDUCING"),
        ("symbol:S0-USDT", "HALTED"),
    ]
    assert [(each["scope"], each["permission"]) for each in of("permission", found)] == [
        ("account:account-2", "ALLOWED"),
        ("account:account-1/symbol:S1-USDT", "DENIED"),
    ]
    policies = of("policy", found)
    assert [each["policy"] for each in policies] == [policy.name for policy in Policy]
    assert found[-len(policies) :] == policies
    assert [each["event"] for each in found] == [
        *["limits"] * 5, *["trading_state"] * 3, *["permission"] * 2, *["policy"] * len(Policy),
    ]  # fmt: skip


def test_of_one_account_nothing_of_others(made: Desk) -> None:
    found = items(made, 1)
    assert [each["scope"] for each in of("limits", found)] == [
        "account:account-1",
        "account:account-1/symbol:S1-USDT",
    ]
    assert of("limits", found)[1]["limits"]["MAX_POSITION"]["value"] == "1"
    assert [(each["scope"], each["state"]) for each in of("trading_state", found)] == [
        ("account:account-1", "REDUCING")
    ]
    assert [each["permission"] for each in of("permission", found)] == ["DENIED"]
    assert of("policy", found) == []
    assert "account-0" not in str(found) and "account-2" not in str(found)


def test_an_active_account_says_so(made: Desk) -> None:
    assert [each["state"] for each in of("trading_state", items(made, 0))] == ["ACTIVE"]


def test_a_breaker_is_named_as_the_cause(made: Desk) -> None:
    made.send(limit(Limit.MARK_HALT_AGE, 1_000, Scope.SYMBOL, symbol=1))
    assert {each["cause"] for each in of("trading_state", items(made))} == {None}
    made.ts += 2_000
    made.send(advance())
    causes = {each["scope"]: each["cause"] for each in of("trading_state", items(made))}
    assert causes["symbol:S1-USDT"] == "MARKET_DATA_STALE"


def test_each_is_read_when_it_is_asked_for(made: Desk) -> None:
    state = made.engine.state
    found = risk_snapshot(state, Reference.from_state(state), 0, FIRST_TS)
    next(found)
    made.send(trading_state(TradingState.HALTED, Scope.ACCOUNT, 0))
    assert orjson.loads(next(found))["state"] == "HALTED"


@pytest.mark.parametrize(("account", "scopes"), [(EVERY_INDEX, 7), (0, 1), (1, 3), (2, 2)])
def test_more_scopes_than_fit_are_refused_at_once(
    made: Desk, account: int, scopes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "SNAPSHOT_SCOPES_MAX", scopes)
    assert items(made, account)
    monkeypatch.setattr(snapshots, "SNAPSHOT_SCOPES_MAX", scopes - 1)
    state = made.engine.state
    with pytest.raises(SnapshotTooLarge, match=f"^{scopes} scopes .* at most {scopes - 1}: .*GET /v1/limits"):
        risk_snapshot(state, Reference.from_state(state), account, FIRST_TS)
