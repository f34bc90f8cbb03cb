"""The twin's stops: which have been reached, and what becomes of them when they fire."""

from dataclasses import replace

from app.engine.codes import Code
from app.engine.types import EventKind, InstrumentStatus, OrderFlag, OrderStatus, TradingState
from tests.models.engine_effect import protection_price, reserve_left
from tests.models.engine_flow import Verdict
from tests.models.engine_model import Order
from tests.models.engine_risk import How, Request, is_rising, judged
from tests.models.engine_venue import VenueSide


class StopsTwin(VenueSide):
    def fire_due(self) -> None:
        books = self.books
        for symbol, instrument in enumerate(books.instruments):
            if not instrument.stops_due:
                continue
            instrument.stops_due = False
            halted = TradingState.HALTED in (books.state, instrument.state)
            if not halted and instrument.status == InstrumentStatus.TRADING and instrument.mark:
                self.fire_reached(symbol, instrument.mark)

    def fire_reached(self, symbol: int, mark: int) -> None:
        waiting = [o for o in self.books.open_orders() if o.waiting == 1 and o.symbol == symbol]
        rising = [o for o in waiting if is_rising(o) and o.stop_price <= mark]
        falling = [o for o in waiting if not is_rising(o) and o.stop_price >= mark]
        rising.sort(key=lambda o: (o.stop_price, o.order_id))
        falling.sort(key=lambda o: (-o.stop_price, o.order_id))
        for order in rising + falling:
            self.fire(order)

    def fire(self, order: Order) -> None:
        if self.books.accounts[order.account].state == TradingState.HALTED:
            order.waiting = 2
            return
        order.waiting = 0
        refusal = self.adjusted(order)
        if refusal is not None:
            self.close(order, OrderStatus.CANCELED, refusal.code)
            facts = {"scope": refusal.scope, "limit": refusal.limit, "observed": refusal.observed}
            self.show(EventKind.ORDER_CANCELED, order, **facts)
            return
        reserve_left(self.books, order)
        self.change(order, OrderStatus.TRIGGERED)
        order.flags |= OrderFlag.TRIGGERED
        order.priority = self.queue_place()
        self.show(EventKind.ORDER_TRIGGERED, order, last_price=protection_price(self.books, order))

    def adjusted(self, order: Order) -> Verdict | None:
        """Make it what may go to the venue: all of it, or what reduces; else why nothing may."""
        books = self.books
        code = Code.REDUCE_ONLY if order.reduce_only else books.restriction(order.account, order.symbol)
        refusal: Verdict | None = Verdict(code, False, 0, order.quantity, 0)
        if code == Code.NONE:
            refusal, reduces = judged(books, Request(replace(order), How.FIRE, before=order))
            if refusal is None and reduces:
                order.flags |= OrderFlag.REDUCE_ONLY
        room = books.reducible(order.account, order.symbol, order.side)
        if refusal is None or room == 0:
            return refusal
        order.quantity = min(order.quantity, room)
        order.flags |= OrderFlag.REDUCE_ONLY
        return None
