"""Risk snapshot: current limits, states, permissions and policies. The channel `risk` begins with it."""

from collections.abc import Iterator

import numpy as np
import orjson

from app.documents.content import Content
from app.documents.limits import scope_content
from app.documents.problems import code_name
from app.documents.raw_events import SnapshotTooLarge
from app.documents.refusals import scope_text
from app.engine.state import State
from app.engine.types import Permission, Policy, Scope, TradingState
from app.runtime.reference import Reference
from app.runtime.state_reader import by_symbol_and_account, limited_scopes, restricted_pairs

SNAPSHOT_SCOPES_MAX = 2_000


def risk_snapshot(state: State, reference: Reference, account: int, now: int) -> Iterator[bytes]:
    """Items of one account, or of all (-1): then with the policies. Raises SnapshotTooLarge.

    Each item is read when it is taken: take them while the engine is at rest.
    """
    count = _scopes(state, reference, account)
    if count > SNAPSHOT_SCOPES_MAX:
        raise SnapshotTooLarge(
            f"{count} scopes have limits or permissions, a snapshot has at most {SNAPSHOT_SCOPES_MAX}: "
            "read them with GET /v1/limits and subscribe for each account"
        )
    return map(orjson.dumps, _items(state, reference, account, now))


def _items(state: State, reference: Reference, account: int, now: int) -> Iterator[Content]:
    for scope in limited_scopes(state, reference, account):
        yield {"event": "limits", **scope_content(state, reference, scope, now)}
    for name, value, cause in _trading_states(state, reference, account):
        yield {
            "event": "trading_state",
            "scope": name,
            "state": TradingState(value).name,
            "cause": code_name(cause),
        }
    for where, permission in _permissions(state, reference, account):
        yield {"event": "permission", "scope": where, "permission": Permission(permission).name}
    if account < 0:
        values = state.firm[0]["policy"].tolist()
        for policy in Policy:
            yield {"event": "policy", "policy": policy.name, "value": values[policy]}


def _scopes(state: State, reference: Reference, account: int) -> int:
    """The number of scopes with limits or permissions, without building a list that might be long."""
    masks = by_symbol_and_account(state, state.account_symbol_limits, reference)["set_mask"]
    permissions = by_symbol_and_account(state, state.positions, reference)["permission"]
    if account >= 0:
        count = np.count_nonzero(masks[:, account]) + np.count_nonzero(permissions[:, account])
        return int(count) + 1 + bool(state.accounts[account]["permission"])
    accounts, symbols = len(reference.account_names), len(reference.instruments)
    wide = (
        state.account_limits["set_mask"][:accounts],
        state.symbol_limits["set_mask"][:symbols],
        state.accounts["permission"][:accounts],
    )
    return 1 + sum(int(np.count_nonzero(each)) for each in (masks, permissions, *wide))


def _trading_states(state: State, reference: Reference, account: int) -> Iterator[tuple[str, int, int]]:
    """Scope, state and cause: of the firm, and of accounts and symbols that are not ACTIVE."""
    firm = state.firm[0]
    if account < 0:
        yield "firm", int(firm["trading_state"]), int(firm["state_cause"])
    restricted = np.flatnonzero(state.accounts["trading_state"][: len(reference.account_names)]).tolist()
    for index in restricted if account < 0 else [account]:
        record = state.accounts[index]
        name = f"account:{reference.account_names[index]}"
        yield name, int(record["trading_state"]), int(record["state_cause"])
    if account < 0:
        for instrument, record in zip(reference.instruments, state.instruments, strict=False):
            if record["trading_state"]:
                yield f"symbol:{instrument.symbol}", int(record["trading_state"]), int(record["state_cause"])


def _permissions(state: State, reference: Reference, account: int) -> Iterator[tuple[str | None, int]]:
    """Permissions that differ from the default."""
    own = state.accounts["permission"][: len(reference.account_names)]
    for index in np.flatnonzero(own).tolist():
        if account in (-1, index):
            yield scope_text(reference, Scope.ACCOUNT, index, -1), int(own[index])
    permissions = by_symbol_and_account(state, state.positions, reference)["permission"]
    for index, symbol in restricted_pairs(state, reference, account):
        yield scope_text(reference, Scope.ACCOUNT_SYMBOL, index, symbol), int(permissions[symbol, index])
