"""Rules that hold in whatever order orders, amends, fills, marks and answers come.

The engine alone, and a venue made up here that does what a venue must: it fills orders that it has, no
more than is left of them, and clamps what must reduce to the position at the moment of the fill.
"""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.capacity import SLOT_BITS
from app.engine.types import (
    EventKind,
    Limit,
    OrderFlag,
    OrderStatus,
    OrderType,
    ReportKind,
    Scope,
    TimeInForce,
    TradingState,
)
from app.runtime.views import EventView
from tests.support import engine as build
from tests.support.engine import BUY, SELL, Command, desk
from tests.support.limit_worlds import CAPACITY, Fork

PRICE = 1_000
STEP = 10**8
POSITION_MAX = 30
FEE_PPM = 500
REFUSALS = (EventKind.ORDER_REJECTED, EventKind.REPLACE_REJECTED, EventKind.CANCEL_REJECTED)
AT_VENUE = (
    OrderStatus.PENDING_NEW, OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, OrderStatus.PENDING_CANCEL,
    OrderStatus.PENDING_REPLACE, OrderStatus.TRIGGERED,
)  # fmt: skip

# What a refused request may change.
_COUNTED = ("order_tokens", "order_tokens_ts", "cancel_tokens", "cancel_tokens_ts")
_OF_ACCOUNT = (*_COUNTED, "messages")
_OF_FIRM = (*_COUNTED, "seq", "ts", "event_count", "event_index", "orders_used", "closed_begin", "closed_end")

FORK = Fork()
WORLD = desk(1, 1, PRICE, cash=20_000, capacity=CAPACITY)
WORLD.send(build.limit(Limit.MAX_POSITION, POSITION_MAX * STEP, Scope.ACCOUNT_SYMBOL, 0, 0))


class World:
    """One account, one symbol."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data
        FORK.reset(WORLD)
        self.executions = 0

    def choose(self, *choices: Any) -> Any:
        return self.data.draw(st.sampled_from(choices))

    def send(self, command: Command) -> list[EventView]:
        return FORK.send([command])

    @property
    def held(self) -> int:
        return int(FORK.engine.state.positions[0]["quantity"])

    def orders(self) -> list[dict[str, int]]:
        """Open orders, oldest first."""
        state = FORK.engine.state
        found = []
        slot = int(state.accounts[0]["first_open"])
        while slot >= 0:
            record = state.orders[slot]
            found.append({name: int(record[name]) for name in record.dtype.names if not record[name].shape})
            slot = int(record["next"])
        return found

    def at_venue(self) -> list[dict[str, int]]:
        return [order for order in self.orders() if not order["waiting"] and order["status"] in AT_VENUE]

    def place(self) -> list[EventView]:
        kind = self.choose(OrderType.MARKET, OrderType.LIMIT, OrderType.LIMIT, OrderType.STOP)
        price = self.choose(950, 990, 1_000, 1_010, 1_050, 1_200) if kind == OrderType.LIMIT else 0
        stop = self.choose(950, 990, 1_010, 1_050) if kind == OrderType.STOP else 0
        return self.send(
            build.place(
                0, 0, self.choose(BUY, SELL), self.choose(1, 3, 10, 25, 40), price, type=kind,
                stop_price=stop,
                flags=self.choose(0, 0, int(OrderFlag.REDUCE_ONLY)),
                time_in_force=TimeInForce.IOC if kind == OrderType.MARKET else TimeInForce.GTC,
            )
        )  # fmt: skip

    def amend(self) -> list[EventView]:
        orders = self.orders()
        if not orders:
            return []
        price = self.choose(0, 980, 1_020)
        return self.send(build.amend(self.choose(*orders)["order_id"], price, self.choose(0, 2, 12, 40)))

    def cancel(self) -> list[EventView]:
        orders = self.orders()
        return self.send(build.cancel(self.choose(*orders)["order_id"])) if orders else []

    def move(self) -> list[EventView]:
        return self.send(build.mark(0, self.choose(940, 985, 1_000, 1_015, 1_060)))

    def restrict(self) -> list[EventView]:
        state = self.choose(TradingState.ACTIVE, TradingState.ACTIVE, TradingState.REDUCING)
        return self.send(build.trading_state(state, Scope.ACCOUNT, 0))

    def answer(self) -> list[EventView]:
        """The venue takes or refuses what it is asked."""
        orders = self.at_venue()
        if not orders:
            return []
        order = self.choose(*orders)
        takes = self.choose(True, True, False)
        if order["status"] in (OrderStatus.PENDING_NEW, OrderStatus.TRIGGERED):
            return self.send(build.report(ReportKind.NEW, order["order_id"]))
        if order["status"] == OrderStatus.PENDING_CANCEL:
            kind = ReportKind.CANCELED if takes else ReportKind.CANCEL_REJECTED
            return self.send(build.report(kind, order["order_id"]))
        if order["status"] != OrderStatus.PENDING_REPLACE:
            return []
        if not takes or order["replace_quantity"] <= order["filled_quantity"]:
            return self.send(build.report(ReportKind.REPLACE_REJECTED, order["order_id"]))
        asked = {"price": order["replace_price"], "quantity": order["replace_quantity"]}
        return self.send(build.report(ReportKind.REPLACED, order["order_id"], **asked))

    def fill(self) -> list[EventView]:
        orders = self.at_venue()
        if not orders:
            return []
        order = self.choose(*orders)
        quantity = self.choose(1, 2, 10, 40)
        quantity = min(quantity, order["quantity"] - order["filled_quantity"])
        restricted = int(FORK.engine.state.accounts[0]["trading_state"]) != TradingState.ACTIVE
        buy = order["side"] == BUY
        if restricted or order["flags"] & OrderFlag.REDUCE_ONLY:
            quantity = min(quantity, max(-self.held if buy else self.held, 0))
        if quantity == 0:
            return self.send(build.report(ReportKind.CANCELED, order["order_id"]))
        mark = int(FORK.engine.state.instruments[0]["mark"])
        price = order["price"] or mark
        fee = -(-price * quantity * FEE_PPM // 10**6)
        self.executions += 1
        return self.send(build.trade(order["order_id"], self.executions, quantity, price, fee))


STEPS = ("place", "place", "amend", "cancel", "move", "restrict", "answer", "answer", "fill", "fill", "fill")


def picture() -> list[bytes]:
    """The state but for what a refused request may change."""
    state = FORK.engine.state
    firm, accounts = state.firm.copy(), state.accounts.copy()
    for name in _OF_FIRM:
        firm[name] = 0
    for name in _OF_ACCOUNT:
        accounts[name] = 0
    is_open = np.isin(state.orders["status"], range(1, OrderStatus.FILLED))
    others = (state.instruments, state.positions, state.portfolios, state.exposures, state.account_limits)
    return [
        firm.tobytes(), accounts.tobytes(), state.orders[is_open].tobytes(),
        *(array.tobytes() for array in others),
    ]  # fmt: skip


def slot_of(order_id: int) -> int:
    return order_id & ((1 << SLOT_BITS) - 1)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_reduce_only_never_opens_and_no_limit_is_passed(data: st.DataObject) -> None:
    world = World(data)
    for _ in range(data.draw(st.integers(5, 40))):
        held, before = world.held, picture()
        step = world.choose(*STEPS)
        events = getattr(world, step)()
        assert EventKind.EXECUTION_ANOMALY not in {event.kind for event in events}
        if step in ("place", "amend", "cancel") and events and events[0].kind in REFUSALS:
            assert picture() == before, "a refused request changes nothing"
        if step == "fill" and events and events[0].kind == EventKind.ORDER_FILLED:
            reduce_only = events[0].flags & OrderFlag.REDUCE_ONLY
            assert not reduce_only or (abs(world.held) < abs(held) and world.held * held >= 0)
        assert abs(world.held) <= POSITION_MAX
        check_reservations(world)


def check_reservations(world: World) -> None:
    """What is reserved is what is open; what waits and may only reduce is no larger than the position."""
    position = FORK.engine.state.positions[0]
    for side, name in ((BUY, "open_buy"), (SELL, "open_sell")):
        orders = [order for order in world.orders() if order["side"] == side]
        assert sum(order["reserved"] for order in orders) == int(position[name])
        reducible = max(-world.held if side == BUY else world.held, 0)
        for order in orders:
            if order["waiting"] and order["flags"] & OrderFlag.REDUCE_ONLY:
                assert order["quantity"] <= reducible
    account = FORK.engine.state.accounts[0]
    assert sum(order["reserved_cost"] for order in world.orders()) == int(account["open_cost"])


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_equity_covers_the_margin_that_was_checked(data: st.DataObject) -> None:
    """At a mark that stands still: whatever of the accepted orders fills, positions are margined."""
    world = World(data)
    fills = 0
    for _ in range(data.draw(st.integers(5, 30))):
        step = world.choose("place", "place", "amend", "answer", "answer", "fill", "fill")
        events = getattr(world, step)()
        fills += any(event.kind == EventKind.ORDER_FILLED for event in events)
        account = FORK.engine.state.accounts[0]
        equity = int(account["cash"] + account["position_value"])
        margin = -(-int(account["gross_value"]) // int(account["leverage"]))
        assert margin <= equity + fills  # fees are rounded up fill by fill
