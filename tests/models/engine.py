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
    OrderFlag,
    OrderStatus,
    Scope,
    TimeInForce,
    TradingState,
)
from app.runtime.views import EventView
from tests.models.engine_closing import ClosingTwin
from tests.models.engine_effect import cost, protection_price, reserve_left, worth
from tests.models.engine_flow import Verdict, cancel_rate, lacking_token, take_tokens
from tests.models.engine_limits import LimitsTwin
from tests.models.engine_model import Books, Order
from tests.models.engine_risk import (
    STOPS,
    How,
    Request,
    explained,
    judged,
)
from tests.models.engine_settlement import SettlementTwin
from tests.support.engine import Command

SLOTS = 1 << SLOT_BITS


class EngineTwin(LimitsTwin, ClosingTwin, SettlementTwin):
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
            CommandKind.CLOSE_POSITION: self.close_position,
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
        self.group_open = False
        if action is None:
            self.say(EventKind.COMMAND_REJECTED, code=Code.INVALID_VALUE)
        else:
            action(command)
        self.finish_consequences()
        return self.out

    def finish_consequences(self) -> None:
        """What follows, once all that belongs together is booked."""
        if not self.group_open:
            self.look_at_equity()
            self.trip_all()
            self.fire_due()

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
            flags=command.flags & (OrderFlag.POST_ONLY | OrderFlag.REDUCE_ONLY),
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
            priority=self.queue_place(),
            waiting=int(command.type in STOPS),
        )  # fmt: skip

    def explain(self, command: Command, ts: int) -> dict[tuple[int, int], Verdict]:
        order = self.asked_for(command)
        known = self.books.named.get((order.account, order.client_order_id))
        now, self.books.ts = self.books.ts, ts
        request = Request(
            order,
            fault=command.fault,
            duplicate=known is not None,
            lacking=lacking_token(self.books, order.account),
            decides=False,
        )
        found = explained(self.books, request)
        self.books.ts = now
        return found

    def named_before(self, order: Order) -> Order | None:
        """The order that has its client order id already."""
        if not order.client_order_id or order.account < 0:
            return None
        return self.books.named.get((order.account, order.client_order_id))

    def place(self, command: Command) -> None:
        order = self.asked_for(command)
        lacking = take_tokens(self.books, order.account)
        first = self.named_before(order)
        if first is not None and first.content == order.content:
            self.show(EventKind.ORDER_REPLAYED, first)
            return
        request = Request(order, fault=command.fault, duplicate=first is not None, lacking=lacking)
        refusal, reduces = self.judged_new(request)
        if refusal is not None:
            self.refuse(order, refusal)
            return
        if reduces:
            order.flags |= OrderFlag.REDUCE_ONLY
        self.admit(order)
        self.open_order(order)

    def judged_new(self, request: Request) -> tuple[Verdict | None, bool]:
        """The engine's own capacity comes last."""
        refusal, reduces = judged(self.books, request)
        if request.order.account >= 0:
            self.books.accounts[request.order.account].messages += 1
        count, most = sum(1 for _ in self.books.open_orders()), self.capacity.open_orders
        if refusal is None and count >= most:
            refusal = Verdict(Code.ORDER_CAPACITY, False, most, count + 1, Scope.FIRM)
        return refusal, reduces

    def refuse(self, order: Order, refusal: Verdict) -> None:
        self.admit(order)
        order.status, order.code, order.scope = OrderStatus.REJECTED, refusal.code, refusal.scope
        order.limit, order.observed, order.waiting = refusal.limit, refusal.observed, 0
        self.books.closed.append(order.order_id % SLOTS)
        self.show(EventKind.ORDER_REJECTED, order)
        if refusal.code == Code.REPEATED_ORDER:
            facts = {"limit": refusal.limit, "observed": refusal.observed}
            self.trip(Scope.ACCOUNT, order.account, -1, TradingState.HALTED, Code.REPEATED_ORDER, **facts)

    def admit(self, order: Order) -> None:
        """Give it a slot and with it its id."""
        first = self.named_before(order)
        self.give_slot(order)
        if order.client_order_id and order.account >= 0 and first is None:
            self.books.named[order.account, order.client_order_id] = order

    def open_order(self, order: Order) -> None:
        self.books.accounts[order.account].open[order.order_id] = order
        reserve_left(self.books, order)
        if order.time_in_force == TimeInForce.GTD:
            order.due = order.expire_ts
        if order.waiting:
            order.status = OrderStatus.NEW
            self.show(EventKind.ORDER_OPENED, order)
        else:
            self.show(EventKind.ORDER_ACCEPTED, order, last_price=protection_price(self.books, order))

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
        self, command: Command, order: Order, wanted: Order, lacking: int
    ) -> tuple[int, Verdict | None, bool]:
        """Code, verdict, and whether it passes as a reduce-only order."""
        if order.status >= OrderStatus.FILLED:
            return Code.ORDER_CLOSED, None, False
        if self.after(order, "request_replace") is None:
            return Code.ORDER_PENDING, None, False
        if command.fault == 0:
            if (wanted.price, wanted.stop_price, wanted.quantity) == (
                order.price, order.stop_price, order.quantity
            ):  # fmt: skip
                return Code.NOTHING_TO_AMEND, None, False
            if wanted.quantity <= order.filled_quantity:
                return Code.QUANTITY_BELOW_FILLED, None, False
        request = Request(wanted, How.AMEND, command.fault, before=order, lacking=lacking)
        verdict, reduces = judged(self.books, request)
        return (Code.NONE, None, reduces) if verdict is None else (verdict.code, verdict, False)

    def amend(self, command: Command) -> None:
        order = self.known(command.order_id)
        if order is None:
            self.turn_down(EventKind.REPLACE_REJECTED, command, None, Code.UNKNOWN_ORDER)
            return
        lacking = take_tokens(self.books, order.account)
        bad_price = command.fault & (Fault.PRICE_TICK | Fault.PRICE_RANGE)
        no_quantity = command.fault & Fault.QUANTITY_ZERO
        wanted = replace(
            order,
            price=command.price if command.price or bad_price else order.price,
            stop_price=command.stop_price or order.stop_price,
            quantity=command.quantity if command.quantity or no_quantity else order.quantity,
        )
        code, verdict, reduces = self.amend_refusal(command, order, wanted, lacking)
        if order.account >= 0:
            self.books.accounts[order.account].messages += 1
        if code != Code.NONE:
            self.turn_down(EventKind.REPLACE_REJECTED, command, order, code, verdict)
            return
        if reduces:
            order.flags |= OrderFlag.REDUCE_ONLY
        if order.waiting:
            if wanted.stop_price != order.stop_price:
                order.waiting = 1
            order.price, order.stop_price = wanted.price, wanted.stop_price
            order.quantity = wanted.quantity
            reserve_left(self.books, order)
            self.change(order, order.status)
            self.show(EventKind.ORDER_REPLACED, order)
        else:
            worths = worth(self.books, wanted), cost(self.books, wanted, wanted.left)
            self.request_replace(order, wanted.price, wanted.quantity, *worths)

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
        by_account = command.scope in (Scope.ACCOUNT, Scope.ACCOUNT_SYMBOL)
        by_symbol = command.scope in (Scope.SYMBOL, Scope.ACCOUNT_SYMBOL)
        before = len(self.out)
        for orders in self.in_scope(command.scope, command.account, command.symbol):
            for order in orders:
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
            self.books.instruments[command.symbol].stops_due = True
        self.group_open = bool(command.more)

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
