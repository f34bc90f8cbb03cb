"""Order reader: orders and fills from the engine's arrays. What it reads may not be durable yet.

Callers await `CommandLoop.durable` before they reply with it.
"""

import asyncio
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.engine.capacity import SLOT_BITS
from app.engine.records import CLIENT_ORDER_ID_BYTES, EVENT
from app.engine.state import State
from app.engine.state_records import FILL, ORDER
from app.engine.types import OrderStatus
from app.runtime.views import EventView, field_names, layout

FILLS_SHOWN_MAX = 1_000
# Slots read before other work gets its turn: about a millisecond.
_SCAN_SLOTS = 1 << 14

_ORDER_LAYOUT = layout(ORDER)
_ORDER_FIELDS = field_names(ORDER)
_FILL_LAYOUT = layout(FILL)
_BLANK_EVENT = dict.fromkeys(EventView._fields, 0)
_COMMON = tuple(name for name in field_names(EVENT) if name in _ORDER_FIELDS)

_SLOT_MASK = (1 << SLOT_BITS) - 1
_WORD_MASK = (1 << 64) - 1
_SEED = 0x243F6A8885A308D3
_MULTIPLIER = 0x9E3779B97F4A7C15


class FillView(NamedTuple):
    """One execution; fields and units as in `app.engine.state_records.FILL`."""

    number: int
    previous: int
    order_id: int
    execution_id: int
    ts: int
    price: int
    quantity: int
    fee: int
    symbol: int
    liquidity: int


assert field_names(FILL) == FillView._fields


def _client_id_hash(account: int, client_order_id: bytes) -> int:
    """As `app.engine.hash_index` computes it."""
    mixed = _SEED
    words = (client_order_id[start : start + 8] for start in range(0, CLIENT_ORDER_ID_BYTES, 8))
    for word in (account, *(int.from_bytes(word, "little") for word in words)):
        mixed = (mixed ^ word) * _MULTIPLIER & _WORD_MASK
        mixed ^= mixed >> 29
    return mixed >> 33


class OrderReader:
    def __init__(self, state: State) -> None:
        self._state = state
        self._orders = state.orders
        self._order_ids = state.orders["order_id"]

    def slot(self, order_id: int) -> int | None:
        """The slot of an order; None if it is not known, or no longer."""
        slot = order_id & _SLOT_MASK
        if 0 < order_id < 1 << 63 and slot < len(self._order_ids) and self._order_ids[slot] == order_id:
            return slot
        return None

    def slot_of_client_id(self, account: int, client_order_id: str) -> int | None:
        name = client_order_id.encode().ljust(CLIENT_ORDER_ID_BYTES, b"\0")
        table = self._state.client_ids
        mask = len(table) - 1
        hashed = _client_id_hash(account, name)
        at = hashed & mask
        while (entry := int(table[at])) != 0:
            if entry >> 32 == hashed:
                slot = (entry & 0xFFFFFFFF) - 1
                order = self._orders[slot]
                if order["account"] == account and order["client_order_id"].tobytes() == name:
                    return slot
            at = (at + 1) & mask
        return None

    def order_id(self, slot: int) -> int:
        return int(self._order_ids[slot])

    def owner(self, slot: int) -> tuple[int, int]:
        """Account and symbol of an order."""
        order = self._orders[slot]
        return int(order["account"]), int(order["symbol"])

    def last_change(self, slot: int) -> tuple[int, int]:
        """seq and ts."""
        order = self._orders[slot]
        return int(order["seq"]), int(order["updated_ts"])

    def view(self, slot: int) -> EventView:
        """An order in the form of the event of its last change."""
        return self.view_of(self._orders[slot])

    @staticmethod
    def view_of(order: Any) -> EventView:
        """As `view`, for an ORDER record."""
        record = dict(zip(_ORDER_FIELDS, _ORDER_LAYOUT.unpack(order.tobytes()), strict=True))
        fields = _BLANK_EVENT | {name: record[name] for name in _COMMON}
        fields["ts"] = record["updated_ts"]
        return EventView(**fields)

    def fills(self, slot: int, filled_quantity: int) -> list[FillView]:
        """The executions that make up `filled_quantity`, oldest first; at most the newest thousand.

        Newer ones, which the caller's view of the order does not include, are left out.
        """
        ring = self._state.fills
        order = self._orders[slot]
        number = int(order["last_fill"])
        surplus = int(order["filled_quantity"]) - filled_quantity
        found: list[FillView] = []
        while number and len(found) < FILLS_SHOWN_MAX:
            fill = FillView._make(_FILL_LAYOUT.unpack(ring[(number - 1) % len(ring)].tobytes()))
            if fill.number != number:
                break  # its place has been taken by a newer one
            if surplus > 0:
                surplus -= fill.quantity
            else:
                found.append(fill)
            number = fill.previous
        found.reverse()
        return found

    async def newest(
        self,
        accounts: NDArray[np.int32] | None,
        symbol: int | None,
        open_only: bool,
        before: int,
        count: int,
    ) -> list[int]:
        """Slots of the newest orders with an id below `before`, newest first; searched in short steps."""
        used = int(self._state.firm[0]["orders_used"])
        best = np.empty(0, np.int64)
        for first in range(0, used, _SCAN_SLOTS):
            chunk = self._orders[first : min(first + _SCAN_SLOTS, used)]
            ids = chunk["order_id"]
            wanted = ids < before
            if accounts is not None:
                wanted &= np.isin(chunk["account"], accounts)
            if symbol is not None:
                wanted &= chunk["symbol"] == symbol
            if open_only:
                wanted &= chunk["status"] < OrderStatus.FILLED
            best = np.concatenate((best, ids[wanted]))
            if len(best) > count:
                best = np.partition(best, len(best) - count)[-count:]
            await asyncio.sleep(0)
        return [int(order_id) & _SLOT_MASK for order_id in np.sort(best)[::-1]]
