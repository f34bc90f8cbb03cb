"""Engines in the middle of trading, forked: the same state twice, so that two limits meet one order.

All chance comes from one `Random`, which may be Hypothesis's, so that what fails shrinks.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import NamedTuple

import numpy as np

from app.engine.capacity import Capacity
from app.engine.engine import Engine
from app.engine.types import (
    CommandKind,
    EventKind,
    Limit,
    OrderFlag,
    OrderStatus,
    OrderType,
    Policy,
    ReportKind,
    Scope,
)
from app.runtime.views import EventView
from tests.models.engine_reference import PLACES
from tests.support import engine as build
from tests.support.engine import Command, Desk, events_of, pack

CAPACITY = Capacity(
    accounts=3, symbols=3, orders=256, open_orders=128, fills=256, overrides=8, limit_changes=8,
    commands=64, events=256,
)  # fmt: skip
ACCOUNTS, SYMBOLS = 2, 2
PRICE = 1_000
SECOND_US = 1_000_000
# Never removed and never in the way: an account without any limit cannot trade at all.
KEPT = (Limit.MAX_OPEN_ORDERS, Limit.VENUE_REJECTIONS)
KEPT_VALUE = 10**9
WORKING = (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)
# By limit: values that sometimes bind.
VALUES = {
    Limit.MAX_ORDER_QUANTITY: (10**8, 6 * 10**9),
    Limit.MAX_ORDER_NOTIONAL: (1_000, 900_000),
    Limit.MAX_OPEN_ORDERS: (0, 12),
    Limit.MAX_POSITION: (10**8, 3 * 10**10),
    Limit.MAX_GROSS_EXPOSURE: (10**4, 4 * 10**6),
    Limit.ORDER_RATE: (0, 4),
    Limit.PRICE_COLLAR_BPS: (0, 900),
    Limit.MAX_MARK_AGE: (0, 2 * SECOND_US),
    Limit.MAX_PORTFOLIO_VAR: (10**3, 4 * 10**6),
    Limit.MAX_CORRELATED_EXPOSURE: (10**4, 4 * 10**6),
    Limit.CANCEL_RATE: (0, 3),
    Limit.MAX_REPEATED_ORDERS: (1, 4),
    Limit.PRICE_MOVE_BPS: (0, 900),
    Limit.MAX_NET_EXPOSURE: (10**4, 4 * 10**6),
    Limit.MAX_LEVERAGE: (1, 1_500),
    Limit.MAX_DAILY_NOTIONAL: (10**4, 4 * 10**6),
    Limit.DAILY_LOSS: (0, 30_000),
    Limit.MAX_DRAWDOWN: (0, 30_000),
    Limit.MAX_ORDER_TO_TRADE_RATIO: (1, 12),
    Limit.VENUE_REJECTIONS: (1, 3),
    Limit.MARK_HALT_AGE: (1, 2 * SECOND_US),
    Limit.MAINTENANCE_LEVERAGE: (1, 150),
}
WAYS = ("set", "override", "end of an override", "approval")


class Place(NamedTuple):
    """Where a limit stands."""

    scope: int
    account: int = -1
    symbol: int = -1


def places(which: Limit) -> list[Scope]:
    """The scopes that may carry a limit."""
    return sorted(PLACES[which])


class Fork:
    """A copy of a desk's engine, made anew from it as often as wanted."""

    def __init__(self) -> None:
        self.engine = Engine(CAPACITY)
        self.seq = self.ts = 0

    def reset(self, desk: Desk) -> None:
        for mine, its in zip(self.engine.state, desk.engine.state, strict=True):
            mine[...] = its
        self.seq, self.ts = desk.seq, desk.ts

    def send(self, commands: Sequence[Command]) -> list[EventView]:
        records = pack(commands)
        records["seq"] = np.arange(self.seq + 1, self.seq + 1 + len(records))
        records["ts"] = self.ts
        self.seq += len(records)
        return events_of(self.engine.process(records))

    def limit(self, which: Limit, place: Place) -> int | None:
        """What the checks go by in one scope."""
        state = self.engine.state
        records = {
            Scope.FIRM: (state.firm_limits, 0),
            Scope.ACCOUNT: (state.account_limits, place.account),
            Scope.SYMBOL: (state.symbol_limits, place.symbol),
            Scope.ACCOUNT_SYMBOL: (
                state.account_symbol_limits, place.symbol * len(state.accounts) + place.account,
            ),
        }  # fmt: skip
        array, at = records[Scope(place.scope)]
        return int(array[at]["value"][which]) if int(array[at]["set_mask"]) >> which & 1 else None

    def put(self, which: Limit, value: int | None, place: Place, how: str) -> None:
        """Make it so that one scope has this value of a limit, in one of the ways there are."""
        firm = self.engine.state.firm[0]
        own = build.limit(which, value or 0, *place, state=int(value is not None))
        later = self.ts + 10**9
        if how == "override" and value is not None:
            self.send([build.limit(which, VALUES[which][0], *place)])
            self.send([build.override(which, value, later, *place)])
        elif how == "end of an override":
            self.send([build.override(which, VALUES[which][1], later, *place), own])
            self.send([build.decision(CommandKind.END_OVERRIDE, int(firm["last_override"]))])
        elif how == "approval":
            self.send([build.policy(Policy.MAKER_CHECKER, 1)])
            self.send([replace(own, kind=CommandKind.PROPOSE_LIMIT, actor=1)])
            self.send([build.decision(CommandKind.APPROVE_CHANGE, int(firm["last_request"]), actor=2)])
            self.send([build.policy(Policy.MAKER_CHECKER, 0)])
        else:
            self.send([own])


class World:
    """Accounts that trade at random; the venue is part of the chance."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.desk = Desk(CAPACITY)
        self.executions = 0
        desk = self.desk
        desk.send(
            build.instrument(0, max_quantity=10**5),
            build.instrument(1, price_tick_e12=3 * 10**4, quantity_step_e8=10**9, max_quantity=10**5),
            *(build.mark(symbol, PRICE) for symbol in range(SYMBOLS)),
            build.risk_model(samples_min=3, half_life=5, horizon_us=100 * SECOND_US),
            build.policy(Policy.ORDER_TO_TRADE_FLOOR, 2),
            build.policy(Policy.REPEAT_WINDOW_US, 3 * SECOND_US),
            build.policy(Policy.COLLAR_WINDOW_US, 3 * SECOND_US),
        )
        for account in range(ACCOUNTS):
            desk.send(build.account(account, random.choice([1, 3, 10])))
            desk.send(*(build.limit(which, KEPT_VALUE, Scope.ACCOUNT, account) for which in KEPT))
            desk.send(build.transfer(account, random.choice([10**5, 10**6, 10**9])))
        for _ in range(random.choice([0, 5])):  # without them nothing is measured and all counts in full
            desk.ts += SECOND_US
            desk.send(*(build.mark(each, PRICE + random.randint(-40, 40)) for each in range(SYMBOLS)))
            desk.send(build.sample_marks())

    def trade(self, steps: int) -> None:
        makers = (self.new, self.new, self.venue, self.venue, self.venue, self.again, self.amend, self.time)
        for _ in range(steps):
            self.desk.send(self.random.choice(makers)())

    # --- Requests.

    def new(self, account: int | None = None, symbol: int | None = None) -> Command:
        random = self.random
        stop = random.random() < 0.1
        side = random.randrange(2)
        price = random.randint(930, 1_070)
        if stop:
            price = PRICE + (60 if side == build.BUY else -60)
        return build.place(
            random.randrange(ACCOUNTS) if account is None else account,
            random.randrange(SYMBOLS) if symbol is None else symbol,
            side,
            random.randint(1, 50),
            0 if stop or random.random() < 0.1 else price,
            stop_price=price if stop else 0,
            type=OrderType.STOP if stop else OrderType.LIMIT if price else OrderType.MARKET,
            flags=random.choice([*[0] * 8, OrderFlag.REDUCE_ONLY]),
        )

    def again(self) -> Command:
        """The newest order once more."""
        orders = self.desk.engine.state.orders
        newest = orders[int(orders["order_id"].argmax())]
        if newest["order_id"] == 0:
            return self.new()
        names = ("account", "symbol", "side", "quantity", "price", "type", "stop_price", "flags")
        return build.place(**{name: int(newest[name]) for name in names})

    def open(self, *, waiting: bool = True) -> list[np.void]:
        orders = self.desk.engine.state.orders
        found = orders[(orders["order_id"] > 0) & (orders["status"] < OrderStatus.FILLED)]
        return [order for order in found if waiting or not order["waiting"]]

    def amend(self) -> Command:
        orders = [order for order in self.open() if order["status"] in WORKING]
        if not orders:
            return self.new()
        order = self.random.choice(orders)
        price = self.random.choice([0, self.random.randint(930, 1_070)]) if order["price"] else 0
        quantity = (
            self.random.choice([0, self.random.randint(1, 60)]) if price else self.random.randint(1, 60)
        )
        return build.amend(int(order["order_id"]), price, quantity)

    def cancel(self) -> Command:
        orders = self.open()
        return build.cancel(int(self.random.choice(orders)["order_id"])) if orders else self.new()

    # --- The venue and the market.

    def venue(self) -> Command:
        """What the venue says of one order."""
        orders = self.open(waiting=False)
        if not orders:
            return self.new()
        order = self.random.choice(orders)
        order_id, status = int(order["order_id"]), order["status"]
        if status == OrderStatus.PENDING_REPLACE:
            asked = {"price": int(order["replace_price"]), "quantity": int(order["replace_quantity"])}
            return build.report(ReportKind.REPLACED, order_id, **asked)
        if status == OrderStatus.PENDING_CANCEL:
            return build.report(ReportKind.CANCELED, order_id)
        if status == OrderStatus.PENDING_NEW and self.random.random() < 0.4:
            return build.report(self.random.choice([ReportKind.NEW, ReportKind.REJECTED]), order_id)
        self.executions += 1
        left = int(order["quantity"] - order["filled_quantity"])
        price = self.random.randint(930, 1_070)
        quantity = self.random.choice([left, self.random.randint(1, left)])
        return build.trade(order_id, self.executions, quantity, price, self.random.randint(-5, 40))

    def rejected(self) -> Command:
        orders = [order for order in self.open() if order["status"] == OrderStatus.PENDING_NEW]
        if not orders:
            return self.venue()
        return build.report(ReportKind.REJECTED, int(self.random.choice(orders)["order_id"]))

    def time(self) -> Command:
        self.desk.ts += self.random.choice([1, 150_000, 700_000])
        if self.random.random() < 0.5:
            return build.advance()
        return build.mark(self.random.randrange(SYMBOLS), self.random.randint(970, 1_030))


def any_place(random: Random, which: Limit) -> Place:
    scope = random.choice(places(which))
    account = random.randrange(ACCOUNTS) if scope in (Scope.ACCOUNT, Scope.ACCOUNT_SYMBOL) else -1
    symbol = random.randrange(SYMBOLS) if scope in (Scope.SYMBOL, Scope.ACCOUNT_SYMBOL) else -1
    return Place(scope, account, symbol)


def refusal(events: Sequence[EventView]) -> int:
    """The code with which the last request was refused; one beyond all codes where it was not."""
    refused = (EventKind.ORDER_REJECTED, EventKind.REPLACE_REJECTED, EventKind.CANCEL_REJECTED)
    codes = [event.code for event in events if event.kind in refused]
    return codes[-1] if codes else 10**6
