"""State reader: positions, limits, holders and equity, for everything above the engine.

Who reads one record need not know how the engine's arrays are indexed; `risk_figures` and
`app.store.projection` read whole columns. Records are views: they change with the engine's next
command, so copy what is to be kept. Lists go as far as `reference` knows names: an
account whose creation is not durable yet is not shown.
"""

import numpy as np
from numpy.typing import NDArray

from app.engine.limits import UNLIMITED
from app.engine.state import State
from app.engine.types import Limit
from app.runtime.limit_scope import LimitScope
from app.runtime.reference import Reference

Record = np.void  # one record of a structured array; its fields are read by name

_USES_OF_POSITION = ("quantity", "open_orders", "realised", "fees")


def position_of(state: State, account: int, symbol: int) -> Record:
    """The POSITION record of an account in a symbol."""
    record: Record = state.positions[symbol * len(state.accounts) + account]
    return record


def positions_of(state: State, account: int, symbols: int) -> NDArray[np.void]:
    """An account's POSITION records in the first symbols, by symbol."""
    return state.positions[account :: len(state.accounts)][:symbols]


def by_symbol_and_account(state: State, pairs: NDArray[np.void], reference: Reference) -> NDArray[np.void]:
    """[symbol, account]: the named part of an array that has a record for each pair."""
    symbols, width = len(reference.instruments), len(state.accounts)
    return pairs[: symbols * width].reshape(symbols, width)[:, : len(reference.account_names)]


def held_positions(state: State, reference: Reference, account: int) -> list[tuple[int, int]]:
    """(account, symbol) of all that have a position or open orders, or ever traded; `account` -1: of all."""
    records = by_symbol_and_account(state, state.positions, reference)
    if account >= 0:
        records = records[:, account : account + 1]
    used = np.zeros(records.shape, bool)
    for name in _USES_OF_POSITION:
        used |= records[name] != 0
    first = max(account, 0)
    return [(int(owner) + first, int(symbol)) for symbol, owner in np.argwhere(used)]


def holders_of(state: State, reference: Reference, symbol: int) -> list[int]:
    """Accounts with a position in the symbol."""
    first = symbol * len(state.accounts)
    quantities = state.positions["quantity"][first : first + len(reference.account_names)]
    found: list[int] = np.flatnonzero(quantities).tolist()
    return found


def holder_of(state: State, account: int) -> Record:
    """The record with the totals: the ACCOUNT, or the FIRM if `account` is -1."""
    record: Record = state.firm[0] if account < 0 else state.accounts[account]
    return record


def equity_of(state: State, account: int) -> int:
    """In 1e-8 of the quote currency; the firm's if `account` is -1."""
    record = holder_of(state, account)
    return int(record["equity"]) if account < 0 else int(record["cash"]) + int(record["position_value"])


def limits_of(state: State, scope: LimitScope) -> Record:
    """The LIMITS record of a scope."""
    account, symbol = scope
    record: Record
    if account is None:
        record = state.firm_limits[0] if symbol is None else state.symbol_limits[symbol]
    elif symbol is None:
        record = state.account_limits[account]
    else:
        record = state.account_symbol_limits[symbol * len(state.accounts) + account]
    return record


def limit_value(limits: Record, limit: Limit) -> int:
    """The value that the checks read from a LIMITS record; UNLIMITED if it is not set."""
    return int(limits["value"][limit]) if int(limits["set_mask"]) >> limit & 1 else UNLIMITED


def set_limits(limits: Record) -> dict[Limit, int]:
    """The limits that a LIMITS record sets."""
    mask = int(limits["set_mask"])
    return {limit: int(limits["value"][limit]) for limit in Limit if mask >> limit & 1}


def limited_scopes(state: State, reference: Reference, account: int = -1) -> list[LimitScope]:
    """The firm, then accounts, symbols and pairs of them that have limits of their own.

    For one account: itself, and its symbols with limits.
    """
    pairs = by_symbol_and_account(state, state.account_symbol_limits, reference)["set_mask"] != 0
    if account >= 0:
        own = np.flatnonzero(pairs[:, account]).tolist()
        return [LimitScope(account), *(LimitScope(account, symbol) for symbol in own)]
    accounts = state.account_limits["set_mask"][: len(reference.account_names)]
    symbols = state.symbol_limits["set_mask"][: len(reference.instruments)]
    return [
        LimitScope(),
        *(LimitScope(each) for each in np.flatnonzero(accounts).tolist()),
        *(LimitScope(None, each) for each in np.flatnonzero(symbols).tolist()),
        *(LimitScope(each, symbol) for symbol, each in np.argwhere(pairs).tolist()),
    ]


def restricted_pairs(state: State, reference: Reference, account: int = -1) -> list[tuple[int, int]]:
    """(account, symbol) with a permission of their own, by symbol; `account` -1: of all accounts."""
    chosen = by_symbol_and_account(state, state.positions, reference)["permission"] != 0
    if account >= 0:
        return [(account, symbol) for symbol in np.flatnonzero(chosen[:, account]).tolist()]
    return [(each, symbol) for symbol, each in np.argwhere(chosen).tolist()]
