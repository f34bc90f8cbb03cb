"""The engine in plain Python, written from its description and not from its kernels.

`EngineTwin.apply` takes one command and gives its events as tuples. Speed does not matter here: sums
are made anew each time (`engine_model`), stops and expiries are found by looking at all open orders.
"""

from dataclasses import replace

from app.engine.capacity import SLOT_BITS, Capacity
from app.engine.codes import Code
from app.engine.types import (
    CommandKind,
    EventKind,
    Fault,
    InstrumentStatus,
    OrderStatus,
    Scope,
    TimeInForce,
    TradingState,
)
from app.runtime.views import EventView
from tests.engine_support import Command
from tests.twins.engine_limits import LimitsTwin
from tests.twins.engine_model import Books, Order
from tests.twins.engine_risk import (
    STOPS,
    Request,
    Verdict,
    cancel_rate,
    explained,
    first_refusal,
    is_rising,
    protection_price,
    worth,
)
from tests.twins.engine_settlement import SettlementTwin
from tests.twins.engine_venue import VenueSide

SLOTS = 1 << SLOT_BITS


class EngineTwin(LimitsTwin, SettlementTwin, VenueSide):
    def __init__(self, capacity: Capacity) -> None:
        self.capacity = capacity
        self.books = Books(capacity.fills, capacity.repeats)
        self.out: list[EventView] = []

    def apply(self, command: Command) -> list[EventView]:
        self.out = []
        self.books.seq, self.books.ts = command.seq, command.ts
        actions = {
            CommandKind.PLACE_ORDER: self.place,
            CommandKind.CANCEL_ORDER: self.cancel,
            CommandKind.AMEND_ORDER: self.amend,
            CommandKind.CANCEL_ALL: self.cancel_all,
            CommandKind.EXECUTION_REPORT: self.execution_report,
            CommandKind.UPDATE_MARK: self.update_mark,
            CommandKind.ADVANCE_TIME: self.advance_time,
            CommandKind.SET_INSTRUMENT: self.set_instrument,
            CommandKind.SET_ACCOUNT: self.set_account,
            CommandKind.TRANSFER_CASH: self.transfer_cash,
            CommandKind.SET_LIMIT: self.set_limit,
            CommandKind.SET_PERMISSION: self.set_permission,
            CommandKind.SET_TRADING_STATE: self.set_trading_state,
            CommandKind.NOTE: self.note,
            CommandKind.SET_POLICY: self.set_policy,
            CommandKind.SET_OVERRIDE: self.set_override,
            CommandKind.END_OVERRIDE: self.end_override,
            CommandKind.PROPOSE_LIMIT: self.propose_limit,
            CommandKind.APPROVE_CHANGE: self.approve_change,
            CommandKind.REJECT_CHANGE: self.reject_change,
            CommandKind.SETTLE_SYMBOL: self.settle_symbol,
        }
        action = {int(kind): action for kind, action in actions.items()}.get(command.kind)
        if action is None:
            self.say(EventKind.COMMAND_REJECTED, code=Code.INVALID_VALUE)
        else:
            action(command)
        for index, account in enumerate(self.books.accounts):
            account.peak_equity = max(account.peak_equity, self.books.equity(index))
        self.books.peak_equity = max(self.books.peak_equity, self.books.firm_equity())
        return self.out

    # --- New orders.

    def asked_for(self, command: Command) -> Order:
        books = self.books
        return Order(
            order_id=0,
            account=command.account if 0 <= command.account < len(books.accounts) else -1,
            symbol=command.symbol if 0 <= command.symbol < len(books.instruments) else -1,
            side=command.side,
            type=command.type,
            time_in_force=command.time_in_force,
            flags=command.flags,
            self_trade_prevention=command.self_trade_prevention,
            price=command.price,
            stop_price=command.stop_price,
            quantity=command.quantity,
            expire_ts=command.expire_ts,
            client_order_id=command.client_order_id,
            content=(
                command.symbol, command.side, command.type, command.time_in_force, command.flags,
                command.self_trade_prevention, command.fault, command.price, command.stop_price,
                command.quantity, command.expire_ts,
            ),
            created_ts=command.ts,
            updated_ts=command.ts,
            seq=command.seq,
            priority=command.seq << 20,
        )  # fmt: skip

    def explain(self, command: Command, ts: int) -> dict[tuple[int, int], Verdict]:
        order = self.asked_for(command)
        known = self.books.named.get((order.account, order.client_order_id))
        request = Request(order, order.quantity, command.fault, duplicate=known is not None)
        now, self.books.ts = self.books.ts, ts
        found = explained(self.books, request)
        self.books.ts = now
        return found

    def place(self, command: Command) -> None:
        books = self.books
        order = self.asked_for(command)
        named = bool(order.client_order_id) and order.account >= 0
        first = books.named.get((order.account, order.client_order_id)) if named else None
        if first is not None and first.content == order.content:
            self.show(EventKind.ORDER_REPLAYED, first)
            return
        request = Request(order, order.quantity, command.fault, duplicate=first is not None)
        refusal = first_refusal(books, request)
        if order.account >= 0:
            books.accounts[order.account].messages += 1
        count = sum(1 for _ in books.open_orders())
        if refusal is None and count >= self.capacity.open_orders:
            refusal = Verdict(Code.ORDER_CAPACITY, False, self.capacity.open_orders, count + 1, Scope.FIRM)
        self.give_slot(order)
        if named and first is None:
            books.named[order.account, order.client_order_id] = order
        if refusal is not None:
            order.status, order.code, order.scope = OrderStatus.REJECTED, refusal.code, refusal.scope
            order.limit, order.observed = refusal.limit, refusal.observed
            books.closed.append(order.order_id % SLOTS)
            if refusal.code == Code.REPEATED_ORDER:
                facts = {"limit": refusal.limit, "observed": refusal.observed}
                halted = TradingState.HALTED
                self.trip(Scope.ACCOUNT, order.account, -1, halted, Code.REPEATED_ORDER, **facts)
            self.show(EventKind.ORDER_REJECTED, order)
            return
        books.accounts[order.account].open[order.order_id] = order
        order.reserve(order.quantity, worth(books, order))
        if order.time_in_force == TimeInForce.GTD:
            order.due = order.expire_ts
        if order.type in STOPS:
            order.waiting, order.status = True, OrderStatus.NEW
            self.show(EventKind.ORDER_OPENED, order)
        else:
            self.show(EventKind.ORDER_ACCEPTED, order, last_price=protection_price(books, order))

    def give_slot(self, order: Order) -> None:
        """A slot never used, else that of the order which has been closed for longest."""
        books = self.books
        if len(books.slots) < self.capacity.orders:
            slot = len(books.slots)
            books.slots.append(order)
        else:
            slot = books.closed.popleft()
            old = books.slots[slot]
            if books.named.get((old.account, old.client_order_id)) is old:
                del books.named[old.account, old.client_order_id]
            books.slots[slot] = order
        order.order_id = order.seq * SLOTS + slot

    # --- Cancel and amend.

    def known(self, order_id: int) -> Order | None:
        slots = self.books.slots
        slot = order_id % SLOTS
        if order_id > 0 and slot < len(slots) and slots[slot].order_id == order_id:
            return slots[slot]
        return None

    def request_cancel(self, order: Order) -> int:
        """Why it cannot be asked for, Code.NONE where it was, or was done at once."""
        if order.status >= OrderStatus.FILLED:
            return Code.ORDER_CLOSED
        if order.waiting:
            self.close(order, OrderStatus.CANCELED)
            self.show(EventKind.ORDER_CANCELED, order)
            return Code.NONE
        status = self.after(order, "request_cancel")
        if status is None:
            return Code.ORDER_PENDING
        self.change(order, status)
        self.show(EventKind.CANCEL_REQUESTED, order)
        return Code.NONE

    def turn_down(
        self, kind: int, command: Command, order: Order | None, code: int, verdict: Verdict | None = None
    ) -> None:
        """A cancel or amend that cannot be."""
        why = {"code": code, "scope": 0, "limit": 0, "observed": 0}
        if verdict is not None:
            why |= {"scope": verdict.scope, "limit": verdict.limit, "observed": verdict.observed}
        if order is None:
            self.say(kind, order_id=command.order_id, **why)
        else:
            self.show(kind, order, **why)

    def cancel(self, command: Command) -> None:
        order = self.known(command.order_id)
        if order is None:
            self.turn_down(EventKind.CANCEL_REJECTED, command, None, Code.UNKNOWN_ORDER)
            return
        verdict = None
        if order.account >= 0:
            self.books.accounts[order.account].messages += 1
            verdict = cancel_rate(self.books, order)
        code = self.request_cancel(order) if verdict is None else verdict.code
        if code != Code.NONE:
            self.turn_down(EventKind.CANCEL_REJECTED, command, order, code, verdict)

    def amend_refusal(
        self, command: Command, order: Order, wanted: Order, extra: int
    ) -> tuple[int, Verdict | None]:
        if order.status >= OrderStatus.FILLED:
            return Code.ORDER_CLOSED, None
        if self.after(order, "request_replace") is None:
            return Code.ORDER_PENDING, None
        if command.fault == 0:
            if (wanted.price, wanted.quantity) == (order.price, order.quantity):
                return Code.NOTHING_TO_AMEND, None
            if wanted.quantity <= order.filled_quantity:
                return Code.QUANTITY_BELOW_FILLED, None
        verdict = first_refusal(self.books, Request(wanted, extra, command.fault, amended=order))
        return (Code.NONE, None) if verdict is None else (verdict.code, verdict)

    def amend(self, command: Command) -> None:
        order = self.known(command.order_id)
        if order is None:
            self.turn_down(EventKind.REPLACE_REJECTED, command, None, Code.UNKNOWN_ORDER)
            return
        bad_price = command.fault & (Fault.PRICE_TICK | Fault.PRICE_RANGE)
        price = command.price if command.price or bad_price else order.price
        wanted = replace(order, price=price, quantity=command.quantity or order.quantity)
        extra = max(wanted.left - order.reserved, 0)
        code, verdict = self.amend_refusal(command, order, wanted, extra)
        if order.account >= 0:
            self.books.accounts[order.account].messages += 1
        if code != Code.NONE:
            self.turn_down(EventKind.REPLACE_REJECTED, command, order, code, verdict)
        elif order.waiting:
            order.price, order.quantity = wanted.price, wanted.quantity
            order.reserve(wanted.quantity, order.worth)
            self.change(order, order.status)
            self.show(EventKind.ORDER_REPLACED, order)
        else:
            order.replace_price, order.replace_quantity = wanted.price, wanted.quantity
            order.replace_priority = self.books.seq << 20 | len(self.out)
            order.reserve(max(order.reserved, wanted.left), max(wanted.worth, order.reserved_price))
            self.change(order, OrderStatus.PENDING_REPLACE)
            self.show(
                EventKind.REPLACE_REQUESTED, order, last_price=wanted.price, last_quantity=wanted.quantity
            )

    def cancel_all(self, command: Command) -> None:
        books = self.books
        by_account = command.scope in (Scope.ACCOUNT, Scope.ACCOUNT_SYMBOL)
        by_symbol = command.scope in (Scope.SYMBOL, Scope.ACCOUNT_SYMBOL)
        if (
            not Scope.FIRM <= command.scope <= Scope.ACCOUNT_SYMBOL
            or (by_account and not 0 <= command.account < len(books.accounts))
            or (by_symbol and not 0 <= command.symbol < len(books.instruments))
        ):
            self.say(EventKind.COMMAND_REJECTED, code=Code.INVALID_VALUE)
            return
        self.cancel_scope(command)

    def cancel_scope(self, command: Command) -> None:
        books = self.books
        by_account = command.scope in (Scope.ACCOUNT, Scope.ACCOUNT_SYMBOL)
        by_symbol = command.scope in (Scope.SYMBOL, Scope.ACCOUNT_SYMBOL)
        before = len(self.out)
        for index, account in enumerate(books.accounts):
            if not by_account or index == command.account:
                for order in list(account.open.values()):
                    if not by_symbol or order.symbol == command.symbol:
                        self.request_cancel(order)
        self.say(
            EventKind.CANCEL_ALL_DONE,
            account=command.account if by_account else -1,
            symbol=command.symbol if by_symbol else -1,
            scope=command.scope,
            last_quantity=len(self.out) - before,
        )

    # --- Marks and time.

    def update_mark(self, command: Command) -> None:
        if self.take_mark(command):
            books, symbol = self.books, command.symbol
            touched = [index for index in range(len(books.accounts)) if books.worst(index, symbol)]
            for index in touched:
                account = books.accounts[index]
                account.peak_equity = max(account.peak_equity, books.equity(index))
            if self.mark_moved:
                self.watch(touched)
            self.fire_stops(symbol)

    def fire_stops(self, symbol: int) -> None:
        mark = self.books.instruments[symbol].mark
        waiting = [o for o in self.books.open_orders() if o.waiting and o.symbol == symbol]
        rising = [o for o in waiting if is_rising(o) and o.stop_price <= mark]
        falling = [o for o in waiting if not is_rising(o) and o.stop_price >= mark]
        rising.sort(key=lambda o: (o.stop_price, o.order_id))
        falling.sort(key=lambda o: (-o.stop_price, o.order_id))
        for order in rising + falling:
            self.fire(order)

    def fire(self, order: Order) -> None:
        books = self.books
        state, _ = books.strictest_state(order.account, order.symbol)
        code = Code.NONE
        if state == TradingState.HALTED:
            code = Code.TRADING_HALTED
        elif state == TradingState.REDUCING and books.reducible(order.account, order.symbol, order.side) < 0:
            code = Code.REDUCING_ONLY
        elif books.instruments[order.symbol].status != InstrumentStatus.TRADING:
            code = Code.SYMBOL_NOT_TRADING
        order.waiting = False
        if code != Code.NONE:
            self.close(order, OrderStatus.CANCELED, code)
            self.show(EventKind.ORDER_CANCELED, order)
        else:
            self.change(order, OrderStatus.TRIGGERED)
            order.priority = books.seq << 20 | len(self.out)
            self.show(EventKind.ORDER_TRIGGERED, order, last_price=protection_price(books, order))

    def advance_time(self, _command: Command) -> None:
        self.start_day()
        self.halt_overdue()
        self.end_overrides_due()
        due = [o for o in self.books.open_orders() if o.due is not None and o.due <= self.books.ts]
        for order in sorted(due, key=lambda o: (o.due, o.order_id)):
            if order.waiting:
                self.close(order, OrderStatus.EXPIRED)
                self.show(EventKind.ORDER_EXPIRED, order)
            else:
                order.due = None
                if self.request_cancel(order) != Code.NONE:
                    order.due = self.books.ts + 1_000_000
        if not self.out:
            self.say(EventKind.TIME_ADVANCED)
