"""The twin's side towards the venue: what execution reports do to orders and positions.

The legal steps are written by trigger here, where the engine has them by state.
"""

from app.engine.capacity import SLOT_BITS
from app.engine.codes import Code
from app.engine.types import EventKind, OrderStatus, ReportKind, Side
from tests.engine_support import Command
from tests.twins.engine_breakers import BreakerTwin
from tests.twins.engine_model import Order

S = OrderStatus
OPEN = {
    S.PENDING_NEW, S.NEW, S.PARTIALLY_FILLED, S.PENDING_CANCEL, S.PENDING_REPLACE, S.TRIGGERED, S.UNKNOWN
}  # fmt: skip
WORKING = {S.NEW, S.PARTIALLY_FILLED}
PENDING = {S.PENDING_CANCEL, S.PENDING_REPLACE}

# From where each may happen, and where it leads; None is working, with or without fills.
STEPS: dict[str, tuple[set[OrderStatus], OrderStatus | None]] = {
    "acknowledge": (PENDING | {S.PENDING_NEW, S.PARTIALLY_FILLED, S.TRIGGERED, S.UNKNOWN}, None),
    "fill": (OPEN, S.PARTIALLY_FILLED),
    "complete": (OPEN, S.FILLED),
    "request_cancel": (OPEN - {S.PENDING_CANCEL}, S.PENDING_CANCEL),
    "request_replace": (WORKING | {S.TRIGGERED}, S.PENDING_REPLACE),
    "cancel": (OPEN, S.CANCELED),
    "expire": (OPEN, S.EXPIRED),
    "reject": (PENDING | {S.PENDING_NEW, S.TRIGGERED, S.UNKNOWN}, S.REJECTED),
    "fire": ({S.NEW}, S.TRIGGERED),
    "replace": (PENDING | {S.PARTIALLY_FILLED, S.UNKNOWN}, None),
    "refuse": (PENDING | WORKING | {S.UNKNOWN}, None),
    "lose": (OPEN - {S.UNKNOWN}, S.UNKNOWN),
}

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


class VenueSide(BreakerTwin):
    @staticmethod
    def after(order: Order, step: str) -> OrderStatus | None:
        """Where a step leads; None where it is illegal."""
        sources, target = STEPS[step]
        if order.status not in sources:
            return None
        if step == "reject" and order.status == S.TRIGGERED:
            return S.CANCELED  # it was accepted once
        if step == "acknowledge" and order.status in PENDING:
            return S(order.status)  # overtaken by the request
        if step == "request_cancel" and order.status in {S.PENDING_REPLACE, S.UNKNOWN}:
            return S(order.status)
        if step == "refuse" and order.status == S.UNKNOWN:
            return S.UNKNOWN
        if step == "replace" and order.status == S.PENDING_CANCEL:
            return S.PENDING_CANCEL
        if target is None:
            return S.PARTIALLY_FILLED if order.filled_quantity else S.NEW
        return target

    def change(self, order: Order, status: int) -> None:
        order.status, order.seq, order.updated_ts = status, self.books.seq, self.books.ts

    def close(self, order: Order, status: int, code: int = Code.NONE) -> None:
        order.waiting, order.due, order.code = False, None, code
        order.reserve(0, 0)
        del self.books.accounts[order.account].open[order.order_id]
        self.books.closed.append(order.order_id % (1 << SLOT_BITS))
        self.change(order, status)

    def known(self, order_id: int) -> Order | None:
        raise NotImplementedError

    def request_cancel(self, order: Order) -> int:
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

    def trade_refusal(self, report: Command, order: Order) -> int:
        if (order.symbol, report.execution_id) in self.books.executions:
            return Code.DUPLICATE_EXECUTION
        if not 0 < report.quantity <= order.left:
            return Code.OVERFILL
        in_range = 0 < report.price <= self.books.instruments[order.symbol].max_price
        if not in_range or order.waiting or order.status not in OPEN:
            return Code.ILLEGAL_TRANSITION
        return Code.NONE

    def trade(self, report: Command, order: Order) -> None:
        code = self.trade_refusal(report, order)
        if code != Code.NONE:
            self.anomaly(report, order, code)
            return
        self.books.fills += 1
        self.books.executions.append((order.symbol, report.execution_id))
        if len(self.books.executions) > self.books.fills_max:
            self.books.executions.popleft()
        order.filled_quantity += report.quantity
        order.filled_notional += report.price * report.quantity
        self.forget_rejections(order)
        self.settle(report, order)
        if order.left == 0:
            self.close(order, S.FILLED)
        else:
            self.change(order, S.PARTIALLY_FILLED)
            order.reserved -= report.quantity
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
        self.trim(order.account, order.symbol)
        account = self.books.accounts[order.account]
        account.peak_equity = max(account.peak_equity, self.books.equity(order.account))
        self.watch([order.account])

    def settle(self, report: Command, order: Order) -> None:
        """Cash, position, cost and profit of one execution."""
        position = self.books.position(order.account, order.symbol)
        account = self.books.accounts[order.account]
        unit = report.price * self.books.instruments[order.symbol].multiplier
        sign = 1 if order.side == Side.BUY else -1
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

    def trim(self, account: int, symbol: int) -> None:
        """Cancel reduce-only orders that the position no longer covers, the newest first."""
        held = self.books.position(account, symbol).quantity
        mine = [o for o in self.books.accounts[account].open.values() if o.symbol == symbol and o.reduce_only]
        covered = {Side.BUY: max(-held, 0), Side.SELL: max(held, 0)}
        excess = {side: sum(o.reserved for o in mine if o.side == side) - covered[side] for side in covered}
        for order in reversed(mine):
            side = Side(order.side)
            if excess[side] <= 0:
                continue
            reserved = order.reserved
            if order.status == S.PENDING_CANCEL or self.request_cancel(order) == Code.NONE:
                excess[side] -= reserved

    # --- Everything else.

    def other_report(self, report: Command, order: Order) -> None:
        step = _STEP_OF.get(report.report)
        status = None if step is None or order.waiting else self.after(order, step)
        if step == "replace" and (
            (report.price, report.quantity) != (order.replace_price, order.replace_quantity)
            or report.quantity <= order.filled_quantity
        ):
            status = None
        if step == "refuse" and order.status not in OPEN:
            self.tell_refusal(report, order)
        elif status is None:
            self.anomaly(report, order, Code.ILLEGAL_TRANSITION)
        elif step == "acknowledge":
            self.forget_rejections(order)
            self.change(order, status)
            self.show(EventKind.ORDER_OPENED, order)
        elif step == "lose":
            self.change(order, status)
            self.show(EventKind.ORDER_UNKNOWN, order)
        elif step == "replace":
            if report.price != order.price or report.quantity > order.quantity:
                order.priority = order.replace_priority
            order.price, order.quantity = report.price, report.quantity
            order.reserve(order.left, order.worth)
            self.change(order, status)
            self.show(EventKind.ORDER_REPLACED, order)
        elif step == "refuse":
            self.refused(report, order, status)
        else:
            if status == S.CANCELED and 0 < order.expire_ts <= self.books.ts:
                status = S.EXPIRED
            if status == S.REJECTED:
                self.count_rejection(order.account, order.symbol)
            self.close(order, status, report.code)
            self.show(_EVENT_OF_END[status], order)
            if status == S.REJECTED:
                self.judge_rejections(order.account, order.symbol)

    def forget_rejections(self, order: Order) -> None:
        self.books.accounts[order.account].rejections = 0
        self.books.instruments[order.symbol].rejections = 0

    def refused(self, report: Command, order: Order, status: OrderStatus) -> None:
        order.reserve(order.left, order.worth)
        self.change(order, status)
        if order.expire_ts and order.due is None:
            order.due = self.books.ts + 1_000_000
        self.tell_refusal(report, order)

    def tell_refusal(self, report: Command, order: Order) -> None:
        canceling = report.report == ReportKind.CANCEL_REJECTED
        kind = EventKind.CANCEL_REJECTED if canceling else EventKind.REPLACE_REJECTED
        self.show(kind, order, code=report.code)
