"""What the plain-Python twin of the engine knows: objects, dictionaries, sums made when they are asked for.

Nothing here is kept up to date incrementally but cash, positions and profit: what is reserved, exposed or
open is added up from the open orders each time, so that it cannot drift with the engine's own sums.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from app.engine.codes import Code
from app.engine.types import OrderFlag, OrderStatus, Permission, Policy, Scope, Side, TradingState
from tests.models.engine_limit_model import Change, LimitKey, Override, Part, limit_key

UNLIMITED = 2**62 - 1
MONEY_MAX = 2**60


@dataclass
class Order:
    order_id: int
    account: int
    symbol: int
    side: int
    type: int
    time_in_force: int
    flags: int
    self_trade_prevention: int
    price: int
    stop_price: int
    quantity: int
    expire_ts: int
    client_order_id: bytes
    content: tuple[int, ...]  # what a repeat of its client order id must agree in
    created_ts: int
    updated_ts: int
    seq: int
    priority: int
    status: int = OrderStatus.PENDING_NEW
    code: int = 0
    scope: int = 0
    limit: int = 0
    observed: int = 0
    filled_quantity: int = 0
    filled_notional: int = 0
    waiting: int = 0  # 1: a stop that waits for its price; 2: for the end of its account's halt
    reserved: int = 0
    reserved_price: int = 0
    reserved_cost: int = 0
    replace_price: int = 0
    replace_quantity: int = 0
    replace_priority: int = 0
    due: int | None = None  # when its time is over, or is to be asked for again

    def reserve(self, quantity: int, price: int, cost: int) -> None:
        self.reserved, self.reserved_price, self.reserved_cost = quantity, price, cost

    @property
    def left(self) -> int:
        return self.quantity - self.filled_quantity

    @property
    def reduce_only(self) -> bool:
        return bool(self.flags & OrderFlag.REDUCE_ONLY)

    @property
    def post_only(self) -> bool:
        return bool(self.flags & OrderFlag.POST_ONLY)


@dataclass
class Bucket:
    """A token bucket; `level` in millionths of an order."""

    level: int = 0
    ts: int | None = None

    def at(self, rate: int, ts: int) -> int:
        if self.ts is None:
            return rate * 10**6
        seconds_e6 = min(max(ts - self.ts, 0), 10**6)
        return min(self.level + seconds_e6 * rate, rate * 10**6)

    def take(self, rate: int, ts: int) -> None:
        self.level, self.ts = self.at(rate, ts) - 10**6, ts


@dataclass
class Position:
    quantity: int = 0
    entry_cost: int = 0
    realised: int = 0
    fees: int = 0


@dataclass
class Account:
    name: bytes
    leverage: int
    cash: int = 0
    transferred: int = 0
    realised: int = 0
    fees: int = 0
    peak_equity: int = 0
    day_start_equity: int = 0
    state: int = 0
    state_cause: int = 0
    state_ts: int = 0
    state_actor: int = 0
    day_traded: int = 0
    day_fills: int = 0
    messages: int = 0
    rejections: int = 0
    repeats_forgotten: int = 0
    bucket: Bucket = field(default_factory=Bucket)
    cancel_bucket: Bucket = field(default_factory=Bucket)
    open: dict[int, Order] = field(default_factory=dict)  # by id, oldest first


@dataclass
class Instrument:
    name: bytes
    price_tick_e12: int
    quantity_step_e8: int
    min_quantity: int = 0
    max_quantity: int = 0
    min_notional: int = 0
    maker_fee_ppm: int = 0
    taker_fee_ppm: int = 0
    status: int = 0
    stops_due: bool = False  # stops may have been reached
    mark: int = 0
    mark_ts: int = 0
    state: int = 0
    state_cause: int = 0
    state_ts: int = 0
    state_actor: int = 0
    rejections: int = 0
    marks: list[tuple[int, int]] = field(default_factory=list)  # ts and price, oldest first
    quote: bytes = b""
    mark_spread_max_bps: int = 0

    @property
    def multiplier(self) -> int:
        return self.price_tick_e12 * self.quantity_step_e8 // 10**12

    @property
    def max_price(self) -> int:
        return min(MONEY_MAX // (self.max_quantity * self.multiplier), 2**55)


class Counted(NamedTuple):
    """An order that was counted for MAX_REPEATED_ORDERS; `what`: account, symbol, side, price, quantity."""

    number: int
    ts: int
    what: tuple[int, int, int, int, int]


@dataclass
class Reserved:
    """Sums over the open orders of one account and symbol."""

    buy: int = 0
    sell: int = 0
    reduce_buy: int = 0
    reduce_sell: int = 0
    orders: int = 0

    def add(self, order: Order) -> None:
        self.orders += 1
        if order.side == Side.BUY:
            self.buy += order.reserved
            self.reduce_buy += order.reserved if order.reduce_only else 0
        else:
            self.sell += order.reserved
            self.reduce_sell += order.reserved if order.reduce_only else 0


def reach(held: int, side: int, parts: list[tuple[int, bool]]) -> int:
    """The position that open orders of one side, as quantities and whether each may only reduce, could make.

    What may only reduce goes first and never through flat.
    """
    sign = 1 if side == Side.BUY else -1
    for quantity, reduce_only in sorted(parts, key=lambda part: not part[1]):
        held += sign * (min(quantity, max(-sign * held, 0)) if reduce_only else quantity)
    return held


class Books:
    """The twin's state, and the sums over it."""

    def __init__(self, fills_max: int, repeats_max: int) -> None:
        self.seq = 0
        self.ts = 0
        self.state = 0  # of the firm
        self.state_cause = self.state_ts = self.state_actor = 0
        self.bucket = Bucket()
        self.cancel_bucket = Bucket()
        self.peak_equity = self.day_start_equity = self.day_traded = 0
        self.permissions: dict[tuple[int, int], int] = {}  # by account, and symbol or -1
        self.day_start_ts = 0
        self.accounts: list[Account] = []
        self.instruments: list[Instrument] = []
        self.positions: dict[tuple[int, int], Position] = {}
        self.limits: dict[LimitKey, dict[int, int]] = {}
        self.limit_versions: dict[LimitKey, int] = {}
        self.overrides: dict[int, Override] = {}  # by number
        self.last_override = 0
        self.changes: dict[int, Change] = {}  # by number
        self.last_change = 0
        self.staged: list[Part] = []
        self.staged_seq = 0
        self.policies = [0, 86_400_000_000, 60_000_000, 1_000_000, 100, 1]  # by `Policy`
        self.moved: set[int] = set()  # accounts whose equity has moved since breakers looked
        self.slots: list[Order] = []
        self.closed: deque[int] = deque()  # slots, oldest first
        self.named: dict[tuple[int, bytes], Order] = {}
        self.executions: deque[tuple[int, int]] = deque()  # symbol, id
        self.fills_max = fills_max
        self.repeats: deque[Counted] = deque(maxlen=repeats_max)
        self.settlement = b""
        self.fills = 0

    def position(self, account: int, symbol: int) -> Position:
        return self.positions.setdefault((account, symbol), Position())

    def open_orders(self) -> Iterator[Order]:
        for account in self.accounts:
            yield from account.open.values()

    def reserved(self, account: int) -> dict[int, Reserved]:
        """By symbol, of those in which the account has open orders."""
        sums: dict[int, Reserved] = {}
        for order in self.accounts[account].open.values():
            sums.setdefault(order.symbol, Reserved()).add(order)
        return sums

    def open_parts(
        self, account: int, symbol: int, side: int, but: Order | None = None
    ) -> list[tuple[int, bool]]:
        """What is reserved on one side, by order, and whether the order may only reduce."""
        return [
            (order.reserved, order.reduce_only)
            for order in self.accounts[account].open.values()
            if order.symbol == symbol and order.side == side and order is not but
        ]

    def span(self, account: int, symbol: int) -> tuple[int, int]:
        """The lowest and the highest position that open orders could lead to."""
        held = self.position(account, symbol).quantity
        lowest, highest = (
            reach(held, side, self.open_parts(account, symbol, side)) for side in (Side.SELL, Side.BUY)
        )
        return lowest, highest

    def worst(self, account: int, symbol: int) -> int:
        return max(map(abs, self.span(account, symbol)))

    def plain_worst(self, account: int, symbol: int, more_buy: int, more_sell: int) -> int:
        """As if no order were reduce-only, and with so much more."""
        held = self.position(account, symbol).quantity
        sums = self.reserved(account).get(symbol, Reserved())
        return max(abs(held + sums.buy + more_buy), abs(held - sums.sell - more_sell))

    def unit(self, symbol: int) -> int:
        """Money of a step at the mark."""
        return self.instruments[symbol].mark * self.instruments[symbol].multiplier

    def exposure(self, account: int) -> int:
        """Worst cases at mark, over all symbols."""
        return sum(self.worst(account, symbol) * self.unit(symbol) for symbol in range(len(self.instruments)))

    def gross_value(self, account: int) -> int:
        return sum(
            abs(self.position(account, symbol).quantity) * self.unit(symbol)
            for symbol in range(len(self.instruments))
        )

    def open_cost(self, account: int) -> int:
        return sum(order.reserved_cost for order in self.accounts[account].open.values())

    def position_value(self, account: int) -> int:
        return sum(
            self.position(account, symbol).quantity * instrument.mark * instrument.multiplier
            for symbol, instrument in enumerate(self.instruments)
        )

    def equity(self, account: int) -> int:
        return self.accounts[account].cash + self.position_value(account)

    def firm_equity(self) -> int:
        return sum(self.equity(account) for account in range(len(self.accounts)))

    def day_loss(self, account: int) -> int:
        """Of an account, of the firm where it is -1; and so below."""
        if account < 0:
            return self.day_start_equity - self.firm_equity()
        return self.accounts[account].day_start_equity - self.equity(account)

    def drawdown(self, account: int) -> int:
        if account < 0:
            return self.peak_equity - self.firm_equity()
        return self.accounts[account].peak_equity - self.equity(account)

    def open_notional(self, account: int) -> int:
        if account < 0:
            return sum(self.open_notional(each) for each in range(len(self.accounts)))
        return sum(
            order.reserved * order.reserved_price * self.instruments[order.symbol].multiplier
            for order in self.accounts[account].open.values()
        )

    def turnover(self, account: int) -> int:
        return (self if account < 0 else self.accounts[account]).day_traded

    def net(self, account: int) -> tuple[int, int]:
        """Exposure with its sign, if all buys fill and if all sells fill."""
        accounts = range(len(self.accounts)) if account < 0 else [account]
        upper = lower = 0
        for one in accounts:
            for symbol in range(len(self.instruments)):
                lowest, highest = self.span(one, symbol)
                upper += highest * self.unit(symbol)
                lower += lowest * self.unit(symbol)
        return upper, lower

    def permission(self, account: int, symbol: int) -> int:
        own = self.permissions.get((account, symbol), Permission.DEFAULT)
        own = own or self.permissions.get((account, -1), Permission.DEFAULT)
        return own or Permission.ALLOWED

    def limit_at(self, which: int, scope: int, account: int = -1, symbol: int = -1) -> int:
        return self.effective(limit_key(scope, account, symbol)).get(int(which), UNLIMITED)

    def effective(self, key: LimitKey) -> dict[int, int]:
        """A scope's own limits, with the overrides that are in force."""
        own = dict(self.limits.get(key, {}))
        return own | {o.limit: o.value for o in self.overrides.values() if o.key == key}

    def tightest(self, which: int, account: int, symbol: int) -> tuple[int, int]:
        """The smallest value and its scope; of equal ones the widest scope's."""
        scopes = (Scope.FIRM, Scope.ACCOUNT, Scope.SYMBOL, Scope.ACCOUNT_SYMBOL)
        return min((self.limit_at(which, scope, account, symbol), int(scope)) for scope in scopes)

    def strictest_state(self, account: int, symbol: int) -> tuple[int, int]:
        """The strictest trading state and its scope; of equal ones the widest scope's."""
        states = [(self.state, Scope.FIRM)]
        if account >= 0:
            states.append((self.accounts[account].state, Scope.ACCOUNT))
        if symbol >= 0:
            states.append((self.instruments[symbol].state, Scope.SYMBOL))
        state, scope = max(states, key=lambda row: (row[0], -row[1]))
        return state, scope

    def reducible(self, account: int, symbol: int, side: int) -> int:
        """How much of an order on this side only makes the position smaller."""
        held = self.position(account, symbol).quantity
        return max(-held if side == Side.BUY else held, 0)

    def restriction(self, account: int, symbol: int) -> int:
        """Why the account may only reduce there, as a code."""
        if self.strictest_state(account, symbol)[0] != TradingState.ACTIVE:
            return Code.REDUCING_ONLY
        denied = self.permission(account, symbol) == Permission.DENIED
        return Code.SYMBOL_RESTRICTED if denied else Code.NONE

    def trimmed_for(self, order: Order) -> int:
        """Why an open order may be no larger than the position that it reduces."""
        if order.reduce_only:
            return Code.REDUCE_ONLY
        if not self.policies[Policy.CANCEL_INCREASING]:
            return Code.NONE
        return self.restriction(order.account, order.symbol)
