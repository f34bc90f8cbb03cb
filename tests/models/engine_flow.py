"""How an account of the twin sends requests: token buckets."""

from typing import NamedTuple

from app.engine.codes import Code
from app.engine.types import Limit, Scope, TradingState
from tests.models.engine_model import UNLIMITED, Books, Bucket, Order


class Verdict(NamedTuple):
    code: int
    passed: bool
    limit: int
    observed: int
    scope: int
    exempt: bool = False  # passed for the reason alone that the order reduces


def _buckets(books: Books, account: int) -> list[tuple[int, int, Bucket]]:
    """Scope, rate and bucket of those that bound what an account sends."""
    rows = [(Scope.FIRM, books.bucket), (Scope.ACCOUNT, books.accounts[account].bucket)]
    found = [(scope, books.limit_at(Limit.ORDER_RATE, scope, account), bucket) for scope, bucket in rows]
    return [row for row in found if row[1] != UNLIMITED]


def lacking_token(books: Books, account: int) -> int:
    """The scope whose bucket is empty."""
    if account < 0:
        return Scope.NONE
    empty = [s for s, rate, bucket in _buckets(books, account) if bucket.at(rate, books.ts) < 10**6]
    return empty[0] if empty else Scope.NONE


def take_tokens(books: Books, account: int) -> int:
    """One of each, where each has one; the scope that has none."""
    lacking = lacking_token(books, account)
    if account >= 0 and lacking == Scope.NONE:
        for _, rate, bucket in _buckets(books, account):
            bucket.take(rate, books.ts)
    return lacking


def cancel_rate(books: Books, order: Order) -> Verdict | None:
    """Why a cancel is throttled; one that passes takes its tokens."""
    if books.strictest_state(order.account, order.symbol)[0] != TradingState.ACTIVE or order.symbol < 0:
        return None
    firm_rate = books.limit_at(Limit.CANCEL_RATE, Scope.FIRM)
    rate = books.limit_at(Limit.CANCEL_RATE, Scope.ACCOUNT, order.account)
    bucket = books.accounts[order.account].cancel_bucket
    if firm_rate != UNLIMITED and books.cancel_bucket.at(firm_rate, books.ts) < 10**6:
        return Verdict(Code.CANCEL_RATE, False, firm_rate, firm_rate + 1, Scope.FIRM)
    if rate != UNLIMITED and bucket.at(rate, books.ts) < 10**6:
        return Verdict(Code.CANCEL_RATE, False, rate, rate + 1, Scope.ACCOUNT)
    if firm_rate != UNLIMITED:
        books.cancel_bucket.take(firm_rate, books.ts)
    if rate != UNLIMITED:
        bucket.take(rate, books.ts)
    return None
