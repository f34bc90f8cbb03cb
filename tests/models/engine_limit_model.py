"""What the twin keeps of limits: overrides, requests, changes that wait for a second person."""

from dataclasses import dataclass

from app.engine.types import Scope

LimitKey = tuple[int, int, int]  # scope, account, symbol


def limit_key(scope: int, account: int, symbol: int) -> LimitKey:
    return (
        int(scope),
        account if scope in (Scope.ACCOUNT, Scope.ACCOUNT_SYMBOL) else -1,
        symbol if scope in (Scope.SYMBOL, Scope.ACCOUNT_SYMBOL) else -1,
    )


@dataclass
class Override:
    """Another value for one limit of one scope, until its time is over."""

    number: int
    key: LimitKey
    scope: int
    account: int
    symbol: int
    limit: int
    value: int
    expires_ts: int
    created_ts: int
    actor: int


@dataclass
class Part:
    """One limit of a request: `value` -1 removes it, `limit` -1 can be none."""

    scope: int
    account: int
    symbol: int
    limit: int
    value: int
    expires_ts: int

    @property
    def key(self) -> LimitKey:
        return limit_key(self.scope, self.account, self.symbol)


@dataclass
class Change:
    """A change of a limit that waits for a second person, or had its answer; `value` -1 removes."""

    number: int
    request: int
    scope: int
    account: int
    symbol: int
    limit: int
    value: int
    old: int
    expires_ts: int
    maker: int
    created_ts: int
    status: int = 1
    checker: int = 0
    decided_ts: int = 0
