"""What the events say, kept independently of the engine: orders, money, reservations; and the checks."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from app.engine.capacity import SLOT_BITS
from app.engine.codes import Code
from app.engine.transitions import FINAL, TABLE, Trigger
from app.engine.types import CommandKind, EventKind, OrderFlag, OrderStatus, Side
from app.runtime.event_views import (
    FillEvent,
    MarkEvent,
    ReplaceEvent,
    SettledPositionEvent,
    TransferEvent,
    event_as,
)
from app.runtime.views import EventView

S = OrderStatus
T = Trigger
E = EventKind

_SLOT_MASK = (1 << SLOT_BITS) - 1
_NO_NAME = bytes(40)
_STATUS_OF_ITS_OWN = (E.INSTRUMENT_SET, E.BREAKER_TRIPPED, E.NOTE_RECORDED, E.OVERRIDE_ENDED)
_TRIGGERS: dict[EventKind, tuple[Trigger, ...]] = {
    E.ORDER_OPENED: (T.ACKNOWLEDGE,),
    E.ORDER_FILLED: (T.FILL, T.COMPLETE),
    E.ORDER_CANCELED: (T.CANCEL, T.REJECT),
    E.ORDER_EXPIRED: (T.EXPIRE,),
    E.ORDER_REJECTED: (T.REJECT,),
    E.ORDER_TRIGGERED: (T.FIRE,),
    E.CANCEL_REQUESTED: (T.REQUEST_CANCEL,),
    E.REPLACE_REQUESTED: (T.REQUEST_REPLACE,),
    E.ORDER_REPLACED: (T.REPLACE,),
    E.ORDER_UNKNOWN: (T.LOSE,),
}


@dataclass
class Order:
    order_id: int
    account: int
    symbol: int
    side: int
    flags: int
    price: int
    quantity: int
    status: S
    waiting: bool  # a stop that the venue does not have
    filled: int = 0
    notional: int = 0
    reserved: int = 0
    asked: int = 0  # the quantity that the newest replace asks for
    replaces: int = 0  # on their way

    @property
    def left(self) -> int:
        return self.quantity - self.filled


@dataclass
class Position:
    quantity: int = 0
    cost: int = 0
    realised: int = 0
    fees: int = 0


@dataclass
class Money:
    transferred: int = 0
    cash: int = 0


@dataclass
class Ledger:
    """Feed it every event, with the kind of command that caused it."""

    multipliers: list[int]
    open: dict[int, Order] = field(default_factory=dict)
    positions: dict[tuple[int, int], Position] = field(default_factory=dict)
    money: dict[int, Money] = field(default_factory=dict)
    names: dict[tuple[int, bytes], int] = field(default_factory=dict)
    slots: dict[int, int] = field(default_factory=dict)  # whose order a slot holds
    executions: set[tuple[int, int]] = field(default_factory=set)
    marks: dict[int, int] = field(default_factory=dict)
    anomalies: list[EventView] = field(default_factory=list)
    fills: list[EventView] = field(default_factory=list)

    def take(self, events: Iterable[EventView], command_kinds: dict[int, int]) -> None:
        for event in events:
            kind = E(event.kind)
            if kind == E.EXECUTION_ANOMALY:
                self.anomalies.append(event)
                self._check_unchanged(event)
            elif kind == E.CASH_TRANSFERRED:
                money = self.money.setdefault(event.account, Money())
                amount = event_as(TransferEvent, event).amount
                money.transferred += amount
                money.cash += amount
            elif kind == E.POSITION_SETTLED:
                self._settle(event_as(SettledPositionEvent, event))
            elif kind == E.MARK_UPDATED:
                self.marks[event.symbol] = event_as(MarkEvent, event).mark
            elif event.order_id == 0:
                assert event.status == 0 or kind in _STATUS_OF_ITS_OWN
            elif event.order_id not in self.open:
                self._first(event, kind, command_kinds[event.seq])
            else:
                self._next(event, kind, command_kinds[event.seq] == CommandKind.EXECUTION_REPORT)

    # --- Orders.

    def _first(self, event: EventView, kind: EventKind, command: int) -> None:
        """An order that is not open: a new one, or words about one that has ended."""
        if kind in (E.ORDER_REPLAYED, E.CANCEL_REJECTED, E.REPLACE_REJECTED):
            assert event.status in FINAL or event.status == 0
            return
        assert kind in (E.ORDER_ACCEPTED, E.ORDER_OPENED, E.ORDER_REJECTED), kind
        assert event.order_id >> SLOT_BITS == event.seq, "an order speaks again after its end"
        assert event.filled_quantity == 0
        if kind != E.ORDER_REJECTED or command != CommandKind.CLOSE_POSITION:  # its name stays free
            self._check_name(event)
        self.slots[event.order_id & _SLOT_MASK] = event.order_id
        if kind == E.ORDER_REJECTED:
            assert event.status == S.REJECTED and event.code != Code.NONE
            return
        status = S.PENDING_NEW if kind == E.ORDER_ACCEPTED else S.NEW
        assert event.status == status
        self.open[event.order_id] = Order(
            event.order_id, event.account, event.symbol, event.side, event.flags, event.price,
            event.quantity, status, waiting=status == S.NEW, reserved=event.quantity,
        )  # fmt: skip

    def _check_name(self, event: EventView) -> None:
        if event.client_order_id == _NO_NAME or event.account < 0:
            return
        key = (event.account, event.client_order_id)
        first = self.names.get(key)
        remembered = first is not None and self.slots[first & _SLOT_MASK] == first
        if event.code == Code.DUPLICATE_CLIENT_ORDER_ID:
            assert remembered
        elif remembered:
            assert event.code != Code.NONE and event.code < Code.DUPLICATE_CLIENT_ORDER_ID, "an id used twice"
        else:
            self.names[key] = event.order_id

    def _next(self, event: EventView, kind: EventKind, by_venue: bool) -> None:
        order = self.open[event.order_id]
        refused = kind in (E.CANCEL_REJECTED, E.REPLACE_REJECTED)
        if kind == E.ORDER_REPLAYED or (refused and not by_venue):
            self._check_unchanged(event)
            return
        self._check_step(order, event, kind, refused)
        self._check_flags(order, event)
        if kind == E.ORDER_FILLED:
            self._fill(order, event)
        elif kind == E.REPLACE_REQUESTED:
            order.asked = event_as(ReplaceEvent, event).replace_quantity
            order.reserved = max(order.reserved, order.asked - order.filled)
            order.replaces += 1
        elif kind == E.ORDER_REPLACED or refused:
            order.price, order.quantity = event.price, event.quantity
            order.reserved = order.left
            if event.status == S.PENDING_REPLACE:  # a later request is still on its way
                order.reserved = max(order.left, order.asked - order.filled)
            order.replaces -= kind != E.CANCEL_REJECTED and order.replaces > 0
        if kind == E.ORDER_TRIGGERED:  # trimmed to the position, where it may only reduce
            assert event.quantity == order.quantity or event.flags & OrderFlag.REDUCE_ONLY
            assert 0 < event.quantity <= order.quantity
            order.waiting = False
            order.quantity = order.reserved = event.quantity
        order.status = S(event.status)
        assert (event.quantity, event.filled_quantity) == (order.quantity, order.filled)
        assert event.filled_notional == order.notional
        if order.status in FINAL:
            del self.open[event.order_id]

    def _check_flags(self, order: Order, event: EventView) -> None:
        """An order may become a reduce-only one, or show that it has fired, and never lose a flag."""
        gained = event.flags & ~order.flags
        assert order.flags & ~event.flags == 0
        assert gained & ~(OrderFlag.REDUCE_ONLY | OrderFlag.TRIGGERED) == 0
        assert event.kind == E.ORDER_TRIGGERED or not gained & OrderFlag.TRIGGERED
        order.flags = event.flags

    def _check_step(self, order: Order, event: EventView, kind: EventKind, refused: bool) -> None:
        """That the state machine knows a way from where the order was to where it is."""
        if order.waiting and kind == E.ORDER_REPLACED:
            assert event.status == S.NEW
            return
        triggers = (T.REFUSE,) if refused else _TRIGGERS[kind]
        targets = {TABLE[order.status].get(trigger) for trigger in triggers}
        if kind == E.ORDER_REPLACED and order.replaces > 1:
            targets |= {S.PENDING_REPLACE}  # the answer to the earlier of two requests
        filled = order.filled + (event.last_quantity if kind == E.ORDER_FILLED else 0)
        if filled and S.NEW in targets:
            targets = targets - {S.NEW} | {S.PARTIALLY_FILLED}
        assert event.status in targets, f"{order.status.name} to {S(event.status).name} by {kind.name}"

    def _check_unchanged(self, event: EventView) -> None:
        order = self.open.get(event.order_id)
        if order is not None:
            found = (event.status, event.filled_quantity, event.quantity, event.price)
            assert found == (order.status, order.filled, order.quantity, order.price)

    def _fill(self, order: Order, event: EventView) -> None:
        quantity, price = event.last_quantity, event.last_price
        assert 0 < quantity <= order.left, "overfill"
        assert (event.status == S.FILLED) == (quantity == order.left)
        execution = (event.symbol, event.execution_id)
        assert execution not in self.executions, "an execution applied twice"
        self.executions.add(execution)
        self.fills.append(event)
        order.filled += quantity
        order.notional += quantity * price
        order.reserved -= quantity
        unit = price * self.multipliers[order.symbol]
        sign = 1 if order.side == Side.BUY else -1
        self.money[order.account].cash -= sign * quantity * unit + event.fee
        position = self.positions.setdefault((order.account, order.symbol), Position())
        position.fees += event.fee
        closing = min(quantity, abs(position.quantity)) if position.quantity * sign < 0 else 0
        assert closing == quantity or not order.flags & OrderFlag.REDUCE_ONLY, "reduce-only, and it opens"
        if closing:
            share = abs(position.cost) * closing // abs(position.quantity)
            position.cost += sign * share
            position.realised += sign * (share - closing * unit)
        position.cost += sign * (quantity - closing) * unit
        position.quantity += sign * quantity
        fill = event_as(FillEvent, event)
        assert (fill.position_quantity, fill.position_cost) == (position.quantity, position.cost)

    def _settle(self, event: SettledPositionEvent) -> None:
        position = self.positions[event.account, event.symbol]
        assert event.settled_quantity == position.quantity != 0
        proceeds = position.quantity * event.settlement_price * self.multipliers[event.symbol]
        assert event.realised == proceeds - position.cost
        position.realised += proceeds - position.cost
        self.money[event.account].cash += proceeds
        position.quantity = position.cost = 0

    # --- Sums.

    def reserved(self) -> dict[tuple[int, int], list[int]]:
        """By account and symbol: buys, sells, reduce-only buys, reduce-only sells, count."""
        sums: dict[tuple[int, int], list[int]] = {}
        for order in self.open.values():
            row = sums.setdefault((order.account, order.symbol), [0, 0, 0, 0, 0])
            row[order.side] += order.reserved
            if order.flags & OrderFlag.REDUCE_ONLY:
                row[2 + order.side] += order.reserved
            row[4] += 1
        return sums
