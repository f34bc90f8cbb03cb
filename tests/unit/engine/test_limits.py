"""Each limit at its edge: equal to it passes, one more fails and says what, how much, and whose limit."""

from typing import Any

import pytest

from app.engine.codes import Code
from app.engine.limits import UNLIMITED
from app.engine.types import EventKind, Fault, Limit, OrderFlag, OrderType, ReportKind, Scope, TradingState
from app.runtime.event_views import NewOrderEvent, ReplaceEvent, event_as
from app.runtime.views import EventView
from tests.support.engine import (
    BUY,
    SELL,
    amend,
    bought,
    desk,
    instrument,
    limit,
    mark,
    place,
    report,
    trade,
    trading_state,
    transfer,
    working,
)

STEP = 10**8  # of the instruments here, in 1e-8 of the base currency
SCOPES: dict[Scope, dict[str, Any]] = {
    Scope.FIRM: {"scope": Scope.FIRM},
    Scope.ACCOUNT: {"scope": Scope.ACCOUNT, "account": 0},
    Scope.SYMBOL: {"scope": Scope.SYMBOL, "symbol": 0},
    Scope.ACCOUNT_SYMBOL: {"scope": Scope.ACCOUNT_SYMBOL, "account": 0, "symbol": 0},
}
PAIR = [Scope.ACCOUNT, Scope.ACCOUNT_SYMBOL]
EVERY = list(SCOPES)


def passes(event: EventView) -> bool:
    assert event.kind in (EventKind.ORDER_ACCEPTED, EventKind.ORDER_REJECTED, EventKind.ORDER_OPENED)
    return event.kind != EventKind.ORDER_REJECTED


def check_refused(event: EventView, code: Code, allowed: int, observed: int, scope: Scope) -> None:
    assert event.kind in (EventKind.ORDER_REJECTED, EventKind.REPLACE_REJECTED)
    assert (Code(event.code), event.limit, event.observed, Scope(event.scope)) == (
        code,
        allowed,
        observed,
        scope,
    )


# An order of 10 steps at 1,000 on an empty book: limit, what the order makes of it, where it may be set.
SIMPLE = [
    (Limit.MAX_ORDER_QUANTITY, Code.MAX_ORDER_QUANTITY, 10 * STEP, EVERY),
    (Limit.MAX_ORDER_NOTIONAL, Code.MAX_ORDER_NOTIONAL, 10_000, EVERY),
    (Limit.MAX_OPEN_ORDERS, Code.MAX_OPEN_ORDERS, 1, PAIR),
    (Limit.MAX_POSITION, Code.MAX_POSITION, 10 * STEP, [Scope.ACCOUNT_SYMBOL, Scope.SYMBOL]),
    (Limit.MAX_GROSS_EXPOSURE, Code.MAX_GROSS_EXPOSURE, 10_000, [Scope.FIRM, Scope.ACCOUNT]),
    (Limit.PRICE_COLLAR_BPS, Code.PRICE_COLLAR, 0, EVERY),
    (Limit.MAX_MARK_AGE, Code.MARKET_DATA_STALE, 0, EVERY),
]


@pytest.mark.parametrize(
    ("which", "code", "observed", "scope"), [(*row[:3], scope) for row in SIMPLE for scope in row[3]]
)
@pytest.mark.parametrize("side", [BUY, SELL])
def test_edge(which: Limit, code: Code, observed: int, scope: Scope, side: int) -> None:
    made = desk()
    made.one(limit(which, observed, **SCOPES[scope]))
    assert passes(made.one(place(0, 0, side, 10, 1_000)))
    if observed == 0:
        return
    made = desk()
    made.one(limit(which, observed - 1, **SCOPES[scope]))
    check_refused(made.one(place(0, 0, side, 10, 1_000)), code, observed - 1, observed, scope)
    made.one(limit(which, 0, **SCOPES[scope], state=0))
    made.one(limit(Limit.ORDER_RATE, 10**6, Scope.ACCOUNT, 0))  # the account keeps some limit
    assert passes(made.one(place(0, 0, side, 10, 1_000)))


@pytest.mark.parametrize("which", [Limit.MAX_ORDER_QUANTITY, Limit.MAX_ORDER_NOTIONAL])
def test_the_tightest_scope_applies_and_is_named(which: Limit) -> None:
    made = desk()
    observed = 10 * STEP if which == Limit.MAX_ORDER_QUANTITY else 10_000
    for tighter, scope in enumerate(EVERY, start=1):
        made.one(limit(which, observed - tighter, **SCOPES[scope]))
        event = made.one(place(0, 0, BUY, 10, 1_000))
        assert (event.limit, event.scope) == (observed - tighter, scope)
    # Of equal ones the widest is named; another account and symbol are not concerned.
    made.one(limit(which, observed - 4, Scope.FIRM))
    assert made.one(place(0, 0, BUY, 10, 1_000)).scope == Scope.FIRM


def test_open_orders_count_stops_and_not_what_has_ended() -> None:
    made = desk(symbols=2)
    made.one(limit(Limit.MAX_OPEN_ORDERS, 2, Scope.ACCOUNT, 0))
    first = working(made, place(0, 0, BUY, 10, 1_000))
    assert passes(made.one(place(0, 1, BUY, 5, type=OrderType.STOP, stop_price=1_100)))
    check_refused(made.one(place(0, 1, BUY, 5, 1_000)), Code.MAX_OPEN_ORDERS, 2, 3, Scope.ACCOUNT)
    assert passes(made.one(place(1, 1, BUY, 5, 1_000)))
    made.one(trade(first, 1, 10, 1_000))
    assert passes(made.one(place(0, 1, BUY, 5, 1_000)))


def test_position_counts_open_orders_of_one_side_at_their_worst() -> None:
    made = desk()
    made.one(limit(Limit.MAX_POSITION, 20 * STEP, **SCOPES[Scope.ACCOUNT_SYMBOL]))
    bought(made, 8, 1_000)
    assert passes(made.one(place(0, 0, BUY, 12, 900)))
    check_refused(
        made.one(place(0, 0, BUY, 1, 900)), Code.MAX_POSITION, 20 * STEP, 21 * STEP, Scope.ACCOUNT_SYMBOL
    )
    assert passes(made.one(place(0, 0, SELL, 28, 1_100)))  # to -20
    check_refused(
        made.one(place(0, 0, SELL, 1, 1_100)), Code.MAX_POSITION, 20 * STEP, 21 * STEP, Scope.ACCOUNT_SYMBOL
    )


def test_a_symbols_positions_add_up_over_accounts_whatever_their_sign() -> None:
    made = desk()
    made.one(limit(Limit.MAX_POSITION, 20 * STEP, **SCOPES[Scope.SYMBOL]))
    bought(made, -15, 1_000, account=1)
    assert passes(made.one(place(0, 0, BUY, 5, 1_000)))
    check_refused(made.one(place(0, 0, BUY, 1, 1_000)), Code.MAX_POSITION, 20 * STEP, 21 * STEP, Scope.SYMBOL)
    assert passes(made.one(place(1, 0, BUY, 30, 1_000)))  # to +15: no worse than -15
    check_refused(made.one(place(1, 0, BUY, 1, 1_000)), Code.MAX_POSITION, 20 * STEP, 21 * STEP, Scope.SYMBOL)


def test_what_makes_nothing_worse_passes_limits_already_exceeded() -> None:
    made = desk()
    bought(made, 50, 1_000)
    made.one(limit(Limit.MAX_POSITION, 10 * STEP, **SCOPES[Scope.ACCOUNT_SYMBOL]))
    made.one(limit(Limit.MAX_GROSS_EXPOSURE, 1))
    made.one(transfer(0, -(10**12)))
    # Exempt down to flat; beyond it the limits of the other side apply.
    check_refused(
        made.one(place(0, 0, SELL, 100, 1_000)), Code.MAX_POSITION, 10 * STEP, 50 * STEP, Scope.ACCOUNT_SYMBOL
    )
    assert passes(made.one(place(0, 0, SELL, 50, 1_000)))
    check_refused(made.one(place(0, 0, SELL, 1, 1_000)), Code.MAX_GROSS_EXPOSURE, 1, 50_000, Scope.FIRM)


def test_exposure_is_valued_at_the_mark() -> None:
    made = desk(symbols=2)
    made.one(limit(Limit.MAX_GROSS_EXPOSURE, 20_000))
    assert passes(made.one(place(0, 0, BUY, 10, 500)))  # 10,000 at mark
    assert passes(made.one(place(1, 1, SELL, 9, 2_000)))
    check_refused(made.one(place(1, 1, SELL, 2, 1_000)), Code.MAX_GROSS_EXPOSURE, 20_000, 21_000, Scope.FIRM)
    made.send(mark(0, 1_100))
    check_refused(made.one(place(1, 1, SELL, 1, 1_000)), Code.MAX_GROSS_EXPOSURE, 20_000, 21_000, Scope.FIRM)
    made.send(mark(0, 1_000))
    assert passes(made.one(place(1, 1, SELL, 1, 1_000)))


@pytest.mark.parametrize(("cash", "accepted"), [(1_005, True), (1_004, False)])
def test_margin(cash: int, accepted: bool) -> None:
    made = desk(cash=cash)  # leverage 10, a fee of 5 bps
    event = made.one(place(0, 0, BUY, 10, 1_000))
    assert passes(event) == accepted
    if not accepted:
        check_refused(event, Code.INSUFFICIENT_MARGIN, 1_004, 1_005, Scope.ACCOUNT)


def test_margin_rounds_up_and_counts_unrealised_loss() -> None:
    made = desk(cash=100, price=1_001)
    check_refused(made.one(place(0, 0, BUY, 1, 1_001)), Code.INSUFFICIENT_MARGIN, 100, 102, Scope.ACCOUNT)
    made.one(transfer(0, 910))
    bought(made, 10, 1_001)
    made.send(mark(0, 1_000))  # a loss of 10
    event = made.one(place(0, 0, BUY, 1, 1_000))
    check_refused(event, Code.INSUFFICIENT_MARGIN, 1_000, 1_101, Scope.ACCOUNT)


@pytest.mark.parametrize("scope", [Scope.FIRM, Scope.ACCOUNT])
def test_order_rate(scope: Scope) -> None:
    made = desk()
    made.one(limit(Limit.ORDER_RATE, 4, **SCOPES[scope]))
    order = place(0, 0, BUY, 1, 1_000)
    assert [passes(made.one(order)) for _ in range(5)] == [True] * 4 + [False]
    check_refused(made.one(order), Code.ORDER_RATE, 4, 5, scope)
    made.ts += 249_999
    assert not passes(made.one(order))
    made.ts += 1
    assert passes(made.one(order)) and not passes(made.one(order))
    assert passes(made.one(place(1, 0, BUY, 1, 1_000))) == (scope == Scope.ACCOUNT)
    made.ts += 10**9  # never more than one second's worth
    assert [passes(made.one(order)) for _ in range(5)] == [True] * 4 + [False]


def test_order_rate_zero_stops_all_and_every_request_takes_a_token() -> None:
    made = desk()
    made.one(limit(Limit.ORDER_RATE, 1))
    assert made.one(place(0, 0, BUY, 0, 1_000)).code == Code.QUANTITY_MIN
    check_refused(made.one(place(0, 0, BUY, 1, 1_000)), Code.ORDER_RATE, 1, 2, Scope.FIRM)
    made.ts += 10**6
    assert passes(made.one(place(0, 0, BUY, 1, 1_000)))
    made.one(limit(Limit.ORDER_RATE, 0))
    made.ts += 10**9
    check_refused(made.one(place(0, 0, BUY, 1, 1_000)), Code.ORDER_RATE, 0, 1, Scope.FIRM)


@pytest.mark.parametrize("scope", EVERY)
@pytest.mark.parametrize("price", [900, 899, 1_100, 1_101])
def test_collar(scope: Scope, price: int) -> None:
    made = desk()
    made.one(limit(Limit.PRICE_COLLAR_BPS, 1_000, **SCOPES[scope]))
    event = made.one(place(0, 0, BUY, 1, price))
    if price in (900, 1_100):
        assert passes(event)
    else:
        check_refused(event, Code.PRICE_COLLAR, 100, 101, scope)


def test_collar_of_a_stop_limit_order_is_around_its_stop_price() -> None:
    made = desk()
    made.one(limit(Limit.PRICE_COLLAR_BPS, 1_000))
    order_type = OrderType.STOP_LIMIT
    assert passes(made.one(place(0, 0, BUY, 1, 2_200, type=order_type, stop_price=2_000)))
    event = made.one(place(0, 0, BUY, 1, 2_201, type=order_type, stop_price=2_000))
    check_refused(event, Code.PRICE_COLLAR, 200, 201, Scope.FIRM)


@pytest.mark.parametrize(
    ("side", "bps", "worst"), [(BUY, 1_000, 1_100), (SELL, 1_000, 900), (SELL, 10_000, 1)]
)
def test_collar_protects_market_orders(side: int, bps: int, worst: int) -> None:
    made = desk()
    assert event_as(NewOrderEvent, made.one(place(0, 0, side, 1))).protection_price == 0
    made.one(limit(Limit.PRICE_COLLAR_BPS, bps))
    event = event_as(NewOrderEvent, made.one(place(0, 0, side, 1)))
    assert (event.kind, event.price, event.protection_price) == (EventKind.ORDER_ACCEPTED, 0, worst)
    assert event_as(NewOrderEvent, made.one(place(0, 0, side, 1, 1_000))).protection_price == 0


@pytest.mark.parametrize("scope", EVERY)
def test_mark_age(scope: Scope) -> None:
    made = desk()
    made.one(limit(Limit.MAX_MARK_AGE, 1_000, **SCOPES[scope]))
    made.ts += 1_000
    assert passes(made.one(place(0, 0, BUY, 1, 1_000)))
    made.ts += 1
    check_refused(made.one(place(0, 0, BUY, 1, 1_000)), Code.MARKET_DATA_STALE, 1_000, 1_001, scope)
    made.send(mark(0, 1_000))  # the same price again is news
    assert passes(made.one(place(0, 0, BUY, 1, 1_000)))


def test_no_mark_at_all() -> None:
    made = desk()
    made.send(instrument(1))
    check_refused(
        made.one(place(0, 1, BUY, 1, 1_000)), Code.MARKET_DATA_STALE, UNLIMITED, UNLIMITED, Scope.FIRM
    )


@pytest.mark.parametrize(
    ("quantity", "price", "code", "allowed", "observed"),
    [
        (5, 100, Code.NONE, 0, 0),
        (4, 100, Code.QUANTITY_MIN, 5, 4),
        (0, 100, Code.QUANTITY_MIN, 5, 0),
        (-(2**63), 100, Code.QUANTITY_MIN, 5, -(2**63)),
        (50, 100, Code.NONE, 0, 0),
        (51, 100, Code.QUANTITY_MAX, 50, 51),
        (2**63 - 1, 100, Code.QUANTITY_MAX, 50, 2**63 - 1),
        (5, 99, Code.NOTIONAL_MIN, 500, 495),
        (5, 2**60 // 50, Code.INSUFFICIENT_MARGIN, 0, 0),
        (5, 2**60 // 50 + 1, Code.PRICE_INVALID, 2**60 // 50, 2**60 // 50 + 1),
        (5, 2**63 - 1, Code.PRICE_INVALID, 2**60 // 50, 2**63 - 1),
        (5, -(2**63), Code.PRICE_INVALID, 2**60 // 50, -(2**63)),
    ],
)
def test_the_instruments_own_bounds(
    quantity: int, price: int, code: Code, allowed: int, observed: int
) -> None:
    made = desk(cash=10**6)
    made.one(instrument(0, min_quantity=5, max_quantity=50, min_notional=500))
    event = made.one(place(0, 0, BUY, quantity, price, type=OrderType.LIMIT))
    assert event.order_id > 0
    if code == Code.INSUFFICIENT_MARGIN:  # the largest price is still a price
        assert event.code not in (Code.PRICE_INVALID, Code.NOTIONAL_MIN)
    elif code == Code.NONE:
        assert passes(event)
    else:
        check_refused(event, code, allowed, observed, Scope.SYMBOL)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.PRICE_TICK, Code.PRICE_TICK),
        (Fault.PRICE_RANGE, Code.PRICE_INVALID),
        (Fault.STOP_PRICE, Code.STOP_PRICE_INVALID),
        (Fault.QUANTITY_STEP, Code.QUANTITY_STEP),
        (Fault.QUANTITY_RANGE, Code.QUANTITY_MAX),
        (Fault.PRICE_TICK | Fault.QUANTITY_RANGE, Code.PRICE_TICK),
    ],
)
def test_what_decoding_could_not_express(fault: int, code: Code) -> None:
    made = desk()
    assert made.one(place(0, 0, BUY, 10, 1_000, fault=fault)).code == code
    # The number itself is then not there, which is no mistake of its own.
    price = 0 if fault & (Fault.PRICE_TICK | Fault.PRICE_RANGE) else 1_000
    assert made.one(place(0, 0, BUY, 0, price, type=OrderType.LIMIT, fault=fault)).code == code
    order_id = working(made, place(0, 0, BUY, 10, 1_000))
    event = made.one(amend(order_id, fault=fault))
    assert (event.kind, event.code) == (EventKind.REPLACE_REJECTED, code)


# --- Trading states.


@pytest.mark.parametrize("scope", [Scope.FIRM, Scope.ACCOUNT, Scope.SYMBOL])
def test_reducing(scope: Scope) -> None:
    made = desk()
    bought(made, 10, 1_000)
    made.one(trading_state(TradingState.REDUCING, **SCOPES[scope]))
    check_refused(made.one(place(0, 0, BUY, 1, 1_000)), Code.REDUCING_ONLY, 0, TradingState.REDUCING, scope)
    check_refused(made.one(place(0, 0, SELL, 11, 1_000)), Code.REDUCING_ONLY, 0, TradingState.REDUCING, scope)
    assert passes(made.one(place(0, 0, SELL, 6, 1_000)))
    assert passes(made.one(place(0, 0, SELL, 4, 1_000)))
    # Each is judged alone, and is reduce-only from then on.
    again = made.one(place(0, 0, SELL, 1, 1_000))
    assert passes(again) and again.flags & OrderFlag.REDUCE_ONLY
    made.one(trading_state(TradingState.ACTIVE, **SCOPES[scope]))
    assert passes(made.one(place(0, 0, BUY, 1, 1_000)))


def test_the_strictest_state_is_named() -> None:
    made = desk()
    for scope, state in ((Scope.FIRM, 1), (Scope.ACCOUNT, 2), (Scope.SYMBOL, 2)):
        made.one(trading_state(state, **SCOPES[scope]))
    check_refused(made.one(place(0, 0, BUY, 1, 1_000)), Code.TRADING_HALTED, 0, 2, Scope.ACCOUNT)


# --- Amends are checked by what they add.


def test_an_amend_that_adds_is_checked_and_one_that_takes_away_is_not() -> None:
    made = desk()
    order_id = working(made, place(0, 0, BUY, 10, 1_000))
    made.one(limit(Limit.MAX_ORDER_QUANTITY, 5 * STEP))
    check_refused(
        made.one(amend(order_id, quantity=11)), Code.MAX_ORDER_QUANTITY, 5 * STEP, 11 * STEP, Scope.FIRM
    )
    made.one(limit(Limit.MAX_POSITION, 12 * STEP, **SCOPES[Scope.ACCOUNT_SYMBOL]))
    made.one(limit(Limit.MAX_ORDER_QUANTITY, 0, state=0))
    check_refused(
        made.one(amend(order_id, quantity=13)), Code.MAX_POSITION, 12 * STEP, 13 * STEP, Scope.ACCOUNT_SYMBOL
    )
    made.one(limit(Limit.MAX_ORDER_QUANTITY, 5 * STEP))
    asked = event_as(ReplaceEvent, made.one(amend(order_id, quantity=9)))
    assert asked.replace_quantity == 9


def test_a_better_price_for_the_same_quantity_does_not_get_around_the_notional_limit() -> None:
    made = desk()
    order_id = working(made, place(0, 0, BUY, 10, 1_000))
    made.one(limit(Limit.MAX_ORDER_NOTIONAL, 5_000))
    check_refused(made.one(amend(order_id, price=1_001)), Code.MAX_ORDER_NOTIONAL, 5_000, 10_010, Scope.FIRM)
    check_refused(made.one(amend(order_id, price=999)), Code.MAX_ORDER_NOTIONAL, 5_000, 9_990, Scope.FIRM)
    assert made.one(amend(order_id, quantity=9)).kind == EventKind.REPLACE_REQUESTED, "it only becomes less"


def test_reduce_only_amend_stays_within_the_position() -> None:
    made = desk()
    bought(made, 10, 1_000)
    order_id = working(made, place(0, 0, SELL, 6, 1_100, flags=OrderFlag.REDUCE_ONLY))
    check_refused(made.one(amend(order_id, quantity=11)), Code.REDUCE_ONLY, 10, 11, Scope.ACCOUNT_SYMBOL)
    assert made.one(amend(order_id, quantity=10)).kind == EventKind.REPLACE_REQUESTED
    made.one(report(ReportKind.REPLACED, order_id, price=1_100, quantity=10))
    assert passes(made.one(place(0, 0, SELL, 10, 1_100, flags=OrderFlag.REDUCE_ONLY))), "judged alone"


def test_reserved_is_the_larger_of_old_and_new_until_the_venue_says_which() -> None:
    made = desk()
    for wanted, answer, after in (
        (15, ReportKind.REPLACED, 15),
        (20, ReportKind.REPLACE_REJECTED, 15),
        (5, ReportKind.REPLACED, 5),
    ):
        if wanted == 15:
            order_id = working(made, place(0, 0, BUY, 10, 1_000))
        before = made.position(0, 0)["open_buy"]
        made.one(amend(order_id, quantity=wanted))
        assert made.position(0, 0)["open_buy"] == max(before, wanted)
        made.one(report(answer, order_id, price=1_000, quantity=wanted))
        assert made.position(0, 0)["open_buy"] == after
