"""What may happen to an open order of the twin, and how orders are held to the position that they reduce.

The legal steps are written by trigger here, where the engine has them by state.
"""

from app.engine.capacity import SLOT_BITS
from app.engine.codes import Code
from app.engine.types import EventKind, OrderStatus, Scope
from tests.models.engine_effect import PRICED, reserve_left
from tests.models.engine_model import Order
from tests.models.engine_reference import ReferenceTwin

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


class OrderSteps(ReferenceTwin):
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
        order.waiting, order.due, order.code = 0, None, code
        order.reserve(0, 0, 0)
        del self.books.accounts[order.account].open[order.order_id]
        self.books.closed.append(order.order_id % (1 << SLOT_BITS))
        self.change(order, status)

    def queue_place(self) -> int:
        return self.books.seq << 20 | len(self.out)

    def request_cancel(self, order: Order, code: int = Code.NONE) -> int:
        """Why it cannot be asked for, Code.NONE where it was, or was done at once. `code`: for what."""
        if order.status not in OPEN:
            return Code.ORDER_CLOSED
        if order.waiting:
            self.close(order, OrderStatus.CANCELED, code)
            self.show(EventKind.ORDER_CANCELED, order)
            return Code.NONE
        status = self.after(order, "request_cancel")
        if status is None:
            return Code.ORDER_PENDING
        self.change(order, status)
        self.show(EventKind.CANCEL_REQUESTED, order, code=code)
        return Code.NONE

    def request_replace(
        self, order: Order, price: int, quantity: int, worth: int, cost: int, code: int = Code.NONE
    ) -> None:
        """Until it is answered the larger of both is reserved."""
        order.replace_price, order.replace_quantity = price, quantity
        order.replace_priority = self.queue_place()
        order.reserve(
            max(order.reserved, quantity - order.filled_quantity),
            max(order.reserved_price, worth),
            max(order.reserved_cost, cost),
        )
        self.change(order, S.PENDING_REPLACE)
        shown = {"last_price": price, "last_quantity": quantity, "code": code}
        self.show(EventKind.REPLACE_REQUESTED, order, **shown)

    # --- Orders that may only reduce.

    def in_scope(self, scope: int, account: int, symbol: int) -> list[list[Order]]:
        """Open orders of a scope by account, each account's oldest first."""
        by_account = scope in (Scope.ACCOUNT, Scope.ACCOUNT_SYMBOL)
        by_symbol = scope in (Scope.SYMBOL, Scope.ACCOUNT_SYMBOL)
        return [
            [order for order in holder.open.values() if not by_symbol or order.symbol == symbol]
            for number, holder in enumerate(self.books.accounts)
            if not by_account or number == account
        ]

    def ends(self, order: Order) -> bool:
        """Whether trimming asks an order to end."""
        if not self.books.trimmed_for(order) or order.status in PENDING | {S.UNKNOWN}:
            return False
        return self.books.reducible(order.account, order.symbol, order.side) == 0

    def trim(self, scope: int, account: int, symbol: int) -> None:
        """Hold the open orders of a scope to the positions that they reduce, the newest first."""
        for orders in self.in_scope(scope, account, symbol):
            for order in reversed(orders):
                self.trim_one(order)

    def trim_one(self, order: Order) -> None:
        code = self.books.trimmed_for(order)
        room = self.books.reducible(order.account, order.symbol, order.side)
        if code == Code.NONE or order.left <= room:
            return
        if self.ends(order):
            self.request_cancel(order, code)
        elif order.waiting:
            order.quantity = room
            reserve_left(self.books, order)
            self.change(order, order.status)
            self.show(EventKind.ORDER_REPLACED, order, code=code)
        elif room > 0 and order.type in PRICED and self.after(order, "request_replace") is not None:
            quantity = order.filled_quantity + room
            as_it_is = (order.reserved_price, order.reserved_cost)
            self.request_replace(order, order.price, quantity, *as_it_is, code=code)
