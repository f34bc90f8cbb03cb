"""The twin's side towards the venue: what execution reports do to orders and positions.

Where reports and requests cross, the venue is right.
"""

from app.engine.codes import Code
from app.engine.types import EventKind, OrderStatus, ReportKind, Scope, Side
from tests.models.engine_breakers import BreakerTwin
from tests.models.engine_effect import PRICED, cost, reserve_left, worth
from tests.models.engine_model import Order
from tests.models.engine_steps import OPEN
from tests.support.engine import Command

S = OrderStatus

_STEP_OF: dict[int, str] = {
    ReportKind.NEW: "acknowledge",
    ReportKind.CANCELED: "cancel",
    ReportKind.EXPIRED: "expire",
    ReportKind.REJECTED: "reject",
    ReportKind.REPLACED: "replace",
    ReportKind.CANCEL_REJECTED: "refuse",
    ReportKind.REPLACE_REJECTED: "refuse",
    ReportKind.UNKNOWN: "lose",
}
_EVENT_OF_END = {
    S.CANCELED: EventKind.ORDER_CANCELED,
    S.EXPIRED: EventKind.ORDER_EXPIRED,
    S.REJECTED: EventKind.ORDER_REJECTED,
}


# What an order's own instructions ask for is no rejection by the venue.
_OWN_DOING = {
    Code.POST_ONLY_WOULD_TAKE, Code.REDUCE_ONLY, Code.REDUCING_ONLY, Code.SYMBOL_RESTRICTED,
    Code.SELF_TRADE, Code.INSUFFICIENT_LIQUIDITY,
}  # fmt: skip


class VenueSide(BreakerTwin):
    def known(self, order_id: int) -> Order | None:
        raise NotImplementedError

    def anomaly(self, report: Command, order: Order | None, code: int) -> None:
        facts = {
            "code": code,
            "last_price": report.price,
            "last_quantity": report.quantity,
            "execution_id": report.execution_id,
        }
        if order is None:
            self.say(EventKind.EXECUTION_ANOMALY, order_id=report.order_id, **facts)
        else:
            self.show(EventKind.EXECUTION_ANOMALY, order, **facts)

    def execution_report(self, report: Command) -> None:
        order = self.known(report.order_id)
        if order is None:
            self.anomaly(report, None, Code.UNKNOWN_ORDER)
        elif report.report == ReportKind.TRADE:
            self.trade(report, order)
        else:
            self.other_report(report, order)

    # --- Executions.

    def fill_refusal(self, report: Command, order: Order) -> int:
        if (order.symbol, report.execution_id) in self.books.executions:
            return Code.DUPLICATE_EXECUTION
        left = max(order.quantity, order.replace_quantity) - order.filled_quantity
        if not 0 < report.quantity <= left:
            return Code.OVERFILL
        priced = 0 < report.price <= self.books.instruments[order.symbol].max_price
        return Code.NONE if priced and not order.waiting and order.status in OPEN else Code.ILLEGAL_TRANSITION

    def trade(self, report: Command, order: Order) -> None:
        code = self.fill_refusal(report, order)
        if code != Code.NONE:
            self.anomaly(report, order, code)
            return
        if report.quantity > order.left:  # the venue has replaced it already
            order.price, order.quantity = order.replace_price, order.replace_quantity
            order.priority = order.replace_priority
        self.books.fills += 1
        self.books.executions.append((order.symbol, report.execution_id))
        if len(self.books.executions) > self.books.fills_max:
            self.books.executions.popleft()
        order.filled_quantity += report.quantity
        order.filled_notional += report.price * report.quantity
        self.forget_rejections(order)
        self.settle_fill(report, order)
        if order.left == 0 and order.reserved == report.quantity:
            self.close(order, S.FILLED)
        else:
            self.change(order, S.PARTIALLY_FILLED)
            spent = order.reserved_cost * report.quantity // order.reserved
            order.reserve(order.reserved - report.quantity, order.reserved_price, order.reserved_cost - spent)
        position = self.books.position(order.account, order.symbol)
        self.show(
            EventKind.ORDER_FILLED,
            order,
            limit=position.quantity,
            observed=position.entry_cost,
            last_price=report.price,
            last_quantity=report.quantity,
            fee=report.fee,
            execution_id=report.execution_id,
            liquidity=report.liquidity,
        )
        self.group_open = bool(report.more)
        self.trim(Scope.ACCOUNT_SYMBOL, order.account, order.symbol)

    def settle_fill(self, report: Command, order: Order) -> None:
        """Cash, position, cost and profit of one execution."""
        position = self.books.position(order.account, order.symbol)
        account = self.books.accounts[order.account]
        unit = report.price * self.books.instruments[order.symbol].multiplier
        sign = 1 if order.side == Side.BUY else -1
        self.books.moved.add(order.account)
        account.cash -= sign * report.quantity * unit + report.fee
        account.fees += report.fee
        account.day_fills += 1
        account.day_traded += report.quantity * unit
        self.books.day_traded += report.quantity * unit
        position.fees += report.fee
        opening = report.quantity
        if position.quantity * sign < 0:
            closing = min(report.quantity, abs(position.quantity))
            opening = report.quantity - closing
            cost = abs(position.entry_cost) * closing // abs(position.quantity)
            was_long = position.quantity > 0
            profit = closing * unit - cost if was_long else cost - closing * unit
            position.entry_cost -= cost if was_long else -cost
            position.realised += profit
            account.realised += profit
        position.entry_cost += sign * opening * unit
        position.quantity += sign * report.quantity

    # --- Everything else.

    def could_be(self, report: Command, order: Order) -> bool:
        """Whether the venue's new price and quantity are those of an order."""
        instrument = self.books.instruments[order.symbol]
        priced = order.type in PRICED
        sound = 0 < report.price <= instrument.max_price if priced else report.price == 0
        return sound and max(order.filled_quantity, 1) <= report.quantity <= instrument.max_quantity

    def other_report(self, report: Command, order: Order) -> None:
        step = _STEP_OF.get(report.report)
        status = None if step is None or order.waiting else self.after(order, step)
        told = {(order.price, order.quantity)}
        if order.status == S.FILLED:  # while it was to be replaced
            told.add((order.replace_price, order.replace_quantity))
        same = (report.price, report.quantity) in told
        if step == "replace" and not self.could_be(report, order):
            status = None
        if step == "refuse" and order.status not in OPEN:
            self.tell_refusal(report, order)
        elif step == "replace" and order.status not in OPEN and same:
            self.show(EventKind.ORDER_REPLACED, order)  # a fill has shown it already
        elif status is None:
            self.anomaly(report, order, Code.ILLEGAL_TRANSITION)
        elif step == "acknowledge":
            self.forget_rejections(order)
            self.change(order, status)
            self.show(EventKind.ORDER_OPENED, order)
            self.trim(Scope.ACCOUNT_SYMBOL, order.account, order.symbol)
        elif step == "lose":
            self.change(order, status)
            self.show(EventKind.ORDER_UNKNOWN, order)
        elif step == "replace":
            self.replaced(report, order, status)
        elif self.is_unknown(report) and order.left:
            self.ended(order, S.CANCELED, Code.UNKNOWN_ORDER)
        elif step == "refuse":
            self.refused(report, order, status)
        else:
            self.ended(order, status, report.code)

    def replaced(self, report: Command, order: Order, status: OrderStatus) -> None:
        if report.price != order.price or report.quantity > order.quantity:
            order.priority = order.replace_priority or self.queue_place()
        asked = (order.replace_price, order.replace_quantity)
        order.price, order.quantity = report.price, report.quantity
        if order.replace_quantity and (report.price, report.quantity) != asked:
            # The answer to an earlier request; the later one is still on its way.
            most = max(order.quantity, order.replace_quantity) - order.filled_quantity
            prices = worth(self.books, order), order.reserved_price
            costs = cost(self.books, order, most), order.reserved_cost
            order.reserve(most, max(prices), max(costs))
            self.change(order, status if status == S.PENDING_CANCEL else S.PENDING_REPLACE)
        else:
            self.go_on(order, status)
        self.show(EventKind.ORDER_REPLACED, order, code=report.code)
        self.trim(Scope.ACCOUNT_SYMBOL, order.account, order.symbol)

    @staticmethod
    def is_unknown(report: Command) -> bool:
        """Whether the venue does not have what it is to cancel."""
        return report.report == ReportKind.CANCEL_REJECTED and report.code == Code.UNKNOWN_ORDER

    def go_on(self, order: Order, status: OrderStatus) -> None:
        """Nothing is asked for any more; without a rest the order has been filled."""
        order.replace_price = order.replace_quantity = order.replace_priority = 0
        if order.left == 0:
            self.close(order, S.FILLED)
            return
        reserve_left(self.books, order)
        self.change(order, status)

    def ended(self, order: Order, status: OrderStatus, code: int) -> None:
        if status == S.CANCELED and 0 < order.expire_ts <= self.books.ts:
            status = S.EXPIRED
        if status == S.REJECTED and code not in _OWN_DOING:
            self.count_rejection(order.account, order.symbol)
        self.close(order, status, code)
        self.show(_EVENT_OF_END[status], order)

    def forget_rejections(self, order: Order) -> None:
        self.books.accounts[order.account].rejections = 0
        self.books.instruments[order.symbol].rejections = 0

    def refused(self, report: Command, order: Order, status: OrderStatus) -> None:
        only_cancel = report.report == ReportKind.CANCEL_REJECTED and not self.is_unknown(report)
        if only_cancel and order.replace_quantity:  # that is still on its way
            self.change(order, S.UNKNOWN if status == S.UNKNOWN else S.PENDING_REPLACE)
        else:
            canceling = order.status == S.PENDING_CANCEL and report.report == ReportKind.REPLACE_REJECTED
            self.go_on(order, S.PENDING_CANCEL if canceling else status)
        if order.expire_ts and order.due is None and order.status in OPEN:
            order.due = self.books.ts + 1_000_000
        self.tell_refusal(report, order)
        self.trim(Scope.ACCOUNT_SYMBOL, order.account, order.symbol)

    def tell_refusal(self, report: Command, order: Order) -> None:
        canceling = report.report == ReportKind.CANCEL_REJECTED
        kind = EventKind.CANCEL_REJECTED if canceling else EventKind.REPLACE_REJECTED
        self.show(kind, order, code=report.code)
