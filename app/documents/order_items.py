"""Order items: the JSON items of the channels `orders` and `fills`, made from events."""

import orjson

from app.documents.content import Content
from app.documents.orders import event_fill, order_content
from app.engine.codes import Code
from app.engine.types import EventKind, OrderStatus, Side
from app.runtime.reference import Reference
from app.runtime.views import EventView, RawEvent

_REFUSED_CHANGES = (int(EventKind.CANCEL_REJECTED), int(EventKind.REPLACE_REJECTED))
_FILLED = int(OrderStatus.FILLED)
_SIDES = tuple(side.name for side in Side)
_VENUE_CODES = (Code.POST_ONLY_WOULD_TAKE, Code.SYMBOL_NOT_TRADING, Code.UNKNOWN_ORDER)


def order_item(reference: Reference, event: RawEvent) -> bytes | None:
    """The order that an event of ORDER_KINDS shows; None if it has not changed."""
    view = EventView._make(event)
    if view.kind in _REFUSED_CHANGES:
        # FILLED by a refusal: a replace to more was all that kept the order open.
        if view.status > _FILLED or not _venue_refused(view.code):
            return None
        view = view._replace(code=0)  # that of the refusal: an open order has none
    return orjson.dumps(order_content(reference, view))


def fill_item(reference: Reference, event: RawEvent) -> bytes:
    """The execution of an ORDER_FILLED event, with the order and account that it belongs to."""
    view = EventView._make(event)
    return orjson.dumps(event_fill(reference.instruments[view.symbol], view) | names_of(reference, view))


def names_of(reference: Reference, view: EventView) -> Content:
    """Ids, account, symbol and side of the order that an execution belongs to."""
    client_id = view.client_order_id
    return {
        "order_id": str(view.order_id),
        "client_order_id": client_id.rstrip(b"\0").decode() if client_id[0] else None,
        "account": reference.account_names[view.account],
        "symbol": reference.instruments[view.symbol].symbol,
        "side": _SIDES[view.side],
    }


def _venue_refused(code: int) -> bool:
    """Whether a venue may have refused a cancel or an amend, so that the order reverted.

    Checks share some of its codes; then an order that has not changed is shown again.
    """
    return code >= Code.VENUE_REJECTED or code in _VENUE_CODES
