"""The twin's settlement: every position of a symbol ends at a price, or none does."""

from app.engine.codes import Code
from app.engine.types import EventKind, InstrumentStatus, Scope
from tests.models.engine_reference import ReferenceTwin
from tests.support.engine import Command


class SettlementTwin(ReferenceTwin):
    def settle_symbol(self, c: Command) -> None:
        books = self.books
        if not 0 <= c.symbol < len(books.instruments):
            self.reject(c, Code.UNKNOWN_SYMBOL)
            return
        instrument = books.instruments[c.symbol]
        open_orders = sum(order.symbol == c.symbol for order in books.open_orders())
        if not 0 < c.value <= instrument.max_price:
            self.reject(c, Code.INVALID_VALUE, limit=instrument.max_price, observed=c.value)
        elif instrument.status != InstrumentStatus.HALTED:
            status = InstrumentStatus.HALTED
            self.reject(c, Code.SYMBOL_TRADING, limit=status, observed=instrument.status)
        elif open_orders:
            self.reject(c, Code.INSTRUMENT_IN_USE, observed=open_orders)
        else:
            self._settle_all(c)

    def _settle_all(self, c: Command) -> None:
        books, unit = self.books, c.value * self.books.instruments[c.symbol].multiplier
        settled = 0
        for index, account in enumerate(books.accounts):
            position = books.position(index, c.symbol)
            if position.quantity == 0:
                continue
            quantity = position.quantity
            realised = quantity * unit - position.entry_cost
            position.realised += realised
            account.realised += realised
            account.cash += quantity * unit
            position.quantity = position.entry_cost = 0
            books.moved.add(index)
            settled += 1
            self.say(
                EventKind.POSITION_SETTLED, account=index, symbol=c.symbol, last_price=c.value,
                last_quantity=quantity, observed=realised,
            )  # fmt: skip
        self.say(
            EventKind.SYMBOL_SETTLED, symbol=c.symbol, scope=Scope.SYMBOL, last_price=c.value,
            last_quantity=settled, notes=c.notes, fee=c.actor,
        )  # fmt: skip
