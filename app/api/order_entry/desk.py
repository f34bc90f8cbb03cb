"""Order desk: everything that clients can do with orders, over either transport.

Each request checks rights, builds the command and hands it to the loop; the transport is called
back with the reply once it is durable. A request that is refused before it reaches the engine
raises, and its transport is not called.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from app.api.auth import Principal, Role
from app.api.order_entry.pending import (
    PendingBatch,
    PendingChange,
    PendingClose,
    PendingPlace,
    SendReply,
    Submission,
)
from app.api.services import Services
from app.commands import orders as commands
from app.documents.order_reader import OrderReader
from app.documents.orders import ReplyContent, event_fill, fill_content, order_content
from app.documents.problems import Problem, forbidden, invalid_field, problem_content, unknown_order
from app.documents.refusals import refusal
from app.documents.schemas import AmendOrder, PlaceOrder, PlaceOrders
from app.engine.capacity import SLOT_BITS
from app.engine.records import CLIENT_ORDER_ID_BYTES
from app.engine.types import EventKind, OrderStatus
from app.runtime.outcomes import Outcome
from app.runtime.views import EventView

_REPLAYED = int(EventKind.ORDER_REPLAYED)
_REJECTED = int(OrderStatus.REJECTED)
_REFUSED_CHANGES = (EventKind.CANCEL_REJECTED, EventKind.REPLACE_REJECTED, EventKind.COMMAND_REJECTED)
_PENDING = (OrderStatus.PENDING_CANCEL, OrderStatus.UNKNOWN)
_WORKING = (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, OrderStatus.PENDING_REPLACE)


def _scope_problem(account: str | None) -> Problem:
    """Neither a missing nor a superfluous parameter may cancel somebody's orders."""
    message = "name an account, or scope=firm for the orders of all accounts that the key may trade"
    if account is not None:
        message = "an account is named already: with it there is no scope"
    return invalid_field("account" if account is None else "scope", message)


def _unknown_account(account: str) -> Problem:
    return Problem(404, "UNKNOWN_ACCOUNT", f"there is no account {account[:40]!r}")


def _foreign_account(principal: Principal, account: str) -> Problem:
    if principal.role < Role.TRADER:
        return forbidden("this key may only read")
    return forbidden(f"this key may not trade account {account!r}")


class OrderDesk:
    def __init__(self, services: Services) -> None:
        self._loop = services.loop
        self._reference = services.reference
        self.reader = OrderReader(services.state)
        self._turns = services.turns
        self._rendering: set[asyncio.Task[None]] = set()

    def place(self, principal: Principal, order: PlaceOrder, send: SendReply) -> None:
        """Raises Problem (foreign account), EngineHalted, Overloaded, StorageFull."""
        account = order["account"]
        if not principal.may_trade(account):
            raise _foreign_account(principal, account)
        record = commands.place_order(self._reference, order, principal.number)
        self._loop.submit_for(PendingPlace(self, principal, order, send), record)

    def render_in_turns(self, parts: Iterator[bytes], done: Callable[[list[bytes]], None]) -> None:
        """Make the parts of a long reply in turns with orders, then call `done`."""

        async def render() -> None:
            done(await self._turns.all_of(0, parts))

        rendering = asyncio.ensure_future(render())
        self._rendering.add(rendering)
        rendering.add_done_callback(self._rendering.discard)

    def placed(self, principal: Principal, order: PlaceOrder | None, outcome: Outcome) -> ReplyContent:
        event = outcome.event
        if event.kind == _REPLAYED:
            return self._replayed(principal, order, event)
        if event.status == _REJECTED:
            return self._refused(principal, event, order)
        content = order_content(self._reference, event)
        fills = outcome.fills
        if fills:
            instrument = self._reference.instruments[event.symbol]
            content["fills"] = [event_fill(instrument, fill) for fill in fills]
        else:
            content["fills"] = []
        return ReplyContent(201, content)

    def _refused(
        self, principal: Principal, event: EventView, order: PlaceOrder | None = None
    ) -> ReplyContent:
        content = refusal(self._reference, event, order, shows_shared=principal.sees_all)
        return ReplyContent(content["status"], content)

    def _replayed(self, principal: Principal, order: PlaceOrder | None, event: EventView) -> ReplyContent:
        """The first order again, as of the repeat."""
        slot = self.reader.slot(event.order_id)
        if slot is not None:
            seq, ts = self.reader.last_change(slot)
            if seq < event.seq:
                event = event._replace(seq=seq, ts=ts)
        if event.status == _REJECTED:
            return self._refused(principal, event, order)._replace(replayed=True)
        content = order_content(self._reference, event)
        content["fills"] = [] if slot is None else self.fills(slot, event)
        return ReplyContent(200, content, True)

    def fills(self, slot: int, event: EventView) -> list[dict[str, Any]]:
        """The executions in an order as `event` shows it."""
        if event.symbol < 0:
            return []
        instrument = self._reference.instruments[event.symbol]
        return [
            fill_content(
                instrument, fill.execution_id, fill.price, fill.quantity, fill.fee, fill.liquidity, fill.ts
            )
            for fill in self.reader.fills(slot, event.filled_quantity)
        ]

    def close(
        self,
        principal: Principal,
        account: int,
        symbol: int,
        cancel_open_orders: bool,
        client_order_id: str | None,
        send: SendReply,
    ) -> None:
        """Close a position of an account that the key may trade. Raises EngineHalted, Overloaded."""
        record = commands.close_position(
            account, symbol, cancel_open_orders, client_order_id, principal.number
        )
        self._loop.submit_for(PendingClose(self, principal, send), record)

    def closed(self, principal: Principal, outcome: Outcome) -> ReplyContent:
        """The first order, the others if the position was larger than one may be, and the canceled orders."""
        reply = self.placed(principal, None, outcome)
        if reply.status >= 400:
            return reply
        further, made_way = [], []
        command = outcome.event.order_id >> SLOT_BITS
        for event in outcome.orders:
            content = order_content(self._reference, event)
            if event.order_id >> SLOT_BITS == command:
                slot = self.reader.slot(event.order_id)
                content["fills"] = [] if slot is None else self.fills(slot, event)
                further.append(content)
            elif event.status not in _WORKING:
                made_way.append(content)
        reply.content["further_orders"] = further
        reply.content["canceled_orders"] = made_way
        return reply

    def place_batch(self, principal: Principal, batch: PlaceOrders, send: SendReply) -> None:
        """Orders for foreign accounts are refused one by one, the others go on. Raises as `place`."""
        submissions: list[Submission] = []
        records = bytearray()
        for order in batch["orders"]:
            if principal.may_trade(order["account"]):
                records += commands.place_order(self._reference, order, principal.number)
                submissions.append((order, None))
            else:
                submissions.append((order, _foreign_account(principal, order["account"])))
        if not records:
            raise _foreign_account(principal, submissions[0][0]["account"])
        self._loop.submit_for(PendingBatch(self, principal, submissions, send), records)

    def cancel(self, principal: Principal, order_id: str, send: SendReply) -> None:
        """Raises Problem (unknown or foreign order), EngineHalted, Overloaded."""
        number, account, symbol = self._find(principal, order_id)
        record = commands.cancel_order(account, symbol, number, principal.number)
        self._loop.submit_for(PendingChange(self, principal, send), record)

    def amend(self, principal: Principal, order_id: str, amend: AmendOrder, send: SendReply) -> None:
        """Raises as `cancel`, and StorageFull."""
        number, account, symbol = self._find(principal, order_id)
        if symbol < 0:
            raise Problem(409, "ORDER_CLOSED", "the order has already ended")
        instrument = self._reference.instruments[symbol]
        record = commands.amend_order(account, instrument, number, amend, principal.number)
        self._loop.submit_for(PendingChange(self, principal, send), record)

    def changed(self, principal: Principal, outcome: Outcome) -> ReplyContent:
        """The reply to a cancel or an amend."""
        event = outcome.event
        if event.kind in _REFUSED_CHANGES:
            return self._refused(principal, event)
        return ReplyContent(200, order_content(self._reference, event))

    def _find(self, principal: Principal, order_id: str) -> tuple[int, int, int]:
        slot = self.find(principal, order_id)
        account, symbol = self.reader.owner(slot)
        if principal.role < Role.TRADER:
            raise forbidden("this key may only read")
        return int(order_id), account, symbol

    def find(self, principal: Principal, order_id: str) -> int:
        """The slot of an order that the key may read; others' count as unknown. Raises Problem."""
        if order_id.isascii() and order_id.isdigit() and len(order_id) <= 19:
            slot = self.reader.slot(int(order_id))
            if slot is not None and self.may_read(principal, slot):
                return slot
        raise unknown_order(order_id)

    def find_by_client_id(self, principal: Principal, account: str, client_order_id: str) -> int:
        """The slot of the newest order that an account placed under this id. Raises Problem."""
        index = self._reference.accounts.get(account)
        if index is None or not principal.may_read(account):
            raise _unknown_account(account)
        slot = None
        if 0 < len(client_order_id.encode()) <= CLIENT_ORDER_ID_BYTES:
            slot = self.reader.slot_of_client_id(index, client_order_id)
        if slot is None:
            raise unknown_order(client_order_id)
        return slot

    def order_id_of(self, principal: Principal, account: str, client_order_id: str) -> str:
        """As `find_by_client_id`, for requests that go on with the order's own id."""
        return str(self.reader.order_id(self.find_by_client_id(principal, account, client_order_id)))

    def may_read(self, principal: Principal, slot: int) -> bool:
        account, _ = self.reader.owner(slot)
        if account < 0:
            return principal.accounts is None
        return principal.may_read(self._reference.account_names[account])

    def cancel_all(
        self, principal: Principal, account: str | None, symbol: str | None, scope: str | None = None
    ) -> asyncio.Future[list[Outcome]]:
        """Cancel the open orders of an account or, with the scope FIRM, of all that the key may trade.

        With `symbol`, only in this symbol. Raises Problem (no account and no scope, foreign account, unknown
        names), EngineHalted, Overloaded.
        """
        if principal.role < Role.TRADER:
            raise forbidden("this key may only read")
        if (account is None) == (scope is None):
            raise _scope_problem(account)
        symbol_index = None if symbol is None else self._symbol(symbol)
        number = principal.number
        if account is None and principal.accounts is None:
            return self._loop.submit_batch(commands.cancel_all(None, symbol_index, number))
        names = sorted(principal.accounts or ()) if account is None else [account]
        records = bytearray()
        for name in names:
            if not principal.may_trade(name):
                raise _foreign_account(principal, name)
            index = self._reference.accounts.get(name)
            if index is not None:
                records += commands.cancel_all(index, symbol_index, number)
            elif account is not None:
                raise _unknown_account(name)
        if not records:
            raise Problem(404, "UNKNOWN_ACCOUNT", "none of this key's accounts exists")
        return self._loop.submit_batch(records)

    def _symbol(self, symbol: str) -> int:
        index = self._reference.symbols.get(symbol)
        if index is None:
            raise Problem(404, "UNKNOWN_SYMBOL", f"there is no symbol {symbol!r}")
        return index

    def canceled_items(
        self, principal: Principal, outcomes: Sequence[Outcome], counts: dict[str, int]
    ) -> Iterator[dict[str, Any]]:
        """The result of a mass cancel for each order; `counts` is complete after the last item."""
        counts.update(canceled=0, pending=0, failed=0)
        for event in (event for outcome in outcomes for event in outcome.orders):
            if event.kind == EventKind.CANCEL_REJECTED:
                counts["failed"] += 1
                refused = self._refused(principal, event)
                yield {"status": refused.status, "error": refused.content}
                continue
            content = order_content(self._reference, event)
            if event.status in (OrderStatus.CANCELED, OrderStatus.EXPIRED):
                counts["canceled"] += 1
            elif event.status in _PENDING:
                counts["pending"] += 1
            else:
                counts["failed"] += 1
                error = problem_content(
                    409,
                    "ORDER_CLOSED",
                    "the order ended before it could be canceled",
                    order_id=content["order_id"],
                )
                yield {"status": 409, "order": content, "error": error}
                continue
            yield {"status": 200, "order": content}
