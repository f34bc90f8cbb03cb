"""A command whose events do not fit into the buffer goes on in the next one, and nothing tells that it did.

Every function that can run out of room is entered here with orders in every state that an open order
can have, and with every size of buffer from the smallest that `Capacity` allows to one that holds
all: events and state are those of a buffer without end.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import count, product

import pytest

from app.engine.capacity import EVENTS_PER_COMMAND_MAX, SMALL_CAPACITY, Capacity
from app.engine.codes import Code
from app.engine.state import state_hash
from app.engine.stop_heap import SUSPENDED
from app.engine.types import (
    CommandKind,
    EventKind,
    Limit,
    OrderFlag,
    OrderStatus,
    OrderType,
    Permission,
    Policy,
    ReportKind,
    Scope,
    StateFlag,
    TimeInForce,
    TradingState,
)
from app.runtime.views import EventView
from tests.support import engine as build
from tests.support.engine import BUY, SELL, Command, Desk

SMALLEST = 4 * EVENTS_PER_COMMAND_MAX
ENDLESS = 4_096
SIZES = range(SMALLEST, 81)
PRICE = 1_000
HELD = 40
SECOND_US = 1_000_000
LATER = build.FIRST_TS + 60 * SECOND_US
CAPACITY = Capacity(
    accounts=3, symbols=2, orders=1024, open_orders=768, fills=512, commands=256, events=ENDLESS,
    overrides=32, limit_changes=64,
)  # fmt: skip
ACCOUNT_LIMITS = (
    Limit.MAX_ORDER_QUANTITY, Limit.MAX_ORDER_NOTIONAL, Limit.MAX_GROSS_EXPOSURE, Limit.ORDER_RATE,
    Limit.PRICE_COLLAR_BPS, Limit.MAX_MARK_AGE, Limit.MAX_PORTFOLIO_VAR, Limit.MAX_CORRELATED_EXPOSURE,
    Limit.CANCEL_RATE, Limit.MAX_REPEATED_ORDERS, Limit.PRICE_MOVE_BPS, Limit.MAX_NET_EXPOSURE,
    Limit.MAX_LEVERAGE, Limit.MAX_DAILY_NOTIONAL, Limit.DAILY_LOSS, Limit.MAX_DRAWDOWN,
    Limit.MAX_ORDER_TO_TRADE_RATIO, Limit.MAX_OPEN_ORDERS,
)  # fmt: skip
OVERRIDDEN = (Limit.MAX_ORDER_QUANTITY, Limit.MAX_ORDER_NOTIONAL, Limit.ORDER_RATE, Limit.PRICE_COLLAR_BPS)

Step = Callable[[Desk], None]


def resting(desk: Desk, account: int, symbol: int, side: int, **more: int) -> int:
    price = PRICE - 100 if side == BUY else PRICE + 100
    return build.working(desk, build.place(account, symbol, side, 30, price, **more))


def stop(side: int, stop_price: int, quantity: int = 30, **more: int) -> dict[str, int]:
    return {"side": side, "quantity": quantity, "type": OrderType.STOP, "stop_price": stop_price} | more


def crowd(desk: Desk, account: int, symbol: int, executions: "count[int]") -> None:
    """A long position, and of each side open orders in every state but TRIGGERED and SUSPENDED."""
    for side, flag in ((SELL, OrderFlag.REDUCE_ONLY), (SELL, 0), (BUY, 0)):
        lasting = {"time_in_force": TimeInForce.GTD, "expire_ts": LATER, "flags": int(flag)}
        price = PRICE - 100 if side == BUY else PRICE + 100
        desk.send(build.place(account, symbol, side, 30, price, **lasting))  # PENDING_NEW
        resting(desk, account, symbol, side, **lasting)
        filled = resting(desk, account, symbol, side, **lasting)
        desk.send(build.trade(filled, next(executions), 1, price))
        desk.send(build.cancel(resting(desk, account, symbol, side, **lasting)))
        desk.send(build.amend(resting(desk, account, symbol, side, **lasting), price=price + 1))
        desk.send(build.report(ReportKind.UNKNOWN, resting(desk, account, symbol, side, **lasting)))
        stop_price = PRICE + 50 if side == BUY else PRICE - 50
        for number in range(8):
            desk.send(build.place(account, symbol, **stop(side, stop_price, **lasting)))
            desk.send(build.place(account, symbol, side, 30, price + number, **lasting))
            resting(desk, account, symbol, side, **lasting)
        if account == 2 and side == SELL:
            desk.send(build.place(account, symbol, **stop(side, PRICE - 20, **lasting)))


@cache
def recipe() -> tuple[tuple[Command, ...], int, int]:
    """Commands that give every account such a crowd and halt account 2; number and time of the last."""
    desk = Desk(CAPACITY)
    desk.send(*build.market(3, 2, PRICE, cash=10**10))
    executions = count(1)
    for account, symbol in product(range(3), range(2)):
        build.bought(desk, HELD, PRICE, account, symbol)
        fires = stop(SELL, PRICE - 5, flags=int(OrderFlag.REDUCE_ONLY))
        desk.send(build.place(account, symbol, **fires))
    desk.send(build.policy(Policy.CANCEL_INCREASING, 0))
    desk.send(build.trading_state(TradingState.HALTED, Scope.ACCOUNT, 2))
    desk.send(*(build.mark(symbol, PRICE - 5) for symbol in range(2)))  # TRIGGERED, and SUSPENDED
    desk.send(*(build.mark(symbol, PRICE) for symbol in range(2)))
    desk.send(build.trading_state(TradingState.ACTIVE, Scope.ACCOUNT, 2))
    desk.send(build.policy(Policy.CANCEL_INCREASING, 1))
    for account, symbol in product(range(3), range(2)):
        crowd(desk, account, symbol, executions)
    desk.send(build.policy(Policy.CANCEL_INCREASING, 0))
    desk.send(build.trading_state(TradingState.HALTED, Scope.ACCOUNT, 2))
    desk.send(*(build.mark(symbol, PRICE - 20) for symbol in range(2)))
    desk.send(*(build.mark(symbol, PRICE) for symbol in range(2)))
    desk.send(build.policy(Policy.CANCEL_INCREASING, 1))
    return tuple(desk.log), desk.seq, desk.ts


def prepared(events: int) -> Desk:
    commands, seq, ts = recipe()
    desk = Desk(replace(CAPACITY, events=events))
    desk.engine.process(build.pack(commands))
    desk.seq, desk.ts = seq, ts
    return desk


def test_the_crowd_has_orders_in_every_open_state() -> None:
    orders = prepared(ENDLESS).engine.state.orders
    open_states = {OrderStatus(int(status)) for status in orders["status"] if 0 < status < OrderStatus.FILLED}
    assert open_states == set(OrderStatus) - {OrderStatus.NONE, *_FINAL}
    assert set(orders["waiting"].tolist()) == {0, 1, SUSPENDED}


_FINAL = (OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED)


def cancel_all(scope: Scope) -> Step:
    account = 1 if scope in (Scope.ACCOUNT, Scope.ACCOUNT_SYMBOL) else -1
    symbol = 1 if scope in (Scope.SYMBOL, Scope.ACCOUNT_SYMBOL) else -1
    return lambda desk: keep(desk, build.cancel_all(scope, account, symbol))


def restrict(state: TradingState, scope: Scope, flags: int = 0) -> Step:
    account = 1 if scope == Scope.ACCOUNT else -1
    symbol = 1 if scope == Scope.SYMBOL else -1
    command = replace(build.trading_state(state, scope, account, symbol), flags=flags)
    return lambda desk: keep(desk, command)


def keep(desk: Desk, *commands: Command) -> None:
    """Send commands; what they leave is in `Recorder`."""
    desk.send(*commands)


def marks(price: int) -> list[Command]:
    """Of one moment."""
    return [replace(build.mark(symbol, price), more=int(symbol == 0)) for symbol in range(2)]


def breakers(desk: Desk) -> None:
    """Firm and accounts lose too much at once, and stops are reached by the same marks."""
    for account in range(2):
        keep(desk, build.limit(Limit.DAILY_LOSS, 100, Scope.ACCOUNT, account))
    keep(desk, build.limit(Limit.MAX_DRAWDOWN, 300), *marks(PRICE - 60))


def margin(desk: Desk) -> None:
    """Positions that are too large for the equity of every account."""
    for account in range(3):
        keep(desk, build.transfer(account, 10**6 - 10**10))
        keep(desk, build.limit(Limit.MAINTENANCE_LEVERAGE, 1, Scope.ACCOUNT, account))
    keep(desk, *marks(PRICE + 1))


def overdue_marks(desk: Desk) -> None:
    """Halts of symbols, ends of overrides and expiries, all by one command."""
    overrides(desk, later=LATER)
    for symbol in range(2):
        keep(desk, build.limit(Limit.MARK_HALT_AGE, SECOND_US, Scope.SYMBOL, symbol=symbol))
    desk.ts = LATER
    keep(desk, build.advance())


def overrides(desk: Desk, later: int = build.FIRST_TS + SECOND_US) -> None:
    """As many as end at once."""
    for account, which in product(range(3), (*OVERRIDDEN, *ACCOUNT_LIMITS[-3:])):
        keep(desk, build.override(which, 10**4, later, Scope.ACCOUNT, account))
    desk.ts = later
    keep(desk, build.advance())


def expiries(desk: Desk) -> None:
    desk.ts = LATER
    keep(desk, build.advance())
    desk.ts += SECOND_US
    keep(desk, build.advance())  # those that could not be canceled then


def stops(desk: Desk) -> None:
    keep(desk, *marks(PRICE - 60))
    keep(desk, *marks(PRICE + 60))


def refused_stops(desk: Desk) -> None:
    for account in range(3):
        keep(desk, build.limit(Limit.MAX_GROSS_EXPOSURE, 1, Scope.ACCOUNT, account))
    stops(desk)


def resumed(desk: Desk) -> None:
    """Suspended stops are looked at again."""
    keep(desk, *marks(PRICE - 60))
    keep(desk, build.trading_state(TradingState.ACTIVE, Scope.ACCOUNT, 2))


def firm_resumed(desk: Desk) -> None:
    keep(desk, build.policy(Policy.CANCEL_INCREASING, 0), build.trading_state(TradingState.HALTED))
    keep(desk, *marks(PRICE - 60), build.trading_state(TradingState.REDUCING))
    keep(desk, build.policy(Policy.CANCEL_INCREASING, 1), build.trading_state(TradingState.ACTIVE))


def trims(desk: Desk) -> None:
    """Fills that leave reduce-only orders larger than the position, then some with nothing to reduce."""
    for number, quantity in enumerate((20, 15, 30)):
        sold = build.place(0, 0, SELL, quantity, PRICE, time_in_force=TimeInForce.IOC)
        order_id = (desk.seq + 1) << 21 | int(desk.engine.state.firm[0]["orders_used"])
        keep(desk, sold, build.trade(order_id, 10**9 + number, quantity, PRICE))
    answers(desk)


def answers(desk: Desk) -> None:
    """The venue answers all that it was asked, each answer lets orders be trimmed that had to wait."""
    orders = desk.engine.state.orders
    waiting = (OrderStatus.PENDING_CANCEL, OrderStatus.PENDING_REPLACE, OrderStatus.UNKNOWN)
    refusals = {OrderStatus.PENDING_NEW: ReportKind.NEW} | dict.fromkeys(waiting, ReportKind.REPLACE_REJECTED)
    for order in orders[orders["status"] > 0].copy():
        kind = refusals.get(OrderStatus(int(order["status"])))
        if kind is not None:
            keep(desk, build.report(kind, int(order["order_id"])))


def denied(symbol: int) -> Step:
    command = Command(CommandKind.SET_PERMISSION, 1, symbol, scope=Scope.ACCOUNT, state=Permission.DENIED)
    scope = Scope.ACCOUNT if symbol < 0 else Scope.ACCOUNT_SYMBOL
    return lambda desk: keep(desk, replace(command, scope=scope))


def rejections(desk: Desk) -> None:
    """The venue's rejection halts an account and a symbol at once."""
    keep(desk, build.limit(Limit.VENUE_REJECTIONS, 1, Scope.ACCOUNT, 0))
    keep(desk, build.limit(Limit.VENUE_REJECTIONS, 1, Scope.SYMBOL, symbol=0))
    order_id = desk.send(build.place(0, 0, BUY, 1, PRICE - 99))[-1].order_id
    keep(desk, build.report(ReportKind.REJECTED, order_id, code=Code.VENUE_REJECTED))


def closing(cancel_open: bool) -> Step:
    def close(desk: Desk) -> None:
        build.bought(desk, 600, PRICE, 1, 0)
        small = build.instrument(0, max_quantity=30)  # as large as the open orders, and no larger
        keep(desk, small, build.close_position(1, 0, cancel_open, client_order_id=b"c"))
        keep(desk, build.close_position(1, 0, cancel_open, client_order_id=b"c"))

    return close


def many_limits(command: Callable[[Limit, int], Command]) -> list[Command]:
    """One request of all limits that an account may have."""
    last = len(ACCOUNT_LIMITS) - 1
    return [replace(command(each, 50), remaining=last - at) for at, each in enumerate(ACCOUNT_LIMITS)]


def limits(desk: Desk) -> None:
    keep(desk, *many_limits(lambda which, value: build.limit(which, value, Scope.ACCOUNT, 1)))


def approval(desk: Desk) -> None:
    keep(desk, *many_limits(lambda which, value: build.proposal(which, value, Scope.ACCOUNT, 1, actor=1)))
    keep(desk, build.decision(CommandKind.APPROVE_CHANGE, 1, actor=2))
    keep(desk, build.proposal(Limit.DAILY_LOSS, 9, Scope.ACCOUNT, 0, actor=1, expires_ts=LATER))
    keep(desk, build.decision(CommandKind.APPROVE_CHANGE, 19, actor=2))


def model(desk: Desk) -> None:
    everything = {
        "half_life": 5, "interval_us": 10**6 + 1, "horizon_us": 10**9, "z_e9": 10**9,
        "correlation_threshold_ppm": 1, "mark_age_us_max": 1, "samples_min": 2,
    }  # fmt: skip
    keep(desk, build.risk_model(**everything), build.risk_model(), build.risk_model(**everything))


STEPS: dict[str, Step] = {
    **{f"cancel all of {scope.name}": cancel_all(scope) for scope in Scope if scope != Scope.NONE},
    **{
        f"{state.name} of {scope.name}{', cancel' if flags else ''}": restrict(state, scope, flags)
        for state in (TradingState.REDUCING, TradingState.HALTED)
        for scope in (Scope.FIRM, Scope.ACCOUNT, Scope.SYMBOL)
        for flags in (0, int(StateFlag.CANCEL_OPEN))
    },
    "breakers": breakers,
    "margin": margin,
    "overdue marks": overdue_marks,
    "overrides": overrides,
    "expiries": expiries,
    "stops": stops,
    "refused stops": refused_stops,
    "resumed": resumed,
    "firm resumed": firm_resumed,
    "trims after fills": trims,
    "answers": answers,
    "denied": denied(-1),
    "denied one symbol": denied(0),
    "venue rejections": rejections,
    "close": closing(False),
    "close, cancel": closing(True),
    "limits": limits,
    "approval": approval,
    "risk model": model,
}

# All of their events fit into the smallest buffer; they begin at any place of it with those before.
SHORT = ("risk model",)


class Recorder(Desk):
    """A desk that remembers all its events."""

    def __init__(self, desk: Desk) -> None:
        self.engine, self.seq, self.ts, self.log = desk.engine, desk.seq, desk.ts, []
        self.events: list[EventView] = []

    def send(self, *commands: Command) -> list[EventView]:
        events = super().send(*commands)
        self.events += events
        return events


def outcome(step: Step, size: int) -> tuple[list[EventView], str]:
    desk = Recorder(prepared(size))
    step(desk)
    return desk.events, state_hash(desk.engine.state)


@pytest.mark.parametrize("name", STEPS)
def test_a_command_is_the_same_in_a_buffer_of_any_size(name: str) -> None:
    expected = outcome(STEPS[name], ENDLESS)
    assert not any(event.kind == EventKind.COMMAND_REJECTED for event in expected[0])
    assert max(event.index for event in expected[0]) > SMALLEST or name in SHORT
    for size in SIZES:
        assert outcome(STEPS[name], size) == expected, size


def test_amended_reduce_only_orders_among_very_many_stops() -> None:
    """As found: a place, amends of reduce-only sells and a cancel of everything, in one batch."""
    stops_open = 3_000

    def run(events: int) -> tuple[list[EventView], str]:
        desk = Desk(replace(SMALL_CAPACITY, events=events, orders=1 << 13, open_orders=1 << 12))
        desk.send(*build.market(1, 1, PRICE, cash=10**14))
        build.bought(desk, 10, PRICE)
        for _ in range(stops_open // 200):
            desk.send(*[build.place(0, 0, **stop(SELL, PRICE - 50, 1)) for _ in range(200)])
        sells = [
            build.working(desk, build.place(0, 0, SELL, 10, PRICE + 9, flags=int(OrderFlag.REDUCE_ONLY)))
            for _ in range(5)
        ]
        sold = build.working(desk, build.place(0, 0, SELL, 9, PRICE + 5))
        made = desk.send(
            build.place(0, 0, BUY, 1, PRICE - 10),
            *(build.amend(order_id, quantity=9) for order_id in sells),
            build.trade(sold, 77, 5, PRICE + 5),
            build.cancel_all(Scope.FIRM),
        )
        made += desk.send(*(build.report(ReportKind.REPLACE_REJECTED, order_id) for order_id in sells))
        return made, state_hash(desk.engine.state)

    expected = run(1 << 13)
    assert len(expected[0]) > stops_open
    for events in (SMALLEST, 17, 31, 100, 1_021, 1_022, 1_023, 1_024, 1_025, 1_029):
        assert run(events) == expected, events
