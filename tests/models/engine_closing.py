"""The twin's way to close a position."""

from app.engine.codes import Code
from app.engine.types import (
    EventKind,
    OrderFlag,
    OrderType,
    Scope,
    SelfTradePrevention,
    Side,
    StateFlag,
    TimeInForce,
)
from tests.models.engine_flow import Verdict, take_tokens
from tests.models.engine_model import Order
from tests.models.engine_risk import How, Request
from tests.models.engine_stops import StopsTwin
from tests.support.engine import Command


class ClosingTwin(StopsTwin):
    def closing_order(self, c: Command, quantity: int | None = None) -> Order:
        """A reduce-only market order for so much of the position, or for all of it."""
        books = self.books
        known = 0 <= c.account < len(books.accounts) and 0 <= c.symbol < len(books.instruments)
        held = books.position(c.account, c.symbol).quantity if known else 0
        symbol = c.symbol if 0 <= c.symbol < len(books.instruments) else -1
        return Order(
            order_id=0,
            account=c.account if 0 <= c.account < len(books.accounts) else -1,
            symbol=symbol,
            side=Side.SELL if held >= 0 else Side.BUY,
            type=OrderType.MARKET,
            time_in_force=TimeInForce.IOC,
            flags=OrderFlag.REDUCE_ONLY,
            self_trade_prevention=SelfTradePrevention.CANCEL_OLDEST,
            price=0,
            stop_price=0,
            quantity=abs(held) if quantity is None else quantity,
            expire_ts=0,
            client_order_id=c.client_order_id,
            content=(symbol,),  # whatever the position is by then
            created_ts=c.ts,
            updated_ts=c.ts,
            seq=c.seq,
            priority=self.queue_place(),
        )

    def close_position(self, c: Command) -> None:
        order = self.closing_order(c)
        lacking = take_tokens(self.books, order.account)
        first = self.named_before(order)
        if first is not None and first.content == order.content:
            self.show(EventKind.ORDER_REPLAYED, first)
            return
        how = How.CLOSE if c.flags & StateFlag.CANCEL_OPEN else How.CLOSE_BESIDE
        refusal, _ = self.judged_new(Request(order, how, duplicate=first is not None, lacking=lacking))
        if refusal is not None and refusal.code == Code.QUANTITY_MIN:  # there is nothing to close
            refusal = Verdict(Code.REDUCE_ONLY, False, 0, 0, Scope.ACCOUNT_SYMBOL)
        if refusal is not None:
            self.refuse(order, refusal)
            if first is None:  # its name stays free
                self.books.named.pop((order.account, order.client_order_id), None)
            return
        others = [o for o in self.books.accounts[c.account].open.values() if o.symbol == c.symbol]
        self.send_slices(c, order)
        if c.flags & StateFlag.CANCEL_OPEN:
            for other in others:
                self.make_way(other, order.side)

    def send_slices(self, c: Command, whole: Order) -> None:
        left = whole.quantity
        while left > 0:
            first = left == whole.quantity
            if not first and sum(1 for _ in self.books.open_orders()) >= self.capacity.open_orders:
                return
            part = self.closing_order(c, min(left, self.books.instruments[c.symbol].max_quantity))
            part.client_order_id = c.client_order_id if first else b""
            self.admit(part)
            self.open_order(part)
            left -= part.quantity

    def make_way(self, order: Order, side: int) -> None:
        """What protects the position ends with it; everything else is canceled now."""
        if order.side == side and order.reduce_only:
            return
        if order.side == side and order.waiting:
            order.flags |= OrderFlag.REDUCE_ONLY
            self.change(order, order.status)
            self.show(EventKind.ORDER_REPLACED, order, code=Code.REDUCE_ONLY)
        else:
            self.request_cancel(order)

    # --- What the engine does with any new order.

    def named_before(self, order: Order) -> Order | None:
        raise NotImplementedError

    def judged_new(self, request: Request) -> tuple[Verdict | None, bool]:
        raise NotImplementedError

    def refuse(self, order: Order, refusal: Verdict) -> None:
        raise NotImplementedError

    def admit(self, order: Order) -> None:
        raise NotImplementedError

    def open_order(self, order: Order) -> None:
        raise NotImplementedError
