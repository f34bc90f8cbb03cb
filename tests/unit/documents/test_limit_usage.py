"""Usage of limits: what is taken up is what the engine counts, so that the next order meets it."""

from typing import Any

import pytest

from app.documents.limit_usage import USAGES
from app.engine.codes import Code
from app.engine.limits import UNLIMITED
from app.engine.types import EventKind, Limit, ReportKind, Scope
from tests.support.engine import (
    BUY,
    FIRST_TS,
    SELL,
    Desk,
    bought,
    cancel,
    desk,
    instrument,
    limit,
    mark,
    place,
    report,
    transfer,
    working,
)

OF_SINGLE_ORDERS = {
    Limit.MAX_ORDER_QUANTITY,
    Limit.MAX_ORDER_NOTIONAL,
    Limit.PRICE_COLLAR_BPS,
    Limit.PRICE_MOVE_BPS,
    Limit.MAX_MARK_AGE,
    Limit.ORDER_RATE,
    Limit.CANCEL_RATE,
    Limit.MAX_REPEATED_ORDERS,
}


def used(made: Desk, which: Limit, account: int = 0, symbol: int = -1, now: int = FIRST_TS) -> int:
    return USAGES[which](made.engine.state, account, symbol, now)


@pytest.fixture
def made() -> Desk:
    """Account 0 is long 10 at 1,000 in symbol 0 and may buy 20 more at 990; account 1 is short 4."""
    one = desk(symbols=2)
    bought(one, 10, 1_000)
    bought(one, -4, 1_000, account=1)
    working(one, place(0, 0, BUY, 20, 990))
    return one


def test_limits_of_single_orders_have_none() -> None:
    assert set(USAGES) == set(Limit) - OF_SINGLE_ORDERS


def test_open_orders_of_an_account_and_of_its_symbols(made: Desk) -> None:
    working(made, place(0, 1, SELL, 1, 1_010))
    assert used(made, Limit.MAX_OPEN_ORDERS) == 2
    assert [used(made, Limit.MAX_OPEN_ORDERS, symbol=symbol) for symbol in range(2)] == [1, 1]
    assert used(made, Limit.MAX_OPEN_ORDERS, 1) == 0


def test_a_position_counts_at_its_worst_in_the_base_currency(made: Desk) -> None:
    assert used(made, Limit.MAX_POSITION, 0, 0) == 30 * 10**8
    assert used(made, Limit.MAX_POSITION, 1, 0) == 4 * 10**8
    assert used(made, Limit.MAX_POSITION, -1, 0) == 34 * 10**8, "of all accounts"
    assert used(made, Limit.MAX_POSITION, 0, 1) == 0


def test_exposure_of_accounts_and_of_the_firm(made: Desk) -> None:
    gross = [used(made, Limit.MAX_GROSS_EXPOSURE, account) for account in (0, 1, -1)]
    assert gross == [30_000, 4_000, 34_000]
    assert [used(made, Limit.MAX_NET_EXPOSURE, account) for account in (0, 1)] == [30_000, 4_000]
    assert used(made, Limit.MAX_NET_EXPOSURE, -1) == 26_000, "long and short"


def test_what_was_traded_and_what_may_be(made: Desk) -> None:
    assert used(made, Limit.MAX_DAILY_NOTIONAL) == 10 * 1_000 + 20 * 990
    assert used(made, Limit.MAX_DAILY_NOTIONAL, 1) == 4_000
    assert used(made, Limit.MAX_DAILY_NOTIONAL, -1) == 33_800


def test_losses_are_never_negative(made: Desk) -> None:
    made.send(mark(0, 1_100))
    assert (used(made, Limit.DAILY_LOSS), used(made, Limit.MAX_DRAWDOWN)) == (0, 0)
    assert used(made, Limit.DAILY_LOSS, 1) == 400
    made.send(mark(0, 950))
    assert used(made, Limit.DAILY_LOSS) == 500, "since the day began"
    assert used(made, Limit.MAX_DRAWDOWN) == 1_500, "since the best that there was"
    assert used(made, Limit.DAILY_LOSS, 1) == 0


@pytest.mark.parametrize(
    ("cash", "open_and_held", "held"),
    [(29_990, 101, 34), (30_000, 100, 34), (10_000, 300, 100)],
)
def test_leverage_is_in_hundredths_rounded_up(made: Desk, cash: int, open_and_held: int, held: int) -> None:
    made.send(transfer(0, cash - made.equity(0)))
    assert made.equity(0) == cash
    assert used(made, Limit.MAX_LEVERAGE) == open_and_held
    assert used(made, Limit.MAINTENANCE_LEVERAGE) == held


def test_leverage_of_who_owns_nothing_has_no_end(made: Desk) -> None:
    accounts = made.engine.state.accounts
    assert used(made, Limit.MAX_LEVERAGE, 1) > 0
    accounts["cash"][0] = -accounts["position_value"][0]
    assert used(made, Limit.MAX_LEVERAGE) == used(made, Limit.MAINTENANCE_LEVERAGE) == UNLIMITED
    flat = desk(cash=0)
    assert used(flat, Limit.MAX_LEVERAGE) == used(flat, Limit.MAINTENANCE_LEVERAGE) == 0


def test_messages_for_each_fill(made: Desk) -> None:
    assert used(made, Limit.MAX_ORDER_TO_TRADE_RATIO) == 2
    order = working(made, place(0, 0, BUY, 1, 980))
    made.send(cancel(order))
    assert used(made, Limit.MAX_ORDER_TO_TRADE_RATIO) == 4
    assert used(made, Limit.MAX_ORDER_TO_TRADE_RATIO, 1) == 1
    bought(made, 1, 1_000)
    assert used(made, Limit.MAX_ORDER_TO_TRADE_RATIO) == 3, "five for two, rounded up"


def test_rejections_of_the_venue_in_a_row(made: Desk) -> None:
    for _ in range(3):
        order = made.one(place(0, 1, BUY, 1, 990)).order_id
        made.send(report(ReportKind.REJECTED, order, code=Code.VENUE_REJECTED))
    assert used(made, Limit.VENUE_REJECTIONS) == 3
    assert [used(made, Limit.VENUE_REJECTIONS, -1, symbol) for symbol in range(2)] == [0, 3]


def test_age_of_the_mark(made: Desk) -> None:
    made.send(instrument(2))
    assert used(made, Limit.MARK_HALT_AGE, -1, 0, FIRST_TS + 7) == 7
    assert used(made, Limit.MARK_HALT_AGE, -1, 0, FIRST_TS - 7) == 0, "clocks may step back"
    assert used(made, Limit.MARK_HALT_AGE, -1, 2, FIRST_TS + 7) == 0, "there is none to be old"


@pytest.mark.parametrize(
    ("which", "more"),
    [
        (Limit.MAX_OPEN_ORDERS, {}),
        (Limit.MAX_GROSS_EXPOSURE, {}),
        (Limit.MAX_NET_EXPOSURE, {}),
        (Limit.MAX_DAILY_NOTIONAL, {}),
        (Limit.MAX_POSITION, {"symbol": 0}),
    ],
)
def test_the_engine_counts_the_same(made: Desk, which: Limit, more: dict[str, Any]) -> None:
    """A limit of exactly what an order would take up lets it pass; one less refuses it."""
    twin = desk(symbols=2)
    twin.send(*made.log[twin.seq :])
    order = place(0, 0, BUY, 3, 990)
    working(twin, order)
    needed = used(twin, which, **more)
    scope = Scope.ACCOUNT_SYMBOL if more else Scope.ACCOUNT
    made.send(limit(which, needed - 1, scope, 0, **more))
    assert made.one(order).kind == EventKind.ORDER_REJECTED
    made.send(limit(which, needed, scope, 0, **more))
    assert made.one(order).kind == EventKind.ORDER_ACCEPTED
