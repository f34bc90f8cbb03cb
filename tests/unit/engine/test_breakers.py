"""Trading states, breakers that trip by themselves, throttles, permissions: what each does and leaves."""

from typing import Any

import pytest

from app.engine.codes import Code
from app.engine.types import (
    CommandKind,
    EventKind,
    Limit,
    Permission,
    Policy,
    ReportKind,
    Scope,
    StateFlag,
    TradingState,
)
from app.runtime.event_views import BreakerEvent, CancelAllEvent, StateEvent, event_as
from app.runtime.views import EventView
from tests.support.engine import (
    BUY,
    SELL,
    Command,
    Desk,
    advance,
    amend,
    bought,
    cancel,
    cancel_all,
    desk,
    limit,
    mark,
    note,
    place,
    report,
    trade,
    trading_state,
    working,
)

E = EventKind


def kinds(events: list[EventView]) -> list[EventKind]:
    return [EventKind(event.kind) for event in events]


def permit(state: Permission, symbol: int = 0, account: int = 0) -> Command:
    return Command(CommandKind.SET_PERMISSION, account, symbol, state=state)


def policy(which: Policy, value: int) -> Command:
    return Command(CommandKind.SET_POLICY, code=which, value=value)


def of_account(which: Limit, value: int, account: int = 0) -> Command:
    return limit(which, value, Scope.ACCOUNT, account)


def check_trip(
    events: list[EventView],
    cause: Code,
    allowed: int,
    observed: int,
    to: TradingState = TradingState.HALTED,
    **scope: Any,
) -> None:
    """The last two events tell of the breaker and of the state."""
    tripped, state = event_as(BreakerEvent, events[-2]), event_as(StateEvent, events[-1])
    assert (tripped.cause, tripped.limit, tripped.observed) == (cause, allowed, observed)
    assert (state.cause, state.state, state.actor) == (cause, to, 0)
    assert tripped.state == to
    for name, value in scope.items():
        assert getattr(tripped, name) == getattr(state, name) == value


# --- Losses.


@pytest.mark.parametrize("scope", [Scope.FIRM, Scope.ACCOUNT])
@pytest.mark.parametrize(
    ("which", "code"), [(Limit.DAILY_LOSS, Code.DAILY_LOSS), (Limit.MAX_DRAWDOWN, Code.MAX_DRAWDOWN)]
)
def test_a_loss_on_marks_stops_what_increases(which: Limit, code: Code, scope: Scope) -> None:
    made = desk()
    bought(made, 10, 1_000)
    account = 0 if scope == Scope.ACCOUNT else -1
    made.send(limit(which, 500, scope, account))
    assert kinds(made.send(mark(0, 950))) == [E.MARK_UPDATED], "equal to the limit passes"
    events = made.send(mark(0, 949))
    check_trip(events, code, 500, 510, TradingState.REDUCING, scope=scope, account=account)
    assert made.one(place(0, 0, BUY, 1, 949)).code == Code.REDUCING_ONLY
    assert made.one(place(0, 0, SELL, 10, 949)).kind == E.ORDER_ACCEPTED
    made.one(trading_state(TradingState.ACTIVE, scope, account))
    refused = made.one(place(0, 0, BUY, 1, 949))
    assert (refused.code, refused.limit, refused.observed, refused.scope) == (code, 500, 510, scope)
    assert made.send(mark(0, 948))[1].kind == E.BREAKER_TRIPPED, "the limit is still broken"
    made.send(limit(which, 10_000, scope, account), trading_state(TradingState.ACTIVE, scope, account))
    assert made.one(place(0, 0, BUY, 1, 948)).kind == E.ORDER_ACCEPTED


def test_a_loss_by_a_fill_trips_at_once() -> None:
    made = desk()
    made.one(of_account(Limit.DAILY_LOSS, 99))
    order = made.one(place(0, 0, BUY, 10, 1_000))
    events = made.send(trade(order.order_id, 1, 10, 1_000, fee=100))
    assert events[0].kind == E.ORDER_FILLED
    check_trip(events, Code.DAILY_LOSS, 99, 100, TradingState.REDUCING, scope=Scope.ACCOUNT, account=0)


def test_a_limit_that_is_broken_when_it_is_set() -> None:
    made = desk()
    bought(made, 10, 1_000)
    made.one(mark(0, 900))
    assert kinds(made.send(of_account(Limit.MAX_DRAWDOWN, 999))) == [E.LIMIT_SET]
    assert made.one(place(0, 0, BUY, 1, 900)).code == Code.MAX_DRAWDOWN
    check_trip(made.send(mark(0, 899)), Code.MAX_DRAWDOWN, 999, 1_010, TradingState.REDUCING, account=0)


def test_the_day_begins_anew_and_the_peak_does_not() -> None:
    made = desk()
    made.one(advance())
    bought(made, 10, 1_000)
    made.one(mark(0, 900))
    made.ts += 86_400_000_000
    made.one(advance())
    made.send(of_account(Limit.DAILY_LOSS, 1), mark(0, 900), mark(0, 901))
    assert made.account(0)["trading_state"] == TradingState.ACTIVE
    made.send(of_account(Limit.MAX_DRAWDOWN, 1), mark(0, 902))
    assert made.account(0)["state_cause"] == Code.MAX_DRAWDOWN


# --- The venue, marks, repeats.


def reject(made: Desk, account: int = 0) -> list[EventView]:
    order = made.one(place(account, 0, BUY, 1, 1_000))
    return made.send(report(ReportKind.REJECTED, order.order_id, code=Code.VENUE_REJECTED))


def test_rejections_in_a_row_halt() -> None:
    made = desk()
    made.send(of_account(Limit.VENUE_REJECTIONS, 3))
    reject(made)
    reject(made)
    working(made, place(0, 0, BUY, 1, 1_000))  # what the venue takes begins the row anew
    reject(made)
    reject(made)
    *told, canceled = reject(made)
    check_trip(told, Code.VENUE_REJECTIONS, 3, 3, account=0)
    assert canceled.kind == E.CANCEL_REQUESTED, "what rests could increase the position"
    assert made.one(place(0, 0, BUY, 1, 1_000)).code == Code.TRADING_HALTED
    made.one(trading_state(TradingState.ACTIVE, Scope.ACCOUNT, 0))
    assert kinds(reject(made)) == [E.ORDER_REJECTED], "counted from the resume on"


def test_rejections_of_two_accounts_halt_the_symbol() -> None:
    made = desk()
    made.send(limit(Limit.VENUE_REJECTIONS, 2, Scope.SYMBOL, symbol=0))
    reject(made, 0)
    check_trip(reject(made, 1), Code.VENUE_REJECTIONS, 2, 2, scope=Scope.SYMBOL, symbol=0)


def test_a_symbol_without_marks_halts() -> None:
    made = desk()
    made.send(limit(Limit.MARK_HALT_AGE, 1_000, Scope.SYMBOL, symbol=0))
    made.ts += 1_000
    assert kinds(made.send(advance()))[-1] in (E.DAY_STARTED, E.TIME_ADVANCED)
    made.ts += 1
    check_trip(made.send(advance()), Code.MARKET_DATA_STALE, 1_000, 1_001, scope=Scope.SYMBOL, symbol=0)
    assert kinds(made.send(advance())) == [E.TIME_ADVANCED], "it trips once"


def test_the_same_order_again_and_again() -> None:
    made = desk()
    made.send(of_account(Limit.MAX_REPEATED_ORDERS, 2))
    again = place(0, 0, BUY, 3, 990)
    assert [made.one(again).kind for _ in range(2)] == [E.ORDER_ACCEPTED] * 2
    assert made.one(place(0, 0, BUY, 3, 991)).kind == E.ORDER_ACCEPTED
    refused, *told = made.send(again)
    canceled = [E.CANCEL_REQUESTED] * 3  # what rests could increase the position
    expected = [E.ORDER_REJECTED, E.BREAKER_TRIPPED, E.TRADING_STATE_SET, *canceled]
    assert sorted(kinds([refused, *told])) == sorted(expected)
    refused = next(event for event in [refused, *told] if event.kind == E.ORDER_REJECTED)
    assert (refused.code, refused.limit, refused.observed) == (Code.REPEATED_ORDER, 2, 3)
    made.ts += 10_000_000
    assert made.one(again).code == Code.TRADING_HALTED, "until a person resumes"
    made.one(trading_state(TradingState.ACTIVE, Scope.ACCOUNT, 0))
    assert made.one(again).kind == E.ORDER_ACCEPTED


def test_a_bid_and_an_offer_one_tick_apart_are_no_repeats() -> None:
    made = desk()
    made.send(of_account(Limit.MAX_REPEATED_ORDERS, 1))
    for side, price in ((BUY, 990), (SELL, 991), (BUY, 992), (SELL, 993)):
        assert made.one(place(0, 0, side, 3, price)).kind == E.ORDER_ACCEPTED


def test_repeats_are_counted_in_a_window() -> None:
    made = desk()
    made.send(of_account(Limit.MAX_REPEATED_ORDERS, 1), policy(Policy.REPEAT_WINDOW_US, 500))
    for _ in range(3):
        assert made.one(place(0, 0, BUY, 3, 990)).kind == E.ORDER_ACCEPTED
        made.ts += 501


# --- Stopping with the cancel of what is open.


def test_a_halt_that_cancels() -> None:
    made = desk()
    mine = [working(made, place(0, 0, BUY, 1, 990 - n)) for n in range(3)]
    others = working(made, place(1, 0, BUY, 1, 990))
    halt = Command(
        CommandKind.SET_TRADING_STATE, 0, scope=Scope.ACCOUNT, state=TradingState.HALTED,
        flags=StateFlag.CANCEL_OPEN, actor=7, notes=1,
    )  # fmt: skip
    events = made.send(note(b"why"), halt, place(0, 0, BUY, 1, 990))
    assert kinds(events) == [
        E.NOTE_RECORDED, E.TRADING_STATE_SET, *[E.CANCEL_REQUESTED] * 3, E.CANCEL_ALL_DONE, E.ORDER_REJECTED
    ]  # fmt: skip
    assert [event.order_id for event in events[2:5]] == mine
    state, canceled = event_as(StateEvent, events[1]), event_as(CancelAllEvent, events[5])
    assert (state.actor, state.notes, canceled.requested) == (7, 1, 3)
    assert events[6].code == Code.TRADING_HALTED, "it stood behind the halt in the same batch"
    assert made.account(0)["state_actor"] == 7
    assert made.one(cancel(others)).kind == E.CANCEL_REQUESTED


# --- Throttles, restrictions, turnover, messages.


def test_cancels_are_throttled_but_never_in_a_halt() -> None:
    made = desk()
    orders = [working(made, place(0, 0, BUY, 1, 990)) for _ in range(6)]
    made.send(of_account(Limit.CANCEL_RATE, 1), policy(Policy.CANCEL_INCREASING, 0))
    assert made.one(cancel(orders[0])).kind == E.CANCEL_REQUESTED
    refused = made.one(cancel(orders[1]))
    assert (refused.kind, refused.code, refused.limit) == (E.CANCEL_REJECTED, Code.CANCEL_RATE, 1)
    made.ts += 1_000_000
    assert made.one(cancel(orders[1])).kind == E.CANCEL_REQUESTED
    made.one(trading_state(TradingState.HALTED, Scope.SYMBOL, symbol=0))
    assert made.one(cancel(orders[2])).kind == E.CANCEL_REQUESTED
    made.one(trading_state(TradingState.ACTIVE, Scope.SYMBOL, symbol=0))
    assert kinds(made.send(cancel_all(Scope.ACCOUNT, 0))) == [*[E.CANCEL_REQUESTED] * 3, E.CANCEL_ALL_DONE]


def test_a_restricted_symbol_can_only_be_left() -> None:
    made = desk()
    bought(made, 5, 1_000)
    made.one(permit(Permission.DENIED))
    assert made.one(place(0, 0, BUY, 1, 1_000)).code == Code.SYMBOL_RESTRICTED
    assert made.one(place(0, 0, SELL, 5, 1_000)).kind == E.ORDER_ACCEPTED
    assert made.one(place(1, 0, BUY, 1, 1_000)).kind == E.ORDER_ACCEPTED


def test_an_account_that_may_trade_only_what_is_listed() -> None:
    made = desk(symbols=2)
    made.send(permit(Permission.DENIED, symbol=-1), permit(Permission.ALLOWED, symbol=1))
    assert made.one(place(0, 0, BUY, 1, 1_000)).code == Code.SYMBOL_RESTRICTED
    assert made.one(place(0, 1, BUY, 1, 1_000)).kind == E.ORDER_ACCEPTED


def test_turnover_counts_what_is_open_and_gives_it_back() -> None:
    made = desk()
    made.send(of_account(Limit.MAX_DAILY_NOTIONAL, 10_000))
    order = made.one(place(0, 0, BUY, 10, 1_000))
    refused = made.one(place(0, 0, BUY, 1, 1_000))
    assert (refused.code, refused.limit, refused.observed) == (Code.MAX_DAILY_NOTIONAL, 10_000, 11_000)
    made.send(trade(order.order_id, 1, 4, 900))
    assert (made.account(0)["day_traded"], made.account(0)["open_notional"]) == (3_600, 6_000)
    made.send(report(ReportKind.CANCELED, order.order_id))
    assert (made.account(0)["day_traded"], made.account(0)["open_notional"]) == (3_600, 0)
    assert made.one(place(0, 0, BUY, 6, 1_000)).kind == E.ORDER_ACCEPTED
    assert made.one(place(0, 0, SELL, 4, 1_000)).kind == E.ORDER_ACCEPTED, "it only reduces"
    made.ts += 86_400_000_000
    made.send(advance())
    assert made.account(0)["day_traded"] == 0


def test_messages_for_each_fill() -> None:
    made = desk()
    made.send(of_account(Limit.MAX_ORDER_TO_TRADE_RATIO, 2), policy(Policy.ORDER_TO_TRADE_FLOOR, 3))
    for _ in range(3):
        assert made.one(place(0, 0, BUY, 1, 990)).kind == E.ORDER_ACCEPTED
    refused = made.one(place(0, 0, BUY, 1, 990))
    assert (refused.code, refused.limit, refused.observed) == (Code.MAX_ORDER_TO_TRADE_RATIO, 2, 4)
    assert made.one(place(1, 0, BUY, 1, 990)).kind == E.ORDER_ACCEPTED


def test_amending_a_price_is_a_message_and_adds_to_turnover() -> None:
    made = desk()
    order = working(made, place(0, 0, BUY, 10, 900))
    made.send(of_account(Limit.MAX_DAILY_NOTIONAL, 9_500))
    refused = made.one(amend(order, price=960))
    assert (refused.code, refused.limit, refused.observed) == (Code.MAX_DAILY_NOTIONAL, 9_500, 9_600)
    made.send(of_account(Limit.MAX_ORDER_TO_TRADE_RATIO, 2), policy(Policy.ORDER_TO_TRADE_FLOOR, 2))
    refused = made.one(amend(order, price=901))
    assert (refused.code, refused.limit, refused.observed) == (Code.MAX_ORDER_TO_TRADE_RATIO, 2, 3)
    assert made.one(amend(order, quantity=9)).kind == E.REPLACE_REQUESTED, "less is not more of anything"


def test_a_price_far_from_where_the_mark_was() -> None:
    made = desk()
    made.send(policy(Policy.COLLAR_WINDOW_US, 8_000), limit(Limit.PRICE_MOVE_BPS, 1_000))
    made.one(mark(0, 1_000))
    for price in (1_050, 1_150):
        made.ts += 4_000
        made.one(mark(0, price))
    refused = made.one(place(0, 0, BUY, 1, 1_101))
    assert (refused.code, refused.limit, refused.observed) == (Code.PRICE_COLLAR, 100, 101)
    assert made.one(place(0, 0, BUY, 1)).code == Code.PRICE_COLLAR, "a market order trades at the mark"
    assert made.one(place(0, 0, BUY, 1, 1_100)).kind == E.ORDER_ACCEPTED
    made.ts += 8_000
    made.one(mark(0, 1_150))
    assert made.one(place(0, 0, BUY, 1)).kind == E.ORDER_ACCEPTED, "a window later it is no move any more"


def test_net_exposure_and_leverage() -> None:
    made = desk(symbols=2, cash=10_000)
    made.send(limit(Limit.MAX_NET_EXPOSURE, 5_000), of_account(Limit.MAX_LEVERAGE, 81))  # less the fees
    assert made.one(place(0, 0, BUY, 5, 1_000)).kind == E.ORDER_ACCEPTED
    assert made.one(place(0, 1, BUY, 1, 1_000)).code == Code.MAX_NET_EXPOSURE
    refused = made.one(place(0, 1, SELL, 4, 1_000))
    assert (refused.code, refused.limit, refused.observed) == (Code.MAX_LEVERAGE, 81, 91)
    assert made.one(place(0, 1, SELL, 3, 1_000)).kind == E.ORDER_ACCEPTED


# --- What may be set where.


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (limit(Limit.MAX_GROSS_EXPOSURE, 1, Scope.SYMBOL, symbol=0), Code.WRONG_SCOPE),
        (limit(Limit.MARK_HALT_AGE, 1), Code.WRONG_SCOPE),
        (limit(Limit.MAX_OPEN_ORDERS, 1), Code.WRONG_SCOPE),
        (of_account(Limit.VENUE_REJECTIONS, 0), Code.INVALID_VALUE),
        (of_account(Limit.MAX_LEVERAGE, 100_001), Code.INVALID_VALUE),
        (of_account(Limit.MAX_GROSS_EXPOSURE, 99), Code.LIMIT_CONTRADICTION),
        (of_account(Limit.MAX_NET_EXPOSURE, 1_001), Code.LIMIT_CONTRADICTION),
    ],
)
def test_limits_that_cannot_be(command: Command, code: Code) -> None:
    made = desk()
    made.send(of_account(Limit.MAX_ORDER_NOTIONAL, 100), of_account(Limit.MAX_GROSS_EXPOSURE, 1_000))
    before = made.engine.state.account_limits.tobytes() + made.engine.state.firm_limits.tobytes()
    refused = made.one(command)
    assert (refused.kind, refused.code) == (E.COMMAND_REJECTED, code)
    assert before == made.engine.state.account_limits.tobytes() + made.engine.state.firm_limits.tobytes()


def test_zero_forbids_and_contradicts_nothing() -> None:
    made = desk()
    made.send(of_account(Limit.MAX_ORDER_NOTIONAL, 100))
    assert made.one(of_account(Limit.MAX_GROSS_EXPOSURE, 0)).kind == E.LIMIT_SET
