"""Random commands for the engine: mostly plausible, often at the edge, sometimes absurd.

Numbers are small, so that limits, ties, fills and repeats meet often. All chance comes from one `Random`,
which may be Hypothesis's, so that a failing stream shrinks.
"""

from dataclasses import replace
from random import Random
from typing import Any

from app.engine.codes import Code
from app.engine.types import (
    CommandKind,
    Fault,
    InstrumentStatus,
    Limit,
    OrderFlag,
    OrderStatus,
    OrderType,
    ReportKind,
    Scope,
    StateFlag,
    TimeInForce,
    TradingState,
)
from tests.models.engine import EngineTwin
from tests.models.engine_model import Order
from tests.support import engine as build
from tests.support.engine import Command
from tests.support.engine_limit_commands import ACCOUNTS, SYMBOLS, LimitStream

MIDDLE = 100
_TENS: dict[str, int] = {"price_tick_e12": 3 * 10**4, "quantity_step_e8": 10**9}  # of the second instrument
_STOPS = (OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT)
_LIMITED = (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT)
# What a venue may well report.
_LIKELY: dict[int, tuple[ReportKind, ...]] = {
    OrderStatus.PENDING_NEW: (*[ReportKind.NEW] * 4, ReportKind.TRADE, ReportKind.REJECTED),
    OrderStatus.TRIGGERED: (ReportKind.NEW, ReportKind.TRADE, ReportKind.REJECTED),
    OrderStatus.NEW: (*[ReportKind.TRADE] * 6, ReportKind.CANCELED, ReportKind.UNKNOWN),
    OrderStatus.PARTIALLY_FILLED: (*[ReportKind.TRADE] * 6, ReportKind.CANCELED, ReportKind.REPLACED),
    OrderStatus.PENDING_CANCEL: (
        ReportKind.CANCELED,
        ReportKind.CANCELED,
        ReportKind.CANCEL_REJECTED,
        ReportKind.TRADE,
    ),
    OrderStatus.PENDING_REPLACE: (
        ReportKind.REPLACED,
        ReportKind.REPLACED,
        ReportKind.REPLACE_REJECTED,
        ReportKind.TRADE,
    ),
    OrderStatus.UNKNOWN: (ReportKind.NEW, ReportKind.CANCELED, ReportKind.TRADE, ReportKind.REPLACED),
}
# Why it may end or refuse an order.
_VENUE_CODES = (
    Code.POST_ONLY_WOULD_TAKE,
    Code.REDUCE_ONLY,
    Code.REDUCING_ONLY,
    Code.SYMBOL_RESTRICTED,
    Code.UNKNOWN_ORDER,
)


def opening(random: Random) -> list[Command]:
    """Instruments, accounts, money; the second instrument has steps of 10 and a multiplier of 30."""
    commands = [
        build.instrument(0, max_quantity=100, min_quantity=2, min_notional=300, **fees(random)),
        build.instrument(1, max_quantity=100, **_TENS, **fees(random)),
    ]
    marked = SYMBOLS if random.random() < 0.9 else 1
    commands += [build.mark(symbol, MIDDLE) for symbol in range(marked)]
    for account in range(ACCOUNTS):
        commands.append(build.account(account, leverage=random.choice([1, 3, 10])))
        commands.append(build.limit(Limit.MAX_OPEN_ORDERS, random.randint(3, 20), Scope.ACCOUNT, account))
        commands.append(build.transfer(account, random.choice([10**4, 10**4, 10**6, 10**9])))
    return commands


def fees(random: Random) -> dict[str, int]:
    """Of an instrument; a rebate may be among them."""
    return {name: random.choice([-300, 0, 100, 20_000]) for name in ("maker_fee_ppm", "taker_fee_ppm")}


class Stream(LimitStream):
    """The next command, given what the twin knows of orders."""

    def __init__(self, random: Random, twin: EngineTwin) -> None:
        super().__init__(random, twin)
        self.executions = 0
        self.asked: dict[int, list[tuple[int, int]]] = {}  # of orders, what replaces have asked for
        self.coming: list[Command] = []
        self._makers = (
            (self.place, 28),
            (self.protect, 14),
            (self.close, 4),
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
            (self.reference, 2),
            (self.wind_up, 1),
            (self.set_policy, 1),
        )

    def next(self) -> Command:
        if self.coming:
            return self.coming.pop(0)
        makers, weights = zip(*self._makers, strict=True)
        (make,) = self.random.choices(makers, weights)
        command: Command = make()
        for order in self.twin.books.open_orders():
            if order.replace_quantity:
                wanted = (order.replace_price, order.replace_quantity)
                asked = self.asked.setdefault(order.order_id, [])
                if wanted not in asked[-3:]:
                    asked.append(wanted)
        return command

    def pause(self) -> int:
        """Microseconds until the next batch; seldom a day."""
        return self.random.choice([0, 0, 1, 150_000, 400_000, 1_100_000, *[0] * 40, 86_400_000_000])

    # --- Parts.

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

    def held(self) -> list[tuple[int, int, int]]:
        """Account, symbol and quantity of the positions."""
        positions = self.twin.books.positions
        return [(*key, there.quantity) for key, there in positions.items() if there.quantity]

    def protect(self) -> Command:
        """What reduces a position: in numbers, of any size, some of it beyond flat."""
        if not self.held():
            return self.place()
        random = self.random
        account, symbol, held = random.choice(self.held())
        side = build.SELL if held > 0 else build.BUY
        order_type = random.choice([OrderType.LIMIT, OrderType.MARKET, *_STOPS])
        quantity = random.choice([abs(held), abs(held), random.randint(1, abs(held)), abs(held) + 1])
        return build.place(
            account,
            symbol,
            side,
            min(quantity, 100) if not self.rarely() else quantity,
            self.price() if order_type in _LIMITED else 0,
            type=order_type,
            stop_price=self.stop_price(order_type, side) if order_type in _STOPS else 0,
            flags=random.choice([0, OrderFlag.REDUCE_ONLY, OrderFlag.REDUCE_ONLY]),
        )

    def close(self) -> Command:
        account, symbol = self.account(), self.symbol()
        if self.held() and not self.rarely(0.1):
            account, symbol, _ = self.random.choice(self.held())
        name = self.random.choice([b"", b"", b"%d" % self.random.randint(1, 99)])
        command = build.close_position(account, symbol, self.random.random() < 0.5, client_order_id=name)
        if 0 <= symbol < SYMBOLS and self.rarely(0.3):  # by several orders
            self.coming = [command, self.usual(symbol)]
            return self.usual(symbol, max_quantity=self.random.choice([2, 10]))
        return command

    def place_again(self) -> Command:
        """What looks like a client that has run wild."""
        orders = self.twin.books.slots[-3:]
        if not orders:
            return self.place()
        order = self.random.choice(orders)
        return build.place(
            order.account, order.symbol, order.side, order.quantity, order.price, type=order.type,
            stop_price=order.stop_price, time_in_force=order.time_in_force, expire_ts=order.expire_ts,
            flags=order.flags & ~OrderFlag.TRIGGERED, self_trade_prevention=order.self_trade_prevention,
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
        order_id, stop_price = self.order_id(), 0
        order = self.twin.known(order_id)
        if order is not None and order.type in _STOPS and self.random.random() < 0.5:
            stop_price = self.stop_price(order.type, order.side)
        if order is not None and order.left > 1 and self.rarely(0.2):  # only less of it
            price, stop_price, quantity = 0, 0, order.filled_quantity + self.random.randrange(1, order.left)
        if order is not None and order.type not in _LIMITED and not self.rarely():
            price = 0
        return build.amend(order_id, price, quantity, fault, stop_price)

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
        asked = self.asked.get(order.order_id)
        if asked and self.rarely(0.3):  # an earlier request's, or one that has been answered
            price, quantity = self.random.choice(asked)
        code = self.random.choice([0, 90, 90, 90, 91, 92, 93, *_VENUE_CODES])
        return build.report(kind, order.order_id, price=price, quantity=quantity, code=code)

    def trade(self, order: Order) -> Command:
        left = max(order.left, 1)
        quantity = self.random.choice([left, self.random.randint(1, left)])
        if order.replace_quantity > max(order.quantity, 0) and self.rarely(0.3):  # replaced already
            left = order.replace_quantity - order.filled_quantity
            quantity = self.random.choice([left, self.random.randint(1, left)])
        if self.rarely():
            quantity = self.random.choice([0, -1, left + 1])
        price = self.random.choice([0, -3, 2**62]) if self.rarely(0.02) else self.price()
        fee = self.random.randint(-20, 40)
        made = build.trade(order.order_id, self.execution_id(), quantity, price, fee)
        return replace(made, more=int(self.rarely(0.25)))

    def execution_id(self) -> int:
        if self.rarely():
            return max(self.executions - self.random.randrange(12), 0)
        self.executions += 1
        return self.executions

    # --- Everything else.

    def mark(self) -> Command:
        price = self.random.choice([0, -1, 2**62]) if self.rarely(0.02) else self.random.randint(92, 108)
        price = self.random.choice([70, 140]) if self.rarely(0.06) else price
        return replace(build.mark(self.symbol(), price), more=int(self.rarely(0.3)))

    def trading_state(self) -> Command:
        state = self.random.choice([TradingState.ACTIVE] * 12 + [*TradingState, 7])
        scope = self.random.choice(list(Scope))
        flags = StateFlag.CANCEL_OPEN if self.rarely(0.2) else 0
        stops = [order for order in self.twin.books.open_orders() if order.waiting]
        if stops and self.rarely(0.2):  # halted while the mark gets there
            stop = self.random.choice(stops)
            beyond = stop.stop_price + self.random.choice([-1, 1])
            self.coming = [
                build.mark(stop.symbol, beyond),
                build.trading_state(TradingState.ACTIVE, Scope.ACCOUNT, stop.account),
            ]
            return build.trading_state(TradingState.HALTED, Scope.ACCOUNT, stop.account)
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
        resting = [
            n for n, each in enumerate(self.twin.books.instruments) if each.status != InstrumentStatus.TRADING
        ]
        if resting and not self.rarely(0.3):
            return self.usual(self.random.choice(resting))
        status = self.random.choice([InstrumentStatus.TRADING] * 6 + [*InstrumentStatus])
        wrong = {"name": b"OTHER"} if self.rarely(0.2) else {}
        wrong |= {"quote": b"BTC"} if self.rarely(0.1) else {}
        tick = _TENS if kind == 2 else {}
        largest = self.random.choice([10, 50, 100, 10**6, 2**62])
        more: dict[str, Any] = {**wrong, **tick, **fees(self.random)}
        return build.instrument(self.symbol(), status=status, max_quantity=largest, **more)

    def usual(self, symbol: int, **more: Any) -> Command:
        """An instrument as it is at first, but for `more`."""
        least = {} if symbol else {"min_quantity": 2, "min_notional": 300}
        given: dict[str, Any] = {"max_quantity": 100, **(_TENS if symbol else least), **more}
        return build.instrument(symbol, **given, **fees(self.random))

    def wind_up(self) -> Command:
        """Halt an instrument, end its orders and settle its positions; then it trades again."""
        random, symbol = self.random, self.random.randrange(SYMBOLS)
        if not self.rarely(0.15):  # much begins anew behind it
            return self.place()
        mine = [order.order_id for order in self.twin.books.open_orders() if order.symbol == symbol]
        price = random.choice([0, 2**62]) if self.rarely(0.1) else random.randint(85, 115)
        self.coming = [
            build.cancel_all(Scope.SYMBOL, -1, symbol),
            *(build.report(ReportKind.CANCELED, order_id) for order_id in mine if not self.rarely()),
            build.settle(symbol if not self.rarely() else SYMBOLS, price, actor=4),
            self.usual(symbol),
        ]
        status = InstrumentStatus.CANCEL_ONLY if self.rarely(0.1) else InstrumentStatus.HALTED
        return self.usual(symbol, status=status)


def build_expiry(random: Random, now: int) -> int:
    return now + random.choice([-1, 0, 1, 300_000, 1_000_000, 5_000_000])
