"""The paper venue in plain Python: lists of orders, simple loops, no shared code with the kernels."""

import copy

from app.engine.codes import Code
from app.engine.types import (
    EventKind,
    InstrumentStatus,
    Liquidity,
    OrderFlag,
    OrderType,
    Permission,
    ReportKind,
    Scope,
    SelfTradePrevention,
    Side,
    TimeInForce,
)
from app.market.types import LevelKind
from tests.models.paper_records import Displayed, Event, Incoming, Report, Resting, fee_of


class PaperTwin:
    def __init__(
        self,
        multiplier: int,
        maker_ppm: int,
        taker_ppm: int,
        ladder_levels: int,
        depth_levels: int,
    ) -> None:
        self.multiplier, self.maker_ppm, self.taker_ppm = multiplier, maker_ppm, taker_ppm
        self.ladder_levels, self.depth_levels = ladder_levels, depth_levels
        self.orders: dict[int, Resting] = {}
        self.depth: dict[tuple[int, int], dict[int, Displayed]] = {}
        self.last_execution_id = 0
        self.entries = 0
        self.ended: set[int] = set()  # orders that came here and are here no more
        self.positions: dict[tuple[int, int], int] = {}  # by account and symbol
        self.states: dict[tuple[int, int, int], int] = {}  # by scope, account, symbol
        self.permissions: dict[tuple[int, int], int] = {}  # by account and symbol, -1: all others
        self.closed: set[int] = set()  # symbols
        self.max_prices: dict[int, int] = {}
        self.out: list[Report] = []

    # --- What is there.

    def queue(self, symbol: int, side: int) -> list[Resting]:
        found = [o for o in self.orders.values() if (o.symbol, o.side) == (symbol, side)]
        return sorted(found, key=lambda o: (-o.price if side == Side.BUY else o.price, o.entry))

    def displayed(self, symbol: int, side: int) -> list[tuple[int, Displayed]]:
        levels = self.depth.get((symbol, side), {})
        rows = [(price, row) for price, row in levels.items() if row.consumed < row.quantity]
        return sorted(rows, key=lambda row: -row[0] if side == Side.BUY else row[0])

    def opposite(self, incoming: Incoming) -> list[Displayed | Resting]:
        """All that the order may trade with, in the order in which it meets it."""
        side = 1 - incoming.side
        rows: list[tuple[int, int, Displayed | Resting]] = []
        rows += [(price, 0, row) for price, row in self.displayed(incoming.symbol, side)]
        rows += [(order.price, 1, order) for order in self.queue(incoming.symbol, side)]
        rows.sort(key=lambda row: (-row[0] if side == Side.BUY else row[0], row[1]))
        self.prices = {id(row[2]): row[0] for row in rows}
        return [row[2] for row in rows if self.within(incoming, row[0])]

    @staticmethod
    def within(incoming: Incoming, price: int) -> bool:
        if incoming.worst == 0:
            return True
        return price <= incoming.worst if incoming.side == Side.BUY else price >= incoming.worst

    def has_place(self, symbol: int, side: int, price: int, without: Resting | None = None) -> bool:
        prices = {o.price for o in self.queue(symbol, side) if o is not without}
        return price in prices or len(prices) < self.ladder_levels

    # --- What orders may do.

    def why_reducing(self, order: Incoming | Resting) -> int:
        account, symbol = order.account, order.symbol
        if order.flags & OrderFlag.REDUCE_ONLY:
            return Code.REDUCE_ONLY
        scopes = ((Scope.FIRM, -1, -1), (Scope.ACCOUNT, account, -1), (Scope.SYMBOL, -1, symbol))
        if any(self.states.get(scope) for scope in scopes):
            return Code.REDUCING_ONLY
        own = self.permissions.get((account, symbol), Permission.DEFAULT)
        if own == Permission.DEFAULT:
            own = self.permissions.get((account, -1), Permission.DEFAULT)
        return Code.SYMBOL_RESTRICTED if own == Permission.DENIED else Code.NONE

    def allowed(self, order: Incoming | Resting) -> int:
        """How much it may trade now."""
        if self.why_reducing(order) == Code.NONE:
            return order.remaining
        position = self.positions.get((order.account, order.symbol), 0)
        return min(order.remaining, max(-position if order.side == Side.BUY else position, 0))

    # --- Reports.

    def say(self, report: int, order: Incoming | Resting | Event, code: int = 0) -> None:
        self.out.append(Report(report, order.order_id, order.account, order.symbol, code=code))

    def end(self, order: Incoming | Resting, code: int) -> None:
        """Cancel what is left of it."""
        self.orders.pop(order.order_id, None)
        self.say(ReportKind.CANCELED, order, code)

    def trade(
        self, order: Incoming | Resting, price: int, quantity: int, liquidity: int, more: int = 0
    ) -> None:
        key = order.account, order.symbol
        signed = quantity if order.side == Side.BUY else -quantity
        self.positions[key] = self.positions.get(key, 0) + signed
        self.last_execution_id += 1
        ppm = self.maker_ppm if liquidity == Liquidity.MAKER else self.taker_ppm
        fee = fee_of(price, quantity, self.multiplier, ppm)
        self.out.append(
            Report(
                ReportKind.TRADE, order.order_id, order.account, order.symbol, price, quantity,
                self.last_execution_id, fee, 0, liquidity, more,
            )
        )  # fmt: skip

    def reduce(self, order: Resting, quantity: int) -> None:
        order.remaining -= quantity
        if order.remaining == 0:
            del self.orders[order.order_id]

    # --- Orders.

    def execute(self, event: Event) -> list[Report]:
        self.out = []
        if event.kind in (EventKind.ORDER_ACCEPTED, EventKind.ORDER_TRIGGERED):
            self.accept(event)
        elif event.kind == EventKind.CANCEL_REQUESTED:
            if self.orders.pop(event.order_id, None):
                self.say(ReportKind.CANCELED, event, event.code)
            elif not self.has_ended(event):
                self.say(ReportKind.CANCEL_REJECTED, event, Code.UNKNOWN_ORDER)
        elif event.kind == EventKind.REPLACE_REQUESTED:
            self.replace(event)
        else:
            self.take_note(event)
        return self.out

    def has_ended(self, event: Event) -> bool:
        """A request of the engine's own for an order whose end it has been told: no answer is due."""
        return event.code != Code.NONE and event.order_id in self.ended

    def take_note(self, event: Event) -> None:
        account, symbol = event.account, event.symbol
        if event.kind == EventKind.TRADING_STATE_SET:
            account = account if event.scope == Scope.ACCOUNT else -1
            symbol = symbol if event.scope == Scope.SYMBOL else -1
            self.states[event.scope, account, symbol] = event.state
        elif event.kind == EventKind.PERMISSION_SET:
            symbol = symbol if event.scope == Scope.ACCOUNT_SYMBOL else -1
            self.permissions[account, symbol] = event.permission
        elif event.kind == EventKind.POSITION_SETTLED:
            self.positions[account, symbol] = 0
        elif event.kind == EventKind.INSTRUMENT_SET:
            self.set_instrument(symbol, event.status, event.max_price)

    def set_instrument(self, symbol: int, status: int, max_price: int) -> None:
        if max_price:
            self.max_prices[symbol] = max_price
            for side in Side:
                levels = self.depth.get((symbol, side), {})
                self.depth[symbol, side] = {p: row for p, row in levels.items() if p <= max_price}
        if status in (InstrumentStatus.CANCEL_ONLY, InstrumentStatus.HALTED):
            self.closed.add(symbol)
            return
        self.closed.discard(symbol)
        self.fill_resting(symbol, Side.BUY)
        self.fill_resting(symbol, Side.SELL)

    def accept(self, event: Event) -> None:
        market = event.type in (OrderType.MARKET, OrderType.STOP, OrderType.TAKE_PROFIT)
        incoming = Incoming(
            event.order_id, event.account, event.symbol, event.side, event.price,
            event.protection_price if market else event.price, event.quantity,
            event.quantity - event.filled_quantity, event.self_trade_prevention,
            immediate=market or event.time_in_force in (TimeInForce.IOC, TimeInForce.FOK),
            market=market, fresh=event.kind == EventKind.ORDER_ACCEPTED, flags=event.flags,
        )  # fmt: skip
        max_price = self.max_prices.get(event.symbol, 0)
        if market and event.side == Side.BUY and max_price:
            incoming.worst = min(incoming.worst or max_price, max_price)
        self.ended.add(event.order_id)
        if event.symbol in self.closed:
            self.refuse(incoming, Code.SYMBOL_NOT_TRADING)
        elif event.flags & OrderFlag.POST_ONLY and self.opposite(incoming):
            self.refuse(incoming, Code.POST_ONLY_WOULD_TAKE)
        elif event.time_in_force == TimeInForce.FOK and not self.fills_entirely(incoming):
            self.say(ReportKind.CANCELED, incoming, Code.INSUFFICIENT_LIQUIDITY)
        else:
            self.match(incoming)

    def refuse(self, incoming: Incoming, code: int) -> None:
        fresh = incoming.fresh and not incoming.acknowledged
        self.say(ReportKind.REJECTED if fresh else ReportKind.CANCELED, incoming, code)

    def fills_entirely(self, incoming: Incoming) -> bool:
        """Try it on a copy of everything."""
        world, order = copy.deepcopy((self, incoming))
        world.match(order)
        return order.remaining == 0

    def match(self, incoming: Incoming) -> None:
        while incoming.remaining > 0:
            rows = self.opposite(incoming)
            if not rows:
                break
            row, price = rows[0], self.prices[id(rows[0])]
            allowed = self.allowed(incoming)
            if allowed == 0:
                self.end(incoming, self.why_reducing(incoming))
                return
            if isinstance(row, Displayed):
                quantity = min(allowed, row.quantity - row.consumed)
                row.consumed += quantity
            elif self.allowed(row) == 0:
                self.end(row, self.why_reducing(row))
                continue
            elif row.account == incoming.account and incoming.mode != SelfTradePrevention.NONE:
                if incoming.mode != SelfTradePrevention.CANCEL_NEWEST:
                    self.end(row, Code.SELF_TRADE)
                if incoming.mode != SelfTradePrevention.CANCEL_OLDEST:
                    self.end(incoming, Code.SELF_TRADE)
                    return
                continue
            else:
                quantity = min(allowed, self.allowed(row))
            incoming.remaining -= quantity
            incoming.acknowledged = True
            self.trade(incoming, price, quantity, Liquidity.TAKER, int(isinstance(row, Resting)))
            if isinstance(row, Resting):
                self.trade(row, price, quantity, Liquidity.MAKER)
                self.reduce(row, quantity)
        self.finish(incoming)

    def finish(self, incoming: Incoming) -> None:
        if incoming.remaining == 0:
            return
        if incoming.immediate:
            code = Code.INSUFFICIENT_LIQUIDITY if incoming.market else Code.NONE
            self.say(ReportKind.CANCELED, incoming, code)
        elif self.allowed(incoming) == 0:
            self.end(incoming, self.why_reducing(incoming))
        elif not self.has_place(incoming.symbol, incoming.side, incoming.price):
            self.refuse(incoming, Code.VENUE_CAPACITY)
        else:
            self.entries += 1
            self.orders[incoming.order_id] = Resting(
                incoming.order_id, incoming.account, incoming.symbol, incoming.side, incoming.price,
                incoming.quantity, incoming.remaining, self.entries, incoming.flags,
            )  # fmt: skip
            if not incoming.acknowledged:
                self.say(ReportKind.NEW, incoming)

    def replace(self, event: Event) -> None:
        order = self.orders.get(event.order_id)
        if order is None:
            if not self.has_ended(event):
                self.say(ReportKind.REPLACE_REJECTED, event, Code.UNKNOWN_ORDER)
            return
        price, quantity = event.replace_price, event.replace_quantity
        filled = order.quantity - order.remaining
        if quantity <= filled:
            self.end(order, event.code)
            return
        incoming = Incoming(
            order.order_id, order.account, order.symbol, order.side, price, price, quantity,
            quantity - filled, event.self_trade_prevention, acknowledged=True, flags=event.flags,
        )  # fmt: skip
        stays = price == order.price and quantity < order.quantity
        if not stays and order.symbol in self.closed:
            self.say(ReportKind.REPLACE_REJECTED, order, Code.SYMBOL_NOT_TRADING)
        elif not stays and event.flags & OrderFlag.POST_ONLY and self.opposite(incoming):
            self.say(ReportKind.REPLACE_REJECTED, order, Code.POST_ONLY_WOULD_TAKE)
        elif not stays and not self.has_place(order.symbol, order.side, price, without=order):
            self.say(ReportKind.REPLACE_REJECTED, order, Code.VENUE_CAPACITY)
        else:
            self.out.append(
                Report(
                    ReportKind.REPLACED,
                    order.order_id,
                    order.account,
                    order.symbol,
                    price,
                    quantity,
                    code=event.code,
                )
            )
            if stays:
                order.quantity, order.remaining = quantity, quantity - filled
                order.flags = event.flags
            else:
                del self.orders[order.order_id]
                self.match(incoming)

    # --- Displayed depth.

    def apply_levels(self, updates: list[tuple[int, int, int, int, int]]) -> list[Report]:
        """(price, quantity, symbol, side, kind), as in LEVEL_UPDATE."""
        self.out = []
        touched: list[int] = []
        for price, quantity, symbol, side, kind in updates:
            if kind == LevelKind.CLEAR:
                self.depth[symbol, Side.BUY] = {}
                self.depth[symbol, Side.SELL] = {}
                continue
            if price > self.max_prices.get(symbol, price):
                continue
            if symbol not in touched:
                touched.append(symbol)
            self.display(price, quantity, symbol, side)
        for symbol in touched:
            self.fill_resting(symbol, Side.BUY)
            self.fill_resting(symbol, Side.SELL)
        return self.out

    def display(self, price: int, quantity: int, symbol: int, side: int) -> None:
        levels = self.depth.setdefault((symbol, side), {})
        if quantity == 0:
            levels.pop(price, None)
            return
        other = self.depth.setdefault((symbol, 1 - side), {})
        for stale in list(other):
            if (price >= stale) if side == Side.BUY else (price <= stale):
                del other[stale]
        if price in levels:
            levels[price].quantity = quantity
            levels[price].consumed = min(levels[price].consumed, quantity)
            return
        if len(levels) == self.depth_levels:
            dropped = max(1, self.depth_levels // 16)
            worst_first = sorted(levels, reverse=side == Side.SELL)
            limit = worst_first[dropped - 1]
            if (price < limit) if side == Side.BUY else (price > limit):
                return
            for worst in worst_first[:dropped]:
                del levels[worst]
        levels[price] = Displayed(quantity)

    def fill_resting(self, symbol: int, side: int) -> None:
        while symbol not in self.closed:
            orders, rows = self.queue(symbol, side), self.displayed(symbol, 1 - side)
            if not orders or not rows:
                return
            order, (price, row) = orders[0], rows[0]
            if (order.price < price) if side == Side.BUY else (order.price > price):
                return
            if self.allowed(order) == 0:
                self.end(order, self.why_reducing(order))
                continue
            quantity = min(self.allowed(order), row.quantity - row.consumed)
            row.consumed += quantity
            self.trade(order, order.price, quantity, Liquidity.MAKER)
            self.reduce(order, quantity)

    def market_depth(self, symbol: int, side: int) -> list[tuple[int, int]]:
        total: dict[int, int] = {}
        for price, row in self.displayed(symbol, side):
            total[price] = total.get(price, 0) + row.quantity - row.consumed
        for order in self.queue(symbol, side):
            total[order.price] = total.get(order.price, 0) + order.remaining
        return sorted(total.items(), reverse=side == Side.BUY)
