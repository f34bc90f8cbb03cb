"""Random commands for the engine: mostly plausible, often at the edge, sometimes absurd.

Numbers are small, so that limits, ties, fills and repeats meet often. All chance comes from one `Random`,
which may be Hypothesis's, so that a failing stream shrinks.
"""

from dataclasses import replace
from random import Random

from app.engine.types import (
    CommandKind,
    Fault,
    InstrumentStatus,
    Limit,
    OrderFlag,
    OrderStatus,
    OrderType,
    Policy,
    ReportKind,
    Scope,
    StateFlag,
    TimeInForce,
    TradingState,
)
from tests import engine_support as build
from tests.engine_support import Command
from tests.twins.engine import EngineTwin
from tests.twins.engine_model import Order, limit_key
from tests.twins.engine_reference import PLACES

ACCOUNTS, SYMBOLS = 3, 2
MIDDLE = 100
_LIMITS_MANY = 8  # beyond them hardly an order would pass
_STOPS = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT)
_LIMITED = (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT)
# What a venue may well report.
_LIKELY: dict[int, tuple[ReportKind, ...]] = {
    OrderStatus.PENDING_NEW: (*[ReportKind.NEW] * 4, ReportKind.TRADE, ReportKind.REJECTED),
    OrderStatus.TRIGGERED: (ReportKind.NEW, ReportKind.TRADE, ReportKind.REJECTED),
    OrderStatus.NEW: (*[ReportKind.TRADE] * 6, ReportKind.CANCELED, ReportKind.UNKNOWN),
    OrderStatus.PARTIALLY_FILLED: (*[ReportKind.TRADE] * 6, ReportKind.CANCELED, ReportKind.REPLACED),
    OrderStatus.PENDING_CANCEL: (ReportKind.CANCELED, ReportKind.CANCEL_REJECTED, ReportKind.TRADE),
    OrderStatus.PENDING_REPLACE: (ReportKind.REPLACED, ReportKind.REPLACE_REJECTED, ReportKind.TRADE),
    OrderStatus.UNKNOWN: (ReportKind.NEW, ReportKind.CANCELED, ReportKind.TRADE, ReportKind.REPLACED),
}
# By limit: values that sometimes bind.
_VALUES = {
    Limit.MAX_ORDER_QUANTITY: (50, 400),
    Limit.MAX_ORDER_NOTIONAL: (2_000, 100_000),
    Limit.MAX_OPEN_ORDERS: (2, 12),
    Limit.MAX_POSITION: (50, 800),
    Limit.MAX_GROSS_EXPOSURE: (1_000, 200_000),
    Limit.ORDER_RATE: (0, 5),
    Limit.PRICE_COLLAR_BPS: (100, 2_500),
    Limit.MAX_MARK_AGE: (0, 3_000_000),
    Limit.MAX_PORTFOLIO_VAR: (1_000, 200_000),
    Limit.MAX_CORRELATED_EXPOSURE: (1_000, 200_000),
    Limit.CANCEL_RATE: (0, 3),
    Limit.MAX_REPEATED_ORDERS: (1, 3),
    Limit.PRICE_MOVE_BPS: (100, 2_500),
    Limit.MAX_NET_EXPOSURE: (1_000, 200_000),
    Limit.MAX_LEVERAGE: (5, 2_000),
    Limit.MAX_DAILY_NOTIONAL: (5_000, 200_000),
    Limit.DAILY_LOSS: (10, 5_000),
    Limit.MAX_DRAWDOWN: (10, 20_000),
    Limit.MAX_ORDER_TO_TRADE_RATIO: (1, 4),
    Limit.VENUE_REJECTIONS: (1, 3),
    Limit.MARK_HALT_AGE: (2_000_000, 20_000_000),
    Limit.MAINTENANCE_LEVERAGE: (5, 4_000),
}
# What may not be above another one of the same scope.
_BELOW = {
    int(Limit.MAX_POSITION): Limit.MAX_ORDER_QUANTITY,
    int(Limit.MAX_GROSS_EXPOSURE): Limit.MAX_NET_EXPOSURE,
    int(Limit.MARK_HALT_AGE): Limit.MAX_MARK_AGE,
    int(Limit.MAINTENANCE_LEVERAGE): Limit.MAX_LEVERAGE,
}


def opening(random: Random) -> list[Command]:
    """Instruments, accounts, money; the second instrument has steps of 10 and a multiplier of 30."""
    commands = [
        build.instrument(0, max_quantity=100, min_quantity=2, min_notional=300),
        build.instrument(1, price_tick_e12=3 * 10**4, quantity_step_e8=10**9, max_quantity=100),
    ]
    marked = SYMBOLS if random.random() < 0.9 else 1
    commands += [build.mark(symbol, MIDDLE) for symbol in range(marked)]
    for account in range(ACCOUNTS):
        commands.append(build.account(account, leverage=random.choice([1, 3, 10])))
        commands.append(build.limit(Limit.MAX_OPEN_ORDERS, random.randint(3, 20), Scope.ACCOUNT, account))
        commands.append(build.transfer(account, random.choice([10**4, 10**6, 10**9])))
    return commands


class Stream:
    """The next command, given what the twin knows of orders."""

    def __init__(self, random: Random, twin: EngineTwin) -> None:
        self.random = random
        self.twin = twin
        self.executions = 0
        self._makers = (
            (self.place, 38),
            (self.place_again, 3),
            (self.report, 40),
            (self.cancel, 5),
            (self.amend, 9),
            (self.cancel_all, 1),
            (self.mark, 7),
            (build.advance, 3),
            (self.limit, 7),
            (self.trading_state, 4),
            (self.transfer, 1),
            (self.note, 1),
            (self.administration, 8),
            (self.permission, 1),
            (self.reference, 1),
        )

    def next(self) -> Command:
        makers, weights = zip(*self._makers, strict=True)
        (make,) = self.random.choices(makers, weights)
        command: Command = make()
        return command

    def pause(self) -> int:
        """Microseconds until the next batch; seldom a day."""
        return self.random.choice([0, 0, 1, 150_000, 400_000, 1_100_000, *[0] * 40, 86_400_000_000])

    # --- Parts.

    def rarely(self, chance: float = 0.04) -> bool:
        return self.random.random() < chance

    def price(self) -> int:
        return self.random.choice([MIDDLE, self.random.randint(85, 115), self.random.randint(97, 103)])

    def stop_price(self, order_type: int, side: int) -> int:
        """Mostly on the side of the mark from which it does not fire at once."""
        rises = (order_type in (OrderType.STOP, OrderType.STOP_LIMIT)) == (side == build.BUY)
        distance = self.random.randint(1, 8) if not self.rarely() else -1
        return MIDDLE + distance if rises else MIDDLE - distance

    def quantity(self) -> int:
        if self.rarely():
            return self.random.choice([0, -1, 1, 100, 101, 2**62])
        return self.random.randint(1, 30)

    def account(self) -> int:
        return (
            self.random.choice([-1, ACCOUNTS, 2**31 - 1])
            if self.rarely(0.01)
            else self.random.randrange(ACCOUNTS)
        )

    def symbol(self) -> int:
        return self.random.choice([-1, SYMBOLS]) if self.rarely(0.01) else self.random.randrange(SYMBOLS)

    def order(self) -> Order | None:
        """Mostly one that is open."""
        orders = [] if self.rarely(0.1) else list(self.twin.books.open_orders())
        orders = orders or self.twin.books.slots[-60:]
        return self.random.choice(orders) if orders else None

    # --- Orders.

    def place(self) -> Command:
        random = self.random
        order_type = random.choice([OrderType.LIMIT] * 6 + list(OrderType))
        time_in_force = random.choice([TimeInForce.GTC] * 5 + list(TimeInForce))
        expires = time_in_force == TimeInForce.GTD
        price = self.price() if order_type in _LIMITED else 0
        side = random.randrange(2)
        stop_price = self.stop_price(order_type, side) if order_type in _STOPS else 0
        if self.rarely(0.02):
            price = random.choice([0, -1, 2**62, MIDDLE])
        if self.rarely(0.02):
            stop_price = random.choice([0, -1, 2**62, MIDDLE])
        return build.place(
            self.account(),
            self.symbol(),
            side,
            self.quantity(),
            price,
            type=order_type,
            time_in_force=time_in_force,
            stop_price=stop_price,
            flags=random.choice(
                [*[0] * 10, OrderFlag.POST_ONLY, OrderFlag.REDUCE_ONLY, OrderFlag.REDUCE_ONLY, 3]
            ),
            self_trade_prevention=random.randrange(4),
            expire_ts=build_expiry(random, self.twin.books.ts) if expires != self.rarely(0.01) else 0,
            client_order_id=random.choice(
                [b"", b"", b"", b"%d" % random.randint(1, 99), b"x" * random.randint(30, 36)]
            ),
            fault=random.choice(list(Fault)) if self.rarely(0.02) else 0,
        )

    def place_again(self) -> Command:
        """What looks like a client that has run wild."""
        orders = self.twin.books.slots[-3:]
        if not orders:
            return self.place()
        order = self.random.choice(orders)
        return build.place(
            order.account, order.symbol, order.side, order.quantity, order.price, type=order.type,
            stop_price=order.stop_price, time_in_force=order.time_in_force, expire_ts=order.expire_ts,
            flags=order.flags, self_trade_prevention=order.self_trade_prevention,
            client_order_id=self.random.choice([b"", order.client_order_id]),
        )  # fmt: skip

    def order_id(self) -> int:
        order = self.order()
        if order is None or self.rarely(0.02):
            return self.random.choice([0, -5, 7, 2**62])
        return order.order_id

    def cancel(self) -> Command:
        return build.cancel(self.order_id())

    def amend(self) -> Command:
        price = self.price() if self.random.random() < 0.5 else 0
        quantity = self.quantity() if self.random.random() < 0.6 else 0
        fault = self.random.choice(list(Fault)) if self.rarely(0.02) else 0
        return build.amend(self.order_id(), price, quantity, fault)

    def cancel_all(self) -> Command:
        scope = self.random.choice([*Scope, 9])
        return build.cancel_all(scope, self.account(), self.symbol())

    # --- The venue.

    def report(self) -> Command:
        order = self.order()
        if order is None or self.rarely(0.01):
            return build.trade(self.order_id(), self.execution_id(), 1, MIDDLE)
        kind = self.random.choice(_LIKELY.get(order.status, (ReportKind.TRADE,)))
        if self.rarely(0.1):
            kind = self.random.choice([*ReportKind, 200])
        if kind == ReportKind.TRADE:
            return self.trade(order)
        price, quantity = order.replace_price, order.replace_quantity
        if self.rarely():
            price, quantity = self.price(), self.quantity()
        code = self.random.choice([0, 90, 91, 92])
        return build.report(kind, order.order_id, price=price, quantity=quantity, code=code)

    def trade(self, order: Order) -> Command:
        left = max(order.left, 1)
        quantity = self.random.choice([left, self.random.randint(1, left)])
        if self.rarely():
            quantity = self.random.choice([0, -1, left + 1])
        price = self.random.choice([0, -3, 2**62]) if self.rarely(0.02) else self.price()
        fee = self.random.randint(-20, 40)
        return build.trade(order.order_id, self.execution_id(), quantity, price, fee)

    def execution_id(self) -> int:
        if self.rarely():
            return max(self.executions - self.random.randrange(12), 0)
        self.executions += 1
        return self.executions

    # --- Everything else.

    def mark(self) -> Command:
        price = self.random.choice([0, -1, 2**62]) if self.rarely(0.02) else self.random.randint(92, 108)
        return build.mark(self.symbol(), price)

    def limit(self) -> Command:
        which = self.random.choice([*Limit, Limit.ORDER_RATE, Limit.ORDER_RATE, Limit.MAX_ORDER_NOTIONAL])
        low, high = _VALUES[which]
        value = self.random.randint(low, high)
        if self.rarely():
            value = self.random.choice([-1, 0, 10**6, 10**6 + 1, 10**9, 10**9 + 1, 2**60, 2**60 + 1])
        scope = self.random.choice([*Scope, 9] if self.rarely(0.1) else sorted(PLACES[which]))
        state = int(self.rarely(0.35) or (scope, which) == (Scope.ACCOUNT, Limit.MAX_OPEN_ORDERS))
        code = 40 if self.rarely() else which
        made = build.limit(code, value, scope, self.account(), self.symbol(), state)
        there = [(code, *key) for key, limits in self.twin.books.limits.items() for code in sorted(limits)]
        if len(there) > ACCOUNTS + _LIMITS_MANY and self.random.random() < 0.6:
            gone, in_scope, account, symbol = self.random.choice(there)
            made = build.limit(gone, 0, in_scope, account, symbol, state=0)
        above = [row for row in there if row[0] in _BELOW]
        if above and self.rarely(0.15):
            larger, *key = self.random.choice(above)
            value = self.twin.books.limits[key[0], key[1], key[2]][larger] + self.random.choice([-1, 0, 1])
            made = build.limit(_BELOW[larger], value, key[0], key[1], key[2])
        actor = self.random.choice([0, 0, 1, 2])
        return replace(
            made, expected_version=self.version(made), actor=actor, remaining=int(self.rarely(0.2))
        )

    def version(self, made: Command) -> int:
        """What a change expects: mostly anything, else one more than the right one or another."""
        if not self.rarely(0.2):
            return 0
        key = limit_key(made.scope, made.account, made.symbol)
        return self.twin.books.limit_versions.get(key, 0) + self.random.choice([1, 1, 2])

    def administration(self) -> Command:
        """What needs numbers of what is there; few different limits, so that it meets."""
        random, books = self.random, self.twin.books
        actor = random.randrange(3)
        made = random.randrange(10)
        if made < 5:
            kind = CommandKind.SET_OVERRIDE if made < 2 else CommandKind.PROPOSE_LIMIT
            ends = books.ts + random.choice([-1, 0, 1, 300_000, 1_000_000, 3 * 10**12])
            if kind == CommandKind.PROPOSE_LIMIT and self.rarely(0.8):
                ends = 0
            which = random.choice([Limit.MAX_OPEN_ORDERS, Limit.MAX_ORDER_QUANTITY])
            value = random.randint(*_VALUES[which])
            where = (Scope.ACCOUNT, random.randrange(ACCOUNTS), -1)
            return replace(
                self.limit() if self.rarely(0.1) else build.limit(which, value, *where),
                kind=kind,
                expires_ts=ends,
                actor=actor,
                remaining=int(self.rarely(0.2)),
            )
        if made == 5:
            number = random.choice([0, *books.overrides])
            return build.decision(CommandKind.END_OVERRIDE, number, actor)
        if made < 9:
            pending = [change.request for change in books.changes.values() if change.status == 1]
            number = random.choice([0, *books.changes, *pending * 4])
            kind = random.choice([*[CommandKind.APPROVE_CHANGE] * 3, CommandKind.REJECT_CHANGE])
            return build.decision(kind, number, actor)
        if self.rarely(0.8):
            return build.policy(Policy.MAKER_CHECKER, random.choice([0, 1, 1, 2]))
        return build.policy(random.randrange(6), random.choice([-1, 0, 1, 10**6, 10**12, 2**62]))

    def trading_state(self) -> Command:
        state = self.random.choice([TradingState.ACTIVE] * 12 + [*TradingState, 7])
        scope = self.random.choice(list(Scope))
        flags = StateFlag.CANCEL_OPEN if self.rarely(0.2) else 0
        stopped = self.stopped()
        if stopped and self.random.random() < 0.7:
            return replace(build.trading_state(TradingState.ACTIVE, *self.random.choice(stopped)), actor=5)
        return replace(
            build.trading_state(state, scope, self.account(), self.symbol()), flags=flags, actor=5, notes=2
        )

    def stopped(self) -> list[tuple[int, int, int]]:
        """Scopes that are not ACTIVE."""
        books = self.twin.books
        found: list[tuple[int, int, int]] = [(Scope.FIRM, -1, -1)] if books.state else []
        found += [(Scope.ACCOUNT, n, -1) for n, each in enumerate(books.accounts) if each.state]
        return found + [(Scope.SYMBOL, -1, n) for n, each in enumerate(books.instruments) if each.state]

    def permission(self) -> Command:
        state = self.random.choice([0, 0, 0, 1, 1, 2, 3])
        symbol = -1 if self.rarely(0.2) else self.symbol()
        return Command(CommandKind.SET_PERMISSION, self.account(), symbol, state=state, actor=3, notes=1)

    def note(self) -> Command:
        text = self.random.randbytes(self.random.randint(0, 88))
        return Command(CommandKind.NOTE, text=text, length=self.random.choice([len(text), 255]), actor=7)

    def transfer(self) -> Command:
        value = self.random.choice([10**6, 10**4, -(10**4), -(2**63), 2**63 - 1, 2**60])
        return build.transfer(self.account(), value)

    def reference(self) -> Command:
        kind = self.random.randrange(4)
        if kind == 0:
            return Command(self.random.choice([CommandKind.NONE, 99]))
        if kind == 1:
            return build.account(self.account(), self.random.choice([0, 1, 5, 1_000, 1_001]))
        status = self.random.choice([InstrumentStatus.TRADING] * 4 + [*InstrumentStatus])
        wrong = {"name": b"OTHER"} if self.rarely(0.2) else {}
        tick = {"price_tick_e12": 3 * 10**4, "quantity_step_e8": 10**9} if kind == 2 else {}
        largest = self.random.choice([50, 100, 10**6, 2**62])
        return build.instrument(self.symbol(), status=status, max_quantity=largest, **wrong, **tick)


def build_expiry(random: Random, now: int) -> int:
    return now + random.choice([-1, 0, 1, 300_000, 1_000_000, 5_000_000])
